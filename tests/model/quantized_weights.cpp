#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>
#include <bespoke/model/update.hpp>

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

TEST_CASE("a number stands for the same float however the program is compiled") {
    // 0.1f q - 0.3f in double and rounded then, by Python; with 3, product and sum rounded to floats would give 0
    CHECK(weights_of(product(2, 2, R"({"rawValue": "AQMF+w==", "quantization": {"numberOfBits": 8,
              "linearQuantization": {"scale": [0.1], "bias": [-0.3]}}})")) ==
          std::vector<float>{-0.20000001788139343f, -7.450580596923828e-09f, 0.19999998807907104f, 24.80000114440918f});
}

namespace {

/// The weights of layer 0 in the document of a model.
json written_weights(const model& m) {
    const auto content = m.write("w");
    CHECK(content.weights.empty());
    return json::parse(content.json)["neuralNetwork"]["layers"][0]["innerProduct"]["weights"];
}

}  // namespace

TEST_CASE("they are written as they came") {
    const auto same = [](int inputs, int outputs, const char* values) {
        CAPTURE(values);
        const model m = parse(product(inputs, outputs, values));
        const json wanted = json::parse(values);
        CHECK(written_weights(m) == wanted);
        CHECK(written_weights(parse(m.write("w").json)) == wanted);
        CHECK(written_weights(model(m)) == wanted);
    };
    same(2, 2, R"({"rawValue": "AQL/gA==", "isUpdatable": true, "quantization": {"numberOfBits": "8",
                   "linearQuantization": {"scale": [0.1], "bias": [-0.3]}}})");
    same(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": "8",
                   "linearQuantization": {"scale": [0.1, -3], "bias": [7]}}})");
    same(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": "8",
                   "linearQuantization": {"scale": [0.1], "bias": [7, 1e-30]}}})");
    same(2, 2, R"({"rawValue": "AQL/gA==", "quantization": {"numberOfBits": "8",
                   "linearQuantization": {"scale": [0.1]}}})");
    same(2, 2, R"({"int8RawValue": "AQL/gA==", "quantization": {"numberOfBits": "8",
                   "linearQuantization": {"scale": [0.1]}}})");
    same(3, 2, R"({"rawValue": "L4WA", "quantization": {"numberOfBits": "3",
                   "linearQuantization": {"scale": [0.1, 0.7], "bias": [1, 2]}}})");
    same(5, 2, R"({"rawValue": "8oA=", "quantization": {"numberOfBits": "1",
                   "linearQuantization": {"scale": [2], "bias": [-1]}}})");
    same(4, 1, R"({"rawValue": "Gw==", "quantization": {"numberOfBits": "2",
                   "lookupTableQuantization": {"floatValue": [10, -20, 30.5, -0.0]}}})");
    same(2, 2, R"({"float16Value": "AD4AwAAAAIA="})");
}

TEST_CASE("every number of bits, in rows that do not end with a byte") {
    for (int bits = 1; bits <= 8; ++bits)
        for (const bool in_table : {false, true}) {
            CAPTURE(bits, in_table);
            const int most = (1 << bits) - 1;
            const auto number = [&](int i) { return i * 37 % (most + 1); };
            json quantized{{"numberOfBits", std::to_string(bits)}};
            if (in_table)
                for (int q = 0; q <= most; ++q)
                    quantized["lookupTableQuantization"]["floatValue"].push_back(q * q - 100.5);
            else
                quantized["linearQuantization"] = {{"scale", {0.25, 5.0, -0.125}}, {"bias", {0.0, -1.0, 2.0}}};
            std::string digits;
            for (int i = 0; i < 21; ++i)
                for (int bit = bits - 1; bit >= 0; --bit) digits += (number(i) >> bit & 1) != 0 ? '1' : '0';
            while (digits.size() % 8 != 0) digits += '0';
            std::vector<std::byte> bytes;
            for (std::size_t at = 0; at < digits.size(); at += 8)
                bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(at, 8), nullptr, 2)));
            const json values{{"rawValue", encode_base64(bytes)}, {"quantization", quantized}};
            model m = parse(product(7, 3, values.dump()));
            for (int i = 0; i < 21; ++i) {
                const double q = number(i), scale[] = {0.25, 5, -0.125}, bias[] = {0, -1, 2};
                const double wanted = in_table ? q * q - 100.5 : q * scale[i / 7] + bias[i / 7];  // all are floats
                CHECK(m.parameter("l", "weights")[static_cast<std::size_t>(i)] == static_cast<float>(wanted));
            }
            CHECK(written_weights(m) == values);
        }
}

