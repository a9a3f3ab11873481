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

/// Canonical JSON of every layer, with what it takes.
struct sample {
    std::string shape, type, inputs = R"(["x"])";
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
        {image, R"("flatten": {"mode": "CHANNEL_LAST"})"},
        {vector, R"("gelu": {"mode": "TANH_APPROXIMATION"})"},
        {vector, R"("innerProduct": {"inputChannels": "2", "outputChannels": "3", "hasBias": true, "weights": )" +
                     weights(6) + R"(, "bias": )" + weights(3) + "}"},
        {vector, R"("layerNormalization": {"normalizedShape": ["2"], "eps": 1e-05, "gamma": )" + weights(2) +
                     R"(, "beta": )" + weights(2) + "}"},
        {vector, R"("multiply": {"alpha": 0.5})"},
        {image, R"("pooling": {"type": "AVERAGE", "kernelSize": ["2", "2"], "stride": ["2", "2"], "valid": {},
                    "avgPoolExcludePadding": true})"},
        {image, R"("pooling": {"kernelSize": ["3", "3"], "includeLastPixel": {"paddingAmounts": ["1", "1"]}})"},
        {image, R"("pooling": {"type": "L2", "same": {}, "globalPooling": true})"},
        {image, R"("reshapeStatic": {"targetShape": ["4", "-1"]})"},
        {image, R"("softmax": {})"},
        {image, R"("softmaxND": {"axis": "-2"})"},
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
        const std::string text = network_text(R"({"name": "l", "input": )" + s.inputs + R"(, "output": ["y"], )" + s.type + "}", s.shape);
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

TEST_CASE("what a document says beyond the layer is kept") {
    const std::string text = network_text(
        R"({"name": "l", "input": ["x"], "output": ["y"], "inputTensor": [{"rank": 1, "dimValue": ["2"]}],
            "outputTensor": [{"rank": 1, "dimValue": ["-1"]}], "isUpdatable": true,
            "innerProduct": {"inputChannels": "2", "outputChannels": "1",
                             "weights": {"floatValue": [1, 2], "isUpdatable": true}}})");
    CHECK(json::parse(written(text)) == json::parse(text));
    CHECK(parse(text).marked_updatable(0));
}

TEST_CASE("branches and loops go round") {
    const std::string text = network_text(R"(
        {"name": "c", "input": ["x"], "output": ["c"], "reshapeStatic": {"targetShape": ["1"]}},
        {"name": "b", "input": ["c"], "branch": {
            "ifBranch": {"layers": [{"name": "i", "input": ["x"], "output": ["z"], "add": {"alpha": 1}}]},
            "elseBranch": {"layers": [{"name": "e", "input": ["x"], "output": ["z"], "activation": {"ReLU": {}}}]}}},
        {"name": "b2", "input": ["c"], "branch": {"ifBranch": {"layers": []}}},
        {"name": "one", "input": ["c"], "output": ["one"], "multiply": {"alpha": 0.5}},
        {"name": "loop", "loop": {"maxLoopIterations": "3", "conditionVar": "more",
            "conditionNetwork": {"layers": [{"name": "n", "input": ["one"], "output": ["more"], "add": {"alpha": 1}}]},
            "bodyNetwork": {"layers": [
                {"name": "m", "input": ["one"], "output": ["next"], "add": {"alpha": -1}},
                {"name": "k", "input": ["next"], "output": ["one"], "copy": {}},
                {"name": "if", "input": ["more"], "branch": {
                    "ifBranch": {"layers": [{"name": "go", "loopContinue": {}}]},
                    "elseBranch": {"layers": [{"name": "stop", "loopBreak": {}}]}}}]}}},
        {"name": "y", "input": ["z"], "output": ["y"], "activation": {"tanh": {}}})", R"(["1"])");
    json root = json::parse(text);
    root["neuralNetwork"]["layers"][2]["branch"]["ifBranch"] = json::object();  // an empty list is left out
    CHECK(json::parse(written(text)) == root);
}

