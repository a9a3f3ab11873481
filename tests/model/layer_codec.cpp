#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using check::weights;
using nlohmann::json;

namespace {

std::string written(const std::string& text) { return parse(text).write("w.safetensors").json; }

/// The weights of a GRU of two inputs and two outputs.
std::string gate_weights(const std::vector<std::string>& gates) {
    std::string text;
    for (const char* kind : {"WeightMatrix", "RecursionMatrix", "BiasVector"})
        for (const std::string& gate : gates)
            text += std::string(text.empty() ? "\"" : ", \"") + gate + kind + "\": " + weights(*kind == 'B' ? 2 : 4);
    return text;
}

/// LSTMWeightParams of two inputs and two outputs.
std::string lstm_weights(bool all) {
    std::string text;
    for (const char* kind : {"WeightMatrix", "RecursionMatrix", "BiasVector", "PeepholeVector"}) {
        const bool matrix = std::string(kind).ends_with("Matrix");
        for (const char* gate : {"inputGate", "forgetGate", "blockInput", "outputGate"})
            if (matrix || (all && (*kind == 'B' || *gate != 'b')))
                text += std::string(text.empty() ? "{\"" : ", \"") + gate + kind + "\": " + weights(matrix ? 4 : 2);
    }
    return text + "}";
}

/// Canonical JSON of every layer, with what it takes.
struct sample {
    std::string shape, type, inputs = R"(["x"])", outputs = R"(["y"])";
};
std::vector<sample> samples() {
    const std::string vector = R"(["2"])", image = R"(["2", "4", "4"])";
    return {
        {vector, R"("activation": {"linear": {"alpha": 2, "beta": -0.5}})"},
        {vector, R"("activation": {"ReLU": {}})"},
        {vector, R"("activation": {"leakyReLU": {"alpha": 0.1}})"},
        {vector, R"("activation": {"thresholdedReLU": {"alpha": 1.5}})"},
        {image, R"("activation": {"PReLU": {"alpha": )" + weights(2) + "}}"},
        {image, R"("activation": {"PReLU": {"alpha": )" + weights(1) + "}}"},
        {vector, R"("activation": {"tanh": {}})"},
        {vector, R"("activation": {"scaledTanh": {"alpha": 2, "beta": 3}})"},
        {vector, R"("activation": {"sigmoid": {}})"},
        {vector, R"("activation": {"sigmoidHard": {"alpha": 0.2, "beta": 0.5}})"},
        {vector, R"("activation": {"ELU": {"alpha": 1}})"},
        {vector, R"("activation": {"softsign": {}})"},
        {vector, R"("activation": {"softplus": {}})"},
        {image, R"("activation": {"parametricSoftplus": {"alpha": )" + weights(1) + R"(, "beta": )" + weights(2) + "}}"},
        {vector, R"("add": {"alpha": 3})"},
        {R"(["3", "2"])", R"("batchedMatmul": {"weightMatrixFirstDimension": "2", "weightMatrixSecondDimension": "3",
                            "hasBias": true, "weights": )" + weights(6) + R"(, "bias": )" + weights(3) + "}"},
        {image, R"("batchnorm": {"channels": "2", "epsilon": 0.001, "gamma": )" + weights(2) + R"(, "beta": )" +
                    weights(2) + R"(, "mean": )" + weights(2) + R"(, "variance": {"floatValue": [1, 2]}})"},
        {vector, R"("clip": {"minVal": -0.5, "maxVal": 6})"},
        {image, R"("concat": {})", R"(["x", "x"])"},
        {image, R"("convolution": {"outputChannels": "2", "kernelChannels": "1", "nGroups": "2",
                    "kernelSize": ["3", "2"], "stride": ["1", "2"], "dilationFactor": ["1", "1"],
                    "valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": "1"}, {"endEdgeSize": "1"}]}},
                    "hasBias": true, "weights": )" + weights(12) + R"(, "bias": )" + weights(2) + "}"},
        {image, R"("convolution": {"outputChannels": "1", "kernelChannels": "2",
                    "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "weights": )" + weights(18) + "}"},
        {image, R"("convolution": {"outputChannels": "1", "kernelChannels": "2", "kernelSize": ["2", "2"],
                    "stride": ["2", "2"], "valid": {}, "isDeconvolution": true, "outputShape": ["8", "8"],
                    "weights": )" + weights(8) + "}"},
        {vector, R"("copy": {})"},
        {R"(["2", "1", "1", "1"])", R"("embedding": {"inputDim": "3", "outputChannels": "2", "hasBias": true,
                    "weights": )" + weights(6) + R"(, "bias": )" + weights(2) + "}"},
        {R"(["2", "1"])", R"("embeddingND": {"vocabSize": "3", "embeddingSize": "2", "hasBias": true,
                    "weights": )" + weights(6) + R"(, "bias": )" + weights(2) + "}"},
        {vector, R"("expandDims": {"axes": ["0", "-1"]})"},
        {image, R"("flatten": {"mode": "CHANNEL_LAST"})"},
        {vector, R"("gelu": {"mode": "TANH_APPROXIMATION"})"},
        {vector, R"("innerProduct": {"inputChannels": "2", "outputChannels": "3", "hasBias": true, "weights": )" +
                     weights(6) + R"(, "bias": )" + weights(3) + "}"},
        {vector, R"("layerNormalization": {"normalizedShape": ["2"], "eps": 1e-05, "gamma": )" + weights(2) +
                     R"(, "beta": )" + weights(2) + "}"},
        {vector, R"("multiply": {"alpha": 0.5})"},
        {image, R"("permute": {"axis": ["0", "3", "1", "2"]})"},
        {image, R"("pooling": {"type": "AVERAGE", "kernelSize": ["2", "2"], "stride": ["2", "2"], "valid": {},
                    "avgPoolExcludePadding": true})"},
        {image, R"("pooling": {"kernelSize": ["3", "3"], "includeLastPixel": {"paddingAmounts": ["1", "1"]}})"},
        {image, R"("pooling": {"type": "L2", "same": {}, "globalPooling": true})"},
        {image, R"("reshapeStatic": {"targetShape": ["4", "-1"]})"},
        {image, R"("slice": {"startIndex": "1", "endIndex": "-1", "stride": "2", "axis": "WIDTH_AXIS"})"},
        {image, R"("sliceStatic": {"beginIds": ["0", "1", "-1"], "beginMasks": [true, false, false],
                    "endIds": ["0", "3", "-4"], "endMasks": [true, false, false], "strides": ["1", "1", "-1"],
                    "squeezeMasks": [false, false, false]})"},
        {image, R"("softmax": {})"},
        {R"(["3", "2"])", R"("uniDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activations": [{"sigmoidHard": {"alpha": 0.2, "beta": 0.5}}, {"linear": {"alpha": 1}}, {"ReLU": {}}],
            "params": {"sequenceOutput": true, "hasBiasVectors": true, "forgetBias": true,
                       "hasPeepholeVectors": true, "coupledInputAndForgetGate": true, "cellClipThreshold": 5},
            "reverseInput": true, "weightParams": )" + lstm_weights(true) + "}"},
        {R"(["3", "1", "2", "1", "1"])", R"("biDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activationsForwardLSTM": [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
            "activationsBackwardLSTM": [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
            "params": {"hasBiasVectors": true, "hasPeepholeVectors": true}, "weightParams": [)" + lstm_weights(true) +
            ", " + lstm_weights(true) + "]}"},
        {R"(["3", "2"])", R"("gru": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activations": [{"sigmoid": {}}, {"scaledTanh": {"alpha": 1.71, "beta": 0.6666667}}],
            "sequenceOutput": true, "hasBiasVectors": true, "reverseInput": true, )" + gate_weights(
                {"updateGate", "resetGate", "outputGate"}) + "}"},
        {R"(["3", "2"])", R"("simpleRecurrent": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activation": {"ReLU": {}}, "sequenceOutput": true, "weightMatrix": )" + weights(4) +
            R"(, "recursionMatrix": )" + weights(4) + "}"},
        {R"(["3", "2"])", R"("uniDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2", "params": {},
            "weightParams": )" + lstm_weights(false) + "}"},
        // without params: no biases
        {R"(["3", "2"])", R"("uniDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2",
            "weightParams": )" + lstm_weights(false) + "}"},
        {image, R"("softmaxND": {"axis": "-2"})"},
        {image, R"("split": {"nOutputs": "2"})", R"(["x"])", R"(["y", "z"])"},
        {image, R"("splitND": {"axis": "-1", "splitSizes": ["1", "3"]})", R"(["x"])", R"(["y", "z"])"},
        {image, R"("splitND": {"axis": "1", "numSplits": "4"})", R"(["x"])", R"(["y", "z", "u", "v"])"},
        {R"(["1", "2", "1"])", R"("squeeze": {"axes": ["0"]})"},
        {R"(["1", "2", "1"])", R"("squeeze": {"squeezeAll": true})"},
        {image, R"("transpose": {"axes": ["2", "0", "1"]})"},
        {image, R"("argMax": {"axis": "-1", "removeDim": true})"},
        {image, R"("argMin": {"axis": "1"})"},
        {R"(["1", "2", "4", "4"])", R"("globalPooling3d": {"type": "AVERAGE"})"},
        {image, R"("l2normalize": {"epsilon": 0.001})"},
        {image, R"("lrn": {"alpha": 0.0001, "beta": 0.75, "localSize": "5", "k": 2})"},
        {image, R"("mvn": {"acrossChannels": true, "normalizeVariance": true, "epsilon": 0.001})"},
        {R"(["1", "3", "4", "4"])", R"("pooling3d": {"type": "AVERAGE", "kernelDepth": 2, "kernelHeight": 3,
                    "kernelWidth": 1, "strideDepth": 1, "strideHeight": 2, "strideWidth": 3, "customPaddingFront": 1,
                    "customPaddingBack": 2, "customPaddingTop": 3, "customPaddingBottom": 4, "customPaddingLeft": 5,
                    "customPaddingRight": 6, "countExcludePadding": true})"},
        {R"(["1", "3", "4", "4"])", R"("pooling3d": {"kernelDepth": 2, "kernelHeight": 2, "kernelWidth": 2,
                    "strideDepth": 1, "strideHeight": 1, "strideWidth": 1, "paddingType": "SAME"})"},
        {image, R"("reduce": {"mode": "LOGSUM", "epsilon": 0.25, "axis": "HW"})"},
        {image, R"("reduceL1": {"axes": ["0", "-1"], "keepDims": true})"},
        {image, R"("reduceL2": {"axes": ["1"]})"},
        {image, R"("reduceLogSum": {"reduceAll": true})"},
        {image, R"("reduceLogSumExp": {"axes": ["1"]})"},
        {image, R"("reduceMax": {"axes": ["1"]})"},
        {image, R"("reduceMean": {"axes": ["1"]})"},
        {image, R"("reduceMin": {"axes": ["1"]})"},
        {image, R"("reduceProd": {"axes": ["1"]})"},
        {image, R"("reduceSum": {"axes": ["1"]})"},
        {image, R"("reduceSumSquare": {"axes": ["1"]})"},
    };
}

