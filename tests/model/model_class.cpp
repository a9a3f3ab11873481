#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

using namespace bespoke;
using check::classifier;
using check::layer_text;
using check::network_text;
using check::weights;
using nlohmann::json;

TEST_CASE("a classifier that does not fit") {
    const auto failed = [](const char* pointer, const char* value) {
        json root = json::parse(classifier);
        root[json::json_pointer(pointer)] = json::parse(value);
        return check::failure([&] { parse(root.dump()); });
    };
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels/vector", R"(["a", "b"])").text ==
          R"(/neuralNetworkClassifier: 2 class labels for the probabilities "soft" of the shape [3])");
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels/vector", R"(["a", "b", "a"])").is(errc::duplicate_name));
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels/vector", R"(["a", "b", "a"])").text ==
          R"(/neuralNetworkClassifier/stringClassLabels/vector/2: the class label "a" comes twice)");
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels", "null").text ==
          "/neuralNetworkClassifier: class labels wanted, none came");
    CHECK(failed("/neuralNetworkClassifier/labelProbabilityLayerName", R"("sof")").text ==
          R"(output "sof": no layer writes a blob of this name)");
    CHECK(failed("/description/output/0/type", R"({"int64Type": {}})").text ==
          R"(output "label": a string wanted, an int64 declared)");
    CHECK(failed("/description/output/1/type", R"({"dictionaryType": {"int64KeyType": {}}})").text ==
          R"(output "p": a dictionary of strings wanted, a dictionary of int64 declared)");
    CHECK(failed("/description/output/2/type/multiArrayType/shape", "[4]").text ==
          R"(output "fc": the shape [4] declared, the network gives [3])");
    CHECK(failed("/description/predictedFeatureName", R"("q")").is(errc::unknown_name));
    for (const char* none : {R"("")", "null"})
        CHECK(failed("/description/predictedFeatureName", none).text ==
              "/description/predictedFeatureName: the name of an output wanted, none came");
}

TEST_CASE("a classifier has one class label or more") {
    const std::string none = R"({"name": "f", "output": ["f"], "fillStatic": {"targetShape": [0]}})";
    for (const std::string kind : {"string", "int64"}) {
        json root = json::parse(classifier);
        json& network = root["neuralNetworkClassifier"];
        network["layers"].push_back(json::parse(none));
        network["labelProbabilityLayerName"] = "f";
        network.erase("stringClassLabels");
        network[kind + "ClassLabels"]["vector"] = json::array();
        CHECK(check::failure([&] { parse(root.dump()); }).text ==
              "/neuralNetworkClassifier/" + kind + "ClassLabels/vector: one class label or more wanted, none came");
    }
}

TEST_CASE("images that do not fit their network") {
    const auto failed = [](const std::string& input, const std::string& output, const std::string& steps) {
        return check::failure([&] {
                   parse(R"({"specificationVersion": 4, "description": {"input": [{"name": "x", "type": )" + input +
                         R"(}], "output": [{"name": "y", "type": )" + output +
                         R"(}]}, "neuralNetwork": {"preprocessing": [)" + steps + R"(], "layers": [)" +
                         check::layer_text(R"("activation": {"ReLU": {}})") + "]}}");
               })
            .text;
    };
    const std::string rgb = R"({"imageType": {"width": "2", "height": "3", "colorSpace": "RGB"}})";
    const std::string gray = R"({"imageType": {"width": "2", "height": "3", "colorSpace": "GRAYSCALE"}})";
    const std::string wide = R"({"imageType": {"width": "3", "height": "2", "colorSpace": "RGB"}})";
    const std::string array = R"({"multiArrayType": {"shape": ["3", "3", "2"], "dataType": "FLOAT32"}})";
    CHECK(failed(rgb, rgb, "") == "nothing is thrown");
    CHECK(failed(array, rgb, "") == "nothing is thrown");
    CHECK(failed(rgb, array, "") == "nothing is thrown");
    CHECK(failed(rgb, gray, "") ==
          "output \"y\": an image GRAYSCALE 2 x 3 declared, the network gives [1, 1, 3, 3, 2]");
    CHECK(failed(rgb, wide, "") == "output \"y\": an image RGB 3 x 2 declared, the network gives [1, 1, 3, 3, 2]");
    CHECK(failed(rgb, R"({"stringType": {}})", "") ==
          "output \"y\": a multi-array, an image or a number wanted, a string declared");
    CHECK(failed(R"({"stringType": {}})", array, "") ==
          "input \"x\": a neural network takes multi-arrays, images and numbers, not a string");
    CHECK(failed(rgb, rgb, R"({"featureName": "z", "scaler": {}})") ==
          "/neuralNetwork/preprocessing/0/featureName: the name of an input that is an image wanted, \"z\" came");
    CHECK(failed(array, rgb, R"({"featureName": "x", "scaler": {}})") ==
          "/neuralNetwork/preprocessing/0/featureName: the name of an input that is an image wanted, \"x\" came");
    CHECK(failed(rgb, rgb,
                 R"({"featureName": "x", "scaler": {}}, {"featureName": "x", "meanImage": {"meanImage": [1]}})") ==
          "/neuralNetwork/preprocessing/1/meanImage: 18 numbers wanted for an image RGB 2 x 3, 1 came");
}

