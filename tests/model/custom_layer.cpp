#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/custom_layer.hpp>

#include <bespoke/model/network_files.hpp>
#include <bespoke/model/update.hpp>
#include <bespoke/training/check_gradients.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using nlohmann::json;

namespace {

enum class way { straight, twice, negative };
constexpr std::array<std::string_view, 3> enumerators(way) { return {"STRAIGHT", "TWICE", "NEGATIVE"}; }

/// y = factor (w x + b) on vectors, with a field of every kind that a file can give.
struct dial {
    bool has_bias = true;
    std::int64_t whole = 1;
    std::int32_t small = 1;
    float real = 1;
    double number = 1;
    std::string_view label = "plain";
    way how = way::straight;

    static constexpr auto key = "custom", nested_key = "Dial";
    constexpr void fields(auto& field) {
        field("hasBias", has_bias);
        field("whole", whole);
        field("small", small);
        field("real", real);
        field("number", number);
        field("label", label);
        field("how", how);
    }

    template <class T>
    struct parameters {
        T weights, bias;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"weights", &parameters<T>::weights, initial::one},
                   parameter_field{"bias", &parameters<T>::bias}};

    constexpr outcome output_shape(const shape& x) const {
        if (label == "wrong") return value_fault("another label wanted");
        return x;
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const { return {x, has_bias ? x : absent}; }
    double factor() const {
        const double turn = how == way::twice ? 2 : how == way::negative ? -1 : 1;
        return turn * static_cast<double>(whole) * small * static_cast<double>(real) * number;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W&) const noexcept {
        using T = typename Y::value_type;
        for (extent i = 0; i < y.size(); ++i)
            y.data[i] = static_cast<T>(factor()) * (p.weights.data[i] * x.data[i] + (has_bias ? p.bias.data[i] : T(0)));
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W&) const noexcept {
        using T = typename Dx::value_type;
        for (extent i = 0; i < x.size(); ++i) {
            const T d = static_cast<T>(factor()) * dy.data[i];
            if (dx) dx.data[i] += d * p.weights.data[i];
            if (dp.weights) dp.weights.data[i] += d * x.data[i];
            if (dp.bias && has_bias) dp.bias.data[i] += d;
        }
    }
    friend bool operator==(const dial&, const dial&) = default;
};
/// Another one, without anything.
struct plus_one {
    static constexpr auto key = "custom", nested_key = "PlusOne";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const noexcept {
        return x + V(1);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(1);
    }
    [[maybe_unused]] friend bool operator==(const plus_one&, const plus_one&) = default;
};

std::string custom(const std::string& members) { return network_text(layer_text(R"("custom": {)" + members + "}")); }
std::string failed(const std::string& text) {
    return check::failure([&] { parse<core_layers, dial, plus_one>(text); }).text;
}

const std::string all_parameters = R"("parameters": {"hasBias": {"boolValue": true}, "whole": {"longValue": "3"},
    "small": {"intValue": -2}, "real": {"doubleValue": 0.5}, "number": {"doubleValue": 0.1},
    "label": {"stringValue": ""}, "how": {"stringValue": "TWICE"}})";

}  // namespace

TEST_CASE("custom: fields come from parameters, parameter arrays from weights") {
    const std::string text = custom(R"("className": "Dial", "description": "turns", )" + all_parameters +
                                    R"(, "weights": [{"floatValue": [1, 2]}, {"floatValue": [10, 20]}])");
    model m = parse<core_layers, dial, plus_one>(text);
    const auto& layer = *m.network().layers().nodes()[0]->as<dial>();
    CHECK(layer == dial{.whole = 3, .small = -2, .real = 0.5F, .number = 0.1, .label = "", .how = way::twice});
    const auto y = m.predict({{"x", tensor<float>{1, -1}}}).get<tensor<float>>("y");
    CHECK(y(0) == Approx(-0.6 * 11));
    CHECK(y(1) == Approx(-0.6 * 18));
    CHECK(json::parse(m.write("w").json) == json::parse(text));
    CHECK(m.parameter("l", "bias")[1] == 20);
}

