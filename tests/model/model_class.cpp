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

TEST_CASE("a classifier that does not fit") {
    const auto failed = [](const char* pointer, const char* value) {
        json root = json::parse(classifier);
        root[json::json_pointer(pointer)] = json::parse(value);
        return check::failure([&] { parse(root.dump()); });
    };
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels/vector", R"(["a", "b"])").text ==
          R"(/neuralNetworkClassifier: 2 class labels for the probabilities "soft" of the shape [3])");
    CHECK(failed("/neuralNetworkClassifier/stringClassLabels/vector", R"(["a", "b", "a"])").is(errc::duplicate_name));
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
}

TEST_CASE("copies are independent") {
    model m = parse(classifier);
    const auto before = m.predict({{"x", tensor<float>{1, 3}}});
    model other = m;
    other.parameter("fc", "weights")[0] = 100;
    other.network().prepare();
    CHECK((m.predict({{"x", tensor<float>{1, 3}}}) == before));
    CHECK((other.predict({{"x", tensor<float>{1, 3}}}).get<std::string>("label") == "left"));
    m = other;
    CHECK((m.predict({{"x", tensor<float>{1, 3}}}).get<std::string>("label") == "left"));
    CHECK(check::failure([&] { m.parameter("fc", "bia"); }).text == R"(no layer "fc" with a parameter "bia")");
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