TEST_CASE("weights in each of their places") {
    const auto with = [](const std::string& value) {
        return network_text(layer_text(R"("innerProduct": {"inputChannels": "2", "outputChannels": "1", "weights": )" + value + "}"));
    };
    for (const char* value :
         {R"({"floatValue": [1.5, -2]})", R"({"float16Value": "AD4AwA=="})", R"({"bespoke": {"float32Value": "AADAPwAAAMA="}})"}) {
        const std::string text = with(value);
        model m = parse(text);
        CHECK(m.parameter("l", "weights")[0] == 1.5f);
        CHECK(m.parameter("l", "weights")[1] == -2.0f);
        CHECK(json::parse(m.write("w").json) == json::parse(text));
        CHECK(m.write("w").weights.empty());
        m.parameter("l", "weights")[0] = 0.1f;  // no float16
        const auto again = m.write("w");
        CHECK(parse(again.json).parameter("l", "weights")[0] == 0.1f);
    }

    const float numbers[] = {1.5f, -2.0f};
    const tensor_entry entry{"some.name", "F32", {1, 2}, std::as_bytes(std::span(numbers))};
    const auto file = safetensors::parse(to_safetensors(std::span(&entry, 1), {{"k", "v"}}), "w");
    json root = json::parse(with(R"({"tensor": "some.name"})"));
    root["weightsFile"] = "w.safetensors";
    const model m = parse(root.dump(), &file);
    const auto content = m.write("w.safetensors");
    CHECK(json::parse(content.json) == root);
    const auto again = safetensors::parse(content.weights, "w");
    CHECK(again.metadata().at("k") == "v");
    REQUIRE(again.find("some.name") != nullptr);
    CHECK(to_floats(*again.find("some.name")) == std::vector<float>{1.5f, -2.0f});
}

TEST_CASE("two layers that name one tensor part when they differ") {
    const float numbers[] = {1.5f, -2.0f};
    const tensor_entry entry{"t", "F32", {1, 2}, std::as_bytes(std::span(numbers))};
    const auto file = safetensors::parse(to_safetensors(std::span(&entry, 1)), "w");
    const std::string fields = R"("innerProduct": {"inputChannels": "2", "outputChannels": "1", "weights": {"tensor": "t"}})";
    json root = json::parse(network_text(R"({"name": "a", "input": ["x"], "output": ["y"], )" + fields +
                                    R"(}, {"name": "b", "input": ["x"], "output": ["z"], )" + fields + "}"));
    root["weightsFile"] = "w";
    model m = parse(root.dump(), &file);
    CHECK(safetensors::parse(m.write("w").weights, "w").entries().size() == 1);
    m.parameter("b", "weights")[0] = 3;
    const auto content = m.write("w");
    const auto both = safetensors::parse(content.weights, "w");
    CHECK(both.entries().size() == 2);
    model again = parse(content.json, &both);
    CHECK(again.parameter("a", "weights")[0] == 1.5f);
    CHECK(again.parameter("b", "weights")[0] == 3.0f);
}

