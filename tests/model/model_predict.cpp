#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using check::classifier;
using check::layer_text;
using check::network_text;
using check::weights;
using nlohmann::json;

TEST_CASE("a model predicts what its layers say") {
    model m = parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 2, "outputChannels": 2, "hasBias": true,
            "weights": {"floatValue": [1, 2, 3, 4]}, "bias": {"floatValue": [0.5, -0.5]}})")));
    CHECK((m.predict({{"x", tensor<float>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
    CHECK((m.predict({{"x", tensor<double>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
    CHECK((m.predict({{"x", tensor<std::int32_t>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
}

TEST_CASE("a scalar comes as [1]") {
    model m = parse(network_text(R"({"name": "l", "input": ["x", "x"], "output": ["y"], "gatherND": {}})", R"(["1"])"));
    const auto y = m.predict({{"x", tensor<float>{0}}}).get<tensor<float>>("y");
    REQUIRE(y.dimension() == 1);
    CHECK((y == tensor<float>{0}));
}

TEST_CASE("an output has the shape that is decided in the run, each time and for each example") {
    const std::string found = R"({"name": "l", "input": ["x"], "output": ["y"], "whereNonZero": {}})";
    model m = parse(network_text(found, R"(["3"])"));
    const auto shape_of_y = [](const features& f) {
        const auto& y = f.get<tensor<float>>("y");
        return std::vector<std::size_t>(y.shape().begin(), y.shape().end());
    };
    CHECK(shape_of_y(m.predict({{"x", tensor<float>{1, 0, 3}}})) == std::vector<std::size_t>{2, 1});
    CHECK(shape_of_y(m.predict({{"x", tensor<float>{0, 0, 0}}})) == std::vector<std::size_t>{0, 1});
    const std::vector<features> several{{{"x", tensor<float>{0, 0, 1}}}, {{"x", tensor<float>{1, 1, 1}}}};
    const auto results = m.predict_batch(std::span<const features>(several));
    REQUIRE(results.size() == 2);
    CHECK(shape_of_y(results[0]) == std::vector<std::size_t>{1, 1});
    CHECK(results[0].get<tensor<float>>("y")(0, 0) == 2);
    CHECK(shape_of_y(results[1]) == std::vector<std::size_t>{3, 1});
    model again = m;
    CHECK(shape_of_y(again.predict({{"x", tensor<float>{1, 0, 3}}})) == std::vector<std::size_t>{2, 1});
    // written and read again it is the same model
    CHECK(json::parse(m.write("w").json)["neuralNetwork"]["layers"][0]["whereNonZero"] == json::object());
}

TEST_CASE("an output of a declared shape must come in it; a layer that fails in the run says where") {
    json root =
        json::parse(network_text(R"({"name": "l", "input": ["x"], "output": ["y"], "whereNonZero": {}})", R"(["3"])"));
    root["description"]["output"][0]["type"]["multiArrayType"]["shape"] = {"2", "1"};
    model m = parse(root.dump());
    const tensor<float> found = m.predict({{"x", tensor<float>{1, 0, 3}}}).get<tensor<float>>("y");
    CHECK(std::vector<float>(found.begin(), found.end()) == std::vector<float>{0, 2});
    CHECK(check::failure([&] { m.predict({{"x", tensor<float>{1, 0, 0}}}); }).text ==
          "output \"y\": the shape [2, 1] declared, the network gives [1, 1]");
    model filled = parse(network_text(layer_text(R"("fillDynamic": {"value": 2})")));
    CHECK(check::failure([&] { filled.predict({{"x", tensor<float>{-1, 2}}}); }).text ==
          "/neuralNetwork/layers/0 \"l\" (fillDynamic): a shape from 0 up wanted, [-1, 2] given");
    CHECK((filled.predict({{"x", tensor<float>{1, 2}}}).get<tensor<float>>("y") == tensor<float>{{2, 2}}));
}

TEST_CASE("a classifier answers with a label and probabilities") {
    model m = parse(classifier);
    const auto result = m.predict({{"x", tensor<float>{1, 3}}});
    CHECK(result.get<std::string>("label") == "right");
    const auto& p = result.get<string_dictionary>("p");
    CHECK(p.size() == 3);
    CHECK(p.at("right") == Approx(std::exp(3) / (std::exp(1) + std::exp(3) + std::exp(-4))));
    CHECK((result.get<tensor<double>>("fc") == tensor<double>{1, 3, -4}));
    CHECK(result.size() == 3);
    CHECK(json::parse(m.write("w").json) == json::parse(classifier));
    CHECK(m.settings().update_parameters->epochs->default_value == 3);
    CHECK(m.settings().is_updatable);
}

TEST_CASE("int64 labels; the last layer gives the probabilities unless another is named") {
    json root = json::parse(classifier);
    auto& network = root["neuralNetworkClassifier"];
    network.erase("stringClassLabels");
    network.erase("labelProbabilityLayerName");
    network["int64ClassLabels"]["vector"] = {"7", "-8", "9"};
    auto& output = root["description"]["output"];
    output[0]["type"] = json::parse(R"({"int64Type": {}})");
    output[1]["type"] = json::parse(R"({"dictionaryType": {"int64KeyType": {}}})");
    model m = parse(root.dump());
    const auto result = m.predict({{"x", tensor<float>{1, 3}}});
    CHECK(result.get<std::int64_t>("label") == -8);
    CHECK(result.get<int64_dictionary>("p").at(-8) > 0.8);
    CHECK(json::parse(m.write("w").json) == root);
}

TEST_CASE("inputs that do not fit say their name, what was wanted and what came") {
    model m = parse(network_text(layer_text(R"("activation": {"ReLU": {}})")));
    const auto text = [&](const features& inputs) { return check::failure([&] { m.predict(inputs); }).text; };
    CHECK(text({}) == R"(input "x": a multi-array FLOAT32 [2] wanted, but none is given)");
    CHECK(text({{"x", tensor<float>{1, 2, 3}}}) ==
          R"(input "x": a multi-array FLOAT32 [2] wanted, but a multi-array FLOAT32 [3] came)");
    CHECK(text({{"x", std::string("a")}}) == R"(input "x": a multi-array FLOAT32 [2] wanted, but a string came)");
    CHECK(text({{"x", tensor<float>{1, 2}}, {"z", 1.0}}).find("\"z\"") != std::string::npos);
}

TEST_CASE("several inputs and outputs, numbers, optional inputs") {
    model m = parse(R"({"specificationVersion": 4, "description": {"input": [
        {"name": "a", "type": {"multiArrayType": {"shape": [2], "dataType": "FLOAT32", "floatDefaultValue": 7},
                               "isOptional": true}},
        {"name": "b", "type": {"doubleType": {}}}, {"name": "c", "type": {"int64Type": {}, "isOptional": true}}],
      "output": [{"name": "s", "type": {"multiArrayType": {"dataType": "INT32"}}},
                 {"name": "t", "type": {"doubleType": {}}}, {"name": "u", "type": {"int64Type": {}}}]},
      "neuralNetwork": {"arrayInputShapeMapping": 1, "layers": [
        {"name": "s", "input": ["a", "b"], "output": ["s"], "add": {}},
        {"name": "t", "input": ["b", "c"], "output": ["t"], "multiply": {}},
        {"name": "u", "input": ["c"], "output": ["u"], "add": {"alpha": 0.75}}]}})");
    const auto given = m.predict({{"a", tensor<float>{1, 2}}, {"b", 2.5}, {"c", std::int64_t{3}}});
    CHECK((given.get<tensor<std::int32_t>>("s") == tensor<std::int32_t>{3, 4}));
    CHECK(given.get<double>("t") == 7.5);
    CHECK(given.get<std::int64_t>("u") == 4);
    const auto missing = m.predict({{"b", std::int64_t{1}}});
    CHECK((missing.get<tensor<std::int32_t>>("s") == tensor<std::int32_t>{8, 8}));
    CHECK(missing.get<double>("t") == 0);
}

TEST_CASE("the rank 5 mapping") {
    json root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})"), R"(["2", "3", "4"])"));
    root["neuralNetwork"].erase("arrayInputShapeMapping");
    model m = parse(root.dump());
    CHECK(m.network().plan().blobs[0].dimensions == shape{1, 1, 2, 3, 4});
    CHECK(json::parse(m.write("w").json) == root);
    CHECK((m.predict({{"x", zeros<float>({2, 3, 4})}}).get<tensor<float>>("y").dimension() == 5));
    // a declared output has the shape that it declares
    root["description"]["output"][0]["type"]["multiArrayType"]["shape"] = {"24"};
    model flat = parse(root.dump());
    CHECK((flat.predict({{"x", zeros<float>({2, 3, 4})}}).get<tensor<float>>("y").dimension() == 1));

    root["description"]["input"][0]["type"]["multiArrayType"]["shape"] = {"24"};
    CHECK(parse(root.dump()).network().plan().blobs[0].dimensions == shape{1, 1, 24, 1, 1});
    root["description"]["input"][0]["type"]["multiArrayType"]["shape"] = {"2", "12"};
    CHECK(check::failure([&] { parse(root.dump()); }).text ==
          R"(input "x": a shape of rank 1, 3 or 5 wanted with RANK5_ARRAY_MAPPING, it is [2, 12])");
}

TEST_CASE("an output of a flexible shape has the rank that is declared") {
    json root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})"), R"(["3", "4", "4"])"));
    root["neuralNetwork"].erase("arrayInputShapeMapping");
    const json range = json::parse(R"({"sizeRanges": [{"lowerBound": 3, "upperBound": 3},
        {"lowerBound": 1, "upperBound": -1}, {"lowerBound": 1, "upperBound": 8}]})");
    for (const char* which : {"input", "output"})
        root["description"][which][0]["type"]["multiArrayType"]["shapeRange"] = range;
    model m = parse(root.dump());
    const auto of = [&](const shape& s) { return m.predict({{"x", zeros<float>(s)}}).get<tensor<float>>("y"); };
    CHECK((of({3, 4, 4}) == zeros<float>({3, 4, 4})));
    CHECK((of({3, 1, 1}) == zeros<float>({3, 1, 1})));
    CHECK((of({3, 16, 1}) == zeros<float>({3, 16, 1})));
    CHECK((of({2, 1, 3, 4, 4}) == zeros<float>({2, 1, 3, 4, 4})));
}

TEST_CASE("the rank 5 mapping takes blobs of rank 5") {
    json root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})"), R"(["2", "3", "4"])"));
    root["neuralNetwork"].erase("arrayInputShapeMapping");
    auto& declared = root["description"]["input"][0]["type"]["multiArrayType"]["shape"];
    model images = parse(root.dump());
    tensor<float> x = zeros<float>({5, 6, 2, 3, 4});
    for (std::size_t i = 0; i < x.size(); ++i) x.flat(i) = static_cast<float>(i);
    CHECK((images.predict({{"x", x}}).get<tensor<float>>("y") == x));
    const auto fault = [&](model& m, const shape& s) {
        return check::failure([&] { m.predict({{"x", zeros<float>(s)}}); }).text;
    };
    CHECK(fault(images, {5, 6, 2, 3, 5}) ==
          R"(input "x": a multi-array FLOAT32 [2, 3, 4] wanted, but a multi-array FLOAT32 [5, 6, 2, 3, 5] came)");
    CHECK(fault(images, {6, 2, 3, 4}) ==
          R"(input "x": a multi-array FLOAT32 [2, 3, 4] wanted, but a multi-array FLOAT32 [6, 2, 3, 4] came)");
    declared = {"7"};
    model vectors = parse(root.dump());
    CHECK((vectors.predict({{"x", zeros<float>({5, 6, 7, 1, 1})}}).get<tensor<float>>("y") ==
           zeros<float>({5, 6, 7, 1, 1})));
    CHECK(fault(vectors, {5, 6, 7, 1, 2}) ==
          R"(input "x": a multi-array FLOAT32 [7] wanted, but a multi-array FLOAT32 [5, 6, 7, 1, 2] came)");
    // of a vector, a sequence and a batch of them
    tensor<float> sequence = zeros<float>({5, 6, 7}), blob = zeros<float>({5, 6, 7, 1, 1});
    for (std::size_t i = 0; i < sequence.size(); ++i) sequence.flat(i) = blob.flat(i) = static_cast<float>(i);
    CHECK((vectors.predict({{"x", sequence}}).get<tensor<float>>("y") == blob));
    CHECK(fault(vectors, {7, 6, 5}) ==
          R"(input "x": a multi-array FLOAT32 [7] wanted, but a multi-array FLOAT32 [7, 6, 5] came)");
    CHECK(fault(images, {5, 6, 2}) ==
          R"(input "x": a multi-array FLOAT32 [2, 3, 4] wanted, but a multi-array FLOAT32 [5, 6, 2] came)");
    root["neuralNetwork"]["arrayInputShapeMapping"] = "EXACT_ARRAY_MAPPING";
    model exact = parse(root.dump());
    CHECK(fault(exact, {1, 1, 7, 1, 1}) ==
          R"(input "x": a multi-array FLOAT32 [7] wanted, but a multi-array FLOAT32 [1, 1, 7, 1, 1] came)");
}

namespace {

/// A network whose one layer goes from the image "x" to "y"; `type`: of y.
std::string image_network(const std::string& image_type, const std::string& more, const std::string& type,
                          const std::string& layer = R"("activation": {"linear": {"alpha": 1}})") {
    return R"({"specificationVersion": 4, "description": {"input": [{"name": "x", "type": {"imageType": )" +
           image_type + R"(}}], "output": [{"name": "y", "type": )" + type + R"(}]}, "neuralNetwork": {)" + more +
           R"("layers": [)" + layer_text(layer) + "]}}";
}
const std::string any_array = R"({"multiArrayType": {"dataType": "FLOAT32"}})";

image counted_image(extent width, extent height, pixel_layout layout) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height * bytes_of(layout)));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(10 * i);
    return {width, height, layout, pixels};
}

}  // namespace

