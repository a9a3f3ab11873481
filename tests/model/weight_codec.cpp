#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>
#include <bespoke/network/network.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>
#include <numeric>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using check::weights;
namespace {
constexpr auto lstm_alone = compose(
    input{"x", {3, 1}},
    uni_directional_lstm{.output_vector_size = 1, .params = {.has_bias_vectors = false}} | named("l"));
}  // namespace
using nlohmann::json;

TEST_CASE("weights in each of their places") {
    const auto with = [](const std::string& value) {
        return network_text(
            layer_text(R"("innerProduct": {"inputChannels": "2", "outputChannels": "1", "weights": )" + value + "}"));
    };
    for (const char* value : {R"({"floatValue": [1.5, -2]})", R"({"float16Value": "AD4AwA=="})",
                              R"({"bespoke": {"float32Value": "AADAPwAAAMA="}})"}) {
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
    json written = json::parse(content.json);
    CHECK(written["weightsId"].get<std::string>().size() == 16);
    root["weightsId"] = written["weightsId"];
    CHECK(written == root);
    const auto again = safetensors::parse(content.weights, "w");
    CHECK(again.metadata().at("k") == "v");
    REQUIRE(again.find("some.name") != nullptr);
    CHECK(to_floats(*again.find("some.name")) == std::vector<float>{1.5f, -2.0f});
}

TEST_CASE("two layers that name one tensor part when they differ") {
    const float numbers[] = {1.5f, -2.0f};
    const tensor_entry entry{"t", "F32", {1, 2}, std::as_bytes(std::span(numbers))};
    const auto file = safetensors::parse(to_safetensors(std::span(&entry, 1)), "w");
    const std::string fields =
        R"("innerProduct": {"inputChannels": "2", "outputChannels": "1", "weights": {"tensor": "t"}})";
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

TEST_CASE("constants may be infinite, as those of masks are") {
    const float infinity = std::numeric_limits<float>::infinity();
    const auto text = [](const std::string& values, const std::string& type = "loadConstantND") {
        return network_text(R"({"name": "k", "output": ["k"], ")" + type + R"(": {"shape": [1, 1, 2], "data": )" +
                            values +
                            R"(}}, {"name": "l", "input": ["x", "k"], "output": ["y"], "addBroadcastable": {}})");
    };
    for (const std::string values : {R"({"floatValue": ["-Infinity", 1]})", R"({"float16Value": "APwAPA=="})",
                                     R"({"bespoke": {"float32Value": "AACA/wAAgD8="}})"})
        for (const std::string type : {"loadConstant", "loadConstantND"}) {
            CAPTURE(values, type);
            model m = parse(text(values, type));
            const auto y = m.predict({{"x", tensor<float>{2, 3}}}).get<tensor<float>>("y");
            CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{-infinity, 4});
            const json written = json::parse(m.write("w").json)["neuralNetwork"]["layers"][0][type]["data"];
            CHECK(written == json::parse(values));
        }
    CHECK(check::failure([&] { parse(text(R"({"floatValue": ["NaN", 1]})")); }).text ==
          "/neuralNetwork/layers/0/loadConstantND/data: number 0 is NaN (layer \"k\")");
}

TEST_CASE("a bias that its layer does without is not looked at, and not kept") {
    const auto text = [](const std::string& bias) {
        return network_text(layer_text(
            R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": {"floatValue": [1, 2]})" + bias +
            "}"));
    };
    for (const char* bias : {R"({"floatValue": [3]})", R"({"floatValue": [3, 4, 5]})", R"({"float16Value": "AD4A"})",
                             R"({"tensor": "nowhere"})"}) {
        model m = parse(text(R"(, "hasBias": false, "bias": )" + std::string(bias)));
        CHECK(m.predict({{"x", tensor<float>{1, 1}}}).get<tensor<float>>("y")(0) == 3);
        CHECK_FALSE(json::parse(m.write("w").json)["neuralNetwork"]["layers"][0]["innerProduct"].contains("bias"));
    }
    CHECK(check::failure([&] { parse(text(R"(, "hasBias": true, "bias": {"floatValue": [3, 4]})")); }).text ==
          "/neuralNetwork/layers/0/innerProduct/bias: 1 number wanted (shape [1]), 2 came (layer \"l\")");
}

TEST_CASE("weights that do not fit say where and why") {
    const auto failed = [](const std::string& value, const std::string& more = "") {
        return check::failure([&] {
            parse(network_text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": )" +
                                          value + more + "}")));
        });
    };
    const std::string place = "/neuralNetwork/layers/0/innerProduct/weights";
    CHECK(failed(R"({"floatValue": [1]})").text == place + ": 2 numbers wanted (shape [1, 2]), 1 came (layer \"l\")");
    CHECK(failed("{}").text == place + ": 2 numbers wanted (shape [1, 2]), none came (layer \"l\")");
    CHECK(failed("null").text == place + ": 2 numbers wanted (shape [1, 2]), none came (layer \"l\")");
    CHECK(failed("[1, 2]").text == place + ": an object wanted, an array came");
    CHECK(failed(R"({"floatValue": [1, "NaN"]})").text == place + ": number 1 is NaN (layer \"l\")");
    CHECK(failed(R"({"floatValue": ["-Infinity", 1]})").text == place + ": number 0 is -Infinity (layer \"l\")");
    CHECK(failed(R"({"float16Value": "AHwAAA=="})").text == place + ": number 0 is Infinity (layer \"l\")");
    CHECK(failed(R"({"floatValue": [1, 1e39]})").text ==
          place + "/floatValue/1: a number of 32 bits wanted, 1e+39 came (layer \"l\")");
    CHECK(failed(R"({"floatValue": [1, "x"]})").text ==
          place + R"(/floatValue/1: a number wanted, "x" came (layer "l"))");
    CHECK(failed(R"({"float16Value": "AD4AwA"})").text == "nothing is thrown");
    CHECK(failed(R"({"float16Value": "AD4AwA=A"})").text == place + "/float16Value: base64 wanted (layer \"l\")");
    CHECK(failed(R"({"float16Value": "AD4A"})").text ==
          place + "/float16Value: a multiple of 2 bytes wanted, 3 came (layer \"l\")");
    CHECK(failed(R"({"float16Value": "AD4="})").text ==
          place + ": 2 numbers wanted (shape [1, 2]), 1 came (layer \"l\")");
    CHECK(failed(R"({"floatValue": {"0": 1}})").text ==
          place + "/floatValue: an array wanted, an object came (layer \"l\")");
    CHECK(failed(R"({"floatValue": "AACAPwAAAEA="})").text ==
          place + R"(/floatValue: an array wanted, "AACAPwAAAEA=" came (layer "l"))");
    CHECK(failed(R"({"floatValue": [1, 2], "tensor": "t"})").text ==
          place + R"(: "floatValue" and "tensor" exclude each other (layer "l"))");
    CHECK(failed(R"({"rawValue": "AA==", "quantization": {}})").text ==
          place + "/quantization/numberOfBits: 1 to 8 wanted, 0 came (layer \"l\")");
    CHECK(failed(R"({"quantization": {}})").text ==
          place + ": 2 numbers wanted (shape [1, 2]), none came (layer \"l\")");
    CHECK(failed(R"({"tensor": "t"})").text ==
          place + R"(/tensor: tensor "t" needs a "weightsFile" in the model (layer "l"))");

    const float numbers[] = {1.5f, std::nanf("")};
    const tensor_entry entries[] = {{"t", "F32", {2, 1}, std::as_bytes(std::span(numbers))},
                                    {"n", "F32", {1, 2}, std::as_bytes(std::span(numbers))},
                                    {"i", "I32", {1, 2}, std::as_bytes(std::span(numbers))}};
    const auto file = safetensors::parse(to_safetensors(entries), "w");
    const auto tensor = [&](const std::string& name) {
        return check::failure([&] {
            json root = json::parse(network_text(
                layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": 1, "weights": {"tensor": ")" +
                           name + "\"}}")));
            root["weightsFile"] = "w";
            parse(root.dump(), &file);
        });
    };
    CHECK(tensor("u").text == place + R"(/tensor: no tensor "u" in the weights file (layer "l"))");
    CHECK(tensor("t").text == place + R"(/tensor: the shape [1, 2] wanted, tensor "t" has [2, 1] (layer "l"))");
    CHECK(tensor("n").text == place + ": number 1 is NaN (layer \"l\")");
    CHECK(tensor("i").text ==
          place + R"(/tensor: F32, F64, F16 or BF16 wanted, tensor "i" has the dtype I32 (layer "l"))");
}