template <class... Ls>
std::size_t size_of(layer_set<Ls...>) {
    return sizeof...(Ls);
}

}  // namespace

TEST_CASE("every layer goes from the document to the layer and back") {
    std::set<std::string> kinds;
    for (const sample& s : samples()) {
        INFO(s.type);
        const std::string text = network_text(R"({"name": "l", "input": )" + s.inputs + R"(, "output": )" + s.outputs + ", " + s.type + "}", s.shape);
        const json root = json::parse(text);
        const json type = json::parse("{" + s.type + "}");
        const bool family = type.contains("activation");
        kinds.insert(family ? type["activation"].begin().key() : type.begin().key());
        const std::string once = written(text);
        CHECK(json::parse(once) == root);
        CHECK(written(once) == once);
    }
    CHECK(kinds.size() == size_of(core_layers{}));  // add the new layer to `samples`
}

TEST_CASE("what moves elements and looks them up is loaded and run") {
    const auto filled = [](const std::vector<std::size_t>& dimensions, const std::vector<float>& values) {
        auto t = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), t.begin());
        return t;
    };
    const auto run = [](const std::string& shape, const std::string& type, const tensor<float>& x) {
        model m = parse(network_text(layer_text(type), shape));
        return m.predict({{"x", x}}).get<tensor<float>>("y");
    };
    const auto x = filled({2, 3}, {1, 2, 3, 4, 5, 6});
    const std::string matrix = R"(["2", "3"])";
    const std::string table = R"("weights": {"floatValue": [1, 2, 3, 10, 20, 30]}, "bias": {"floatValue": [0.5, 0]})";
    CHECK((run(R"(["2", "1", "1", "1"])",
              R"("embedding": {"inputDim": 3, "outputChannels": 2, "hasBias": true, )" + table + "}",
              filled({2, 1, 1, 1}, {2, 0})) == filled({2, 2, 1, 1}, {3.5, 30, 1.5, 10})));
    CHECK((run(R"(["2", "1"])", R"("embeddingND": {"vocabSize": 3, "embeddingSize": 2, "hasBias": true, )" + table + "}",
              filled({2, 1}, {1, 7})) == filled({2, 2}, {2.5, 20, 3.5, 30})));
    CHECK((run(matrix, R"("transpose": {"axes": [1, 0]})", x) == filled({3, 2}, {1, 4, 2, 5, 3, 6})));
    CHECK((run(R"(["1", "2", "3"])", R"("permute": {"axis": [0, 1, 3, 2]})", filled({1, 2, 3}, {1, 2, 3, 4, 5, 6})) ==
          filled({1, 3, 2}, {1, 4, 2, 5, 3, 6})));
    CHECK((run(R"(["1", "2"])", R"("squeeze": {"axes": [0]})", filled({1, 2}, {1, 2})) == filled({2}, {1, 2})));
    CHECK((run(R"(["2"])", R"("expandDims": {"axes": [-1]})", filled({2}, {1, 2})) == filled({2, 1}, {1, 2})));
    CHECK((run(matrix, R"("sliceStatic": {"beginIds": [1, 0], "endIds": [0, 0], "strides": [1, -2],
                         "beginMasks": [false, true], "endMasks": [false, true], "squeezeMasks": [true, false]})",
              x) == filled({2}, {6, 4})));
    CHECK((run(matrix, R"("slice": {"startIndex": 1, "endIndex": 3, "stride": 1, "axis": "WIDTH_AXIS"})", x) ==
          filled({2, 2}, {2, 3, 5, 6})));
    const auto last = [](const std::string& shape, const std::string& type, const tensor<float>& in) {
        model m = parse(network_text(R"({"name": "l", "input": ["x"], "output": ["z", "y"], )" + type + "}", shape));
        return m.predict({{"x", in}}).get<tensor<float>>("y");
    };
    CHECK((last(matrix, R"("splitND": {"axis": 1, "splitSizes": [1, 2]})", x) == filled({2, 2}, {2, 3, 5, 6})));
    CHECK((last(matrix, R"("splitND": {"numSplits": 2})", x) == filled({1, 3}, {4, 5, 6})));
    CHECK((last(R"(["2", "1", "2"])", R"("split": {"nOutputs": 2})", filled({2, 1, 2}, {1, 2, 3, 4})) ==
          filled({1, 1, 2}, {3, 4})));
}

