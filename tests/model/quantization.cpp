#include <bespoke/model/quantization.hpp>

#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>
#include <bespoke/model/update.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cmath>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using nlohmann::json;

namespace {

/// The bytes of numbers of `bits` bits by way of the text of all their bits.
std::vector<std::byte> packed_as_text(const std::vector<int>& numbers, int bits) {
    std::string text;
    for (int q : numbers)
        for (int bit = bits; bit-- > 0;) text += (q >> bit & 1) != 0 ? '1' : '0';
    while (text.size() % 8 != 0) text += '0';
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < text.size(); i += 8)
        bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 8), nullptr, 2)));
    return bytes;
}
std::string base64_of(const std::vector<int>& numbers, int bits) {
    return "\"" + encode_base64(packed_as_text(numbers, bits)) + "\"";
}
std::string linear_text(int bits, const std::string& scale, const std::string& bias) {
    return R"({"numberOfBits": ")" + std::to_string(bits) + R"(", "linearQuantization": {"scale": )" + scale +
           (bias.empty() ? "" : R"(, "bias": )" + bias) + "}}";
}
/// Weights of whole numbers.
std::string raw(const std::vector<int>& numbers, int bits, const std::string& how) {
    return R"({"rawValue": )" + base64_of(numbers, bits) + R"(, "quantization": )" + how + "}";
}
std::string product_text(const std::string& weights, const std::string& more = "") {
    return network_text(layer_text(R"("innerProduct": {"inputChannels": "3", "outputChannels": "2", "weights": )" +
                                   weights + more + "}"),
                        R"(["3"])");
}
std::vector<float> weights_of(model& m) {
    const auto values = m.parameter("l", "weights");
    return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("quantized weights of every number of bits, with one scale or one a channel") {
    for (int bits = 1; bits <= 8; ++bits) {
        CAPTURE(bits);
        const int most = (1 << bits) - 1;
        const std::vector<int> q{most, 0, most / 2, 1, most - most / 3, most};
        model one = parse(product_text(raw(q, bits, linear_text(bits, "[0.5]", "[-3]"))));
        model each = parse(product_text(raw(q, bits, linear_text(bits, "[0.5, 4]", "[-3, 7]"))));
        model mixed = parse(product_text(raw(q, bits, linear_text(bits, "[0.5, 4]", "[7]"))));
        model no_bias = parse(product_text(raw(q, bits, linear_text(bits, "[2]", ""))));
        std::string table;
        for (int i = 0; i <= most; ++i) table += (i == 0 ? "" : ", ") + std::to_string(i * i - 5);
        const std::string lookup = R"({"numberOfBits": ")" + std::to_string(bits) +
                                   R"(", "lookupTableQuantization": {"floatValue": [)" + table + "]}}";
        model looked_up = parse(product_text(raw(q, bits, lookup)));
        for (std::size_t i = 0; i < 6; ++i) {
            const float v = static_cast<float>(q[i]);
            CHECK(weights_of(one)[i] == v * 0.5f - 3.0f);
            CHECK(weights_of(each)[i] == (i < 3 ? v * 0.5f - 3.0f : v * 4.0f + 7.0f));
            CHECK(weights_of(mixed)[i] == (i < 3 ? v * 0.5f + 7.0f : v * 4.0f + 7.0f));
            CHECK(weights_of(no_bias)[i] == v * 2.0f);
            CHECK(weights_of(looked_up)[i] == v * v - 5.0f);
        }
        // the same document again
        for (const std::string& text : {product_text(raw(q, bits, linear_text(bits, "[0.5, 4]", "[-3, 7]"))),
                                        product_text(raw(q, bits, lookup))}) {
            const auto content = parse(text).write("w");
            CHECK(json::parse(content.json) == json::parse(text));
            CHECK(content.weights.empty());
        }
    }
}

TEST_CASE("quantized weights that were changed: in few bits where these stand for them, else as floats") {
    const std::string text = product_text(raw({1, 2, 3, 4, 5, 6}, 4, linear_text(4, "[0.5]", "[-3]")));
    model m = parse(text);
    m.parameter("l", "weights")[5] = 4.5f;  // q = 15
    CHECK(json::parse(m.write("w").json) ==
          json::parse(product_text(raw({1, 2, 3, 4, 5, 15}, 4, linear_text(4, "[0.5]", "[-3]")))));
    m.parameter("l", "weights")[5] = 5.0f;  // q = 16
    const auto content = m.write("w");
    CHECK(content.json.find("floatValue") != std::string::npos);
    model again = parse(content.json);
    CHECK(weights_of(again) == std::vector<float>{-2.5f, -2.0f, -1.5f, -1.0f, -0.5f, 5.0f});
}

