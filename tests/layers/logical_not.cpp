#include <bespoke/layers/logical_not.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(logical_not)

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("logical_not: only 0 is false", "", float, double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    const std::vector<T> x{0,
                           T(-0.0),
                           1,
                           -2,
                           limits::denorm_min(),
                           limits::infinity(),
                           -limits::infinity(),
                           limits::quiet_NaN()};
    // not written out: g++ 12.2 makes ones of all eight doubles with AVX-512
    std::vector<T> y(8);
    y[0] = y[1] = 1;
    REQUIRE(evaluate<T>(logical_not{}, {{{8}, x}}).first() == y);
    REQUIRE(evaluate<T>(logical_not{}, {{{}, {0}}}).first() == std::vector<T>{1});
    REQUIRE(evaluate<T>(logical_not{}, {{{3, 0}, {}}}).first().empty());
}

TEST_CASE("logical_not: no gradient passes") {
    static_assert(!is_differentiable<logical_not>);
    REQUIRE(bespoke::check_gradients(logical_not{}, {{3}}).what ==
            "no gradient passes this layer: differentiable = false");
    ask_everything(logical_not{});
}

namespace {
inline constexpr auto twice = compose(input{"x", {19}}, logical_not{}, logical_not{});
}

TEST_CASE("logical_not: the same bits composed and at run time") {
    network<twice> net;
    const auto x = numbers<float>(19);
    REQUIRE(same_bits_unrolled(net, x));
    REQUIRE(net(x)(0) == 1);
}
