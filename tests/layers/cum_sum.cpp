#include <bespoke/layers/cum_sum.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(cum_sum)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("cum_sum: the specification's examples") {
    const auto sums = [](bool exclude, bool reverse) {
        return evaluate<float>(cum_sum{.exclude_final_sum = exclude, .reverse = reverse}, {{{3}, {4, 6, 7}}})
            .first();
    };
    REQUIRE(sums(false, false) == std::vector<float>{4, 10, 17});
    REQUIRE(sums(true, false) == std::vector<float>{0, 4, 10});
    REQUIRE(sums(false, true) == std::vector<float>{17, 13, 7});
    REQUIRE(sums(true, true) == std::vector<float>{13, 7, 0});
}

TEST_CASE("cum_sum: along each axis, as numpy does it") {
    // np.cumsum(np.arange(12).reshape(2, 3, 2), axis)
    const auto sums = [](extent axis) {
        return evaluate<float>(cum_sum{.axis = axis}, {{{2, 3, 2}, counted(12)}}).first();
    };
    REQUIRE(sums(0) == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16});
    REQUIRE(sums(1) == std::vector<float>{0, 1, 2, 4, 6, 9, 6, 7, 14, 16, 24, 27});
    REQUIRE(sums(-1) == std::vector<float>{0, 1, 2, 5, 4, 9, 6, 13, 8, 17, 10, 21});
    REQUIRE(sums(-3) == sums(0));
}

TEST_CASE("cum_sum: examples stay apart, special values go on, nothing to sum") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    REQUIRE(evaluate<float>(cum_sum{}, {{{2}, {1, 2, 3, 4}}}).first() == std::vector<float>{1, 3, 3, 7});
    const auto got = evaluate<float>(cum_sum{}, {{{4}, {1, infinity, 2, -infinity}}}).first();
    REQUIRE(got[2] == infinity);
    REQUIRE(std::isnan(got[3]));
    REQUIRE(evaluate<float>(cum_sum{.axis = 1}, {{{3, 0}, {}}}).dimensions() == shape{3, 0});
    REQUIRE(evaluate<float>(cum_sum{}, {{{2}, {1, 2}, true}}).first() == std::vector<float>{1, 3});
}

TEST_CASE("cum_sum: with threads where there is much to do") {
    const auto x = numbers<float>(2 * 64 * 300);
    for (extent axis : {0, 1}) evaluate<float>(cum_sum{.axis = axis}, {{{64, 300}, x}});
}

TEST_CASE("cum_sum: gradients") {
    for (bool exclude : {false, true})
        for (bool reverse : {false, true})
            for (extent axis : {0, 1, 2}) require_gradients(cum_sum{axis, exclude, reverse}, {{3, 4, 2}});
    require_gradients(cum_sum{.axis = -1}, {{37}});
}

TEST_CASE("cum_sum: the axis from a second input, one for each example") {
    const std::vector<float> x{1, 2, 3, 4, 5, 6}, down{1, 2, 3, 5, 7, 9}, along{1, 3, 6, 4, 9, 15};
    const auto run = [&](const std::vector<float>& axes) {
        std::vector<float> xs;
        for (std::size_t e = 0; e < axes.size(); ++e) xs.insert(xs.end(), x.begin(), x.end());
        return evaluate<float>(cum_sum{.axis = 7}, {{{2, 3}, xs}, {{1}, axes}}).first();
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (float axis : {0.0F, -2.0F, 0.4F, -9.0F, nan}) REQUIRE(run({axis}) == down);
    for (float axis : {1.0F, -1.0F, 0.6F, 7.0F}) REQUIRE(run({axis}) == along);
    std::vector<float> both = along;
    both.insert(both.end(), down.begin(), down.end());
    REQUIRE(run({1, 0}) == both);
    // an input that is stored once for all examples
    REQUIRE(evaluate<float>(cum_sum{}, {{{2, 3}, x, true}, {{1}, {1, 0}}}).first() == both);
    for (double axis : {0.0, 1.0})
        require_gradients(cum_sum{.reverse = true}, {{2, 3}, {1}}, {.known = {{}, {axis}}});
}

TEST_CASE("cum_sum: faults") {
    const std::string place = "layers/0 \"layer\" (cumSum): ";
    REQUIRE(fault_of(cum_sum{.axis = 2}, {{2, 3}}) ==
            place + "an axis of its input wanted, 2 given for the shape [2, 3]");
    REQUIRE(fault_of(cum_sum{.axis = -3}, {{2, 3}}) ==
            place + "an axis of its input wanted, -3 given for the shape [2, 3]");
    REQUIRE(fault_of(cum_sum{}, {{2, 3}, {2}}) ==
            place + "an input of 1 number wanted for axis, its shape is [2]");
    REQUIRE(fault_of(cum_sum{}, {{}, {1}}) == place + "an input of rank 1 or more wanted, its shape is []");
    for (extent axis : hostile_extents()) ask_everything(cum_sum{.axis = axis});
}

namespace {
inline constexpr auto forth_and_back = compose(
    input{"x", {3, 5}}, cum_sum{.axis = 1}, cum_sum{.axis = 0, .exclude_final_sum = true, .reverse = true});
}

TEST_CASE("cum_sum: the same bits composed and at run time") {
    network<forth_and_back> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(15)));
}
