#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using nlohmann::json;

namespace {

/// An inner product of so many inputs and outputs with these weights.
std::string product(int inputs, int outputs, const std::string& values) {
    return network_text(
        layer_text(R"("innerProduct": {"inputChannels": )" + std::to_string(inputs) +
                   R"(, "outputChannels": )" + std::to_string(outputs) + R"(, "weights": )" + values + "}"),
        "[" + std::to_string(inputs) + "]");
}
std::vector<float> weights_of(const std::string& text) {
    model m = parse(text);
    const auto values = m.parameter("l", "weights");
    return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("linear: one scale and bias, or one for each output channel") {
    // 0x01 0x02 0xff 0x80
    CHECK(weights_of(product(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": 8,
              "linearQuantization": {"scale": [0.5], "bias": [-1]}}})")) ==
          std::vector<float>{-0.5f, 0, 126.5f, 63});
    CHECK(weights_of(product(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": "8",
              "linearQuantization": {"scale": [1, 2], "bias": [0, 10]}}})")) ==
          std::vector<float>{1, 2, 520, 266});
    CHECK(weights_of(product(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": 8,
              "linearQuantization": {"scale": [1, 2]}}})")) == std::vector<float>{1, 2, 510, 256});
    // as int8: 1 2 -1 -128
    CHECK(weights_of(product(2, 2, R"({"int8RawValue": "AQL/gA==", "quantization": {"numberOfBits": 8,
              "linearQuantization": {"scale": [2]}}})")) == std::vector<float>{2, 4, -2, -256});
}

TEST_CASE("numbers of few bits follow one another from the highest bit on") {
    // 0x2f 0x85 0x80: 001 011 111 000 010 110, and what fills the last byte
    CHECK(weights_of(product(3, 2, R"({"rawValue": "L4WA", "quantization": {"numberOfBits": 3,
              "linearQuantization": {"scale": [1]}}})")) == std::vector<float>{1, 3, 7, 0, 2, 6});
    CHECK(weights_of(product(5, 2, R"({"rawValue": "8oA=", "quantization": {"numberOfBits": 1,
              "linearQuantization": {"scale": [1]}}})")) == std::vector<float>{1, 1, 1, 1, 0, 0, 1, 0, 1, 0});
    // 0x1b: 0 1 2 3
    CHECK(weights_of(product(4, 1, R"({"rawValue": "Gw==", "quantization": {"numberOfBits": 2,
              "lookupTableQuantization": {"floatValue": [10, -20, 30.5, 0]}}})")) ==
          std::vector<float>{10, -20, 30.5f, 0});
}

TEST_CASE("they are written as other weights are") {
    model m =
        parse(product(2, 1, R"({"rawValue": "AQI=", "isUpdatable": true, "quantization": {"numberOfBits": 8,
        "linearQuantization": {"scale": [0.5]}}})"));
    CHECK(json::parse(m.write("w").json)["neuralNetwork"]["layers"][0]["innerProduct"]["weights"] ==
          json::parse(R"({"floatValue": [0.5, 1], "isUpdatable": true})"));
}

TEST_CASE("a layer that learns its size from its weights") {
    const auto text = [](const std::string& alpha) {
        return network_text(layer_text(R"("activation": {"PReLU": {"alpha": )" + alpha + "}}"), "[2, 1, 1]");
    };
    model m = parse(text(
        R"({"rawValue": "AQI=", "quantization": {"numberOfBits": 8, "linearQuantization": {"scale": [1]}}})"));
    tensor<float> x = zeros<float>({2, 1, 1});
    x.fill(-1);
    const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
    CHECK(y(0, 0, 0) == -1);
    CHECK(y(1, 0, 0) == -2);
}

TEST_CASE("quantized weights that do not fit say where and why") {
    const auto failed = [](const std::string& values) {
        return check::failure([&] { parse(product(2, 2, values)); }).text;
    };
    const std::string place = "/neuralNetwork/layers/0/innerProduct/weights";
    const std::string linear =
        R"(, "quantization": {"numberOfBits": 8, "linearQuantization": {"scale": [1]}}})";
    CHECK(failed(R"({"rawValue": "AQL/")" + linear) ==
          place + "/rawValue: 4 bytes wanted (shape [2, 2], 8 bits), 3 came");
    CHECK(failed(R"({"rawValue": "AQL/gAA=")" + linear) ==
          place + "/rawValue: 4 bytes wanted (shape [2, 2], 8 bits), 5 came");
    CHECK(failed(R"({"rawValue": "AQL/gA==", "int8RawValue": "AQL/gA==")" + linear) ==
          place + R"(: "rawValue" and "int8RawValue" exclude each other)");
    CHECK(failed(R"({"rawValue": "AQL/gA=="})") ==
          place + "/quantization/numberOfBits: 1 to 8 wanted, 0 came");
    const auto with = [&](const std::string& quantization, const std::string& kind = "rawValue") {
        return failed("{\"" + kind + R"(": "AQL/gA==", "quantization": )" + quantization + "}");
    };
    CHECK(with(R"({"numberOfBits": 9})") == place + "/quantization/numberOfBits: 1 to 8 wanted, 9 came");
    CHECK(with(R"({"numberOfBits": 8})") ==
          place + "/quantization: a linearQuantization or a lookupTableQuantization wanted");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {}})") ==
          place + "/quantization/linearQuantization/scale: 1 number or 2 wanted, 0 came");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": [1, 2], "bias": [1, 2, 3]}})") ==
          place + "/quantization/linearQuantization/bias: 1 number or 2 wanted, 3 came");
    CHECK(with(R"({"numberOfBits": 8, "lookupTableQuantization": {"floatValue": [1, 2]}})") ==
          place + "/quantization/lookupTableQuantization/floatValue: 256 numbers wanted, 2 came");
    CHECK(with(R"({"numberOfBits": 8, "lookupTableQuantization": {}})", "int8RawValue") ==
          place + "/quantization: a linearQuantization of 8 bits wanted");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": [1], "unit": 1}})") ==
          place + R"(/quantization/linearQuantization: unknown field "unit")");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": ["Infinity"]}})") ==
          place + ": number 0 is Infinity");
}

TEST_CASE("the first axis of a deconvolution's weights is that of its inputs") {
    const auto text = [](const std::string& scale) {
        return network_text(
            layer_text(R"("convolution": {"isDeconvolution": true, "kernelChannels": 2, "outputChannels": 1,
            "kernelSize": [1, 1], "valid": {}, "weights": {"rawValue": "AQI=", "quantization": {"numberOfBits": 8,
            "linearQuantization": {"scale": )" +
                       scale + "}}}}"),
            "[2, 1, 1]");
    };
    model m = parse(text("[3]"));
    CHECK(m.parameter("l", "weights")[1] == 6);
    CHECK(check::failure([&] { parse(text("[3, 3]")); }).text ==
          "/neuralNetwork/layers/0/convolution/weights/quantization/linearQuantization/scale: 1 number "
          "wanted, 2 came");
}