TEST_CASE("sizes that no file can hold are refused before memory is taken") {
    const auto text = [](const std::string& layers, const std::string& shape = R"(["2"])") {
        return check::failure([&] { parse(network_text(layers, shape)); }).text;
    };
    CHECK(
        text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": "1152921504606846976", "weights": )" +
                        weights(2) + "}")) ==
        R"(/neuralNetwork/layers/0 "l" (innerProduct): its weights would have the shape [1152921504606846976, 2])");
    CHECK(
        text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": "100000000000", "weights": )" +
                        weights(2) + "}")) ==
        "/neuralNetwork/layers/0/innerProduct/weights: 200000000000 numbers wanted (shape [100000000000, 2]), 2 came "
        "(layer \"l\")");
    CHECK(text(layer_text(R"("activation": {"ReLU": {}})"), R"(["4611686018427387904", "4611686018427387904"])") ==
          R"(input "x": extents from 0 up wanted, [4611686018427387904, 4611686018427387904] given)");
    CHECK(
        text(layer_text(R"("innerProduct": {"outputChannels": 18446744073709551615})")) ==
        "/neuralNetwork/layers/0/innerProduct/outputChannels: an integer of 64 bits wanted, 18446744073709551615 came");
    CHECK(text(layer_text(R"("pooling": {"kernelSize": ["9223372036854775807", 1], "valid": {}})"), "[1, 8, 8]")
              .find("kernelSize") != std::string::npos);
}