TEST_CASE("quantized weights in layers whose output channels lie elsewhere") {
    const auto deconvolution = [](extent inputs, extent outputs, extent groups, const std::string& weights) {
        return network_text(layer_text(R"("convolution": {"outputChannels": )" + std::to_string(outputs) +
                                       R"(, "kernelChannels": )" + std::to_string(inputs) + R"(, "nGroups": )" +
                                       std::to_string(groups) + R"(, "kernelSize": [1, 1], "isDeconvolution": true,
                                       "valid": {}, "weights": )" +
                                       weights + "}"),
                            "[" + std::to_string(inputs) + ", 1, 1]");
    };
    // weights [inputs, outputs / groups]; the channels of group 1 follow those of group 0
    const auto four = raw({1, 1, 1, 1, 1, 1, 1, 1}, 8, linear_text(8, "[1, 2, 3, 4]", "[0]"));
    model grouped = parse(deconvolution(4, 4, 2, four));
    CHECK(weights_of(grouped) == std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4});
    model whole = parse(deconvolution(4, 2, 1, raw({1, 1, 1, 1, 1, 1, 1, 1}, 8, linear_text(8, "[1, 2]", "[0]"))));
    CHECK(weights_of(whole) == std::vector<float>{1, 2, 1, 2, 1, 2, 1, 2});
    CHECK(json::parse(grouped.write("w").json)["neuralNetwork"]["layers"][0]["convolution"]["weights"] ==
          json::parse(four));

    model embedded =
        parse(network_text(layer_text(R"("embeddingND": {"vocabSize": 3, "embeddingSize": 2, "weights": )" +
                                      raw({100, 20, 45, 127, 40, 1}, 7, linear_text(7, "[10, 2]", "[-2, -10]")) + "}"),
                           "[1]"));
    tensor<float> index = tensor<float>::from_shape({1});
    index(0) = 2;
    const auto y = embedded.predict({{"x", index}}).get<tensor<float>>("y");
    CHECK(y(0) == 448.0f);  // 45 x 10 - 2
    CHECK(y(1) == -8.0f);   // 1 x 2 - 10

    // alpha [3], and one alpha for all channels
    for (const char* alpha : {R"("AQID")", R"("Ag==")"}) {
        const std::string how = linear_text(8, "[0.5]", "[0]");
        model prelu = parse(network_text(layer_text(R"("activation": {"PReLU": {"alpha": {"rawValue": )" +
                                                    std::string(alpha) + R"(, "quantization": )" + how + "}}}"),
                                         "[3, 1, 1]"));
        CHECK(prelu.parameter("l", "alpha")[0] == (prelu.parameter("l", "alpha").size() == 3 ? 0.5f : 1.0f));
    }
}

TEST_CASE("int8DynamicQuantize") {
    const std::string how = linear_text(8, "[0.25]", "");
    const std::string weights = R"({"int8RawValue": )" + base64_of({-128 & 255, 127, 0, -1 & 255, 4, 8}, 8) +
                                R"(, "quantization": )" + how + "}";
    const std::string product =
        product_text(weights, R"(, "int8DynamicQuantize": true, "hasBias": true, "bias": {"floatValue": [1, 2]})");
    const std::string matmul = network_text(
        layer_text(
            R"("batchedMatmul": {"weightMatrixFirstDimension": "3", "weightMatrixSecondDimension": "2", "weights": )" +
            weights + R"(, "int8DynamicQuantize": true, "hasBias": true, "bias": {"floatValue": [1, 2]}})"),
        R"(["3"])");
    for (const std::string& text : {product, matmul}) {
        model m = parse(text);
        CHECK(weights_of(m) == std::vector<float>{-32, 31.75f, 0, -0.25f, 1, 2});
        tensor<float> x = tensor<float>::from_shape({3});
        x(0) = 0.001f, x(1) = 1000, x(2) = -2;
        const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
        CHECK(y(0) == Approx(31750.968));  // -0.032 + 31750 + 1
        CHECK(y(1) == Approx(997.99975));  // -0.00025 + 1000 - 4 + 2
        CHECK(json::parse(m.write("w").json) == json::parse(text));
        m.parameter("l", "weights")[0] = 0.1f;  // then they are floats, and the layer is the same
        model again = parse(m.write("w").json);
        CHECK(weights_of(again) == weights_of(m));
    }
}