TEST_CASE("a file of quantized weights stays as small as it was") {
    const std::vector<std::byte> bytes(128 * 64, std::byte{77});
    const json values{{"rawValue", encode_base64(bytes)},
                      {"quantization", {{"numberOfBits", "8"}, {"linearQuantization", {{"scale", {0.5}}}}}}};
    const std::string text = product(128, 64, values.dump());
    const auto content = parse(text).write("w");
    CHECK(content.weights.empty());
    CHECK(content.json.size() < text.size() + 1000);
}

TEST_CASE("changed weights are written as numbers while they are floats of numbers") {
    model m = parse(product(2, 1, R"({"rawValue": "AQI=", "isUpdatable": true, "quantization": {"numberOfBits": 8,
        "linearQuantization": {"scale": [0.5]}}})"));
    m.parameter("l", "weights")[1] = 127.5f;  // of 255
    CHECK(written_weights(m) == json::parse(R"({"rawValue": "Af8=", "isUpdatable": true, "quantization":
        {"numberOfBits": "8", "linearQuantization": {"scale": [0.5]}}})"));
    for (const float other : {128.0f, 0.25f, -0.5f, -0.0f}) {
        CAPTURE(other);
        m.parameter("l", "weights")[1] = other;
        CHECK(written_weights(m) == json({{"floatValue", {0.5f, other}}, {"isUpdatable", true}}));
    }
    m.parameter("l", "weights")[1] = 1;
    CHECK(written_weights(m).contains("rawValue"));
    CHECK(written_weights(parse(product(2, 1, R"({"floatValue": [0.5, 1]})"))).contains("floatValue"));
}

TEST_CASE("of several numbers for one float the least is written") {
    const model m = parse(product(4, 1, R"({"rawValue": "Gw==", "quantization": {"numberOfBits": 2,
        "lookupTableQuantization": {"floatValue": [3, 5, 5, 3]}}})"));
    CHECK(written_weights(m)["rawValue"] == "FA==");  // 0 1 1 0
    CHECK(weights_of(m.write("w").json) == std::vector<float>{3, 5, 5, 3});
}

