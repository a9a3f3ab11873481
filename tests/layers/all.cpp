#include <bespoke/layers/all.hpp>

#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

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
    for (const char* key : {"activation.PReLU",
                            "add",
                            "batchedMatmul",
                            "batchnorm",
                            "concat",
                            "convolution",
                            "copy",
                            "embedding",
                            "embeddingND",
                            "expandDims",
                            "flatten",
                            "gelu",
                            "innerProduct",
                            "layerNormalization",
                            "multiply",
                            "permute",
                            "pooling",
                            "reshapeStatic",
                            "slice",
                            "sliceStatic",
                            "softmax",
                            "softmaxND",
                            "split",
                            "splitND",
                            "squeeze",
                            "transpose",
                            "addBroadcastable",
                            "average",
                            "bias",
                            "broadcastToLike",
                            "broadcastToStatic",
                            "concatND",
                            "divideBroadcastable",
                            "dot",
                            "equal",
                            "floorDivBroadcastable",
                            "greaterEqual",
                            "greaterThan",
                            "lessEqual",
                            "lessThan",
                            "logicalAnd",
                            "logicalOr",
                            "logicalXor",
                            "max",
                            "maxBroadcastable",
                            "min",
                            "minBroadcastable",
                            "modBroadcastable",
                            "multiplyBroadcastable",
                            "notEqual",
                            "powBroadcastable",
                            "scale",
                            "sequenceRepeat",
                            "stack",
                            "subtractBroadcastable",
                            "tile",
                            "whereBroadcastable",
                            "sliceDynamic",
                            "whereNonZero",
                            "gather",
                            "scatterND",
                            "topK",
                            "NonMaximumSuppression",
                            "constantPad",
                            "argMax",
                            "argMin",
                            "globalPooling3d",
                            "l2normalize",
                            "lrn",
                            "mvn",
                            "pooling3d",
                            "reduce",
                            "reduceL1",
                            "reduceL2",
                            "reduceLogSum",
                            "reduceLogSumExp",
                            "reduceMax",
                            "reduceMean",
                            "reduceMin",
                            "reduceProd",
                            "reduceSum",
                            "reduceSumSquare",
                            "convolution3d",
                            "cropResize",
                            "resizeBilinear",
                            "upsample",
                            "broadcastToDynamic",
                            "categoricalDistribution",
                            "fillDynamic",
                            "fillLike",
                            "fillStatic",
                            "getShape",
                            "loadConstant",
                            "loadConstantND",
                            "randomBernoulliDynamic",
                            "randomBernoulliLike",
                            "randomBernoulliStatic",
                            "randomNormalDynamic",
                            "randomNormalLike",
                            "randomNormalStatic",
                            "randomUniformDynamic",
                            "randomUniformLike",
                            "randomUniformStatic",
                            "rangeDynamic",
                            "rangeStatic",
                            "rankPreservingReshape",
                            "reshape",
                            "reshapeDynamic",
                            "reshapeLike"})
        REQUIRE(all.count(key) == 1);
}

TEST_CASE("core_layers: all 13 activations") {
    int activations = 0;
    for (const std::string& key : keys(core_layers{})) activations += key.starts_with("activation.") ? 1 : 0;
    REQUIRE(activations == 13);
}

namespace {

struct named_layer {
    std::string name;
    bool differentiable;
};
#define NAMED_LAYER(L) {#L, is_differentiable<bespoke::L>},
const std::vector<named_layer> named_layers{BESPOKE_CORE_LAYERS(NAMED_LAYER)};
#undef NAMED_LAYER

}  // namespace

TEST_CASE("the README's table names every layer, and whether it runs backward") {
    std::ifstream readme(BESPOKE_SOURCE_DIR "/README.md");
    std::map<std::string, std::string> backward;  // what the third column says of a name
    for (std::string line; std::getline(readme, line);) {
        if (line.rfind("| `", 0) != 0) continue;
        std::vector<std::string> columns;
        std::istringstream cells(line.substr(1));
        for (std::string cell; std::getline(cells, cell, '|');) columns.push_back(cell);
        if (columns.size() != 6) continue;
        std::istringstream names(columns[0]);
        for (std::string name; std::getline(names, name, '`') && std::getline(names, name, '`');)
            backward[name] = columns[2];
    }
    for (const named_layer& layer : named_layers) {
        INFO(layer.name);
        REQUIRE(backward[layer.name] == (layer.differentiable ? " yes " : " no "));
    }
}
