#include <bespoke/layers/rounding.hpp>

#include <bespoke/network/network.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(ceil)
FLOAT_IN_IMPLEMENTATION(floor)
FLOAT_IN_IMPLEMENTATION(round)
FLOAT_IN_IMPLEMENTATION(sign)

using namespace bespoke;
using namespace layer_test;

namespace {
const std::vector<double> jumps{-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4};
}

TEST_CASE("rounding: values, special values and gradients, which are 0") {
    check_layer(
        bespoke::ceil{}, [](double x) { return std::ceil(x); }, jumps);
    check_layer(
        bespoke::floor{}, [](double x) { return std::floor(x); }, jumps);
    check_layer(
        bespoke::round{}, [](double x) { return std::nearbyint(x); }, jumps);
    check_layer(
        sign{}, [](double x) { return x > 0   ? 1.0
                                      : x < 0 ? -1.0
                                              : 0.0; }, jumps);
    CHECK(bespoke::ceil{}.derivative(1.0, 1.0) == 0);
    CHECK(bespoke::floor{}.derivative(1.0, 1.0) == 0);
    CHECK(bespoke::round{}.derivative(0.5, 0.0) == 0);
    CHECK(sign{}.derivative(0.0, 0.0) == 0);
}

TEMPLATE_TEST_CASE("round: the even one of two that are equally near", "", float, double) {
    using T = TestType;
    // np.round([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    REQUIRE(
        evaluate<T>(bespoke::round{}, {{{6}, {T(-2.5), T(-1.5), T(-0.5), T(0.5), T(1.5), T(2.5)}}}).first() ==
        std::vector<T>{-2, -2, 0, 0, 2, 2});
}

TEMPLATE_TEST_CASE("rounding: signs of 0", "", float, double) {
    using T = TestType;
    const std::vector<T> x{T(-0.0), T(-0.25), T(0.25)};
    const auto signs = [&](const auto& layer) {
        std::vector<bool> negative;
        const auto y = evaluate<T>(layer, {{{3}, x}});
        for (T v : y.first()) negative.push_back(std::signbit(v));
        return negative;
    };
    CHECK(signs(bespoke::ceil{}) == std::vector<bool>{true, true, false});
    CHECK(signs(bespoke::floor{}) == std::vector<bool>{true, true, false});
    CHECK(signs(bespoke::round{}) == std::vector<bool>{true, true, false});
    CHECK(signs(sign{}) == std::vector<bool>{false, true, false});
}

namespace {
inline constexpr auto all_ways =
    compose(input{"x", {7}}, bespoke::ceil{}, bespoke::floor{}, bespoke::round{}, sign{});
}

TEST_CASE("rounding: the same bits composed and at run time") {
    network<all_ways> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(7)));
}
