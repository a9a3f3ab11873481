#include <bespoke/layers/hyperbolic.hpp>

#include <bespoke/network/network.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(acosh)
FLOAT_IN_IMPLEMENTATION(asinh)
FLOAT_IN_IMPLEMENTATION(atanh)
FLOAT_IN_IMPLEMENTATION(cosh)
FLOAT_IN_IMPLEMENTATION(sinh)
FLOAT_IN_IMPLEMENTATION(tanh_layer)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("hyperbolic: values, special values and gradients") {
    check_layer(bespoke::sinh{}, [](double x) { return std::sinh(x); });
    check_layer(bespoke::cosh{}, [](double x) { return std::cosh(x); });
    check_layer(tanh_layer{}, [](double x) { return std::tanh(x); });
    check_layer(bespoke::asinh{}, [](double x) { return std::asinh(x); });
    check_layer(
        bespoke::acosh{}, [](double x) { return std::acosh(x); }, {}, 1.2, 5);
    check_layer(
        bespoke::atanh{}, [](double x) { return std::atanh(x); }, {}, -0.8, 0.8);
}

TEST_CASE("hyperbolic: tanh as a layer of its own is the activation") {
    REQUIRE(key_of<tanh_layer>().view() == "tanh");
    REQUIRE(key_of<bespoke::tanh>().view() == "activation.tanh");
    const auto x = numbers<float>(33);
    REQUIRE(
        same_bits(evaluate<float>(tanh_layer{}, {{{33}, x}}), evaluate<float>(bespoke::tanh{}, {{{33}, x}})));
}

TEST_CASE("hyperbolic: slopes at the ends") {
    CHECK(bespoke::acosh{}.derivative(1.0, 0.0) == double_infinity);
    CHECK(bespoke::atanh{}.derivative(-1.0, -double_infinity) == double_infinity);
    CHECK(bespoke::asinh{}.derivative(1e200, 0.0) == 0);
}

namespace {
inline constexpr auto all = compose(input{"x", {7}}, bespoke::sinh{}, bespoke::asinh{}, tanh_layer{},
                                    bespoke::atanh{}, bespoke::cosh{}, bespoke::acosh{});
}

TEST_CASE("hyperbolic: the same bits composed and at run time") {
    network<all> net;
    const auto x = numbers<float>(7);
    REQUIRE(same_bits_unrolled(net, x));
    const auto y = net(x);
    for (std::size_t i = 0; i < 7; ++i)
        CHECK(y(i) == Approx(std::abs(x[i])).margin(1e-3));  // all undo one another
}
