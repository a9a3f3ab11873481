#include <bespoke/layers/all.hpp>

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace bespoke;

namespace {

template <class... Ls>
constexpr bool all_described(layer_set<Ls...>) {
    return (described<Ls> && ...) && (layer<Ls> && ...) && !(control_layer<Ls> || ...);
}
static_assert(all_described(core_layers{}));

template <class... Ls>
std::multiset<std::string> keys(layer_set<Ls...>) {
    return {std::string(key_of<Ls>().view())...};
}

}  // namespace

TEST_CASE("core_layers: every key once") {
    const auto all = keys(core_layers{});
    REQUIRE(std::set<std::string>(all.begin(), all.end()).size() == all.size());
    for (const char* key : {"activation.PReLU", "add", "batchedMatmul", "batchnorm", "concat", "convolution",
                            "copy", "embedding", "embeddingND", "expandDims", "flatten", "gelu",
                            "innerProduct", "layerNormalization", "multiply", "permute", "pooling",
                            "reshapeStatic", "slice", "sliceStatic", "softmax", "softmaxND", "split", "splitND",
                            "squeeze", "transpose", "addBroadcastable", "average", "bias", "broadcastToLike",
                            "broadcastToStatic", "concatND", "divideBroadcastable", "dot", "equal", "floorDivBroadcastable",
                            "greaterEqual", "greaterThan", "lessEqual", "lessThan", "logicalAnd", "logicalOr",
                            "logicalXor", "max", "maxBroadcastable", "min", "minBroadcastable", "modBroadcastable",
                            "multiplyBroadcastable", "notEqual", "powBroadcastable", "scale", "sequenceRepeat", "stack",
                            "subtractBroadcastable", "tile", "whereBroadcastable", "broadcastToDynamic",
                            "categoricalDistribution", "fillDynamic", "fillLike", "fillStatic", "getShape",
                            "loadConstant", "loadConstantND", "randomBernoulliDynamic", "randomBernoulliLike",
                            "randomBernoulliStatic", "randomNormalDynamic", "randomNormalLike", "randomNormalStatic",
                            "randomUniformDynamic", "randomUniformLike", "randomUniformStatic", "rangeDynamic",
                            "rangeStatic", "rankPreservingReshape", "reshape", "reshapeDynamic", "reshapeLike"})
        REQUIRE(all.count(key) == 1);
}

TEST_CASE("core_layers: all 13 activations") {
    int activations = 0;
    for (const std::string& key : keys(core_layers{})) activations += key.starts_with("activation.") ? 1 : 0;
    REQUIRE(activations == 13);
}
