#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace bespoke;
using check::classifier;
using check::layer_text;
using check::network_text;
using check::weights;
using nlohmann::json;

namespace {

/// A folder that is empty at the start and gone at the end.
struct folder {
    std::filesystem::path path;
    explicit folder(const std::string& name)
        : path(std::filesystem::temp_directory_path() / ("bespoke_model_" + name)) {
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

}  // namespace

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
    const auto old_file = safetensors::load(f.path / "old.safetensors");
    const auto new_file = safetensors::load(f.path / "new.safetensors");
    CHECK(std::ranges::equal(old_file.find("w")->bytes, new_file.find("w")->bytes));
    load(f.path / "new.json").save(f.path / "more.json");
    CHECK(text_of(f.path / "more.safetensors") == text_of(f.path / "new.safetensors"));
}

TEST_CASE("a document is not read with the weights of another one") {
    const folder f("pairs");
    const auto some = [](float first) {
        model m = parse(network_text(
            layer_text(R"("innerProduct": {"inputChannels": 8, "outputChannels": 9, "weights": )" + weights(72) + "}"),
            "[8]"));
        const auto source = m.parameter("l", "weights");
        json root = json::parse(m.write("").json);
        root["neuralNetwork"]["layers"][0]["innerProduct"]["weights"] = {{"tensor", "w"}};
        root["weightsFile"] = "w";
        source[0] = first;
        const tensor_entry entry{"w", "F32", {9, 8}, std::as_bytes(std::span(source))};
        const auto file = safetensors::parse(to_safetensors(std::span(&entry, 1)), "w");
        return parse(root.dump(), &file);
    };
    some(1).save(f.path / "net.json");
    const std::string before = text_of(f.path / "net.json");
    CHECK(load(f.path / "net.json").parameter("l", "weights")[0] == 1);
    some(2).save(f.path / "net.model");  // its weights take the same place
    const json wanted = json::parse(before)["weightsId"];
    const json there = json::parse(text_of(f.path / "net.model"))["weightsId"];
    CHECK(check::failure([&] { load(f.path / "net.json"); }).text ==
          (f.path / "net.json").string() + ": /weightsId: the weights " + wanted.dump() +
              R"( wanted, "net.safetensors" has )" + there.dump() + ", which another document has written");
    CHECK(load(f.path / "net.model").parameter("l", "weights")[0] == 2);
    some(1).save(f.path / "net.model");  // the same weights, whoever wrote them
    CHECK(load(f.path / "net.json").parameter("l", "weights")[0] == 1);
    json root = json::parse(before);
    root.erase("weightsId");  // as former versions have written
    some(2).save(f.path / "net.model");
    CHECK(load(f.write("old.json", root.dump())).parameter("l", "weights")[0] == 2);
}

TEST_CASE("what cannot be saved leaves the files as they were") {
    const folder f("keep");
    model m = parse(classifier);
    m.save(f.path / "m.json");
    const std::string before = text_of(f.path / "m.json");
    m.parameter("fc", "weights")[2] = std::nanf("");
    CHECK(
        check::failure([&] { m.save(f.path / "m.json"); }).text ==
        R"(/neuralNetworkClassifier/layers/0 "fc" (innerProduct): its weights cannot be written: )"
        "number 2 is not finite");
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
    CHECK(check::failure([&] { load("m.mlpackage"); }).text ==
          "m.mlpackage: a .mlpackage is not supported, a .mlmodel wanted");
    CHECK(failed("{").text == at + "not JSON: it ends after 1 bytes, in the middle of a value");
    CHECK(failed("\x08").text ==
          at + "a model as JSON or a .mlmodel wanted, this is protobuf: Core ML if its name ends in .mlmodel, or ONNX, "
               "which is not read");
    CHECK(failed("{}").text ==
          at + "/specificationVersion: 1 to 5 wanted, none came: no document of Core ML's specification");
    CHECK(failed(R"({"specificationVersion": 999})").text == at + "/specificationVersion: 1 to 5 wanted, 999 came");
    CHECK(failed(R"({"specificationVersion": 4})").text ==
          at + "/: a model type wanted (\"neuralNetwork\"), none came");
    CHECK(failed(R"({"specificationVersion": 4, "pipeline": {}})").text ==
          at + "/pipeline: models of this type are not read, neural networks are");
    CHECK(failed(R"({"specificationVersion": 4, "neuralNetwork": {}, "weights": 3})").text ==
          at + R"(/: unknown field "weights", did you mean "weightsId"?)");
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
    CHECK(missing.text == (f.path / "none.safetensors").string() +
                              ": cannot read: No such file or directory, where " + (f.path / "m.json").string() +
                              " has its weights");
}

TEST_CASE("layers of different networks may have one name, and weights of their own") {
    const auto constant = [](const std::string& out, const std::string& number) {
        return R"({"name": "c", "output": [")" + out + R"("], "loadConstantND": {"shape": [1], "data":
                  {"floatValue": [)" + number + "]}}}";
    };
    const auto sum = [](const std::string& a, const std::string& b, const std::string& out) {
        return R"({"name": "sum", "input": [")" + a + R"(", ")" + b + R"("], "output": [")" + out +
               R"("], "addBroadcastable": {}})";
    };
    const auto copy = R"({"name": "back", "input": ["z"], "output": ["t"], "copy": {}})";
    model m = parse(network_text(R"({"name": "start", "input": ["x"], "output": ["t"], "copy": {}},)" +
                                 constant("outside", "0.5") + R"(, {"name": "l", "loop": {"maxLoopIterations": 3,
                                 "bodyNetwork": {"layers": [)" + constant("inside", "2") + "," +
                                 sum("t", "inside", "z") + "," + copy + "]}}}," + sum("t", "outside", "y")));
    CHECK(m.parameter("c", "data")[0] == 0.5f);
    const auto y_of = [](model& one) {
        return one.predict({{"x", tensor<float>{1, 1}}}).get<tensor<float>>("y")(1);
    };
    CHECK(y_of(m) == 7.5f);
    model again = parse(m.write("w").json);
    CHECK(y_of(again) == 7.5f);
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
    CHECK(failed(R"({"name": "a", "input": ["x"], "output": ["y", "z"], "activation": {"ReLU": {}}})")
              .is(errc::bad_value));
    CHECK(failed(R"({"name": "a", "input": "x", "output": ["y"], "activation": {"ReLU": {}}})").text ==
          R"(/neuralNetwork/layers/0/input: an array wanted, "x" came)");
}