namespace {

std::string lstm_text(const std::string& weight_params) {
    return network_text(layer_text(R"("uniDirectionalLSTM": {"inputVectorSize": 1, "outputVectorSize": 1, "params": {},
                                      "weightParams": )" + weight_params + "}"), R"(["3", "1"])");
}
/// The matrices of one LSTM with one input and one output, all w.
std::string lstm_matrices(const std::string& w) {
    std::string text;
    for (const char* kind : {"WeightMatrix", "RecursionMatrix"})
        for (const char* gate : {"inputGate", "forgetGate", "blockInput", "outputGate"})
            text += std::string(text.empty() ? "\"" : ", \"") + gate + kind + R"(": {"floatValue": [)" + w + "]}";
    return text;
}

}  // namespace

TEST_CASE("weights in messages inside a layer") {
    model m = parse(lstm_text("{" + lstm_matrices("0.5") + "}"));
    CHECK(m.parameter("l", "weightParams.blockInputRecursionMatrix")[0] == 0.5f);
    network<lstm_alone> composed;
    for (std::size_t i = 0; i < 8; ++i) composed.core().parameter(i)[0] = 0.5f;
    composed.core().prepare();
    tensor<float> x = tensor<float>::from_shape({3, 1});
    std::iota(x.begin(), x.end(), -1.0f);
    const auto y = composed(x);
    const auto loaded = m.predict({{"x", x}}).get<tensor<float>>("y");
    CHECK(loaded(0, 0) == y(0, 0));
    CHECK(y(0, 0) != 0.0f);

    const auto failed = [](const std::string& weight_params) {
        return check::failure([&] { parse(lstm_text(weight_params)); }).text;
    };
    const std::string place = "/neuralNetwork/layers/0/uniDirectionalLSTM/weightParams";
    CHECK(failed("{}") == place + "/inputGateWeightMatrix: 1 number wanted (shape [1, 1]), none came (layer \"l\")");
    CHECK(failed("null") == place + "/inputGateWeightMatrix: 1 number wanted (shape [1, 1]), none came (layer \"l\")");
    CHECK(failed("[]") == place + ": an object wanted, an array came");
    CHECK(failed("{" + lstm_matrices("1, 2") + "}") ==
          place + "/inputGateWeightMatrix: 1 number wanted (shape [1, 1]), 2 came (layer \"l\")");
    CHECK(failed("{" + lstm_matrices("1") + R"(, "outputGateBias": {}})").starts_with(
        place + R"(: unknown field "outputGateBias")"));
    CHECK(failed("{" + lstm_matrices("1") + R"(, "outputGatePeepholeVector": {"floatValue": [1]}})") ==
          place + "/outputGatePeepholeVector: 0 numbers wanted, 1 came (layer \"l\")");
    CHECK(failed("{" + lstm_matrices("1") + R"(, "outputGateBiasVector": {"floatValue": [1]}})") ==
          "nothing is thrown");

    const auto both = [](const std::string& weight_params) {
        return network_text(
            layer_text(R"("biDirectionalLSTM": {"inputVectorSize": 1, "outputVectorSize": 1, "params": {},
                                          "weightParams": )" +
                       weight_params + "}"),
            R"(["3", "1"])");
    };
    const auto one = [](const std::string& w) { return "{" + lstm_matrices(w) + "}"; };
    model two = parse(both("[" + one("2") + ", " + one("3") + "]"));
    CHECK(two.parameter("l", "weightParams.0.outputGateWeightMatrix")[0] == 2.0f);
    CHECK(two.parameter("l", "weightParams.1.outputGateWeightMatrix")[0] == 3.0f);
    const std::string there = "/neuralNetwork/layers/0/biDirectionalLSTM/weightParams";
    const auto failure_of = [&](const std::string& w) { return check::failure([&] { parse(both(w)); }).text; };
    CHECK(failure_of("[" + one("2") + "]") == there + ": 2 elements wanted, 1 came");
    CHECK(failure_of("[" + one("2") + ", " + one("2") + ", {}]") == there + ": 2 elements wanted, 3 came");
    CHECK(failure_of("[]") ==
          there + "/0/inputGateWeightMatrix: 1 number wanted (shape [1, 1]), none came (layer \"l\")");
    CHECK(check::failure([&] {
              parse(
                  network_text(layer_text(R"("gru": {"activations": [{"ELU": {}}, {"tanh": {}}]})"), R"(["3", "1"])"));
          }).text.starts_with(R"(/neuralNetwork/layers/0/gru/activations/0: unknown field "ELU")"));
}
