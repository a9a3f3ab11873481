#include <bespoke/layers/unary.hpp>

#include <bespoke/network/network.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(erf)
FLOAT_IN_IMPLEMENTATION(exp2)
FLOAT_IN_IMPLEMENTATION(unary)

using namespace bespoke;
using namespace layer_test;

namespace {

/// The specification's formulas.
double formula_of(const unary& layer, double x) {
    const double alpha = static_cast<double>(layer.alpha), shift = static_cast<double>(layer.shift);
    const double epsilon = layer.epsilon == 0 ? 1e-6 : static_cast<double>(layer.epsilon);
    const double u = (layer.scale == 0 ? 1 : static_cast<double>(layer.scale)) * x + shift;
    switch (layer.type) {
        case unary_operation::sqrt:
            return std::sqrt(u);
        case unary_operation::rsqrt:
            return 1 / std::sqrt(u + epsilon);
        case unary_operation::inverse:
            return 1 / (u + epsilon);
        case unary_operation::power:
            return std::pow(u, alpha);
        case unary_operation::exp:
            return std::exp(u);
        case unary_operation::log:
            return std::log(u + static_cast<double>(layer.epsilon));
        case unary_operation::abs:
            return std::abs(u);
        default:
            return std::max(alpha, u);
    }
}

void check_unary(const unary& layer, double low, double high, std::vector<double> kinks = {}) {
    INFO(enumerators(layer.type)[static_cast<std::size_t>(layer.type)]);
    check_layer(
        layer, [&](double x) { return formula_of(layer, x); }, kinks, low, high);
}

}  // namespace

TEST_CASE("unary: values, special values and gradients") {
    using enum unary_operation;
    check_unary({}, 0.5, 3);  // sqrt
    check_unary({.type = sqrt, .shift = 3, .scale = 0.5f}, -4, 4);
    check_unary({.type = rsqrt}, 0.5, 3);
    check_unary({.type = rsqrt, .epsilon = 0.25f, .shift = 0.5f, .scale = 2}, 0.5, 3);
    check_unary({.type = inverse}, 0.5, 3);
    check_unary({.type = inverse, .epsilon = 0.25f, .scale = -2}, 0.5, 3);
    check_unary({.type = power, .alpha = 3}, -2, 2);
    check_unary({.type = power, .alpha = -2}, 0.5, 3);
    check_unary({.type = power, .alpha = 0.75f, .shift = 0.5f}, 0.5, 3);
    check_unary({.type = power, .alpha = 1}, -2, 2);
    check_unary({.type = exp}, -3, 3);
    check_unary({.type = exp, .shift = -1, .scale = 0.5f}, -3, 3);
    check_unary({.type = log}, 0.5, 3);
    check_unary({.type = log, .epsilon = 0.75f}, 0.5, 3);
    check_unary({.type = log, .shift = 3, .scale = 0.5f}, 0.5, 3);
    check_unary({.type = abs}, -3, 3, {0});
    check_unary({.type = abs, .shift = 1, .scale = -2}, -3, 3, {0.5});
    check_unary({.type = threshold, .alpha = 0.5f}, -3, 3, {0.5});
    check_unary({.type = threshold, .alpha = -1, .shift = 0.5f, .scale = 2}, -3, 3, {-0.75});
}

TEST_CASE("unary: a power of 0 is 1 with a slope of 0, also of NaN") {
    const unary layer{.type = unary_operation::power};
    REQUIRE(evaluate<double>(layer, {{{4}, {0, -2, double_infinity, layer_test::nan}}}).first() ==
            std::vector<double>{1, 1, 1, 1});
    require_gradients(layer, {{9}});
    CHECK(layer.derivative(0.0, 1.0) == 0);
}

TEST_CASE("unary: slopes at the kinks are 0") {
    CHECK(unary{.type = unary_operation::abs}.derivative(0.0, 0.0) == 0);
    CHECK(unary{.type = unary_operation::threshold, .alpha = 2}.derivative(2.0, 2.0) == 0);
}

TEST_CASE("exp2, erf: values, special values and gradients") {
    check_layer(bespoke::exp2{}, [](double x) { return std::exp2(x); });
    check_layer(bespoke::erf{}, [](double x) { return std::erf(x); });
    CHECK(bespoke::erf{}.derivative(double_infinity, 1.0) == 0);
}

namespace {
inline constexpr auto every_function =
    compose(input{"x", {7}}, unary{.type = unary_operation::abs}, unary{},
            unary{.type = unary_operation::rsqrt, .shift = 1}, unary{.type = unary_operation::inverse},
            unary{.type = unary_operation::power, .alpha = 1.5f}, unary{.type = unary_operation::exp},
            unary{.type = unary_operation::log}, unary{.type = unary_operation::threshold}, bespoke::exp2{},
            bespoke::erf{});
}

TEST_CASE("unary, exp2, erf: the same bits composed and at run time") {
    network<every_function> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(7)));
}
