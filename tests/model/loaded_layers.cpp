#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

// What the samples of layer_codec.cpp say, run: one test a family.

using namespace bespoke;
using check::layer_text;
using check::network_text;
using check::weights;

namespace {

/// A blob "m" beside "x", with an axis more.
const std::string a_column = R"({"name": "k", "input": ["x"], "output": ["m"], "expandDims": {"axes": ["-1"]}}, )";

}  // namespace

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
    CHECK(
        (run(R"(["2", "1"])", R"("embeddingND": {"vocabSize": 3, "embeddingSize": 2, "hasBias": true, )" + table + "}",
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
    CHECK(
        (run(R"("unary": {"type": "THRESHOLD", "alpha": -2, "scale": 2, "shift": 1})", x) == tensor<float>{1, -2, 6}));
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
        return R"({"name": ")" + output + R"(", "input": [)" + inputs + R"(], "output": [")" + output + R"("], )" +
               type + "}";
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

TEST_CASE("what takes indices and what puts in order is loaded and run") {
    const auto run = [](const std::vector<std::size_t>& dimensions, const std::string& inputs,
                        const std::string& outputs, const std::string& type, const std::vector<float>& values) {
        std::string shape;
        for (std::size_t e : dimensions) shape += std::string(shape.empty() ? "[" : ", ") + std::to_string(e);
        model m = parse(network_text(a_column + R"({"name": "l", "input": [)" + inputs + R"(], "output": [)" + outputs +
                                     "], " + type + "}", shape + "]"));
        auto x = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), x.begin());
        const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
        return std::vector<float>(y.begin(), y.end());
    };
    const std::vector<std::size_t> three{3}, matrix{2, 3};
    const std::string x = R"("x")", xx = R"("x", "x")", xxx = R"("x", "x", "x")", y = R"("y")", second = R"("z", "y")";
    const std::vector<float> some{2, 0, 1}, six{3, 1, 2, 4, 6, 5};
    using floats = std::vector<float>;
    CHECK(run(three, xx, y, R"("gather": {"axis": 0})", some) == floats{1, 2, 0});
    CHECK(run(three, xx, y, R"("gatherAlongAxis": {"axis": -1})", some) == floats{1, 2, 0});
    CHECK(run(three, R"("x", "m")", y, R"("gatherND": {})", some) == floats{1, 2, 0});
    CHECK(run(three, xxx, y, R"("scatter": {"axis": 0, "mode": "SCATTER_SUB"})", some) == floats{2, -1, -1});
    CHECK(run(three, xxx, y, R"("scatterAlongAxis": {"mode": "SCATTER_MUL"})", some) == floats{0, 0, 2});
    CHECK(run(three, R"("x", "m", "x")", y, R"("scatterND": {"mode": 5})", some) == floats{2, 1, 2});
    CHECK(run(matrix, x, second, R"("topK": {"axis": 1, "K": 2})", six) == floats{0, 2, 1, 2});
    CHECK(run(matrix, x, second, R"("topK": {"axis": 1, "K": 1, "useBottomK": true})", six) == floats{1, 0});
    CHECK(run(matrix, x, y, R"("argSort": {"axis": 1, "descending": true})", six) == floats{0, 2, 1, 1, 2, 0});
    CHECK(run({1}, x, y, R"("oneHot": {"oneHotVectorSize": 3, "axis": 0, "onValue": 4, "offValue": 1})", {1}) ==
          floats{1, 4, 1});
    CHECK(run(three, R"("m", "x")", y, R"("reverseSeq": {"batchAxis": 0, "sequenceAxis": 1})", some) == some);
    CHECK(run(three, x, y, R"("slidingWindows": {"windowSize": 2, "step": 1})", some) == floats{2, 0, 0, 1});
    CHECK(run({1}, xx, y, R"("sliceBySize": {"size": 1})", {7}) == floats{7});
    CHECK(run({1}, xx, y, R"("sliceDynamic": {"endMasks": [true], "endIds": [0], "strides": [-1]})", {0}) == floats{0});
    CHECK(run(matrix, x, y, R"("whereNonZero": {})", {0, 1, 0, 0, 0, 2}) == floats{0, 1, 1, 2});
    CHECK(run({1}, xx, second, R"("topK": {})", {1}) == floats{0});
    CHECK(run({1}, xx, y, R"("tile": {})", {3}) == floats{3, 3, 3});
    CHECK(run({1}, xx, y, R"("oneHot": {"onValue": 1})", {2}) == floats{0, 0});
    CHECK(run({1}, xx, y, R"("cumSum": {"axis": 5})", {0}) == floats{0});
    CHECK(run({1, 2, 3}, x, y, R"("crop": {"cropAmounts":
              {"borderAmounts": [{"startEdgeSize": 1}, {"endEdgeSize": 2}]}})", six) == floats{4});
    CHECK(run({1, 2, 3}, xx, y, R"("crop": {"offset": [0, 0]})", six) == six);
    CHECK(run({1, 2}, x, y, R"("padding": {"constant": {"value": 9}, "paddingAmounts":
              {"borderAmounts": [{"startEdgeSize": 1}, {"endEdgeSize": 1}]}})", {1, 2}) == floats{9, 9, 9, 1, 2, 9});
    CHECK(run({1, 2}, x, y, R"("padding": {"reflection": {}, "paddingAmounts":
              {"borderAmounts": [{}, {"endEdgeSize": 1}]}})", {1, 2}) == floats{1, 2, 1});
    CHECK(run({1, 2}, x, y, R"("padding": {"replication": {}, "paddingAmounts":
              {"borderAmounts": [{}, {"endEdgeSize": 1}]}})", {1, 2}) == floats{1, 2, 2});
    CHECK(run({1}, x, y, R"("constantPad": {"value": 5, "padAmounts": [0, 3],
              "padToGivenOutputSizeMode": true})", {1}) == floats{1, 5, 5});
    CHECK(run({1, 2, 4}, xx, R"("b", "s", "y", "n")", R"("NonMaximumSuppression": {"iouThreshold": 0.5,
              "scoreThreshold": 0.5, "maxBoxes": 3, "perClassSuppression": false})", {0, 0, 1, 1, 5, 5, 1, 1}) ==
          floats{1, 0, -1});
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

TEST_CASE("constants, shapes and random numbers are loaded and run") {
    const auto filled = [](const std::vector<std::size_t>& dimensions, const std::vector<float>& values) {
        auto t = tensor<float>::from_shape(dimensions);
        std::copy(values.begin(), values.end(), t.begin());
        return t;
    };
    const auto layer = [](const std::string& inputs, const std::string& output, const std::string& type) {
        return R"({"name": ")" + output + R"(", "input": [)" + inputs + R"(], "output": [")" + output + R"("], )" +
               type + "}";
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
           filled({1, 1, 1, 2, 2}, {11, 12, 21, 22})));
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

TEST_CASE("arrays that a layer does not use may be given, or left out") {
    const auto run = [](const std::string& type, const std::string& shape, const tensor<float>& x) {
        model m = parse(network_text(layer_text(type), shape));
        model again = parse(m.write("w").json);
        const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
        CHECK((again.predict({{"x", x}}).get<tensor<float>>("y") == y));
        CHECK(again.write("w").json == m.write("w").json);
        return y;
    };
    const std::string start = R"("batchnorm": {"channels": 1, "computeMeanVar": true, "instanceNormalization": true,
        "gamma": {"floatValue": [1]}, "beta": {"floatValue": [5]})";
    tensor<float> x = zeros<float>({1, 1, 2});
    x(0, 0, 0) = 1;
    x(0, 0, 1) = 3;
    const auto computed = run(start + "}", R"(["1", "1", "2"])", x);
    CHECK((run(start + R"(, "mean": {"floatValue": [7]}, "variance": {"floatValue": [9]}})", R"(["1", "1", "2"])", x) ==
           computed));
    CHECK((run(start + R"(, "variance": {"floatValue": [9]}})", R"(["1", "1", "2"])", x) == computed));

    const auto lstm = [&](bool coupled, bool forget) {
        std::string all;
        for (const std::string gate : {"inputGate", "forgetGate", "blockInput", "outputGate"})
            for (const std::string kind : {"WeightMatrix", "RecursionMatrix"})
                if (forget || gate != "forgetGate")
                    all += (all.empty() ? "" : ", ") + ("\"" + gate + kind) + R"(": {"floatValue": [0.5]})";
        return R"("uniDirectionalLSTM": {"inputVectorSize": 1, "outputVectorSize": 1, "activations": [{"sigmoid": {}},
            {"tanh": {}}, {"tanh": {}}], "params": {"sequenceOutput": true, "coupledInputAndForgetGate": )" +
               std::string(coupled ? "true" : "false") + R"(}, "weightParams": {)" + all + "}}";
    };
    const std::string steps = R"(["3", "1"])";
    tensor<float> sequence = zeros<float>({3, 1});
    sequence(0, 0) = 1;
    sequence(1, 0) = 2;
    sequence(2, 0) = -1;
    CHECK((run(lstm(true, false), steps, sequence) == run(lstm(true, true), steps, sequence)));
    CHECK(check::failure([&] { parse(network_text(layer_text(lstm(false, false)), steps)); }).text ==
          "/neuralNetwork/layers/0/uniDirectionalLSTM/weightParams/forgetGateWeightMatrix: 1 number wanted (shape "
          "[1, 1]), none came (layer \"l\")");
}