TEST_CASE("custom: what a file leaves out keeps its default, and is written") {
    model m = parse<core_layers, dial>(custom(R"("className": "Dial", "weights": [{"floatValue": [1, 2]}],
        "parameters": {"hasBias": {"boolValue": false}, "number": {"intValue": 4}, "how": {"intValue": 2}})"));
    CHECK(*m.network().layers().nodes()[0]->as<dial>() == dial{.has_bias = false, .number = 4, .how = way::negative});
    const json written = json::parse(m.write("w").json)["neuralNetwork"]["layers"][0]["custom"];
    CHECK(written == json::parse(R"({"className": "Dial", "weights": [{"floatValue": [1, 2]}], "parameters": {
        "hasBias": {"boolValue": false}, "whole": {"longValue": "1"}, "small": {"intValue": 1},
        "real": {"doubleValue": 1},
        "number": {"doubleValue": 4}, "label": {"stringValue": "plain"}, "how": {"stringValue": "NEGATIVE"}}})"));
    const std::string bare = custom(R"("className": "PlusOne")");
    model other = parse<core_layers, dial, plus_one>(bare);
    CHECK((other.predict({{"x", tensor<float>{1, 2}}}).get<tensor<float>>("y") == tensor<float>{2, 3}));
    CHECK(json::parse(other.write("w").json) == json::parse(bare));
}

TEST_CASE("custom: what does not fit says where and why") {
    const std::string at = R"(/neuralNetwork/layers/0)", place = at + R"( "l")";
    const std::string weights = R"("weights": [{"floatValue": [1, 2]}, {"floatValue": [3, 4]}], )";
    CHECK(failed(custom("")) == at + "/custom/className: the name of a layer wanted, none came");
    CHECK(failed(custom(R"("className": "Diall")")) ==
          place + R"(: unknown custom layer "Diall", did you mean "Dial"?)");
    CHECK(failed(custom(R"("className": "com.example.Spin")")) ==
          place + R"(: unknown custom layer "com.example.Spin", pass its type: load<core_layers, its_type>(path))");
    const check::failure alone([] { parse(custom(R"("className": "Dial")")); });
    CHECK(alone.is(errc::unknown_layer));
    CHECK(alone.text == place + R"(: unknown custom layer "Dial", pass its type: load<core_layers, its_type>(path))");

    const auto parameters = [&](const std::string& inside) {
        return failed(custom(R"("className": "Dial", )" + weights + R"("parameters": {)" + inside + "}"));
    };
    CHECK(parameters("") == "nothing is thrown");
    CHECK(parameters(R"("hole": {"intValue": 1})") ==
          at + R"(/custom/parameters: unknown field "hole", did you mean "whole"?)");
    CHECK(parameters(R"("whole": {})") == at + "/custom/parameters/whole: a value wanted, none came");
    CHECK(parameters(R"("whole": {"intValue": 1, "longValue": 2})") ==
          at + R"(/custom/parameters/whole: "intValue" and "longValue" exclude each other)");
    CHECK(parameters(R"("whole": {"doubleValue": 1.5})") ==
          at + "/custom/parameters/whole/doubleValue: an integer of 64 bits wanted, 1.5 came");
    CHECK(parameters(R"("real": {"stringValue": "much"})") ==
          at + R"(/custom/parameters/real/stringValue: a number wanted, "much" came)");
    CHECK(parameters(R"("small": {"longValue": 5000000000})") ==
          at + "/custom/parameters/small/longValue: an integer of 32 bits wanted, 5000000000 came");
    CHECK(parameters(R"("how": {"stringValue": "ROUND"})") ==
          at + R"(/custom/parameters/how/stringValue: STRAIGHT, TWICE or NEGATIVE wanted, "ROUND" came)");
    CHECK(parameters(R"("label": {"stringValue": "wrong"})") == place + " (custom.Dial): another label wanted");
    CHECK(parameters(R"("hasBias": {"boolValue": false})") ==
          at + "/custom/weights/1: 0 numbers wanted, 2 came (layer \"l\")");

    CHECK(failed(custom(R"("className": "Dial", "weights": [{"floatValue": [1, 2]}])")) ==
          at + "/custom/weights/1: 2 numbers wanted (shape [2]), none came (layer \"l\")");
    CHECK(failed(custom(R"("className": "Dial", "weights": [{}, {}, {}])")) ==
          at + "/custom/weights: at most 2 elements wanted, 3 came");
    CHECK(failed(custom(R"("className": "Dial", "turns": 3)")) == at + R"(/custom: unknown field "turns")");
}