TEST_CASE("an image becomes a blob, after its preprocessing") {
    const std::string rgb = R"({"width": "2", "height": "1", "colorSpace": "RGB"})";
    const std::string rank_4 = R"("imageInputShapeMapping": "RANK4_IMAGE_MAPPING", )";
    const std::string scaler = R"("preprocessing": [{"featureName": "x", "scaler":
        {"channelScale": 0.5, "redBias": 1, "greenBias": 2, "blueBias": 3, "grayBias": 4}}], )";
    const features inputs{{"x", counted_image(2, 1, pixel_layout::rgb)}};  // 0 10 20, 30 40 50
    const auto values = [&](const std::string& text, const features& given) {
        model m = parse(text);
        CHECK(json::parse(m.write("w").json) == json::parse(text));
        model copy = m;
        CHECK(copy.predict(given) == m.predict(given));
        return m.predict(given).get<tensor<float>>("y");
    };
    tensor<float> y = values(image_network(rgb, rank_4, any_array), inputs);
    CHECK(shape_of(y) == shape{1, 3, 1, 2});
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{0, 30, 10, 40, 20, 50});
    y = values(image_network(rgb, scaler, any_array), inputs);
    CHECK(shape_of(y) == shape{1, 1, 3, 1, 2});
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{1, 16, 7, 22, 13, 28});

    const std::string bgr = R"({"width": "2", "height": "1", "colorSpace": "BGR"})";
    y = values(image_network(bgr, scaler, any_array), inputs);
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{13, 28, 7, 22, 1, 16});
    const std::string mean =
        R"("preprocessing": [{"featureName": "x", "meanImage": {"meanImage": [1, 2, 3, 4, 5, 6]}}], )";
    y = values(image_network(bgr, rank_4 + mean, any_array), inputs);
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{19, 48, 7, 36, -5, 24});

    const std::string gray = R"({"width": "2", "height": "1", "colorSpace": "GRAYSCALE"})";
    y = values(image_network(gray, rank_4 + scaler, any_array), {{"x", counted_image(2, 1, pixel_layout::gray)}});
    CHECK(shape_of(y) == shape{1, 1, 1, 2});
    CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{4, 9});
}

