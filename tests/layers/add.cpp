#include <bespoke/layers/add.hpp>

#include <bespoke/network/network.hpp>

#include "arithmetic_test.hpp"

FLOAT_IN_IMPLEMENTATION(add)
DOUBLE_IN_INSTANCES(add)

using namespace bespoke;
using namespace arithmetic_test;

TEST_CASE("add: values with every way of broadcasting") {
    const auto plus = [](double a, double b) { return a + b; };
    check_arithmetic<float>(add{}, plus);
    check_arithmetic<double>(add{}, plus);
}

TEST_CASE("add: by hand") {
    REQUIRE(evaluate<float>(add{.alpha = 0.5f}, {{{2}, {1, -2, 3, 4}}}).first() ==
            std::vector<float>{1.5f, -1.5f, 3.5f, 4.5f});
    // alpha is only for a single input
    REQUIRE(evaluate<float>(add{.alpha = 9}, {{{2, 1, 1}, {1, 2}}, {{2, 1, 2}, {10, 20, 30, 40}}}).first() ==
            std::vector<float>{11, 21, 32, 42});
    const float infinity = std::numeric_limits<float>::infinity();
    REQUIRE(std::isnan(evaluate<float>(add{}, {{{1}, {infinity}}, {{1}, {-infinity}}}).first()[0]));
}

TEST_CASE("add: joins the map of an epilogue before its bounds, once, with an input of the shape of the result") {
    const shape y{3, 2, 2}, row{2};
    const float other[12] = {}, result[12] = {};
    finishing<float> with{&y};
    with.other = other;
    with.other_dimensions = &y;
    with.result = result;
    channel_map<float> map{other, other}, bounded{nullptr, nullptr, 0};
    CHECK(add{}.joins(map, with));
    CHECK((map.added == other && map.result == result && !map.is_bounded()));
    CHECK_FALSE(add{}.joins(map, with));
    CHECK_FALSE(add{}.joins(bounded, with));
    channel_map<float> none;
    with.other_dimensions = &row;
    CHECK_FALSE(add{}.joins(none, with));
    with.other = nullptr;
    CHECK_FALSE(add{}.joins(none, with));
    CHECK(none.added == nullptr);
}

TEST_CASE("add: gradients") { check_gradients_of(add{.alpha = 2}); }

TEST_CASE("add: the same bits with threads where there is much to do") {
    const shape s{8, 40, 60};
    evaluate<float>(add{}, {{s, numbers<float>(3 * s.size())}, {s, numbers<float>(3 * s.size(), 2)}});
    evaluate<float>(add{}, {{s, numbers<float>(3 * s.size())}, {{8, 1, 1}, numbers<float>(8, 2), true}});
}

TEST_CASE("add: shapes and faults") {
    REQUIRE(
        fault_of(add{}, {{2, 3}, {2}}) ==
        "layers/0 \"layer\" (add): inputs wanted whose extents from the last axis on are equal or 1, input 1 has the "
        "shape [2], those before it have [2, 3]");
    REQUIRE(
        fault_of(add{}, {{3, 4, 4}, {3, 4, 5}}) ==
        "layers/0 \"layer\" (add): inputs wanted whose extents from the last axis on are equal or 1, input 1 has the "
        "shape [3, 4, 5], those before it have [3, 4, 4]");
    ask_everything(add{});
}

namespace {
inline constexpr auto twice =
    compose(input{"x", {2, 3}}, add{.alpha = 1} | named("more"), add{} | from("x", "more", "x"));
}

TEST_CASE("add: composed, one blob several times") {
    network<twice> net;
    const auto y = net(std::vector<float>{1, 2, 3, 4, 5, 6});
    REQUIRE(std::vector<float>(y.begin(), y.end()) == std::vector<float>{4, 7, 10, 13, 16, 19});
    REQUIRE(same_bits_unrolled(net, numbers<float>(6)));
}