TEST_CASE("a small file that asks for much memory is refused when it is loaded") {
    const std::string fill = R"({"name": "l", "output": ["y"], "fillStatic": {"targetShape": ["1099511627776"]}})";
    CHECK(check::failure([&] { parse(check::network_text(fill)); }).text ==
          "the blobs of one example would take 1099511627792 elements, at most 2147483648 wanted");
    const std::string relu = check::network_text(check::layer_text(R"("activation": {"ReLU": {}})"), R"(["100"])");
    CHECK_NOTHROW(parse(relu, nullptr, {.most_elements = 112}));
    CHECK(check::failure([&] { parse(relu, nullptr, {.most_elements = 111}); }).text ==
          "the blobs of one example would take 112 elements, at most 111 wanted");
}

TEST_CASE("what a run decides may take no more memory than a file may ask for") {
    const std::string fill = check::network_text(check::layer_text(R"("fillDynamic": {"value": 1})"));
    model m = parse(fill, nullptr, {.most_elements = 1016});
    CHECK(m.predict({{"x", tensor<float>{10, 100}}}).get<tensor<float>>("y").size() == 1000);
    const auto failed = [](model& one) {
        return check::failure([&] { one.predict({{"x", tensor<float>{1000, 1000}}}); });
    };
    CHECK(failed(m).text == "/neuralNetwork/layers/0 \"l\" (fillDynamic): the blobs of one example would take 1000016 "
                            "elements, at most 1016 wanted");
    CHECK(m.predict({{"x", tensor<float>{10, 100}}}).get<tensor<float>>("y").size() == 1000);
    model copy = m;
    CHECK(failed(copy).is(errc::bad_value));
}

