#include <bespoke/layers/activation.hpp>

#include <bespoke/model/field_table.hpp>
#include <bespoke/network/network.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(elu)
FLOAT_IN_IMPLEMENTATION(leaky_relu)
FLOAT_IN_IMPLEMENTATION(linear)
FLOAT_IN_IMPLEMENTATION(relu)
FLOAT_IN_IMPLEMENTATION(scaled_tanh)
FLOAT_IN_IMPLEMENTATION(sigmoid)
FLOAT_IN_IMPLEMENTATION(sigmoid_hard)
FLOAT_IN_IMPLEMENTATION(softplus)
FLOAT_IN_IMPLEMENTATION(softsign)
FLOAT_IN_IMPLEMENTATION(tanh)
FLOAT_IN_IMPLEMENTATION(thresholded_relu)
DOUBLE_IN_INSTANCES(relu)
DOUBLE_IN_INSTANCES(tanh)

using namespace bespoke;
using namespace layer_test;

namespace {
double d(float v) { return static_cast<double>(v); }
}  // namespace

TEST_CASE("activations: values, special values and gradients") {
    SECTION("linear") {
        check_layer(linear{.alpha = -1.5f, .beta = 0.25f}, [](double x) { return -1.5 * x + 0.25; });
    }
    SECTION("ReLU") {
        check_layer(relu{}, [](double x) { return x > 0 ? x : 0; }, {0});
    }
    SECTION("leakyReLU") {
        check_layer(leaky_relu{}, [](double x) { return x >= 0 ? x : d(0.01f) * x; }, {0});
        check_layer(leaky_relu{.alpha = -2}, [](double x) { return x >= 0 ? x : -2 * x; }, {0});
    }
    SECTION("thresholdedReLU") {
        check_layer(thresholded_relu{}, [](double x) { return x >= 1 ? x : 0; }, {1});
        check_layer(thresholded_relu{.alpha = -2}, [](double x) { return x >= -2 ? x : 0; }, {-2});
    }
    SECTION("tanh") {
        check_layer(bespoke::tanh{}, [](double x) { return std::tanh(x); });
    }
    SECTION("scaledTanh") {
        check_layer(scaled_tanh{}, [](double x) { return d(1.7159f) * std::tanh(d(2.0f / 3.0f) * x); });
        check_layer(scaled_tanh{.alpha = -2, .beta = 0.5f}, [](double x) { return -2 * std::tanh(0.5 * x); });
    }
    SECTION("scaledTanh with alpha = 0 has a gradient of 0") {
        require_gradients(scaled_tanh{.alpha = 0, .beta = 1}, {{5}});
    }
    SECTION("sigmoid") {
        check_layer(sigmoid{}, [](double x) { return 1 / (1 + std::exp(-x)); });
    }
    SECTION("sigmoidHard") {
        check_layer(sigmoid_hard{}, [](double x) { return std::clamp(d(0.2f) * x + 0.5, 0.0, 1.0); },
                    {-2.5, 2.5});
        check_layer(sigmoid_hard{.alpha = -1, .beta = 0}, [](double x) { return std::clamp(-x, 0.0, 1.0); },
                    {-1, 0});
    }
    SECTION("ELU") {
        check_layer(elu{}, [](double x) { return x >= 0 ? x : std::expm1(x); });
        check_layer(elu{.alpha = 0.3f}, [](double x) { return x >= 0 ? x : d(0.3f) * std::expm1(x); }, {0});
    }
    SECTION("softsign") {
        check_layer(softsign{},
                    [](double x) { return std::isinf(x) ? std::copysign(1, x) : x / (1 + std::abs(x)); });
    }
    SECTION("softplus") {
        check_layer(softplus{},
                    [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); });
    }
}

TEST_CASE("activations: the slope at a kink is that on its left") {
    REQUIRE(relu{}.derivative(0.0f, 0.0f) == 0);
    REQUIRE(leaky_relu{.alpha = 0.5f}.derivative(0.0f, 0.0f) == 0.5f);
    REQUIRE(elu{.alpha = 0.5f}.derivative(0.0f, 0.0f) == 0.5f);
    REQUIRE(thresholded_relu{}.derivative(1.0f, 1.0f) == 1);
    REQUIRE(sigmoid_hard{}.derivative(-3.0f, 0.0f) == 0);
    REQUIRE(sigmoid_hard{}.derivative(3.0f, 1.0f) == 0);
}

TEST_CASE("activations: relu joins a map that has no bounds yet") {
    channel_map<float> map;
    REQUIRE(relu{}.joins(map, finishing<float>{}));
    REQUIRE((map.scale == nullptr && map.low == 0 && map.high == std::numeric_limits<float>::infinity()));
    REQUIRE_FALSE(relu{}.joins(map, finishing<float>{}));
}

TEST_CASE("activations: one element alone gets the bits that it gets in an array") {
    const auto same = [](const auto& layer) {
        const std::vector<float> x = numbers<float>(37);
        const auto all = evaluate<float>(layer, {{{37}, x}}).first();
        std::vector<float> each;
        for (float v : x) each.push_back(layer(v));
        return same_bits(all, each);
    };
    REQUIRE(same(linear{.alpha = 0.3f, .beta = 0.1f}));
    REQUIRE(same(scaled_tanh{}));
    REQUIRE(same(sigmoid_hard{}));
    REQUIRE(same(elu{}));
    REQUIRE(same(softsign{}));
    REQUIRE(same(softplus{}));
}

namespace {
inline constexpr auto every_activation = compose(
    input{"x", {7}}, linear{.alpha = 2, .beta = 0.5f}, leaky_relu{}, bespoke::tanh{}, scaled_tanh{}, elu{},
    softsign{}, softplus{}, sigmoid{}, sigmoid_hard{}, thresholded_relu{.alpha = 0.1f}, relu{});
}

TEST_CASE("activations: the same bits composed and at run time") {
    network<every_activation> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(7)));
    REQUIRE(net.plan().arena_size == 16);  // one blob: all work in place
}

TEST_CASE("activations: names of the specification") {
    REQUIRE(key_of<thresholded_relu>().view() == "activation.thresholdedReLU");
    REQUIRE(key_of<elu>().view() == "activation.ELU");
    REQUIRE(detail::table_of<sigmoid_hard>::entries[1].key == "beta");
}
