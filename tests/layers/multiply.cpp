#include <bespoke/layers/multiply.hpp>

#include <bespoke/network/network.hpp>

#include "arithmetic_test.hpp"

FLOAT_IN_IMPLEMENTATION(multiply)
DOUBLE_IN_INSTANCES(multiply)

using namespace bespoke;
using namespace arithmetic_test;

TEST_CASE("multiply: values with every way of broadcasting") {
    const auto times = [](double a, double b) { return a * b; };
    check_arithmetic<float>(multiply{}, times);
    check_arithmetic<double>(multiply{}, times);
}

TEST_CASE("multiply: by hand") {
    REQUIRE(evaluate<float>(multiply{.alpha = -2}, {{{2}, {1, -2, 3, 4}}}).first() ==
            std::vector<float>{-2, 4, -6, -8});
    // alpha is only for a single input
    REQUIRE(
        evaluate<float>(multiply{.alpha = 9}, {{{2, 1, 1}, {1, 2}}, {{2, 1, 2}, {10, 20, 30, 40}}}).first() ==
        std::vector<float>{10, 20, 60, 80});
    REQUIRE(evaluate<float>(multiply{}, {{{1}, {2}}, {{1}, {3}}, {{1}, {5}}, {{1}, {7}}}).first() ==
            std::vector<float>{210});
    const float infinity = std::numeric_limits<float>::infinity();
    REQUIRE(std::isnan(evaluate<float>(multiply{}, {{{1}, {infinity}}, {{1}, {0}}}).first()[0]));
}

TEST_CASE("multiply: gradients") { check_gradients_of(multiply{.alpha = 3}); }

TEST_CASE("multiply: a factor of 0 has the gradient of the others") {
    // y = 0 * 0.5: a gradient that divided y by the factor would be NaN
    const gradient_report r =
        check_gradients(multiply{}, {{2, 3}, {2, 3}, {1, 1}}, {},
                        [](std::size_t input, philox& random) { return input == 0 ? 0 : random.uniform(); });
    INFO(r.what);
    REQUIRE(r.ok);
}

TEST_CASE("multiply: the same bits with threads where there is much to do") {
    const shape s{8, 40, 60};
    evaluate<float>(multiply{}, {{s, numbers<float>(3 * s.size())}, {s, numbers<float>(3 * s.size(), 2)}});
    evaluate<float>(multiply{}, {{s, numbers<float>(3 * s.size())}, {{8, 1, 1}, numbers<float>(8, 2), true}});
}

TEST_CASE("multiply: shapes and faults") {
    REQUIRE(
        fault_of(multiply{}, {{3, 4, 4}, {2, 4, 4}}) ==
        "layers/0 \"layer\" (multiply): inputs wanted whose extents from the last axis on are equal or 1, input 1 has "
        "the shape [2, 4, 4], those before it have [3, 4, 4]");
    ask_everything(multiply{});
}

namespace {
inline constexpr auto square = compose(input{"x", {2, 3}}, multiply{} | from("x", "x"), multiply{.alpha = 2});
}

TEST_CASE("multiply: composed, one blob twice") {
    network<square> net;
    const auto y = net(std::vector<float>{1, 2, 3, 4, 5, 6});
    REQUIRE(std::vector<float>(y.begin(), y.end()) == std::vector<float>{2, 8, 18, 32, 50, 72});
    REQUIRE(same_bits_unrolled(net, numbers<float>(6)));
}
