#include <bespoke/layers/crop.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

constexpr crop cut(extent top, extent bottom, extent left, extent right) {
    return {.crop_amounts = {{edge_sizes{top, bottom}, edge_sizes{left, right}}}};
}

}  // namespace

TEST_CASE("crop: by amounts and by another input") {
    // np.arange(24).reshape(1, 4, 6)[:, 1:3, 2:5]
    const std::vector<float> expected{8, 9, 10, 14, 15, 16};
    auto got = evaluate<float>(cut(1, 1, 2, 1), {{{1, 4, 6}, counted(24)}});
    REQUIRE(got.dimensions() == shape{1, 2, 3});
    REQUIRE(got.first() == expected);
    const auto nan = std::numeric_limits<float>::quiet_NaN();
    got = evaluate<float>(crop{.offset = {1, 2}},
                          {{{1, 4, 6}, counted(24)}, {{3, 2, 3}, std::vector<float>(18, nan)}});
    REQUIRE(got.dimensions() == shape{1, 2, 3});
    REQUIRE(got.first() == expected);
}

TEST_CASE("crop: several images, examples and axes before them") {
    const shape s{2, 3, 50, 60};
    const std::vector<double> x = numbers<double>(2 * s.size());
    const auto got = evaluate<double>(cut(2, 1, 0, 4), {{s, x}});
    REQUIRE(got.dimensions() == shape{2, 3, 47, 56});
    std::vector<double> expected;
    for (extent image = 0; image < 12; ++image)
        for (extent row = 2; row < 49; ++row)
            for (extent column = 0; column < 56; ++column)
                expected.push_back(x[static_cast<std::size_t>((image * 50 + row) * 60 + column)]);
    REQUIRE(got.first() == expected);
    REQUIRE(evaluate_with<float>(nullptr, cut(1, 1, 0, 0), {{{1, 2, 3}, counted(6)}}).first().empty());
}

TEST_CASE("crop: gradients") {
    require_gradients(cut(1, 0, 2, 1), {{2, 3, 4}});
    require_gradients(cut(0, 0, 0, 0), {{1, 2, 2}});
    require_gradients(cut(1, 1, 1, 1), {{2, 1, 3, 3}});
    require_gradients(crop{.offset = {1, 0}}, {{2, 3, 4}, {1, 2, 3}});
}

TEST_CASE("crop: faults") {
    const std::string place = "layers/0 \"layer\" (crop): ";
    REQUIRE(fault_of(crop{}, {{4, 6}}) == place + "an input of rank 3 or more wanted, its shape is [4, 6]");
    REQUIRE(fault_of(cut(-1, 0, 0, 0), {{1, 4, 6}}) ==
            place + "cropAmounts from 0 to 2147483647 wanted, [-1, 0] given");
    REQUIRE(
        fault_of(cut(0, 0, 4, 3), {{1, 4, 6}}) ==
        place +
            "cropAmounts that leave something of the shape [1, 4, 6] wanted, 4 and 3 given along axis -1");
    REQUIRE(fault_of(crop{.offset = {-1, 0}}, {{1, 4, 6}, {1, 2, 3}}) ==
            place + "an offset from 0 to 2147483647 wanted, [-1, 0] given");
    REQUIRE(fault_of(crop{}, {{1, 4, 6}, {4, 6}}) ==
            place + "inputs of one rank wanted, their shapes are [1, 4, 6] and [4, 6]");
    REQUIRE(fault_of(crop{.offset = {3, 0}}, {{1, 4, 6}, {1, 2, 3}}) ==
            place +
                "rows and columns wanted that the shape [1, 4, 6] has from the offset [3, 0] on, input 1 has "
                "the shape "
                "[1, 2, 3]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) {
            ask_everything(cut(a, b, b, a));
            ask_everything(crop{.offset = {a, b}});
        }
}

namespace {
inline constexpr auto smaller = compose(input{"x", {1, 3, 3}}, cut(1, 1, 1, 1));
}  // namespace

TEST_CASE("crop: composed") {
    network<smaller> net;
    REQUIRE(net(counted(9))(0, 0, 0) == 4);
}
