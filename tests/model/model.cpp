#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using check::weights;
using nlohmann::json;

namespace {

/// A folder that is empty at the start and gone at the end.
struct folder {
    std::filesystem::path path;
    explicit folder(const std::string& name) : path(std::filesystem::temp_directory_path() / ("bespoke_model_" + name)) {
        std::filesystem::remove_all(path);
        std::filesystem::create_directories(path);
    }
    ~folder() { std::filesystem::remove_all(path); }
    std::filesystem::path write(const std::string& name, const std::string& text) const {
        std::ofstream(path / name, std::ios::binary) << text;
        return path / name;
    }
};

std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

const std::string classifier = R"({
  "specificationVersion": 4,
  "description": {
    "input": [)" + check::array("x", R"(["2"])") + R"(],
    "output": [{"name": "label", "type": {"stringType": {}}},
               {"name": "p", "type": {"dictionaryType": {"stringKeyType": {}}}},
               {"name": "fc", "type": {"multiArrayType": {"shape": ["3"], "dataType": "DOUBLE"}}}],
    "predictedFeatureName": "label", "predictedProbabilitiesName": "p"},
  "isUpdatable": true,
  "neuralNetworkClassifier": {
    "layers": [
      {"name": "fc", "input": ["x"], "output": ["fc"], "isUpdatable": true, "innerProduct": {"inputChannels": "2",
       "outputChannels": "3", "weights": {"floatValue": [1, 0, 0, 1, -1, -1], "isUpdatable": true}}},
      {"name": "soft", "input": ["fc"], "output": ["soft"], "softmaxND": {"axis": "-1"}}],
    "arrayInputShapeMapping": "EXACT_ARRAY_MAPPING",
    "updateParams": {"epochs": {"defaultValue": "3"}},
    "stringClassLabels": {"vector": ["left", "right", "none"]},
    "labelProbabilityLayerName": "soft"
  }
})";

}  // namespace

