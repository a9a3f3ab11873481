#include <bespoke/layers/where_non_zero.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(where_non_zero)

using namespace bespoke;
using namespace layer_test;

namespace {
inline constexpr auto found = compose(input{"x", {2, 2}}, where_non_zero{});
}

TEST_CASE("where_non_zero: the indices in their order") {
    // the specification's examples
    auto came = evaluate<float>(where_non_zero{}, {{{4}, {0, 1, 0, 2}}});
    REQUIRE(came.dimensions() == shape{2, 1});
    REQUIRE(came.first() == std::vector<float>{1, 3});
    came = evaluate<float>(where_non_zero{}, {{{3, 3}, {1, 2, 1, 0, 2, 2, 2, 1, 0}}});
    REQUIRE(came.dimensions() == shape{7, 2});
    REQUIRE(came.first() == std::vector<float>{0, 0, 0, 1, 0, 2, 1, 1, 1, 2, 2, 0, 2, 1});
    // element by element
    const shape s{2, 1, 3, 2};
    std::vector<double> x = numbers<double>(s.size());
    std::vector<double> expected;
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (i % 3 == 1) x[i] = 0;
        if (x[i] == 0) continue;
        for (std::size_t index : {i / 6, i / 6 * 0, i / 2 % 3, i % 2}) expected.push_back(static_cast<double>(index));
    }
    const auto all = evaluate<double>(where_non_zero{}, {{s, x}});
    REQUIRE(all.dimensions() == shape{8, 4});
    REQUIRE(all.first() == expected);
}

TEST_CASE("where_non_zero: NaN is not zero, -0 is; there may be nothing") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), least = std::numeric_limits<float>::denorm_min();
    REQUIRE(evaluate<float>(where_non_zero{}, {{{5}, {nan, -0.0F, least, -nan, 0}}}).first() ==
            std::vector<float>{0, 2, 3});
    REQUIRE(evaluate<float>(where_non_zero{}, {{{2, 2}, {0, 0, 0, -0.0F}}}).dimensions() == shape{0, 2});
    REQUIRE(evaluate<float>(where_non_zero{}, {{{0, 2}, {}}}).dimensions() == shape{0, 2});
}

TEST_CASE("where_non_zero: faults, composed, no gradient") {
    REQUIRE(fault_of(where_non_zero{}, {{}}) ==
            "layers/0 \"layer\" (whereNonZero): an input of rank 1 or more wanted, its shape is []");
    ask_everything(where_non_zero{});
    static_assert(!is_differentiable<where_non_zero>);
    network<found> net;
    const auto rows = [&](const std::vector<float>& x) {
        const auto y = net(x);
        REQUIRE(y.dimension() == 2);
        REQUIRE(y.shape()[1] == 2);
        return std::vector<float>(y.begin(), y.end());
    };
    REQUIRE(rows({0, 1, 1, 0}) == std::vector<float>{0, 1, 1, 0});
    REQUIRE(rows({0, 0, 0, 0}).empty());
    REQUIRE(rows({1, 1, 1, 1}) == std::vector<float>{0, 0, 0, 1, 1, 0, 1, 1});
}