TEST_CASE("an image comes out of a blob") {
    const std::string type = R"({"width": "2", "height": "1", "colorSpace": "RGB"})";
    const std::string out = R"({"imageType": )" + type + "}";
    model same = parse(image_network(type, "", out));
    const image given = counted_image(2, 1, pixel_layout::rgb);
    CHECK(same.predict({{"x", given}}).get<image>("y") == given);
    CHECK(same.predict({{"x", image(2, 1, pixel_layout::bgra, {20, 10, 0, 9, 50, 40, 30, 9})}}).get<image>("y") ==
          given);
    model bright = parse(image_network(type, "", out, R"("activation": {"linear": {"alpha": 8, "beta": 0.4}})"));
    CHECK(bright.predict({{"x", given}}).get<image>("y") ==
          image(2, 1, pixel_layout::rgb, {0, 80, 160, 240, 255, 255}));

    // from an array, several at once
    model drawn =
        parse(R"({"specificationVersion": 1, "description": {"input": [)" + check::array("x", R"(["1", "2", "3"])") +
              R"(], "output": [{"name": "y", "type": {"imageType": {"width": "3", "height": "2", "colorSpace":
                        "GRAYSCALE"}}}]}, "neuralNetwork": {"layers": [)" +
              layer_text(R"("add": {"alpha": 1})") + "]}}");
    const tensor<float> one{{{0, 1, 2}, {3, 4, 5}}};
    const std::vector<features> many{{{"x", one}}, {{"x", tensor<float>(one * 10.F)}}};
    const auto results = drawn.predict_batch(many);
    CHECK(results[0].get<image>("y") == image(3, 2, pixel_layout::gray, {1, 2, 3, 4, 5, 6}));
    CHECK(results[1].get<image>("y") == image(3, 2, pixel_layout::gray, {1, 11, 21, 31, 41, 51}));
}