TEST_CASE("a constant of three axes meets the others in the rank 5 mapping") {
    const auto document = [](const std::string& layer) {
        return R"({"specificationVersion": 3, "description": {"input": [)" + check::array("x", R"(["3"])") +
               R"(], "output": [{"name": "y", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}]},
            "neuralNetwork": {"layers": [{"name": "k", "output": ["k"], "loadConstant": {"shape": ["3", "1", "1"],
            "data": {"floatValue": [1, 2, 3]}}}, {"name": "y", "input": ["x", "k"], "output": ["y"], )" +
               layer + "}]}}";
    };
    const auto run = [&](const std::string& layer) {
        const auto y = parse(document(layer)).predict({{"x", tensor<float>{1, 1, 2}}}).get<tensor<float>>("y");
        REQUIRE(y.dimension() == 5);
        return std::vector<float>(y.begin(), y.end());
    };
    CHECK(run(R"("dot": {})") == std::vector<float>{9});
    CHECK(run(R"("concat": {})") == std::vector<float>{1, 1, 2, 1, 2, 3});
    CHECK(run(R"("add": {})") == std::vector<float>{2, 3, 5});
}

TEST_CASE("one alpha of few bits is one for all where it is not one for each") {
    const auto run = [](int channels) {
        const std::string c = std::to_string(channels);
        model m = parse(network_text(
            layer_text(R"("activation": {"PReLU": {"alpha": {"rawValue": "EA==", "quantization": {"numberOfBits": 4,
                "lookupTableQuantization": {"floatValue": [9, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}}}}})"),
            "[\"" + c + R"(", "1", "1"])"));
        tensor<float> x = zeros<float>({channels, 1, 1});
        x.fill(-1);
        const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
        return std::vector<float>(y.begin(), y.end());
    };
    CHECK(run(1) == std::vector<float>{-5});
    CHECK(run(2) == std::vector<float>{-5, -9});
    CHECK(run(3) == std::vector<float>{-5, -5, -5});
}

