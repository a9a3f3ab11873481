#include <bespoke/convert/mlmodel.hpp>

#include "../model/documents.hpp"
#include "../model/failure.hpp"
#include "mlmodel_writer.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace bespoke;
using check::json;
using check::layer_text;
using check::network_text;
using check::to_mlmodel;
using check::weights;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// What the loader says of these bytes.
std::string failed(const std::string& mlmodel) {
    return check::failure([&] { parse(bytes_of(mlmodel)); }).text;
}

/// A field of protobuf whose value has a size, by hand.
std::string sized(unsigned number, const std::string& value) {
    const auto varint = [](std::size_t v) {
        std::string text;
        for (; v > 127; v >>= 7) text += static_cast<char>((v & 127) | 128);
        return text + static_cast<char>(v);
    };
    return varint(number << 3 | 2) + varint(value.size()) + value;
}
/// A network with these bytes in the parameters of its only layer, a convolution.
std::string in_convolution(const std::string& fields) { return sized(500, sized(1, sized(100, fields))); }

/// The files that tests/fuzz/make_corpus.py makes from numbers of its own.
std::filesystem::path corpus(const std::string& name) {
    return BESPOKE_SOURCE_DIR "/tests/fuzz/corpus/mlmodel/" + name + ".mlmodel";
}

}  // namespace

TEST_CASE("a .mlmodel file and the JSON of the same model give the same model") {
    const std::string texts[] = {
        check::classifier,
        network_text(layer_text(
            R"("innerProduct": {"inputChannels": "2", "outputChannels": "40", "hasBias": true, "weights": )" +
            weights(80) + R"(, "bias": )" + weights(40) + "}")),
        network_text(layer_text(
                         R"("convolution": {"outputChannels": "2", "kernelChannels": "1", "kernelSize": ["3", "1"],
            "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "weights": )" +
                         weights(6) + "}"),
                     "[1, 4, 4]"),
        network_text(layer_text(R"("sliceStatic": {"beginIds": ["-2"], "endIds": ["2"], "strides": ["1"],
            "beginMasks": [false], "endMasks": [true], "squeezeMasks": [false]})"),
                     "[5]"),
        network_text(R"({"name": "b", "input": ["x"], "branch": {
            "ifBranch": {"layers": [{"name": "a", "input": ["x"], "output": ["y"],
                                     "activation": {"linear": {"alpha": -0.5, "beta": 3}}}]},
            "elseBranch": {"layers": [{"name": "c", "input": ["x"], "output": ["y"], "copy": {}}]}}})",
                     "[1]"),
        R"({"specificationVersion": 4, "description": {"input": [{"name": "x", "type": {"imageType": {"width": "2",
            "height": "1", "colorSpace": "BGR", "enumeratedSizes": {"sizes": [{"width": "2", "height": "1"}]}}}}],
            "output": [{"name": "y", "type": {"imageType": {"width": "2", "height": "1", "colorSpace": "BGR"}}}]},
            "neuralNetwork": {"imageInputShapeMapping": "RANK4_IMAGE_MAPPING", "preprocessing": [
            {"featureName": "x",
             "scaler": {"channelScale": 0.5, "blueBias": 1, "redBias": 2, "greenBias": 3, "grayBias": 4}},
            {"featureName": "x", "meanImage": {"meanImage": [1, 2, 3.5, -4, 5, 6]}}], "layers": [)" +
            layer_text(R"("activation": {"ReLU": {}})") + "]}}",
    };
    for (const std::string& text : texts) {
        json root = json::parse(text);
        root["description"]["metadata"] = {{"author", "é"}, {"userDefined", {{"a", "1"}, {"b", ""}}}};
        model from_json = parse(root.dump());
        model from_protobuf = parse(bytes_of(to_mlmodel(root)));
        CHECK(from_protobuf.settings() == from_json.settings());
        const auto& plan = from_json.network().plan();
        for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
            const auto size = static_cast<std::size_t>(plan.parameters[i].dimensions.size());
            CHECK(std::equal(from_json.network().core().parameter(i),
                             from_json.network().core().parameter(i) + size,
                             from_protobuf.network().core().parameter(i)));
        }
        // what each writes differs in the place of the weights only
        json a = json::parse(from_json.write("w").json), b = json::parse(from_protobuf.write("w").json);
        for (json* document : {&a, &b}) {
            document->erase("weightsFile");
            document->erase("weightsId");
            for (auto& [key, network] : document->items())
                if (key.starts_with("neural"))
                    for (json& layer : network["layers"])
                        for (auto& [type, fields] : layer.items())
                            if (fields.is_object())
                                for (const char* parameter : {"weights", "bias"}) fields.erase(parameter);
        }
        CHECK(a == b);
    }
}