TEST_CASE("an output of a flexible shape takes what the network gives where it allows that") {
    const auto failed = [](const std::string& flexibility, const std::string& type = R"("activation": {"ReLU": {}})") {
        json root = json::parse(network_text(check::layer_text(type), "[5]"));
        root["description"]["output"][0]["type"]["multiArrayType"].update(json::parse(flexibility));
        return check::failure([&] { parse(root.dump()); }).text;
    };
    const std::string range = R"("shapeRange": {"sizeRanges": [{"lowerBound": 1, "upperBound": 6}]}})";
    CHECK(failed("{" + range) == "nothing is thrown");
    CHECK(failed(R"({"shape": [3], )" + range) == "nothing is thrown");
    CHECK(failed("{" + range, R"("tile": {"reps": [2]})") ==
          R"(output "y": the shape [1] declared, the network gives [10])");
    const auto one_of = [](const std::string& shapes) {
        return R"({"enumeratedShapes": {"shapes": [{"shape": [7]}, )" + shapes + "]}}";
    };
    CHECK(failed(one_of(R"({"shape": [5]})")) == "nothing is thrown");
    CHECK(failed(one_of(R"({"shape": [6]})")) == R"(output "y": the shape [7] declared, the network gives [5])");
}

TEST_CASE("copies are independent") {
    model m = parse(classifier);
    CHECK(&m.plan() == &m.network().plan());
    const auto before = m.predict({{"x", tensor<float>{1, 3}}});
    model other = m;
    other.parameter("fc", "weights")[0] = 100;
    other.network().prepare();
    CHECK((m.predict({{"x", tensor<float>{1, 3}}}) == before));
    CHECK((other.predict({{"x", tensor<float>{1, 3}}}).get<std::string>("label") == "left"));
    m = other;
    CHECK((m.predict({{"x", tensor<float>{1, 3}}}).get<std::string>("label") == "left"));
    CHECK(check::failure([&] { m.parameter("fc", "bia"); }).text ==
          R"(no layer "fc" with a parameter "bia" in this network; it has "weights", "bias")");
}

TEST_CASE("settings are replaced only by what fits") {
    model m = parse(classifier);
    auto settings = m.settings();
    settings.description.metadata.author = "me";
    m.set_settings(settings);
    CHECK(m.description().metadata.author == "me");
    settings.class_labels = string_sequence{"a"};
    CHECK(check::failure([&] { m.set_settings(settings); }).is(errc::shape_mismatch));
    CHECK(m.settings().class_labels == decltype(settings.class_labels)(string_sequence{"left", "right", "none"}));
    settings = m.settings();
    settings.description.input.clear();
    CHECK(check::failure([&] { m.set_settings(settings); }).text == "/description/input: 1 inputs wanted, 0 came");
}

