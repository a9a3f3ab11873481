#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

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
    std::string shape, type, inputs = R"(["x"])" /* empty: none */, outputs = R"(["y"])", before = "";
};
std::vector<sample> samples() {
    const std::string vector = R"(["2"])", image = R"(["2", "4", "4"])";
    const std::string extents = R"({"name": "s", "input": ["x"], "output": ["s"], "getShape": {}},)";
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
        {vector, R"("unary": {"type": "POWER", "alpha": 3, "epsilon": 0.001, "shift": -1, "scale": 2})"},
        {vector, R"("acos": {})"},
        {vector, R"("acosh": {})"},
        {vector, R"("asin": {})"},
        {vector, R"("asinh": {})"},
        {vector, R"("atan": {})"},
        {vector, R"("atanh": {})"},
        {vector, R"("ceil": {})"},
        {vector, R"("clampedReLU": {"alpha": 0.1, "beta": 6})"},
        {vector, R"("cos": {})"},
        {vector, R"("cosh": {})"},
        {vector, R"("cumSum": {"axis": "-1", "excludeFinalSum": true, "reverse": true})"},
        {vector, R"("erf": {})"},
        {vector, R"("exp2": {})"},
        {image, R"("flattenTo2D": {"axis": "-1"})"},
        {vector, R"("floor": {})"},
        {vector, R"("logicalNot": {})"},
        {image, R"("lowerTriangular": {"k": "-1"})"},
        {image, R"("matrixBandPart": {"numLower": "1", "numUpper": "-1"})"},
        {image, R"("reorganizeData": {"blockSize": "2"})"},
        {R"(["4", "2", "2"])", R"("reorganizeData": {"mode": "PIXEL_SHUFFLE", "blockSize": "2"})"},
        {image, R"("reverse": {"reverseDim": [true, false, true]})"},
        {vector, R"("round": {})"},
        {vector, R"("sign": {})"},
        {vector, R"("sin": {})"},
        {vector, R"("sinh": {})"},
        {vector, R"("tan": {})"},
        {vector, R"("tanh": {})"},
        {image, R"("upperTriangular": {"k": "1"})"},
        // several blobs element by element, and what repeats or joins them
        {vector, R"("addBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("subtractBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("multiplyBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("divideBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("floorDivBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("modBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("powBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("minBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("maxBroadcastable": {})", R"(["x", "x"])"},
        {vector, R"("logicalAnd": {})", R"(["x", "x"])"},
        {vector, R"("logicalOr": {})", R"(["x", "x"])"},
        {vector, R"("logicalXor": {})", R"(["x", "x"])"},
        {vector, R"("max": {})", R"(["x", "x"])"},
        {vector, R"("min": {})", R"(["x", "x"])"},
        {vector, R"("average": {})", R"(["x", "x"])"},
        {vector, R"("broadcastToLike": {})", R"(["x", "x"])"},
        {vector, R"("whereBroadcastable": {})", R"(["x", "x", "x"])"},
        {vector, R"("equal": {"alpha": 0.5})"},
        {vector, R"("notEqual": {"alpha": 0.5})"},
        {vector, R"("lessThan": {"alpha": 0.5})"},
        {vector, R"("lessEqual": {"alpha": 0.5})"},
        {vector, R"("greaterThan": {"alpha": 0.5})"},
        {vector, R"("greaterEqual": {"alpha": 0.5})"},
        {R"(["2", "1", "1"])", R"("dot": {"cosineSimilarity": true})", R"(["x", "x"])"},
        {image, R"("bias": {"shape": ["2"], "bias": )" + weights(2) + "}"},
        {image, R"("scale": {"shapeScale": ["1", "4", "4"], "hasBias": true, "shapeBias": ["2"], "scale": )" +
                    weights(16) + R"(, "bias": )" + weights(2) + "}"},
        {vector, R"("broadcastToStatic": {"targetShape": ["3", "2"]})"},
        {image, R"("tile": {"reps": ["2", "1", "3"]})"},
        {vector, R"("stack": {"axis": "-1"})", R"(["x", "x"])"},
        {image, R"("concatND": {"axis": "1", "interleave": true})", R"(["x", "x"])"},
        {R"(["3", "1", "2", "1", "1"])", R"("sequenceRepeat": {"nRepetitions": "2"})"},
        // shapes that values decide
        {image, R"("reshapeDynamic": {})", R"(["x", "s"])", R"(["y"])", extents},
        {image, R"("broadcastToDynamic": {})", R"(["x", "s"])", R"(["y"])", extents},
        {image, R"("fillDynamic": {"value": 0.5})", R"(["s"])", R"(["y"])", extents},
        {vector, R"("rangeDynamic": {"startValue": 0.5, "stepSizeValue": 0.25})", R"(["s"])", R"(["y"])", extents},
        {image, R"("randomNormalDynamic": {"seed": "7", "mean": 1, "stdDev": 2})", R"(["s"])", R"(["y"])", extents},
        {image, R"("randomUniformDynamic": {"seed": "-1", "maxVal": 1})", R"(["s"])", R"(["y"])", extents},
        {image, R"("randomBernoulliDynamic": {"seed": "7", "prob": 1})", R"(["s"])", R"(["y"])", extents},
        // constants, shapes and random numbers
        {vector, R"("loadConstant": {"shape": ["2", "1", "3"], "data": )" + weights(6) + "}", ""},
        {vector, R"("loadConstantND": {"shape": ["3", "2"], "data": )" + weights(6) + "}", ""},
        {image, R"("reshape": {"targetShape": ["4", "2", "4"], "mode": "CHANNEL_LAST"})"},
        {vector, R"("reshapeLike": {})", R"(["x", "x"])"},
        {image, R"("rankPreservingReshape": {"targetShape": ["0", "-1", "2"]})"},
        {image, R"("getShape": {})"},
        {image, R"("fillLike": {"value": 0.5})"},
        {vector, R"("fillStatic": {"value": 0.5, "targetShape": ["3", "2"]})", ""},
        {vector, R"("rangeStatic": {"endValue": 7, "startValue": -1, "stepSizeValue": 0.5})", ""},
        {image, R"("randomNormalLike": {"seed": "-1", "mean": 1, "stdDev": 2})"},
        {vector, R"("randomNormalStatic": {"seed": "7", "mean": 1, "stdDev": 2, "outputShape": ["3"]})", ""},
        {image, R"("randomUniformLike": {"minVal": -1, "maxVal": 1})"},
        {vector, R"("randomUniformStatic": {"seed": "7", "maxVal": 1, "outputShape": ["3", "2"]})", ""},
        {image, R"("randomBernoulliLike": {"seed": "7", "prob": 0.25})"},
        {vector, R"("randomBernoulliStatic": {"seed": "7", "prob": 1, "outputShape": ["3"]})", ""},
        {image, R"("categoricalDistribution": {"seed": "7", "numSamples": "3", "isLogits": true, "eps": 0.5,
                    "temperature": 2})"},
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
        const std::string reads = s.inputs.empty() ? "" : R"("input": )" + s.inputs + ", ";
        const std::string layer = R"({"name": "l", )" + reads + R"("output": )" + s.outputs + ", " + s.type + "}";
        const std::string text = network_text(s.before + layer, s.shape);
        const json root = json::parse(text);
        const json type = json::parse("{" + s.type + "}");
        const bool family = type.contains("activation");
        kinds.insert(family ? "activation." + type["activation"].begin().key() : type.begin().key());
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

TEST_CASE("element-wise layers, sums and what keeps parts of matrices are loaded and run") {
    const auto run = [](const std::string& type, const tensor<float>& x) {
        std::string shape;
        for (std::size_t size : x.shape()) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
        model m = parse(network_text(layer_text(type), "[" + shape + "]"));
        return m.predict({{"x", x}}).get<tensor<float>>("y");
    };
    const tensor<float> x{0, -1.5F, 2.5F};
    CHECK((run(R"("unary": {"type": "THRESHOLD", "alpha": -2, "scale": 2, "shift": 1})", x) == tensor<float>{1, -2, 6}));
    CHECK((run(R"("unary": {"type": "INVERSE", "epsilon": 0.5})", x) == tensor<float>{2, -1, 1 / 3.0F}));
    CHECK((run(R"("round": {})", x) == tensor<float>{0, -2, 2}));
    CHECK((run(R"("sign": {})", x) == tensor<float>{0, -1, 1}));
    CHECK((run(R"("logicalNot": {})", x) == tensor<float>{1, 0, 0}));
    CHECK((run(R"("clampedReLU": {"alpha": 2, "beta": 1})", x) == tensor<float>{0, -3, 1}));
    CHECK((run(R"("exp2": {})", tensor<float>{0, -1, 3}) == tensor<float>{1, 0.5F, 8}));
    CHECK((run(R"("cos": {})", tensor<float>{0}) == tensor<float>{1}));
    CHECK((run(R"("tanh": {})", tensor<float>{0, 100}) == tensor<float>{0, 1}));
    CHECK((run(R"("cumSum": {"excludeFinalSum": true, "reverse": true})", x) == tensor<float>{1, 2.5F, 0}));
    CHECK((run(R"("reverse": {"reverseDim": [true]})", x) == tensor<float>{2.5F, -1.5F, 0}));
    const tensor<float> matrix{{1, 2}, {3, 4}};
    CHECK((run(R"("lowerTriangular": {"k": -1})", matrix) == tensor<float>{{0, 0}, {3, 0}}));
    CHECK((run(R"("upperTriangular": {"k": 1})", matrix) == tensor<float>{{0, 2}, {0, 0}}));
    CHECK((run(R"("matrixBandPart": {"numLower": 0, "numUpper": -1})", matrix) == tensor<float>{{1, 2}, {0, 4}}));
    CHECK((run(R"("flattenTo2D": {"axis": 0})", matrix) == tensor<float>{{1, 2, 3, 4}}));
    auto deep = tensor<float>::from_shape({4, 1, 1});
    for (std::size_t i = 0; i < 4; ++i) deep(i, 0, 0) = static_cast<float>(i);
    CHECK((run(R"("reorganizeData": {"mode": "DEPTH_TO_SPACE", "blockSize": 2})", deep) ==
           tensor<float>{{{0, 1}, {2, 3}}}));
}

TEST_CASE("what takes several blobs element by element is loaded and run") {
    const auto filled = [](const std::vector<std::size_t>& dimensions, const std::vector<float>& values) {
        auto t = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), t.begin());
        return t;
    };
    const auto run = [](const std::string& shape, const std::string& layers, const tensor<float>& x) {
        model m = parse(network_text(layers, shape));
        return m.predict({{"x", x}}).get<tensor<float>>("y");
    };
    const auto layer = [](const std::string& inputs, const std::string& output, const std::string& type) {
        return R"({"name": ")" + output + R"(", "input": [)" + inputs + R"(], "output": [")" + output + R"("], )" + type +
               "}";
    };
    const std::string rank5 = R"(["1", "1", "2", "1", "2"])", row = R"(["2"])";
    // 2^x where x > 2, else x; minus x
    const std::string chain = layer(R"("x")", "big", R"("greaterThan": {"alpha": 2})") + "," +
                              layer(R"("x")", "zero", R"("multiply": {"alpha": 0})") + "," +
                              layer(R"("zero")", "base", R"("add": {"alpha": 2})") + "," +
                              layer(R"("base", "x")", "power", R"("powBroadcastable": {})") + "," +
                              layer(R"("big", "power", "x")", "some", R"("whereBroadcastable": {})") + "," +
                              layer(R"("some", "x")", "y", R"("subtractBroadcastable": {})");
    CHECK((run(row, chain, filled({2}, {1, 3})) == filled({2}, {0, 5})));
    CHECK((run(rank5, layer_text(R"("scale": {"shapeScale": [2], "scale": {"floatValue": [2, 3]}, "hasBias": true,
                                  "shapeBias": [1, 1, 2], "bias": {"floatValue": [0.5, 1]}})"),
               filled({1, 1, 2, 1, 2}, {1, 2, 3, 4})) == filled({1, 1, 2, 1, 2}, {2.5, 5, 9.5, 13})));
    CHECK((run(rank5, layer_text(R"("bias": {"shape": [2], "bias": {"floatValue": [10, 20]}})"),
               filled({1, 1, 2, 1, 2}, {1, 2, 3, 4})) == filled({1, 1, 2, 1, 2}, {11, 12, 23, 24})));
    CHECK((run(row, layer_text(R"("tile": {"reps": [2]})"), filled({2}, {1, 2})) == filled({4}, {1, 2, 1, 2})));
    CHECK((run(row, layer_text(R"("broadcastToStatic": {"targetShape": [2, 2]})"), filled({2}, {1, 2})) ==
           filled({2, 2}, {1, 2, 1, 2})));
    CHECK((run(row, layer(R"("x", "x")", "y", R"("concatND": {"interleave": true})"), filled({2}, {1, 2})) ==
           filled({4}, {1, 1, 2, 2})));
    CHECK((run(row, layer(R"("x", "x")", "y", R"("stack": {"axis": -1})"), filled({2}, {1, 2})) ==
           filled({2, 2}, {1, 1, 2, 2})));
    CHECK((run(R"(["2", "1", "1"])", layer(R"("x", "x")", "y", R"("dot": {})"), filled({2, 1, 1}, {3, 4})) ==
           filled({1, 1, 1}, {25})));
}

TEST_CASE("constants, shapes and random numbers are loaded and run") {
    const auto filled = [](const std::vector<std::size_t>& dimensions, const std::vector<float>& values) {
        auto t = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), t.begin());
        return t;
    };
    const auto layer = [](const std::string& inputs, const std::string& output, const std::string& type) {
        return R"({"name": ")" + output + R"(", "input": [)" + inputs + R"(], "output": [")" + output + R"("], )" + type +
               "}";
    };
    const std::string sum = R"("addBroadcastable": {})", row = R"(["2"])";
    const auto with = [&](const std::string& type) {
        model m = parse(network_text(layer("", "c", type) + "," + layer(R"("x", "c")", "y", sum), row));
        return m.predict({{"x", filled({2}, {1, 2})}}).get<tensor<float>>("y");
    };
    const auto run = [&](const std::string& shape, const std::string& type, const tensor<float>& x) {
        model m = parse(network_text(layer_text(type), shape));
        return m.predict({{"x", x}}).get<tensor<float>>("y");
    };
    CHECK((with(R"("loadConstantND": {"shape": [2], "data": {"floatValue": [10, 20]}})") == filled({2}, {11, 22})));
    CHECK((with(R"("loadConstant": {"shape": [1, 2, 1], "data": {"floatValue": [10, 20]}})") ==
           filled({1, 2, 2}, {11, 12, 21, 22})));
    CHECK((with(R"("fillStatic": {"value": 5, "targetShape": [2, 1]})") == filled({2, 2}, {6, 7, 6, 7})));
    CHECK((with(R"("rangeStatic": {"endValue": 3, "startValue": 1, "stepSizeValue": 1})") == filled({2}, {2, 4})));
    CHECK((with(R"("randomNormalStatic": {"mean": 3, "outputShape": [2]})") == filled({2}, {4, 5})));
    CHECK((with(R"("randomUniformStatic": {"minVal": 3, "maxVal": 3, "outputShape": [1]})") == filled({2}, {4, 5})));
    CHECK((with(R"("randomBernoulliStatic": {"prob": 1, "outputShape": [2]})") == filled({2}, {2, 3})));
    const auto x = filled({2, 1, 2}, {1, 2, 3, 4});
    const std::string image = R"(["2", "1", "2"])";
    CHECK((run(image, R"("reshape": {"targetShape": [1, 2, 2], "mode": "CHANNEL_LAST"})", x) ==
           filled({1, 2, 2}, {1, 3, 2, 4})));
    CHECK((run(image, R"("rankPreservingReshape": {"targetShape": [1, -1, 0]})", x) ==
           filled({1, 2, 2}, {1, 2, 3, 4})));
    CHECK((run(image, R"("getShape": {})", x) == filled({3}, {2, 1, 2})));
    CHECK((run(image, R"("fillLike": {"value": 3})", x) == filled({2, 1, 2}, {3, 3, 3, 3})));
    CHECK((run(image, R"("randomBernoulliLike": {})", x) == filled({2, 1, 2}, {0, 0, 0, 0})));
    CHECK((run(R"(["2", "2"])", R"("categoricalDistribution": {"numSamples": 1, "eps": 1e-30})",
               filled({2, 2}, {0, 1, 1, 0})) == filled({2, 1}, {1, 0})));
    // getShape, sliceStatic and concatND decide a shape
    model chain = parse(network_text(
        layer(R"("x")", "s", R"("getShape": {})") + "," +
            layer(R"("s")", "rows", R"("sliceStatic": {"beginIds": [0], "endIds": [1], "strides": [1]})") + "," +
            layer("", "rest", R"("fillStatic": {"value": -1, "targetShape": [1]})") + "," +
            layer(R"("rows", "rest")", "target", R"("concatND": {})") + "," +
            layer(R"("x", "target")", "y", R"("reshapeDynamic": {})"), image));
    CHECK((chain.predict({{"x", x}}).get<tensor<float>>("y") == filled({2, 2}, {1, 2, 3, 4})));
    // a seed of -1, and one that is not given
    CHECK((run(image, R"("randomUniformLike": {"seed": -1, "maxVal": 1})", x) !=
           run(image, R"("randomUniformLike": {"maxVal": 1})", x)));
    // a constant of the wrong length
    const std::string short_one = R"("loadConstantND": {"shape": [3], "data": {"floatValue": [10, 20]}})";
    const check::failure wrong([&] { parse(network_text(layer("", "y", short_one), row)); });
    CHECK(wrong.is(errc::shape_mismatch));
    CHECK(wrong.text.find("3 numbers wanted (shape [3]), 2 came") != std::string::npos);
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