TEST_CASE("layers that do not fit say where and why") {
    const auto text = [](const std::string& layers, const std::string& shape = R"(["2"])") {
        return check::failure([&] { parse(network_text(layers, shape)); }).text;
    };
    const std::string place = R"(/neuralNetwork/layers/0 "l")";
    const auto inner = [&](const std::string& fields) { return text(layer_text(R"("innerProduct": {)" + fields + "}")); };

    CHECK(text(layer_text(R"("inerProduct": {})")) == place + R"(: unknown layer "inerProduct", did you mean "innerProduct"?)");
    CHECK(text(layer_text(R"("activation": {"relu": {}})")) == place + R"(: unknown layer "relu", did you mean "ReLU"?)");
    CHECK(text(layer_text(R"("activation": {})")) == "/neuralNetwork/layers/0/activation: one field wanted, none came");
    CHECK(text(layer_text(R"("activation": {"ReLU": {}, "tanh": {}})")) ==
          "/neuralNetwork/layers/0/activation: one field wanted, 2 came");
    CHECK(text(layer_text(R"("add": {}, "copy": {})")) == place + R"(: one layer type wanted, "add" and "copy" came)");
    CHECK(text(R"({"name": "l"})") == place + ": a layer type wanted, none came");
    CHECK(inner(R"("output_channels": 3)") ==
          R"(/neuralNetwork/layers/0/innerProduct: unknown field "output_channels", did you mean "outputChannels"?)");
    CHECK(inner(R"("outputChannels": "x")") ==
          R"(/neuralNetwork/layers/0/innerProduct/outputChannels: an integer of 64 bits wanted, "x" came)");
    CHECK(inner(R"("hasBias": 1)") == "/neuralNetwork/layers/0/innerProduct/hasBias: true or false wanted, 1 came");
    CHECK(inner(R"("inputChannels": 3, "outputChannels": 1)") ==
          place + " (innerProduct): 3 input channels declared, its input has 2 (shape [2])");
    CHECK(text(layer_text(R"("convolution": {"outputChannels": 1, "kernelSize": [3, 3, 3]})"), "[1, 8, 8]") ==
          "/neuralNetwork/layers/0/convolution/kernelSize: 2 elements wanted, 3 came");
    CHECK(text(layer_text(R"("convolution": {"kernelSize": [3, "x"]})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/convolution/kernelSize/1: an integer of 64 bits wanted, "x" came)");
    CHECK(text(layer_text(R"("convolution": {"valid": {}, "same": {}})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/convolution: "valid" and "same" exclude each other)");
    CHECK(text(layer_text(R"("reshapeStatic": {"targetShape": [1, 1, 1, 1, 1, 1, 1, 1, 1]})")) ==
          "/neuralNetwork/layers/0/reshapeStatic/targetShape: at most 8 numbers wanted, 9 came");
    CHECK(text(layer_text(R"("gelu": {"mode": "FAST"})")) ==
          "/neuralNetwork/layers/0/gelu/mode: EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION wanted, \"FAST\" came");
    CHECK(text(layer_text(R"("branch": {})"), R"(["1"])") ==
          "/neuralNetwork/layers/0/branch/ifBranch: a network wanted, none came");
    CHECK(text(layer_text(R"("loop": {})"), R"(["1"])") ==
          "/neuralNetwork/layers/0/loop/bodyNetwork: a network wanted, none came");
}

TEST_CASE("weights that do not fit say where and why") {
    const auto failed = [](const std::string& value, const std::string& more = "") {
        return check::failure([&] {
            parse(network_text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": )" + value + more + "}")));
        });
    };
    const std::string place = "/neuralNetwork/layers/0/innerProduct/weights";
    CHECK(failed(R"({"floatValue": [1]})").text == place + ": 2 numbers wanted (shape [1, 2]), 1 came");
    CHECK(failed("{}").text == place + ": 2 numbers wanted (shape [1, 2]), none came");
    CHECK(failed("null").text == place + ": 2 numbers wanted (shape [1, 2]), none came");
    CHECK(failed("[1, 2]").text == place + ": an object wanted, an array came");
    CHECK(failed(R"({"floatValue": [1, 2]})", R"(, "bias": {"floatValue": [3]})").text ==
          "/neuralNetwork/layers/0/innerProduct/bias: 0 numbers wanted, 1 came");
    CHECK(failed(R"({"floatValue": [1, "NaN"]})").text == place + ": number 1 is NaN");
    CHECK(failed(R"({"floatValue": ["-Infinity", 1]})").text == place + ": number 0 is -Infinity");
    CHECK(failed(R"({"float16Value": "AHwAAA=="})").text == place + ": number 0 is Infinity");
    CHECK(failed(R"({"floatValue": [1, 1e39]})").text ==
          place + "/floatValue/1: a number of 32 bits wanted, 1e+39 came");
    CHECK(failed(R"({"floatValue": [1, "x"]})").text == place + R"(/floatValue/1: a number wanted, "x" came)");
    CHECK(failed(R"({"float16Value": "AD4AwA"})").text == "nothing is thrown");
    CHECK(failed(R"({"float16Value": "AD4AwA=A"})").text == place + "/float16Value: base64 wanted");
    CHECK(failed(R"({"float16Value": "AD4A"})").text == place + "/float16Value: a multiple of 2 bytes wanted, 3 came");
    CHECK(failed(R"({"float16Value": "AD4="})").text == place + ": 2 numbers wanted (shape [1, 2]), 1 came");
    CHECK(failed(R"({"floatValue": [1, 2], "tensor": "t"})").text == place + R"(: "floatValue" and "tensor" exclude each other)");
    CHECK(failed(R"({"rawValue": "AA==", "quantization": {}})").is(errc::unsupported));
    CHECK(failed(R"({"rawValue": "AA=="})").text == place + "/rawValue: quantized weights are not supported");
    CHECK(failed(R"({"tensor": "t"})").text == place + R"(/tensor: tensor "t" needs a "weightsFile" in the model)");

    const float numbers[] = {1.5f, std::nanf("")};
    const tensor_entry entries[] = {{"t", "F32", {2, 1}, std::as_bytes(std::span(numbers))},
                                    {"n", "F32", {1, 2}, std::as_bytes(std::span(numbers))},
                                    {"i", "I32", {1, 2}, std::as_bytes(std::span(numbers))}};
    const auto file = safetensors::parse(to_safetensors(entries), "w");
    const auto tensor = [&](const std::string& name) {
        return check::failure([&] {
            json root = json::parse(network_text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": {"tensor": ")" + name + "\"}}")));
            root["weightsFile"] = "w";
            parse(root.dump(), &file);
        });
    };
    CHECK(tensor("u").text == place + R"(/tensor: no tensor "u" in the weights file)");
    CHECK(tensor("t").text == place + R"(/tensor: the shape [1, 2] wanted, tensor "t" has [2, 1])");
    CHECK(tensor("n").text == place + ": number 1 is NaN");
    CHECK(tensor("i").text.find("I32") != std::string::npos);
}