TEST_CASE("quantized weights that do not fit say where and why") {
    const auto failed = [](const std::string& weights) {
        return check::failure([&] { parse(product_text(weights)); }).text;
    };
    const std::string place = "/neuralNetwork/layers/0/innerProduct/weights";
    const std::vector<int> six{1, 2, 3, 4, 5, 6};
    const std::string good = linear_text(3, "[1]", "[0]");
    CHECK(failed(raw(six, 3, good)) == "nothing is thrown");
    CHECK(failed(raw({1, 2}, 3, good)) == place + "/rawValue: 3 bytes wanted for the shape [2, 3] in 3 bits, 1 came");
    CHECK(failed(raw(six, 4, linear_text(1, "[1]", "[0]"))) ==
          place + "/rawValue: 1 byte wanted for the shape [2, 3] in 1 bit, 3 came");
    CHECK(failed(R"({"rawValue": "A", "quantization": )" + good + "}") == place + "/rawValue: base64 wanted");
    CHECK(failed(R"({"rawValue": "AAAA"})") == place + R"(/quantization: wanted beside "rawValue", none came)");
    CHECK(failed(R"({"int8RawValue": "AAAA"})") == place + R"(/quantization: wanted beside "int8RawValue", none came)");
    CHECK(failed(R"({"floatValue": [1, 2, 3, 4, 5, 6], "quantization": )" + good + "}") ==
          place + R"(/quantization: wanted only beside "rawValue" or "int8RawValue")");
    CHECK(failed(R"({"rawValue": "AAAA", "int8RawValue": "AAAA", "quantization": )" + good + "}") ==
          place + R"(: "rawValue" and "int8RawValue" exclude each other)");
    const auto with = [&](const std::string& how) { return failed(raw(six, 3, how)); };
    const std::string there = place + "/quantization";
    CHECK(with(linear_text(0, "[1]", "[0]")) == there + "/numberOfBits: 1 to 8 bits wanted, 0 came");
    CHECK(with(linear_text(9, "[1]", "[0]")) == there + "/numberOfBits: 1 to 8 bits wanted, 9 came");
    CHECK(with("{}") == there + "/numberOfBits: 1 to 8 bits wanted, 0 came");
    CHECK(with(R"({"numberOfBits": 3})") ==
          there + R"(: "linearQuantization" or "lookupTableQuantization" wanted, none came)");
    CHECK(with(R"({"numberOfBits": 3, "linearQuantization": {}, "lookupTableQuantization": {}})") ==
          there + R"(: "linearQuantization" and "lookupTableQuantization" exclude each other)");
    CHECK(with(linear_text(3, "[]", "[0]")) ==
          there + "/linearQuantization/scale: 1 number wanted, or 2 for the output channels, none came");
    CHECK(with(linear_text(3, "[1, 2, 3]", "[0]")) ==
          there + "/linearQuantization/scale: 1 number wanted, or 2 for the output channels, 3 came");
    CHECK(with(linear_text(3, "[1]", "[1, 2, 3]")) ==
          there + "/linearQuantization/bias: 1 number wanted, or 2 for the output channels, 3 came");
    CHECK(with(R"({"numberOfBits": 3, "lookupTableQuantization": {"floatValue": [1, 2]}})") ==
          there + "/lookupTableQuantization/floatValue: 8 numbers wanted for 3 bits, 2 came");
    CHECK(with(R"({"numberOfBits": 1, "lookupTableQuantization": {}})") ==
          there + "/lookupTableQuantization/floatValue: 2 numbers wanted for 1 bit, 0 came");
    CHECK(with(R"({"numberOfBits": 3, "linearQuantization": {"scale": [1], "offset": [1]}})") ==
          there + R"(/linearQuantization: unknown field "offset")");
    CHECK(with(linear_text(3, R"(["NaN", 1])", "[0]")) == place + ": number 0 is NaN");
    CHECK(with(linear_text(3, "[1, 3e38]", "[0]")) == place + ": number 3 is Infinity");

    const auto signed_with = [&](const std::string& how) {
        return failed(R"({"int8RawValue": )" + base64_of(six, 8) + R"(, "quantization": )" + how + "}");
    };
    CHECK(signed_with(linear_text(8, "[1]", "")) == "nothing is thrown");
    CHECK(signed_with(linear_text(7, "[1]", "")) ==
          there + R"(/numberOfBits: 8 bits wanted beside "int8RawValue", 7 came)");
    CHECK(signed_with(linear_text(8, "[1, 2]", "")) ==
          there + R"(/linearQuantization/scale: 1 number wanted beside "int8RawValue", 2 came)");
    CHECK(signed_with(linear_text(8, "[1]", "[0]")) ==
          there + R"(/linearQuantization/bias: no number wanted beside "int8RawValue", 1 came)");
    CHECK(signed_with(R"({"numberOfBits": 8, "lookupTableQuantization": {}})") ==
          there + R"(: "linearQuantization" wanted beside "int8RawValue", "lookupTableQuantization" came)");

    CHECK(check::failure([&] {
              parse(network_text(layer_text(R"("innerProduct": {"inputChannels": 2, "outputChannels": "100000000000",
                                               "weights": {"rawValue": "AA==", "quantization": )" +
                                            linear_text(8, "[1]", "[0]") + "}}")));
          }).text == place + "/rawValue: 200000000000 bytes wanted for the shape [100000000000, 2] in 8 bits, 1 came");
}