TEST_CASE("a model predicts what its layers say") {
    model m = parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 2, "outputChannels": 2, "hasBias": true,
            "weights": {"floatValue": [1, 2, 3, 4]}, "bias": {"floatValue": [0.5, -0.5]}})")));
    CHECK((m.predict({{"x", tensor<float>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
    CHECK((m.predict({{"x", tensor<double>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
    CHECK((m.predict({{"x", tensor<std::int32_t>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
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
        {"name": "a", "type": {"multiArrayType": {"shape": [2], "dataType": "FLOAT32", "floatDefaultValue": 7}, "isOptional": true}},
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

TEST_CASE("flexible shapes are planned when they come") {
    json root = json::parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": {"floatValue": [1, 10]}})"), "[1, 2]"));
    auto& type = root["description"]["input"][0]["type"]["multiArrayType"];
    type["shapeRange"]["sizeRanges"] = json::parse(R"([{"lowerBound": 1, "upperBound": -1}, {"lowerBound": 1, "upperBound": 4}])");
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
    const auto together = m.predict(std::span<const features>(examples));
    REQUIRE(together.size() == 7);
    for (std::size_t i = 0; i < examples.size(); ++i) CHECK(m.predict(examples[i]) == together[i]);
    CHECK(m.predict(std::span<const features>()).empty());
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
    const auto results = m.predict(std::span<const features>(examples));
    CHECK((results[0].get<tensor<float>>("n")(0) == 3));
    CHECK((results[1].get<tensor<float>>("n")(0) == 0));
    CHECK((results[2].get<tensor<float>>("n")(0) == 5));
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

TEST_CASE("saved and loaded, a model predicts the same bits") {
    const folder f("save");
    model m = parse(network_text(layer_text(
        R"("innerProduct": {"inputChannels": 8, "outputChannels": 9, "weights": )" + weights(72) + "}"), "[8]"));
    auto few = m.parameter("l", "weights");
    for (std::size_t i = 0; i < few.size(); ++i) few[i] += 0.1f;
    const auto path = f.path / "m.json";
    m.save(path);
    CHECK_FALSE(std::filesystem::exists(f.path / "m.safetensors"));  // as they came: inline
    model again = load(path);
    const features x{{"x", tensor<float>{1, 2, 3, 4, 5, 6, 7, 8}}};
    CHECK(again.predict(x) == m.predict(x));
    CHECK(again.write("m.safetensors").json == text_of(path));
    CHECK(load(path, {.threads = 2}).predict(x) == m.predict(x));

    json root = json::parse(text_of(path));
    root["neuralNetwork"]["layers"][0]["innerProduct"]["weights"] = {{"tensor", "w"}};
    root["weightsFile"] = "old.safetensors";
    const tensor_entry entry{"w", "F32", {9, 8}, std::as_bytes(std::span(few))};
    const auto bytes = to_safetensors(std::span(&entry, 1));
    f.write("old.safetensors", std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    model from_tensor = load(f.write("old.json", root.dump()));
    CHECK(from_tensor.predict(x) == m.predict(x));
    from_tensor.save(f.path / "new.json");
    CHECK(std::filesystem::exists(f.path / "new.safetensors"));
    CHECK(json::parse(text_of(f.path / "new.json"))["weightsFile"] == "new.safetensors");
    CHECK(load(f.path / "new.json").predict(x) == m.predict(x));
    CHECK(text_of(f.path / "old.safetensors") == text_of(f.path / "new.safetensors"));
}

TEST_CASE("what cannot be saved leaves the files as they were") {
    const folder f("keep");
    model m = parse(classifier);
    m.save(f.path / "m.json");
    const std::string before = text_of(f.path / "m.json");
    m.parameter("fc", "weights")[2] = std::nanf("");
    CHECK(check::failure([&] { m.save(f.path / "m.json"); }).text ==
          R"(/neuralNetworkClassifier/layers/0 "fc" (innerProduct): its weights cannot be written: number 2 is not finite)");
    CHECK(text_of(f.path / "m.json") == before);
    CHECK(check::failure([&] { m.save(f.path / "m.safetensors"); }).is(errc::bad_argument));
    CHECK(check::failure([&] { parse(classifier).save(f.path / "none" / "m.json"); }).is(errc::io));
}

TEST_CASE("files that do not fit together") {
    const folder f("files");
    const auto failed = [&](const std::string& text) {
        const auto path = f.write("m.json", text);
        return check::failure([&] { load(path); });
    };
    const std::string at = (f.path / "m.json").string() + ": ";
    CHECK(check::failure([&] { load(f.path / "absent.json"); }).is(errc::io));
    CHECK(failed("{").text == at + "not JSON: it ends after 1 bytes, in the middle of a value");
    CHECK(failed("{}").text == at + "/specificationVersion: 1 or more wanted, 0 came");
    CHECK(failed(R"({"specificationVersion": 4})").text == at + "/: a model type wanted (\"neuralNetwork\"), none came");
    CHECK(failed(R"({"specificationVersion": 4, "pipeline": {}})").text ==
          at + "/pipeline: models of this type are not supported");
    CHECK(failed(R"({"specificationVersion": 4, "neuralNetwork": {}, "weights": 3})").text ==
          at + R"(/: unknown field "weights")");
    json root = json::parse(network_text(layer_text(R"("activation": {"ReLU": {}})")));
    for (const char* name : {"../w.safetensors", "/etc/passwd", "a/../../w", "", "."}) {
        root["weightsFile"] = name;
        const auto failure = failed(root.dump());
        if (*name == '\0')
            CHECK(failure.text == "nothing is thrown");
        else
            CHECK((failure.is(errc::bad_value) || failure.is(errc::io)));
    }
    root["weightsFile"] = "../w.safetensors";
    CHECK(failed(root.dump()).text ==
          at + R"(/weightsFile: a file in the folder of the model wanted, "../w.safetensors" came)");
    root["weightsFile"] = "none.safetensors";
    const auto missing = failed(root.dump());
    CHECK(missing.is(errc::io));
    CHECK(missing.text.rfind((f.path / "none.safetensors").string(), 0) == 0);
}

TEST_CASE("names and wires that do not fit") {
    const auto failed = [](const std::string& layers) { return check::failure([&] { parse(network_text(layers)); }); };
    const auto relu = [](const std::string& name, const std::string& in, const std::string& out) {
        return R"({"name": ")" + name + R"(", "input": [")" + in + R"("], "output": [")" + out +
               R"("], "activation": {"ReLU": {}}})";
    };
    CHECK(failed(relu("a", "x", "z") + "," + relu("a", "z", "y")).text ==
          R"(/neuralNetwork/layers/1 "a" (activation.ReLU): another layer has this name)");
    CHECK(failed(relu("a", "x", "y") + "," + relu("b", "x", "y")).text ==
          R"(/neuralNetwork/layers/1 "b" (activation.ReLU): its output "y" is written already)");
    CHECK(failed(relu("a", "b", "a") + "," + relu("b", "a", "b")).text ==
          R"(/neuralNetwork/layers/0 "a" (activation.ReLU): no layer before it writes its input "b")");
    CHECK(failed(relu("a", "x", "z")).text == R"(output "y": no layer writes a blob of this name)");
    CHECK(failed("").is(errc::unknown_name));
    CHECK(failed(R"({"name": "a", "input": ["x"], "output": ["y", "z"], "activation": {"ReLU": {}}})").is(errc::bad_value));
    CHECK(failed(R"({"name": "a", "input": "x", "output": ["y"], "activation": {"ReLU": {}}})").text ==
          R"(/neuralNetwork/layers/0/input: an array wanted, "x" came)");
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