TEST_CASE("sizes that no file can hold are refused before memory is taken") {
    const auto text = [](const std::string& layers, const std::string& shape = R"(["2"])") {
        return check::failure([&] { parse(network_text(layers, shape)); }).text;
    };
    CHECK(text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": "1152921504606846976", "weights": )" +
                     weights(2) + "}")) ==
          R"(/neuralNetwork/layers/0 "l" (innerProduct): its weights would have the shape [1152921504606846976, 2])");
    CHECK(text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": "100000000000", "weights": )" +
                     weights(2) + "}")) ==
          "/neuralNetwork/layers/0/innerProduct/weights: 200000000000 numbers wanted (shape [100000000000, 2]), 2 came");
    CHECK(text(layer_text(R"("activation": {"ReLU": {}})"), R"(["4611686018427387904", "4611686018427387904"])") ==
          R"(input "x": extents from 0 up wanted, [4611686018427387904, 4611686018427387904] given)");
    CHECK(text(layer_text(R"("innerProduct": {"outputChannels": 18446744073709551615})")) ==
          "/neuralNetwork/layers/0/innerProduct/outputChannels: an integer of 64 bits wanted, 18446744073709551615 came");
    CHECK(text(layer_text(R"("pooling": {"kernelSize": ["9223372036854775807", 1], "valid": {}})"), "[1, 8, 8]").find("kernelSize") !=
          std::string::npos);
}

// A layer of a user.
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
