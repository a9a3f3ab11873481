#include <bespoke/layers/compare.hpp>

#include <bespoke/layers/activation.hpp>
#include <bespoke/network/network.hpp>

#include "arithmetic_test.hpp"

FLOAT_IN_IMPLEMENTATION(equal)
FLOAT_IN_IMPLEMENTATION(greater_equal)
FLOAT_IN_IMPLEMENTATION(greater_than)
FLOAT_IN_IMPLEMENTATION(less_equal)
FLOAT_IN_IMPLEMENTATION(less_than)
FLOAT_IN_IMPLEMENTATION(logical_and)
FLOAT_IN_IMPLEMENTATION(logical_or)
FLOAT_IN_IMPLEMENTATION(logical_xor)
FLOAT_IN_IMPLEMENTATION(not_equal)
FLOAT_IN_IMPLEMENTATION(sigmoid)

using namespace bespoke;
using namespace arithmetic_test;

namespace {

using floats = std::vector<float>;

/// Of -1, 0, 1, NaN and every pair of them.
template <class L>
floats pairs(const L& layer) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const floats v{-1, 0, 1, nan};
    const auto got = evaluate<float>(layer, {{{4, 1}, v}, {{4}, v}});
    REQUIRE(got.dimensions() == shape{4, 4});
    return got.first();
}
template <class L>
floats with_alpha(const L& layer) {
    return evaluate<float>(layer, {{{4}, {1, 2, 3, std::numeric_limits<float>::quiet_NaN()}}}).first();
}

}  // namespace

TEST_CASE("comparisons: every pair of numbers") {
    REQUIRE(pairs(equal{}) == floats{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0});
    REQUIRE(pairs(not_equal{}) == floats{0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1});
    REQUIRE(pairs(less_than{}) == floats{0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    REQUIRE(pairs(less_equal{}) == floats{1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0});
    REQUIRE(pairs(greater_than{}) == floats{0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0});
    REQUIRE(pairs(greater_equal{}) == floats{1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0});
}

TEST_CASE("logic: every pair of numbers, NaN is true") {
    REQUIRE(pairs(logical_and{}) == floats{1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1});
    REQUIRE(pairs(logical_or{}) == floats{1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    REQUIRE(pairs(logical_xor{}) == floats{0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0});
}

TEST_CASE("comparisons: one input and alpha") {
    REQUIRE(with_alpha(equal{2}) == floats{0, 1, 0, 0});
    REQUIRE(with_alpha(not_equal{2}) == floats{1, 0, 1, 1});
    REQUIRE(with_alpha(less_than{2}) == floats{1, 0, 0, 0});
    REQUIRE(with_alpha(less_equal{2}) == floats{1, 1, 0, 0});
    REQUIRE(with_alpha(greater_than{2}) == floats{0, 0, 1, 0});
    REQUIRE(with_alpha(greater_equal{2}) == floats{0, 1, 1, 0});
    // with two inputs alpha means nothing
    REQUIRE(evaluate<float>(equal{7}, {{{2}, {7, 1}}, {{2}, {1, 1}}}).first() == floats{0, 1});
}

TEST_CASE("comparisons: with every way of broadcasting") {
    const auto below = [](double a, double b) { return a < b ? 1.0 : 0.0; };
    check_arithmetic<float>(less_than{}, below, aligned_combinations);
    check_arithmetic<double>(less_than{}, below, aligned_combinations);
    const shape s{8, 40, 60};
    evaluate<float>(greater_equal{0.5f}, {{s, numbers<float>(3 * s.size())}});
}

TEST_CASE("comparisons: no gradient passes") {
    REQUIRE_FALSE((is_differentiable<equal> || is_differentiable<not_equal> || is_differentiable<less_than> ||
                   is_differentiable<less_equal> || is_differentiable<greater_than> ||
                   is_differentiable<greater_equal> || is_differentiable<logical_and> ||
                   is_differentiable<logical_or> || is_differentiable<logical_xor>));
    REQUIRE(check_gradients(less_than{}, {{2}, {2}}).what ==
            "no gradient passes this layer: differentiable = false");
}

TEST_CASE("comparisons: shapes and faults") {
    REQUIRE(fault_of(less_than{}, {{2, 3}, {2}}) ==
            "layers/0 \"layer\" (lessThan): inputs wanted whose extents from the last axis on are equal or "
            "1, input 1 has "
            "the shape [2], those before it have [2, 3]");
    REQUIRE(fault_of(logical_and{}, {{2}}) != "");
    REQUIRE(fault_of(equal{}, {{2}, {2}, {2}}) != "");
    ask_everything(equal{});
    ask_everything(logical_xor{});
}

namespace {
constexpr auto threshold(auto... outputs) {
    return compose(input{"x", {600}}, sigmoid{} | named("s"), greater_than{0.5f} | named("y"), output{"y"},
                   outputs...);
}
inline constexpr auto threshold_fused = threshold();
inline constexpr auto threshold_apart = threshold(output{"s"});
}  // namespace

TEST_CASE("comparisons: composed, and in the epilogue of another layer") {
    network<threshold_fused> together;
    network<threshold_apart> one_by_one;
    REQUIRE(network<threshold_fused>::plan().steps[1].head == 0);
    const auto x = numbers<float>(600);
    const auto y = together(x);
    const auto all = one_by_one(x);
    const auto& same = std::get<0>(all);
    floats expected;
    for (float v : x) expected.push_back(v > 0 ? 1.0f : 0.0f);
    REQUIRE(floats(y.begin(), y.end()) == expected);
    REQUIRE(floats(same.begin(), same.end()) == expected);
}
