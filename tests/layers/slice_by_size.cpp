#include <bespoke/layers/slice_by_size.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEST_CASE("slice_by_size: the specification's example, each example from its own begin") {
    // np.arange(48).reshape(2, 2, 3, 4)[0][:, 1:3, :] and [1][:, 0:2, :]
    const auto got =
        evaluate<float>(slice_by_size{.size = 2, .axis = 1}, {{{2, 3, 4}, counted(48)}, {{1}, {1, 0}}});
    REQUIRE(got.dimensions() == shape{2, 2, 4});
    REQUIRE(got.first() == std::vector<float>{4,  5,  6,  7,  8,  9,  10, 11, 16, 17, 18,
                                              19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
                                              30, 31, 36, 37, 38, 39, 40, 41, 42, 43});
    REQUIRE(
        evaluate<float>(slice_by_size{.size = 2, .axis = -1}, {{{2, 3}, counted(6)}, {{}, {1}}}).first() ==
        std::vector<float>{1, 2, 4, 5});
}

TEST_CASE("slice_by_size: where a begin is brought to") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    for (const auto& [begin, first] : std::vector<std::pair<float, float>>{{0, 0},
                                                                           {2, 2},
                                                                           {3, 3},
                                                                           {4, 3},
                                                                           {1e30f, 3},
                                                                           {infinity, 3},
                                                                           {-1, 3},
                                                                           {-3, 2},
                                                                           {-5, 0},
                                                                           {-9, 0},
                                                                           {-infinity, 0},
                                                                           {nan, 0},
                                                                           {1.6f, 2},
                                                                           {-0.4f, 0}}) {
        CAPTURE(begin);
        REQUIRE(evaluate<float>(slice_by_size{.size = 2}, {{{5}, counted(5)}, {{1}, {begin}}}).first() ==
                std::vector<float>{first, first + 1});
    }
    REQUIRE(evaluate_with<float>(nullptr, slice_by_size{}, {{{5}, counted(5)}, {{1}, {2}}}).first().empty());
}

TEST_CASE("slice_by_size: gradients") {
    for (const auto& [layer, s] : std::vector<std::pair<slice_by_size, shape>>{
             {{2, 0}, {5}}, {{3, 1}, {2, 4, 3}}, {{1, -1}, {2, 4}}, {{4, 1}, {2, 4}}}) {
        const auto report = check_gradients(layer, {s, {1}}, {}, [](std::size_t input, philox& random) {
            return input == 0 ? random.uniform() : std::floor(random.uniform() * 9) - 4;
        });
        INFO(report.what);
        REQUIRE(report.ok);
    }
}

TEST_CASE("slice_by_size: faults") {
    const std::string place = "layers/0 \"layer\" (sliceBySize): ";
    REQUIRE(fault_of(slice_by_size{1, 2}, {{3, 4}, {1}}) ==
            place + "an axis of its input wanted, 2 given for the shape [3, 4]");
    for (extent size : {extent{-1}, extent{4}})
        REQUIRE(fault_of(slice_by_size{size, 0}, {{3, 4}, {1}}) ==
                place + "a size from 0 to 3 wanted, the extent of axis 0 in the shape [3, 4], " +
                    std::to_string(size) + " given");
    REQUIRE(fault_of(slice_by_size{1, 0}, {{3, 4}, {1, 2}}) ==
            place + "one number wanted where the slice begins, its shape is [1, 2]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(slice_by_size{a, b});
}

namespace {
inline constexpr auto part =
    compose(input{"x", {4, 2}}, input{"b", {1}}, slice_by_size{.size = 2} | from("x", "b"));
}  // namespace

TEST_CASE("slice_by_size: composed") {
    network<part> net;
    REQUIRE(net(counted(8), std::vector<float>{1})(0, 0) == 2);
}