namespace {
inline constexpr auto own = compose(input{"x", {3}}, inner_product{.output_channels = 2} | named("in"),
                                    dial{.real = 0.5F, .label = "d"} | named("y") | updatable, plus_one{} | named("z"));
}  // namespace

TEST_CASE("custom: in both doors, with the same bits") {
    network<own> net(3);
    const auto path = std::filesystem::temp_directory_path() / "bespoke_custom_layer.json";
    net.save(path);
    model m = load<core_layers, dial, plus_one>(path);
    const tensor<float> x{1, -2, 3};
    const auto a = net(x);
    CHECK((m.predict({{"x", x}}).get<tensor<float>>("z") == tensor<float>(a)));
    network<own> again(4);
    again.load(path);
    CHECK((tensor<float>(again(x)) == tensor<float>(a)));
    const json root = json::parse(m.write("w").json);
    CHECK(root["neuralNetwork"]["layers"][1]["custom"]["className"] == "Dial");
    CHECK(root["neuralNetwork"]["layers"][2]["custom"] == json::parse(R"({"className": "PlusOne"})"));
    std::filesystem::remove(path);
}

TEST_CASE("custom: its gradient is checked as that of any layer, and it learns") {
    CHECK(check_gradients(dial{.real = 0.5F, .how = way::twice}, {{5}}));
    CHECK(check_gradients(dial{.has_bias = false, .number = -3}, {{4}}));

    const std::string text = R"({"specificationVersion": 4, "isUpdatable": true, "description": {"input": [)" +
                             check::array("x", R"(["2"])") + R"(], "output": [)" + check::array("y", R"(["2"])") +
                             R"(], "trainingInput": [)" + check::array("x", R"(["2"])") + ", " +
                             check::array("want", R"(["2"])") + R"(]}, "neuralNetwork": {
        "arrayInputShapeMapping": "EXACT_ARRAY_MAPPING", "layers": [{"name": "l", "input": ["x"], "output": ["y"],
            "isUpdatable": true, "custom": {"className": "Dial",
                "weights": [{"floatValue": [1, 1], "isUpdatable": true},
            {"floatValue": [0, 0], "isUpdatable": true}]}}],
        "updateParams": {
            "lossLayers": [{"name": "loss", "meanSquaredErrorLossLayer": {"input": "y", "target": "want"}}],
            "optimizer": {"adamOptimizer": {
                "learningRate": {"defaultValue": 0.05}, "miniBatchSize": {"defaultValue": "4"},
                "beta1": {"defaultValue": 0.9}, "beta2": {"defaultValue": 0.999}, "eps": {"defaultValue": 1e-8}}},
            "epochs": {"defaultValue": "300"}}}})";
    model m = parse<core_layers, dial>(text);
    std::vector<features> examples;
    for (int i = 0; i < 8; ++i) {
        const float a = static_cast<float>(i % 3) - 1, b = static_cast<float>(i % 4) - 2;
        examples.push_back({{"x", tensor<float>{a, b}}, {"want", tensor<float>{3 * a + 1, -b}}});
    }
    model learned = update(m, examples);
    CHECK(learned.parameter("l", "weights")[0] == Approx(3).margin(0.01));
    CHECK(learned.parameter("l", "weights")[1] == Approx(-1).margin(0.01));
    CHECK(learned.parameter("l", "bias")[0] == Approx(1).margin(0.01));
    // and goes to a document and back
    model read = parse<core_layers, dial>(learned.write("").json);
    const tensor<float> x{2, 5};
    CHECK((read.predict({{"x", x}}).get<tensor<float>>("y") == learned.predict({{"x", x}}).get<tensor<float>>("y")));
}