TEST_CASE("what a layer works with may take no more memory than a file may ask for") {
    const auto convolution = [](const std::string& stride) {
        return check::network_text(
            check::layer_text(
                R"("convolution": {"outputChannels": 1, "kernelChannels": 1, "kernelSize": [1, 1], "stride": [)" +
                stride + "," + stride +
                R"(], "valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": )" + stride +
                R"(, "endEdgeSize": )" + stride + R"(}, {"startEdgeSize": )" + stride + R"(, "endEdgeSize": )" +
                stride + R"(}]}}, "weights": {"floatValue": [2]}})"),
            "[1, 1, 1]");
    };
    const tensor<float> one = tensor<float>::from_shape({1, 1, 1});
    model small = parse(convolution("32"));
    CHECK(small.predict({{"x", one}}).get<tensor<float>>("y").size() == 9);
    CHECK(check::failure([&] { parse(convolution("32768")); }).text ==
          "/neuralNetwork/layers/0 \"l\" (convolution): it would work with 6442549248 elements for one example, at "
          "most 2164261376 wanted");
}

TEST_CASE("a shape is decided by the numbers that floats hold") {
    // 16777218 - (16777216 + 1) is 2 in floats and 1 in doubles
    const std::string two =
        R"({"name": "a", "output": ["a"], "fillStatic": {"value": 16777216, "targetShape": [1]}},
           {"name": "b", "output": ["b"], "fillStatic": {"value": 1, "targetShape": [1]}},
           {"name": "c", "output": ["c"], "fillStatic": {"value": 16777218, "targetShape": [1]}},
           {"name": "s", "input": ["a", "b"], "output": ["s"], "addBroadcastable": {}},
           {"name": "d", "input": ["c", "s"], "output": ["d"], "subtractBroadcastable": {}},)";
    const auto result = [&](const std::string& layers) {
        model m = parse(check::network_text(two + layers, "[3]"));
        return m.predict({{"x", tensor<float>{4, 5, 6}}}).get<tensor<float>>("y");
    };
    CHECK((result(R"({"name": "e", "output": ["e"], "fillStatic": {"targetShape": [1]}},
                     {"name": "p", "input": ["d", "e"], "output": ["p"], "concatND": {}},
                     {"name": "y", "input": ["x", "p"], "output": ["y"], "constantPad": {}})") ==
           tensor<float>{0, 0, 4, 5, 6}));
    CHECK((result(R"({"name": "y", "input": ["x", "d"], "output": ["y"], "sliceDynamic": {"endIds": [3]}})") ==
           tensor<float>{6}));
}

TEST_CASE("a model that was moved from says so, until another one is assigned to it") {
    model from = parse(network_text(layer_text(R"("activation": {"ReLU": {}})")));
    model m = std::move(from);
    const std::string text = "the model was moved from: assign another one to it before it is used";
    const features inputs{{"x", tensor<float>{-1, 2}}};
    const auto failed = [](const auto& action) { return check::failure(action); };
    CHECK(failed([&] { from.network(); }).is(errc::bad_argument));
    CHECK(failed([&] { from.network(); }).text == text);
    CHECK(failed([&] { from.parameter("l", "alpha"); }).text == text);
    CHECK(failed([&] { from.prepare(); }).text == text);
    CHECK(failed([&] { from.use_threads(2); }).text == text);
    CHECK(failed([&] { from.write("w"); }).text == text);
    CHECK(failed([&] { model copy = from; }).text == text);
    CHECK(failed([&] { from.reshape(inputs); }).text == text);
    CHECK(failed([&] { from.predict(inputs); }).text == text);
    from = m;
    CHECK(from.predict(inputs).get<tensor<float>>("y")(1) == 2);
}
