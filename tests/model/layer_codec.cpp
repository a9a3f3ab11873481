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

/// A layer that makes "m", a column, of "x", for those that take shapes that differ.
const std::string column = R"({"name": "k", "input": ["x"], "output": ["m"], "expandDims": {"axes": ["-1"]}}, )";

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
        {image,
         R"("activation": {"parametricSoftplus": {"alpha": )" + weights(1) + R"(, "beta": )" + weights(2) + "}}"},
        {vector, R"("add": {"alpha": 3})"},
        {R"(["3", "2"])", R"("batchedMatmul": {"weightMatrixFirstDimension": "2", "weightMatrixSecondDimension": "3",
                            "hasBias": true, "weights": )" +
                              weights(6) + R"(, "bias": )" + weights(3) + "}"},
        {image, R"("batchnorm": {"channels": "2", "epsilon": 0.001, "gamma": )" + weights(2) + R"(, "beta": )" +
                    weights(2) + R"(, "mean": )" + weights(2) + R"(, "variance": {"floatValue": [1, 2]}})"},
        {vector, R"("clip": {"minVal": -0.5, "maxVal": 6})"},
        {image, R"("concat": {})", R"(["x", "x"])"},
        {image, R"("convolution": {"outputChannels": "2", "kernelChannels": "1", "nGroups": "2",
                    "kernelSize": ["3", "2"], "stride": ["1", "2"], "dilationFactor": ["1", "1"],
                    "valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": "1"}, {"endEdgeSize": "1"}]}},
                    "hasBias": true, "weights": )" +
                    weights(12) + R"(, "bias": )" + weights(2) + "}"},
        {image, R"("convolution": {"outputChannels": "1", "kernelChannels": "2",
                    "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "weights": )" +
                    weights(18) + "}"},
        {image, R"("convolution": {"outputChannels": "1", "kernelChannels": "2", "kernelSize": ["2", "2"],
                    "stride": ["2", "2"], "valid": {}, "isDeconvolution": true, "outputShape": ["8", "8"],
                    "weights": )" +
                    weights(8) + "}"},
        {vector, R"("copy": {})"},
        {R"(["2", "1", "1", "1"])", R"("embedding": {"inputDim": "3", "outputChannels": "2", "hasBias": true,
                    "weights": )" + weights(6) +
                                        R"(, "bias": )" + weights(2) + "}"},
        {R"(["2", "1"])", R"("embeddingND": {"vocabSize": "3", "embeddingSize": "2", "hasBias": true,
                    "weights": )" +
                              weights(6) + R"(, "bias": )" + weights(2) + "}"},
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
            "reverseInput": true, "weightParams": )" +
                              lstm_weights(true) + "}"},
        {R"(["3", "1", "2", "1", "1"])", R"("biDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activationsForwardLSTM": [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
            "activationsBackwardLSTM": [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
            "params": {"hasBiasVectors": true, "hasPeepholeVectors": true}, "weightParams": [)" +
                                             lstm_weights(true) + ", " + lstm_weights(true) + "]}"},
        {R"(["3", "2"])", R"("gru": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activations": [{"sigmoid": {}}, {"scaledTanh": {"alpha": 1.71, "beta": 0.6666667}}],
            "sequenceOutput": true, "hasBiasVectors": true, "reverseInput": true, )" +
                              gate_weights({"updateGate", "resetGate", "outputGate"}) + "}"},
        {R"(["3", "2"])", R"("simpleRecurrent": {"inputVectorSize": "2", "outputVectorSize": "2",
            "activation": {"ReLU": {}}, "sequenceOutput": true, "weightMatrix": )" +
                              weights(4) + R"(, "recursionMatrix": )" + weights(4) + "}"},
        {R"(["3", "2"])", R"("uniDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2", "params": {},
            "weightParams": )" +
                              lstm_weights(false) + "}"},
        // without params: no biases
        {R"(["3", "2"])", R"("uniDirectionalLSTM": {"inputVectorSize": "2", "outputVectorSize": "2",
            "weightParams": )" +
                              lstm_weights(false) + "}"},
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
        {R"(["1", "2", "3", "4", "4"])", R"("convolution3d": {"outputChannels": 2, "inputChannels": 2,
            "nGroups": 2, "kernelDepth": 2, "kernelHeight": 1, "kernelWidth": 2,
            "strideDepth": 1, "strideHeight": 2, "strideWidth": 1,
            "dilationDepth": 2, "dilationHeight": 1, "dilationWidth": 1, "hasBias": true, "paddingType": "SAME",
            "customPaddingFront": 1, "weights": )" +
                                             weights(8) + R"(, "bias": )" + weights(2) + "}"},
        {R"(["1", "2", "3", "1", "1"])", R"("convolution3d": {"outputChannels": 1, "inputChannels": 2,
            "nGroups": 1, "kernelDepth": 1, "kernelHeight": 1, "kernelWidth": 1,
            "strideDepth": 1, "strideHeight": 1, "strideWidth": 1,
            "dilationDepth": 1, "dilationHeight": 1, "dilationWidth": 1, "isDeconvolution": true,
            "outputShape": ["3", "1", "1"], "weights": )" +
                                             weights(2) + "}"},
        {R"(["1", "1", "4", "1", "1"])", R"("cropResize": {"targetSize": ["2", "3"], "normalizedCoordinates": true,
            "mode": {"samplingMethod": "ALIGN_ENDPOINTS_MODE"},
             "boxIndicesMode": {"boxMode": "CENTER_SIZE_WIDTH_FIRST"},
            "spatialScale": 0.5})",
         R"(["x", "x"])"},
        {image, R"("upsample": {"scalingFactor": ["2", "3"]})"},
        {image, R"("upsample": {"fractionalScalingFactor": [1.5, 0.75], "mode": "BILINEAR",
                                 "linearUpsampleMode": "ALIGN_CORNERS_FALSE"})"},
        {image, R"("resizeBilinear": {"targetSize": ["2", "3"], "mode": {"samplingMethod": "ROI_ALIGN_MODE"}})"},
        {vector, R"("stack": {"axis": "-1"})", R"(["x", "x"])"},
        {image, R"("concatND": {"axis": "1", "interleave": true})", R"(["x", "x"])"},
        {R"(["3", "1", "2", "1", "1"])", R"("sequenceRepeat": {"nRepetitions": "2"})"},
        {image, R"("argSort": {"axis": "-1", "descending": true})"},
        {image, R"("constantPad": {"value": 2.5, "padAmounts": ["0", "4", "0", "0", "5", "0"],
                    "padToGivenOutputSizeMode": true})"},
        {image, R"("crop": {"cropAmounts": {"borderAmounts": [{"startEdgeSize": "1"}, {"endEdgeSize": "2"}]}})"},
        {image, R"("crop": {"offset": ["1", "2"]})", R"(["x", "m"])", R"(["y"])",
         R"({"name": "k", "input": ["x"], "output": ["m"], "crop": {"cropAmounts":
            {"borderAmounts": [{"startEdgeSize": "2"}, {"endEdgeSize": "2"}]}}}, )"},
        {image, R"("gather": {"axis": "-2"})", R"(["x", "x"])"},
        {image, R"("gatherAlongAxis": {"axis": "1"})", R"(["x", "x"])"},
        {R"(["2", "2"])", R"("gatherND": {})", R"(["x", "x"])"},
        {R"(["1", "3", "4"])", R"("NonMaximumSuppression": {"iouThreshold": 0.5, "scoreThreshold": 0.25,
                    "maxBoxes": "2", "perClassSuppression": true})",
         R"(["x", "x"])", R"(["y", "z", "u", "v"])"},
        {image, R"("whereNonZero": {})"},
        {vector, R"("oneHot": {"oneHotVectorSize": "3", "axis": "-2", "onValue": 2, "offValue": -1})"},
        {image, R"("padding": {"constant": {"value": 2}, "paddingAmounts": {"borderAmounts": [{"startEdgeSize": "1"},
                    {"endEdgeSize": "2"}]}})"},
        {image, R"("padding": {"reflection": {}, "paddingAmounts": {"borderAmounts": [{"startEdgeSize": "1"},
                    {"endEdgeSize": "2"}]}})"},
        {image, R"("padding": {"replication": {}})"},
        {vector, R"("reverseSeq": {"batchAxis": "-2", "sequenceAxis": "-1"})", R"(["m", "x"])", R"(["y"])", column},
        {vector, R"("scatter": {"axis": "-1", "mode": "SCATTER_ADD"})", R"(["x", "x", "x"])"},
        {R"(["2", "2"])", R"("scatterAlongAxis": {"axis": "-1", "mode": "SCATTER_MIN"})", R"(["x", "x", "x"])"},
        {vector, R"("scatterND": {"mode": "SCATTER_DIV"})", R"(["x", "m", "x"])", R"(["y"])", column},
        {R"(["1"])", R"("sliceBySize": {"size": "1", "axis": "-1"})", R"(["x", "x"])"},
        {R"(["1"])", R"("sliceDynamic": {"beginMasks": [true], "endIds": ["2"], "endMasks": [false], "strides": ["1"],
                    "squeezeMasks": [false]})",
         R"(["x", "x"])"},
        {image, R"("slidingWindows": {"axis": "1", "windowSize": "2", "step": "2"})"},
        {image, R"("topK": {"axis": "-1", "K": "2", "useBottomK": true})", R"(["x"])", R"(["y", "z"])"},
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
    constexpr void fields(auto& field) { field("times", times); }
    template <class V>
    V operator()(const V& x) const noexcept {
        return x * V(times);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(times);
    }
    [[maybe_unused]] friend bool operator==(const triple&, const triple&) = default;
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