TEST_CASE("recurrent layers give their states where the document names them, also of x alone") {
    std::string weights_of_gru, weights_of_lstm;
    for (const std::string kind : {"WeightMatrix", "RecursionMatrix"}) {
        for (const std::string gate : {"updateGate", "resetGate", "outputGate"})
            weights_of_gru += ", \"" + gate + kind + "\": " + weights(kind[0] == 'W' ? 6 : 4);
        for (const std::string gate : {"inputGate", "forgetGate", "blockInput", "outputGate"})
            weights_of_lstm += (weights_of_lstm.empty() ? "\"" : ", \"") + gate + kind +
                               "\": " + weights(kind[0] == 'W' ? 6 : 4);
    }
    const std::string sizes = R"("inputVectorSize": 3, "outputVectorSize": 2, "activations": [{"sigmoid": {}}, )";
    const std::string gru = "\"gru\": {" + sizes + R"({"tanh": {}}])" + weights_of_gru + "}";
    const std::string lstm = "\"uniDirectionalLSTM\": {" + sizes + R"({"tanh": {}}, {"tanh": {}}], "params":
        {"sequenceOutput": true}, "weightParams": {)" + weights_of_lstm + "}}";
    const auto document = [](const std::string& type, const std::string& inputs, const std::string& outputs) {
        const auto array = [](const std::string& name, const std::string& shape) {
            return R"({"name": ")" + name + R"(", "type": {"multiArrayType": {)" + shape +
                   R"("dataType": "FLOAT32"}}})";
        };
        const std::string state = R"("shape": [1, 1, 2, 1, 1], )";
        const auto list = [](const std::string& names, const auto& one) {
            std::string all;
            for (char name : names) all += (all.empty() ? "" : ", ") + one(std::string(1, name));
            return "[" + all + "]";
        };
        const auto quoted = [](const std::string& name) { return "\"" + name + "\""; };
        return R"({"specificationVersion": 4, "description": {"input": )" +
               list(inputs,
                    [&](const auto& n) { return array(n, n == "x" ? R"("shape": [2, 1, 3, 1, 1], )" : state); }) +
               R"(, "output": )" + list(outputs, [&](const auto& n) { return array(n, ""); }) +
               R"(}, "neuralNetwork": {"layers": [{"name": "l", "input": )" + list(inputs, quoted) +
               R"(, "output": )" + list(outputs, quoted) + ", " + type + "}]}}";
    };
    tensor<float> x = zeros<float>({2, 1, 3, 1, 1});
    for (std::size_t i = 0; i < 6; ++i) x.flat(i) = static_cast<float>(i) / 4 - 1;
    const tensor<float> none = zeros<float>({1, 1, 2, 1, 1});
    const auto alone = [&](const std::string& type, const std::string& outputs) {
        model m = parse(document(type, "x", outputs));
        const features result = m.predict({{"x", x}});
        CHECK((parse(m.write("").json).predict({{"x", x}}) == result));
        return result;
    };
    CHECK((alone(gru, "yh") == parse(document(gru, "xa", "yh")).predict({{"x", x}, {"a", none}})));
    CHECK((alone(lstm, "yhc") == parse(document(lstm, "xab", "yhc")).predict({{"x", x}, {"a", none}, {"b", none}})));
    CHECK((alone(lstm, "y").get<tensor<float>>("y") == alone(lstm, "yhc").get<tensor<float>>("y")));
    CHECK(check::failure([&] { parse(document(lstm, "x", "yh")); }).text ==
          "/neuralNetwork/layers/0 \"l\" (uniDirectionalLSTM): 3 outputs wanted, 2 named");
}

TEST_CASE("one hot vectors of any values, infinite ones too") {
    model m = parse(network_text(layer_text(
        R"("oneHot": {"oneHotVectorSize": 2, "axis": -1, "onValue": 0, "offValue": "-Infinity"})")));
    const auto y = m.predict({{"x", tensor<float>{1, 0}}}).get<tensor<float>>("y");
    const float none = -std::numeric_limits<float>::infinity();
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{none, 0, 0, none});
    CHECK((parse(m.write("w").json).predict({{"x", tensor<float>{1, 0}}}).get<tensor<float>>("y") == y));
}
