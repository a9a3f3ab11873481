#include <bespoke/layers/trigonometry.hpp>

#include <bespoke/network/network.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(acos)
FLOAT_IN_IMPLEMENTATION(asin)
FLOAT_IN_IMPLEMENTATION(atan)
FLOAT_IN_IMPLEMENTATION(cos)
FLOAT_IN_IMPLEMENTATION(sin)
FLOAT_IN_IMPLEMENTATION(tan)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("trigonometry: values, special values and gradients") {
    check_layer(bespoke::sin{}, [](double x) { return std::sin(x); });
    check_layer(bespoke::cos{}, [](double x) { return std::cos(x); });
    check_layer(
        bespoke::tan{}, [](double x) { return std::tan(x); }, {}, -1.2, 1.2);
    check_layer(
        bespoke::asin{}, [](double x) { return std::asin(x); }, {}, -0.8, 0.8);
    check_layer(
        bespoke::acos{}, [](double x) { return std::acos(x); }, {}, -0.8, 0.8);
    check_layer(bespoke::atan{}, [](double x) { return std::atan(x); });
}

TEST_CASE("trigonometry: slopes at the ends") {
    CHECK(bespoke::asin{}.derivative(1.0, 0.0) == double_infinity);
    CHECK(bespoke::acos{}.derivative(-1.0, 0.0) == -double_infinity);
    CHECK(bespoke::atan{}.derivative(double_infinity, 0.0) == 0);
    CHECK(bespoke::atan{}.derivative(1e200, 0.0) == 0);
    CHECK(std::isnan(bespoke::asin{}.derivative(1.5, 0.0)));
}

namespace {
inline constexpr auto all = compose(input{"x", {7}}, bespoke::sin{}, bespoke::cos{}, bespoke::tan{},
                                    bespoke::atan{}, bespoke::asin{}, bespoke::sin{}, bespoke::acos{});
}

TEST_CASE("trigonometry: the same bits composed and at run time") {
    network<all> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(7)));
    REQUIRE(net.plan().arena_size == 16);  // one blob: all work in place
}