TEST_CASE("images of several sizes") {
    const std::string type =
        R"({"colorSpace": "RGB", "imageSizeRange": {"widthRange": {"lowerBound": "1", "upperBound": "4"},
                                 "heightRange": {"lowerBound": "1", "upperBound": "-1"}}})";
    model m = parse(image_network(type, "", R"({"imageType": )" + type + "}"));
    for (const image& given : {counted_image(2, 3, pixel_layout::rgb), counted_image(4, 1, pixel_layout::rgb),
                               counted_image(1, 6, pixel_layout::rgb)})
        CHECK(m.predict({{"x", given}}).get<image>("y") == given);
    CHECK(check::failure([&] { m.predict({{"x", counted_image(5, 1, pixel_layout::rgb)}}); }).text ==
          "input \"x\": an image RGB 1..4 x 1.. wanted, but an image RGB 5 x 1 came");

    model with_mean = parse(image_network(
        type, R"("preprocessing": [{"featureName": "x", "meanImage": {"meanImage": [1, 2, 3]}}], )", any_array));
    CHECK(
        with_mean.predict({{"x", image(1, 1, pixel_layout::rgb, {1, 2, 3})}}).get<tensor<float>>("y")(0, 0, 2, 0, 0) ==
        0);
    CHECK(check::failure([&] { with_mean.predict({{"x", counted_image(2, 1, pixel_layout::rgb)}}); }).text ==
          "input \"x\": the mean image has 3 numbers, the image 6");
}