TEST_CASE("a layer with quantized weights does not learn") {
    json root = json::parse(check::classifier);
    auto& fc = root["neuralNetworkClassifier"]["layers"][0];
    fc["innerProduct"]["weights"] = json::parse(raw({1, 2, 3, 4, 5, 6}, 3, linear_text(3, "[1]", "[0]")));
    fc["innerProduct"]["weights"]["isUpdatable"] = true;
    const std::string reason =
        R"(layers/0 "fc" (innerProduct): it is updatable, but its weights are quantized: give them as floats)";
    const auto has = [&](const model& m) {
        bool found = false;
        for (const std::string& text : check_updatable(m)) found |= text.ends_with(reason);
        return found;
    };
    CHECK(has(parse(root.dump())));
    CHECK(!has(parse(check::classifier)));
}

TEST_CASE("quantize undoes dequantize, whatever the scale") {
    const shape dimensions{3, 5};
    for (float scale : {0.1f, -0.3f, 1e-9f, 1e30f, 0.0f, 1.1754944e-38f})
        for (float bias : {0.0f, 0.7f, -1e4f})
            for (bool is_signed : {false, true}) {
                CAPTURE(scale, bias, is_signed);
                const quantization how{8, is_signed, {scale, 2 * scale, 3 * scale}, {bias}};
                std::vector<int> q(15);
                for (int i = 0; i < 15; ++i) q[static_cast<std::size_t>(i)] = i == 14 ? 255 : i * 17;
                const channel_order order(dimensions, 0);
                std::vector<float> weights(15), again(15);
                dequantize(packed_as_text(q, 8), how, order, weights.data());
                const auto packed = quantize(weights.data(), how, order);
                REQUIRE(packed);
                dequantize(*packed, how, order, again.data());
                CHECK(again == weights);
            }
    const quantization ninths{2, false, {1.0f / 9}, {}};
    const channel_order order(shape{1, 1}, 0);
    for (float none : {0.5f, -1.0f / 9, std::nanf(""), 1e30f}) CHECK(!quantize(&none, ninths, order));
    const quantization table{1, false, {}, {}, {2.0f, 2.0f}};
    for (float none : {1.0f, 3.0f, std::nanf("")}) CHECK(!quantize(&none, table, order));
    const float two = 2.0f;
    CHECK(quantize(&two, table, order));
}

TEST_CASE("bytes of packed numbers, also of too many") {
    CHECK(packed_bytes({.bits = 3}, 6) == 3);
    CHECK(packed_bytes({.bits = 1}, 0) == 0);
    CHECK(packed_bytes({.bits = 1}, 8) == 1);
    CHECK(packed_bytes({.bits = 1}, 9) == 2);
    CHECK(packed_bytes({.bits = 8}, extent{1} << 61) == std::size_t{1} << 61);
}
