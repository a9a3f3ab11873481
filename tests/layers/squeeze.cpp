#include <bespoke/layers/squeeze.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(expand_dims)
FLOAT_IN_IMPLEMENTATION(squeeze)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("squeeze: the specification's examples") {
    const std::vector<float> x = numbers<float>(150);
    const auto check = [&](const squeeze& layer, const shape& s, const shape& wanted) {
        const auto got = evaluate<float>(layer, {{s, x}});
        REQUIRE(got.dimensions() == wanted);
        REQUIRE(got.first() == x);
    };
    check({{0, 1}}, {1, 1, 10, 5}, {10, 5});
    check({{0, 3}}, {1, 10, 5, 1}, {10, 5});
    check({{-2, -1}}, {10, 5, 1, 1}, {10, 5});
    check({{2}}, {10, 5, 1, 1}, {10, 5, 1});
    check({.squeeze_all = true}, {1, 10, 1, 5, 1}, {10, 5});
    check({.squeeze_all = true}, {10, 5}, {10, 5});
    check({{0, 9}, true}, {1, 10, 5}, {10, 5});  // squeeze_all: axes mean nothing
    check({{0}}, {1}, {1});
    check({{0, 1}}, {1, 1}, {1});
    check({.squeeze_all = true}, {1, 1}, {1});
    check({.squeeze_all = true}, {}, {});
}

TEST_CASE("expand_dims: the specification's examples") {
    const std::vector<float> x = numbers<float>(150);
    const auto check = [&](const shape& axes, const shape& s, const shape& wanted) {
        const auto got = evaluate<float>(expand_dims{axes}, {{s, x}});
        REQUIRE(got.dimensions() == wanted);
        REQUIRE(got.first() == x);
    };
    check({0, 1}, {10, 5}, {1, 1, 10, 5});
    check({0, 2}, {10, 5}, {1, 10, 1, 5});
    check({-2, -1}, {10, 5}, {10, 5, 1, 1});
    check({2, 0}, {10, 5}, {1, 10, 1, 5});
    check({0}, {}, {1});
    check({0, 1, 2, 3, 4, 5}, {10, 5}, {1, 1, 1, 1, 1, 1, 10, 5});
}

TEST_CASE("squeeze, expand_dims: no elements") {
    REQUIRE(evaluate<float>(squeeze{{1}}, {{{0, 1, 2}, {}}}).dimensions() == shape{0, 2});
    REQUIRE(evaluate<float>(expand_dims{{1}}, {{{0, 2}, {}}}).dimensions() == shape{0, 1, 2});
}

TEST_CASE("squeeze, expand_dims: gradients") {
    require_gradients(squeeze{{1}}, {{2, 1, 3}});
    require_gradients(squeeze{.squeeze_all = true}, {{1, 3, 1}});
    require_gradients(expand_dims{{0, -1}}, {{2, 3}});
}

TEST_CASE("squeeze: faults") {
    static_assert(squeeze{{0}}.output_shape(shape{1, 3}).shapes()[0] == shape{3});
    const std::string place = "layers/0 \"layer\" (squeeze): ";
    REQUIRE(fault_of(squeeze{}, {{1, 2}}) == place + "axes or squeezeAll wanted");
    REQUIRE(fault_of(squeeze{{1}}, {{1, 2}}) ==
            place + "an input of one element along axis 1 wanted, its shape is [1, 2]");
    REQUIRE(fault_of(squeeze{{2}}, {{1, 2}}) ==
            place + "different axes of its input wanted, [2] given for the shape [1, 2]");
    REQUIRE(fault_of(squeeze{{0, -2}}, {{1, 2}}) ==
            place + "different axes of its input wanted, [0, -2] given for the shape [1, 2]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(squeeze{{a, b}});
    ask_everything(squeeze{.squeeze_all = true});
}

TEST_CASE("expand_dims: faults") {
    static_assert(expand_dims{{-1}}.output_shape(shape{3}).shapes()[0] == shape{3, 1});
    const std::string place = "layers/0 \"layer\" (expandDims): ";
    REQUIRE(fault_of(expand_dims{}, {{2}}) == place + "axes wanted");
    REQUIRE(fault_of(expand_dims{{3}}, {{1, 2}}) == place + "different axes of an output of rank 3 wanted, [3] given");
    REQUIRE(fault_of(expand_dims{{1, -3}}, {{1, 2}}) ==
            place + "different axes of an output of rank 4 wanted, [1, -3] given");
    REQUIRE(fault_of(expand_dims{{0, 1, 2, 3, 4, 5, 6}}, {{1, 2}}) ==
            place + "an output of rank 8 or less wanted, its rank would be 9");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(expand_dims{{a, b}});
    ask_everything(expand_dims{{0, 1, 2, 3, 4, 5, 6, 7}});
}

namespace {
inline constexpr auto back_and_forth = compose(input{"x", {3, 4}}, expand_dims{{1}}, squeeze{{1}}, expand_dims{{-1}});
}

TEST_CASE("squeeze, expand_dims: the same bits composed and at run time, in place") {
    network<back_and_forth> net;
    static_assert(network<back_and_forth>::plan().arena_size == 16);
    const std::vector<float> x = numbers<float>(12);
    REQUIRE(net(x).shape(2) == 1);
    REQUIRE(same_bits_unrolled(net, x));
}