TEST_CASE("flexible shapes are planned when they come") {
    json root = json::parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": {"floatValue": [1, 10]}})"), "[1, 2]"));
    auto& type = root["description"]["input"][0]["type"]["multiArrayType"];
    type["shapeRange"]["sizeRanges"] =
        json::parse(R"([{"lowerBound": 1, "upperBound": -1}, {"lowerBound": 1, "upperBound": 4}])");
    model m = parse(root.dump());
    const auto run = [&](const tensor<float>& x) { return m.predict({{"x", x}}).get<tensor<float>>("y"); };
    const tensor<float> one = run({{1, 2}});
    CHECK(one.size() == 1);
    CHECK(one.flat(0) == 21);
    CHECK((xt::flatten(run({{1, 2}, {3, 4}, {5, 6}})) == tensor<float>{21, 43, 65}));
    CHECK((run({{1, 2}}) == one));
    CHECK(check::failure([&] { run({{1, 2, 3, 4, 5}}); }).is(errc::shape_mismatch));
    CHECK(check::failure([&] { run({{1, 2, 3}}); }).text ==
          R"(/neuralNetwork/layers/0 "l" (innerProduct): 2 input channels declared, its input has 3 (shape [1, 3]))");
    CHECK((run({{1, 2}}) == one));  // a failure leaves the model as it was
}