TEST_CASE("settings that no file may hold are refused") {
    model m = parse(classifier);
    const auto refused = [&](auto change) {
        auto settings = m.settings();
        change(settings);
        return check::failure([&] { m.set_settings(settings); }).text;
    };
    CHECK(refused([](auto& s) { s.specification_version = 6; }) == "/specificationVersion: 1 to 5 wanted, 6 came");
    CHECK(refused([](auto& s) { s.update_parameters.emplace().epochs = int64_parameter{20, int64_range{1, 10}}; }) ==
          "/neuralNetworkClassifier/updateParams/epochs/defaultValue: a number from 1 to 10 wanted, 20 came");
    CHECK(refused([](auto& s) {
              s.update_parameters.emplace().loss_layers = {{"loss", huber{"x", "y", -1}}};
          }) == "/neuralNetworkClassifier/updateParams/lossLayers/0/bespoke/huberLossLayer/delta: a finite number "
                "above 0 wanted, -1.0 came");
    CHECK_NOTHROW(parse(m.write("").json));
}

TEST_CASE("settings that a file of these layers may not hold are refused") {
    model m = parse(classifier);
    model_settings settings = m.settings();
    settings.array_input_shape_mapping = array_shape_mapping::rank5_array_mapping;
    CHECK(check::failure([&] { m.set_settings(settings); }).text ==
          R"(/neuralNetworkClassifier/layers/1 "soft" (softmaxND): a layer of version 3 or less wanted with )"
          R"(RANK5_ARRAY_MAPPING, "softmaxND" wants "arrayInputShapeMapping": "EXACT_ARRAY_MAPPING")");
    settings = m.settings();
    settings.type = model_type::neural_network;
    settings.description.output.erase(settings.description.output.begin(), settings.description.output.begin() + 2);
    settings.description.predicted_feature_name = settings.description.predicted_probabilities_name = "";
    const std::string labels = "/neuralNetwork: only a classifier has class labels and a labelProbabilityLayerName";
    CHECK(check::failure([&] { m.set_settings(settings); }).text == labels);
    settings.class_labels = {};
    CHECK(check::failure([&] { m.set_settings(settings); }).text == labels);
    settings.label_probability_layer_name = "";
    auto& array = std::get<array_feature_type>(settings.description.input[0].type.type);
    array.default_optional_value = -std::numeric_limits<double>::infinity();
    m.set_settings(settings);
    CHECK(parse(m.write("w").json).settings() == settings);
}

TEST_CASE("the probabilities are what the last layer writes where nothing else is said, before and behind a file") {
    const auto settings_of = [](const model& m) {
        model_settings settings = m.settings();
        settings.label_probability_layer_name = "";
        return settings;
    };
    const features x{{"x", tensor<float>{1, 2}}};
    const std::string soft = R"("labelProbabilityLayerName": "soft")";
    std::string text = classifier;
    text.replace(text.find(soft), soft.size(), R"("labelProbabilityLayerName": "fc")");
    model other = parse(text);
    CHECK(check::failure([&] { other.set_settings(settings_of(other)); }).text ==
          R"(output "soft": the network has no such output)");

    json root = json::parse(text);
    root["description"]["output"].push_back(json::parse(check::array("soft", "[3]")));
    model m = parse(root.dump());
    CHECK_FALSE(m.predict(x).at("p") == parse(classifier).predict(x).at("p"));
    m.set_settings(settings_of(m));
    CHECK(m.predict(x).at("p") == parse(classifier).predict(x).at("p"));
    CHECK(m.predict(x).at("p") == parse(m.write("w").json).predict(x).at("p"));
}

TEST_CASE("settings are compared with the shapes that are declared, whatever came last") {
    json root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})"), "[2]"));
    root["description"]["input"][0]["type"]["multiArrayType"]["shapeRange"]["sizeRanges"] =
        json::parse(R"([{"lowerBound": 1, "upperBound": -1}])");
    root["description"]["output"][0]["type"]["multiArrayType"]["shape"] = {2};
    model m = parse(root.dump());
    CHECK(m.predict({{"x", tensor<float>{1, 2, 3}}}).get<tensor<float>>("y").size() == 3);
    CHECK_NOTHROW(m.set_settings(m.settings()));
    auto settings = m.settings();
    std::get<array_feature_type>(settings.description.output[0].type.type).shape = {3};
    CHECK(check::failure([&] { m.set_settings(settings); }).is(errc::shape_mismatch));
}