namespace {
/// y = scale x, or the input where it is off.
struct scaled_switch {
    float scale = 1;
    bool on = true;
    static constexpr auto key = "custom", nested_key = "com.example.Switch";
    constexpr void fields(auto& field) {
        field("scale", scale);
        field("on", on);
    }
    template <class V>
    V operator()(const V& x) const noexcept {
        return on ? x * V(scale) : x;
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(on ? scale : 1);
    }
    [[maybe_unused]] friend bool operator==(const scaled_switch&, const scaled_switch&) = default;
};
}  // namespace

TEST_CASE("a custom layer of a .mlmodel file") {
    const json root = json::parse(network_text(layer_text(R"("custom": {"className": "com.example.Switch",
        "description": "a switch", "parameters": {"scale": {"doubleValue": 2.5}, "on": {"boolValue": true}}})")));
    model m = parse<core_layers, scaled_switch>(bytes_of(to_mlmodel(root)));
    CHECK((m.predict({{"x", tensor<float>{1, -2}}}).get<tensor<float>>("y") == tensor<float>{2.5f, -5}));
    CHECK(json::parse(m.write("w").json) == root);
    CHECK(failed(to_mlmodel(root)) ==
          "/neuralNetwork/layers/0 \"l\": unknown custom layer \"com.example.Switch\", pass "
          "its type: load<core_layers, its_type>(path)");
}

TEST_CASE("files by hand") {
    model m = load(corpus("inner_product"));
    CHECK((m.predict({{"x", tensor<float>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{21.5f, 42.5f}));
    CHECK(m.settings().specification_version == 4);
    CHECK(m.description().metadata.author == "bespoke");
    CHECK(m.description().metadata.user_defined == std::map<std::string, std::string>{{"key", "value"}});
    CHECK(json::parse(m.write("w").json) == json::parse(R"({
        "specificationVersion": 4,
        "description": {
          "input": [{"name": "x", "type": {"multiArrayType": {"shape": ["2"], "dataType": "FLOAT32"}}}],
          "output": [{"name": "y", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}],
          "metadata": {"author": "bespoke", "userDefined": {"key": "value"}}},
        "neuralNetwork": {"arrayInputShapeMapping": "EXACT_ARRAY_MAPPING", "layers": [
          {"name": "l", "input": ["x"], "output": ["y"], "innerProduct": {"inputChannels": "2", "outputChannels": "2",
           "hasBias": true, "weights": {"floatValue": [1, 2, 3, 4]}, "bias": {"floatValue": [0.5, -0.5]}}}]}})"));

    model labels = load(corpus("classifier"));
    const auto result = labels.predict({{"x", tensor<float>{1, 3}}});
    CHECK(result.get<std::int64_t>("label") == 7);
    CHECK(result.get<int64_dictionary>("p").size() == 2);
    CHECK(labels.parameter("fc", "weights")[1] == -2.0f);  // a float16
    REQUIRE(labels.settings().update_parameters);
    CHECK(labels.settings().update_parameters->epochs->default_value == 3);

    model nested = load(corpus("nested"));
    CHECK((nested.predict({{"x", tensor<float>{2}}}).get<tensor<float>>("y") == tensor<float>{16}));
}

TEST_CASE("repeated numbers may be packed or not, and come in parts") {
    using namespace std::string_literals;
    const std::string one("\x00\x00\x80\x3f", 4), two("\x00\x00\x00\x40", 4);
    // "\x0d" is the tag of one floatValue
    for (const std::string& values :
         {"\x0d"s + one + "\x0d"s + two, sized(1, one + two), sized(1, one) + "\x0d"s + two}) {
        const std::string product = "\x08\x02\x10\x01"s + sized(20, values);
        // the network comes twice: such messages are merged
        model m = parse(bytes_of(
            to_mlmodel(json::parse(network_text(""))) +
            sized(500, sized(1, sized(1, "l") + sized(2, "x") + sized(3, "y") + sized(140, product)))));
        CHECK(m.parameter("l", "weights")[0] == 1.0f);
        CHECK(m.parameter("l", "weights")[1] == 2.0f);
        CHECK(m.settings().array_input_shape_mapping == array_shape_mapping::exact_array_mapping);
    }
}

TEST_CASE("what is no protobuf of a model says where and why") {
    using namespace std::string_literals;
    CHECK(failed("") == "/specificationVersion: 1 to 5 wanted, none came: no document of Core ML's specification");
    CHECK(failed("\x08") == "/specificationVersion: it ends in the middle of a value");
    CHECK(failed("\x80") == "/: it ends in the middle of a value");
    CHECK(failed("\x08" + std::string(11, '\xff')) ==
          "/specificationVersion: a varint of at most 10 bytes wanted, a longer one came");
    CHECK(failed("\x0d\1\1\1\1"s) == "/specificationVersion: a varint wanted, 4 bytes came");
    CHECK(failed("\x09\1\1\1\1\1\1\1\1"s) == "/specificationVersion: a varint wanted, 8 bytes came");
    CHECK(failed("\x0a\1\1"s) == "/specificationVersion: a varint wanted, a size and so many bytes came");
    CHECK(failed("\x10\1"s) == "/description: a size and so many bytes wanted, a varint came");
    CHECK(failed("\x0b\x0c"s) == "/: a field of a wire type that this format has not (0, 1, 2 and 5)");
    CHECK(failed("\0\1"s) == "/: a field with a number that protobuf does not allow");
    CHECK(failed("\x88\x80\x80\x80\x10\1"s) ==
          "/: a field with a number that protobuf does not allow");  // 2^32 more than 8
    CHECK(failed("\x12\x05\x0a"s) == "/description: a value of 5 bytes wanted, 1 are left");
    CHECK(failed("\x12\x85\x80\x80\x80\x10"s + "ABCDE") ==
          "/description: a value of 4294967301 bytes wanted, 5 are left");
    CHECK(failed("\x18\1"s) == "/: unknown field 3 of Model");
    CHECK(failed(in_convolution("\x38\1"s)) ==
          "/neuralNetwork/layers/0/convolution: unknown field 7 of ConvolutionLayerParams");
    CHECK(failed(in_convolution("\x0d\1\1\1\1"s)) ==
          "/neuralNetwork/layers/0/convolution/outputChannels: a varint wanted, 4 bytes came");
    CHECK(failed(in_convolution(sized(20, "\3\x80"s))) ==
          "/neuralNetwork/layers/0/convolution/kernelSize/1: it ends in the middle of a value");
    CHECK(failed(in_convolution(sized(90, sized(1, "12345")))) ==
          "/neuralNetwork/layers/0/convolution/weights/floatValue: a multiple of 4 bytes wanted, 5 came");
    CHECK(failed(sized(500, sized(1, sized(1, "a") + sized(1, "\xc3")))) ==
          "/neuralNetwork/layers/0/name: a text in UTF-8 wanted, other bytes came");
    std::string deep;
    for (int i = 0; i < 40; ++i) deep = sized(1, sized(605, sized(1, deep)));
    CHECK(failed(sized(500, deep)).ends_with(": messages nest deeper than 64"));
}

TEST_CASE("what the loader refuses it refuses with the place in the document") {
    using namespace std::string_literals;
    const auto model_with = [](const std::string& layer) {
        return to_mlmodel(json::parse(network_text(""))) + sized(500, sized(1, layer));
    };
    const std::string names = sized(1, "l") + sized(2, "x") + sized(3, "y");
    CHECK(failed(model_with(names)) == R"(/neuralNetwork/layers/0 "l": a layer type wanted, none came)");
    CHECK(failed(model_with(names + sized(660, "") + sized(600, ""))) ==
          R"(/neuralNetwork/layers/0 "l": one layer type wanted, "clip" and "copy" came)");
    CHECK(failed(model_with(names + sized(140, "\x08\x02\x10\x01"s + sized(20, sized(1, "1234"))))) ==
          "/neuralNetwork/layers/0/innerProduct/weights: 2 numbers wanted (shape [1, 2]), 1 came (layer \"l\")");
    CHECK(failed(model_with(
              names + sized(140, "\x08\x02\x10\x01"s + sized(20, sized(1, "\0\0\x80\x3f\0\0\xc0\x7f"s))))) ==
          "/neuralNetwork/layers/0/innerProduct/weights: number 1 is NaN (layer \"l\")");
    CHECK(failed(model_with(names + sized(140, "\x08\x02\x10\x01"s + sized(20, sized(2, "123"))))) ==
          "/neuralNetwork/layers/0/innerProduct/weights/float16Value: a multiple of 2 bytes wanted, 3 came "
          "(layer \"l\")");
    CHECK(failed("\x08\4" + sized(502, "\xff")) ==
          "/mlProgram: models of this type are not read, neural networks are");
}

TEST_CASE("text is UTF-8") {
    using namespace std::string_literals;
    const auto accepted = [](const std::string& name) {
        json root = json::parse(network_text(layer_text(R"("copy": {})")));
        std::string mlmodel = to_mlmodel(root) + sized(2, sized(100, sized(3, name)));
        const std::string text = failed(mlmodel);
        if (text == "nothing is thrown") return true;
        CHECK(text == "/description/metadata/author: a text in UTF-8 wanted, other bytes came");
        return false;
    };
    for (const std::string& good : {"a"s, "\0"s, "\xc2\x80"s, "\xdf\xbf"s, "\xe0\xa0\x80"s, "\xed\x9f\xbf"s,
                                    "\xee\x80\x80"s, "\xf0\x90\x80\x80"s, "\xf4\x8f\xbf\xbf"s})
        CHECK(accepted(good));
    for (const std::string& bad :
         {"\x80"s, "\xc1\xbf"s, "\xc2"s, "\xc2\x41"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s, "\xe1\x80"s,
          "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xff"s})
        CHECK_FALSE(accepted(bad));
}

TEST_CASE("load and save go by the name of the file") {
    const auto folder = std::filesystem::temp_directory_path() / "bespoke_mlmodel";
    std::filesystem::create_directories(folder);
    const auto path = folder / "m.mlmodel";
    const auto write = [&](const std::string& text) { std::ofstream(path, std::ios::binary) << text; };
    write(to_mlmodel(json::parse(network_text(layer_text(R"("copy": {})")))));
    model m = load(path);
    CHECK((m.predict({{"x", tensor<float>{1, 10}}}).get<tensor<float>>("y") == tensor<float>{1, 10}));
    CHECK(check::failure([&] { m.save(path); }).text ==
          path.string() + ": models are written as JSON, not as protobuf");
    m.save(folder / "m.json");
    CHECK(load(folder / "m.json").settings() == m.settings());
    write("{}");
    CHECK(check::failure([&] { load(path); }).text ==
          path.string() + ": /: a field of a wire type that this format has not (0, 1, 2 and 5); a Core ML model "
                          "wanted, this looks like JSON, which wants another name");
    write("PK\3\4");
    CHECK(check::failure([&] { load(path); }).text ==
          path.string() + ": /: a field with a number that protobuf does not allow; a Core ML model wanted, this looks "
                          "like a zip archive (PyTorch, Keras, NumPy)");
    write(to_mlmodel(json::parse(network_text(R"({"name": "l", "input": ["x"], "output": ["y"]})"))));
    CHECK(check::failure([&] { load(path); }).text ==
          path.string() + R"(: /neuralNetwork/layers/0 "l": a layer type wanted, none came)");
    std::filesystem::remove_all(folder);
}