TEST_CASE("of a flexible shape, labels and numbers want as many elements as they have room for") {
    json root = json::parse(check::classifier);
    root["description"]["input"][0]["type"]["multiArrayType"]["shape"] = {3};
    root["description"]["input"][0]["type"]["multiArrayType"]["shapeRange"]["sizeRanges"] =
        json::parse(R"([{"lowerBound": 0, "upperBound": -1}])");
    root["description"]["output"].erase(2);
    auto& layers = root["neuralNetworkClassifier"]["layers"];
    layers.erase(0);
    layers[0]["input"] = {"x"};
    root.erase("isUpdatable");
    model labels = parse(root.dump());
    CHECK(labels.predict({{"x", tensor<float>{1, 3, 2}}}).get<std::string>("label") == "right");
    for (const tensor<float>& x : {tensor<float>{1, 2}, tensor<float>{1, 2, 3, 4, 5}})
        CHECK(check::failure([&] { labels.predict({{"x", x}}); }).text ==
              "output \"soft\": the shape [3] declared, the network gives [" + std::to_string(x.size()) + "]");

    root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})"), "[1]"));
    root["description"]["input"][0]["type"]["multiArrayType"]["shapeRange"]["sizeRanges"] =
        json::parse(R"([{"lowerBound": 0, "upperBound": -1}])");
    root["description"]["output"][0]["type"] = json::parse(R"({"doubleType": {}})");
    model number = parse(root.dump());
    CHECK(number.predict({{"x", tensor<float>{4}}}).get<double>("y") == 4);
    CHECK(check::failure([&] { number.predict({{"x", zeros<float>({0})}}); }).text ==
          "output \"y\": the shape [1] declared, the network gives [0]");
}

TEST_CASE("many examples at once give what each gives alone") {
    json root = json::parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 2, "outputChannels": 3, "weights": )" + weights(6) + "}"), "[1, 2]"));
    root["description"]["input"][0]["type"]["multiArrayType"]["shapeRange"]["sizeRanges"] =
        json::parse(R"([{"lowerBound": 1, "upperBound": -1}, {"lowerBound": 2, "upperBound": 2}])");
    model m = parse(root.dump());
    std::vector<features> examples;
    for (int i = 0; i < 7; ++i) {
        tensor<float> x = zeros<float>({i < 4 ? 1 : 2, 2});
        for (std::size_t k = 0; k < x.size(); ++k) x.flat(k) = static_cast<float>(i) - 0.3f * static_cast<float>(k);
        examples.push_back({{"x", x}});
    }
    const auto together = m.predict_batch(std::span<const features>(examples));
    REQUIRE(together.size() == 7);
    for (std::size_t i = 0; i < examples.size(); ++i) CHECK(m.predict(examples[i]) == together[i]);
    CHECK(m.predict_batch(std::span<const features>()).empty());
}

TEST_CASE("a blob that depends on no input is the same for all examples") {
    model m = parse(R"({"specificationVersion": 4, "description": {"input": [)" + check::array("x", "[1]") +
                    R"(], "output": [{"name": "n", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}]},
        "neuralNetwork": {"arrayInputShapeMapping": 1, "layers": [
          {"name": "zero", "input": ["x"], "output": ["zero"], "multiply": {}},
          {"name": "n", "input": ["zero"], "output": ["n"], "add": {"alpha": 0}},
          {"name": "l", "input": ["x"], "loop": {"bodyNetwork": {"layers": [
            {"name": "next", "input": ["n"], "output": ["next"], "add": {"alpha": 1}},
            {"name": "carry", "input": ["next"], "output": ["n"], "copy": {}}]}}}]}})");
    std::vector<features> examples;
    for (float n : {3.0f, 0.0f, 5.0f}) examples.push_back({{"x", tensor<float>{n}}});
    const auto results = m.predict_batch(std::span<const features>(examples));
    CHECK((results[0].get<tensor<float>>("n")(0) == 3));
    CHECK((results[1].get<tensor<float>>("n")(0) == 0));
    CHECK((results[2].get<tensor<float>>("n")(0) == 5));
}