TEST_CASE("what reduces and normalizes is loaded and run") {
    const auto run = [](const std::string& shape, const std::string& type, const std::vector<std::size_t>& dimensions,
                        const std::vector<float>& values) {
        auto x = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), x.begin());
        model m = parse(network_text(layer_text(type), shape));
        const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
        return std::vector<float>(y.begin(), y.end());
    };
    const auto matrix = [&](const std::string& type) { return run(R"(["2", "3"])", type, {2, 3}, {1, 2, 4, 3, 0, 5}); };
    const auto image = [&](const std::string& type) {
        return run(R"(["2", "1", "2"])", type, {2, 1, 2}, {1, 3, 2, 2});
    };
    using numbers = std::vector<float>;
    CHECK(matrix(R"("reduceSum": {"axes": [0]})") == numbers{4, 2, 9});
    CHECK(matrix(R"("reduceMean": {"axes": [-1]})") == numbers{7.0f / 3, 8.0f / 3});
    CHECK(matrix(R"("reduceProd": {"axes": [1]})") == numbers{8, 0});
    CHECK(matrix(R"("reduceMax": {"reduceAll": true})") == numbers{5});
    CHECK(matrix(R"("reduceMin": {"axes": [0]})") == numbers{1, 0, 4});
    CHECK(matrix(R"("reduceL1": {"axes": [1]})") == numbers{7, 8});
    CHECK(matrix(R"("reduceL2": {"axes": [0, 1]})")[0] == Approx(std::sqrt(55.0)));
    CHECK(matrix(R"("reduceSumSquare": {"axes": [1]})") == numbers{21, 34});
    CHECK(matrix(R"("reduceLogSum": {"axes": [0]})")[2] == Approx(std::log(9.0)));
    CHECK(matrix(R"("reduceLogSumExp": {"axes": [0]})")[1] == Approx(std::log(1 + std::exp(2.0))));
    CHECK(matrix(R"("argMax": {"axis": 1})") == numbers{2, 2});
    CHECK(matrix(R"("argMin": {})") == numbers{0, 1, 0});
    CHECK(image(R"("reduce": {"mode": "AVG", "axis": "W"})") == numbers{2, 2});
    CHECK(image(R"("mvn": {})") == numbers{-1, 1, 0, 0});
    CHECK(image(R"("l2normalize": {"epsilon": 7})")[1] == Approx(0.6));
    CHECK(image(R"("lrn": {"alpha": 2, "beta": 1, "localSize": 1})")[1] == Approx(3.0 / 19));
    const std::string cube = R"(["1", "2", "2", "2"])";
    CHECK(run(cube, R"("pooling3d": {"kernelDepth": 2, "kernelHeight": 1, "kernelWidth": 2, "strideDepth": 1,
                       "strideHeight": 1, "strideWidth": 1})", {1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}) ==
          numbers{6, 8});
    CHECK(run(cube, R"("globalPooling3d": {"type": "AVERAGE"})", {1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}) ==
          numbers{4.5});
}