TEST_CASE("a layer that learned has floats, another what it had") {
    const auto layer = [](const std::string& name, const std::string& from, bool learns) {
        json l{{"name", name}, {"input", json::array({from})}, {"output", json::array({name})}};
        l["innerProduct"] =
            json::parse(R"({"inputChannels": "2", "outputChannels": "2", "weights": {"rawValue": "AQL/gA==",
            "quantization": {"numberOfBits": "8", "linearQuantization": {"scale": [0.01, 0.02]}}}})");
        if (learns) l["isUpdatable"] = l["innerProduct"]["weights"]["isUpdatable"] = true;
        return l;
    };
    json root = json::parse(network_text(""));
    root["isUpdatable"] = true;
    root["description"]["trainingInput"] = root["description"]["input"];
    root["description"]["trainingInput"].push_back(
        json::parse(R"({"name": "t", "type": {"multiArrayType": {"shape": ["2"], "dataType": "FLOAT32"}}})"));
    json& network = root["neuralNetwork"];
    network["layers"] = {layer("a", "x", false), layer("y", "a", true)};
    network["updateParams"] = json::parse(R"({
        "lossLayers": [{"name": "loss", "meanSquaredErrorLossLayer": {"input": "y", "target": "t"}}],
        "optimizer": {"sgdOptimizer": {"learningRate": {"defaultValue": 0.1, "range": {"maxValue": 1}},
            "miniBatchSize": {"defaultValue": "1", "set": {"values": ["1"]}}}},
        "epochs": {"defaultValue": "1", "set": {"values": ["1"]}}})");
    const model m = parse(root.dump());
    CHECK(json::parse(m.write("w").json)["neuralNetwork"]["layers"] == network["layers"]);
    tensor<float> x = zeros<float>({2}), t = zeros<float>({2});
    x.fill(1);
    t.fill(3);
    const model learned = update(m, std::vector<features>{{{"x", x}, {"t", t}}});
    const json layers = json::parse(learned.write("w").json)["neuralNetwork"]["layers"];
    CHECK(layers[0] == network["layers"][0]);
    CHECK(layers[1]["innerProduct"]["weights"].contains("floatValue"));
    CHECK_FALSE(layers[1]["innerProduct"]["weights"].contains("quantization"));
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
          place + "/rawValue: 4 bytes wanted (shape [2, 2], 8 bits), 3 came (layer \"l\")");
    CHECK(failed(R"({"rawValue": "AQL/gAA=")" + linear) ==
          place + "/rawValue: 4 bytes wanted (shape [2, 2], 8 bits), 5 came (layer \"l\")");
    CHECK(failed(R"({"rawValue": "AQL/gA==", "int8RawValue": "AQL/gA==")" + linear) ==
          place + R"(: "rawValue" and "int8RawValue" exclude each other (layer "l"))");
    CHECK(failed(R"({"rawValue": "AQL/gA=="})") ==
          place + "/quantization/numberOfBits: 1 to 8 wanted, 0 came (layer \"l\")");
    const auto with = [&](const std::string& quantization, const std::string& kind = "rawValue") {
        return failed("{\"" + kind + R"(": "AQL/gA==", "quantization": )" + quantization + "}");
    };
    CHECK(with(R"({"numberOfBits": 9})") == place + "/quantization/numberOfBits: 1 to 8 wanted, 9 came (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8})") ==
          place + "/quantization: a linearQuantization or a lookupTableQuantization wanted (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {}})") ==
          place + "/quantization/linearQuantization/scale: 1 number or 2 wanted, 0 came (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": [1, 2], "bias": [1, 2, 3]}})") ==
          place + "/quantization/linearQuantization/bias: 1 number or 2 wanted, 3 came (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8, "lookupTableQuantization": {"floatValue": [1, 2]}})") ==
          place + "/quantization/lookupTableQuantization/floatValue: 256 numbers wanted, 2 came (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8, "lookupTableQuantization": {}})", "int8RawValue") ==
          place + "/quantization: a linearQuantization of 8 bits wanted (layer \"l\")");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": [1], "unit": 1}})") ==
          place + R"(/quantization/linearQuantization: unknown field "unit" (layer "l"))");
    CHECK(with(R"({"numberOfBits": 8, "linearQuantization": {"scale": ["Infinity"]}})") ==
          place + ": number 0 is Infinity (layer \"l\")");
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
          "wanted, 2 came (layer \"l\")");
}

TEST_CASE("a deconvolution has its scales and biases along the second axis of its weights") {
    // coremltools quantizes along axis 1 of [kernelChannels, outputChannels / nGroups, H, W]: two, three, one and two
    const json weights = json::parse(R"({"rawValue": "AAECAwQFBgcICQoL", "quantization": {"numberOfBits": "8",
        "linearQuantization": {"scale": [1, 10, 100], "bias": [0.5, 0, -1]}}})");
    json layer = json::parse(R"({"isDeconvolution": true, "kernelChannels": "2", "outputChannels": "3",
        "kernelSize": ["1", "2"], "valid": {}})");
    layer["weights"] = weights;
    model m = parse(network_text(layer_text("\"convolution\": " + layer.dump()), "[2, 1, 1]"));
    const auto values = m.parameter("l", "weights");
    CHECK(std::vector<float>(values.begin(), values.end()) ==
          std::vector<float>{0.5f, 1.5f, 20, 30, 399, 499, 6.5f, 7.5f, 80, 90, 999, 1099});
    const auto written = [&] {
        return json::parse(m.write("w").json)["neuralNetwork"]["layers"][0]["convolution"]["weights"];
    };
    CHECK(written() == weights);
    m.parameter("l", "weights")[2] = 25;
    CHECK(written().contains("floatValue"));
}

TEST_CASE("int8 has one scale and no bias") {
    const auto failed = [](const std::string& linear) {
        return check::failure([&] {
                   parse(product(2, 2, R"({"int8RawValue": "AQL/gA==", "quantization": {"numberOfBits": 8,
                       "linearQuantization": )" + linear + "}}"));
               })
            .text;
    };
    const std::string place = "/neuralNetwork/layers/0/innerProduct/weights/quantization/linearQuantization";
    CHECK(failed(R"({"scale": [1, 2]})") == place + "/scale: 1 number wanted, 2 came (layer \"l\")");
    CHECK(failed(R"({"scale": [1], "bias": [0]})") ==
          place + "/bias: no number wanted with int8RawValue, 1 came (layer \"l\")");
}