TEST_CASE("defaults that are spelled out and numbers as numbers mean the same") {
    const std::string canonical = network_text(layer_text(
        R"("innerProduct": {"inputChannels": "2", "outputChannels": "3", "weights": )" + weights(6) + "}"));
    const std::string spelled = network_text(
        R"({"name": "l", "input": ["x"], "output": ["y"], "isUpdatable": false, "inputTensor": [], "innerProduct":
            {"inputChannels": 2, "outputChannels": 3.0, "hasBias": false, "bias": {}, "weights": )" + weights(6) + "}}",
        "[2]");
    CHECK(written(spelled) == written(canonical));
    CHECK(json::parse(written(canonical)) == json::parse(canonical));
}

namespace {
struct triple {
    float times = 3;
    static constexpr auto key = "triple";
    static constexpr auto fields = std::tuple{field{"times", &triple::times}};
    template <class V>
    V operator()(const V& x) const noexcept {
        return x * V(times);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(times);
    }
    friend bool operator==(const triple&, const triple&) = default;
};
}  // namespace

TEST_CASE("a layer of one's own is read, run and written") {
    const std::string text = network_text(layer_text(R"("triple": {"times": 4})"));
    CHECK(check::failure([&] { parse(text); }).is(errc::unknown_layer));
    model m = parse<layer_set<relu>, triple>(text);
    const auto y = m.predict({{"x", tensor<float>{1, 2}}});
    CHECK((y.get<tensor<float>>("y") == tensor<float>{4, 8}));
    CHECK(json::parse(m.write("w").json) == json::parse(text));
}
