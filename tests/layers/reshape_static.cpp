#include <bespoke/layers/reshape_static.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(reshape_static)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("reshape_static: the elements stay in order") {
    const std::vector<float> x = numbers<float>(3 * 24);
    for (const shape& target : {shape{24}, shape{4, 6}, shape{-1}, shape{2, -1, 3}, shape{1, 24, 1, 1, -1}}) {
        const auto got = evaluate<float>(reshape_static{target}, {{{2, 3, 4}, x}});
        REQUIRE(got.dimensions().size() == 24);
        REQUIRE(got.first() == x);
    }
}

TEST_CASE("reshape_static: gradients") {
    require_gradients(reshape_static{{4, -1}}, {{2, 3, 4}});
    require_gradients(reshape_static{{}}, {{1, 1}});
}

TEST_CASE("reshape_static: shapes and faults") {
    const auto of = [](const shape& target, const shape& x) {
        const outcome o = reshape_static{target}.output_shape(x);
        REQUIRE(o);
        return o.shapes()[0];
    };
    static_assert(reshape_static{{4, -1}}.output_shape(shape{2, 3, 4}).shapes()[0] == shape{4, 6});
    static_assert(!reshape_static{{5, -1}}.output_shape(shape{2, 3, 4}));
    REQUIRE(of({-1, 6, 1}, {2, 3, 4}) == shape{4, 6, 1});
    REQUIRE(of({}, {1, 1}) == shape{});
    REQUIRE(of({-1}, {}) == shape{1});
    REQUIRE(of({3, 0}, {0}) == shape{3, 0});
    REQUIRE(of({3, -1}, {0}) == shape{3, 0});
    const std::string place = "layers/0 \"layer\" (reshapeStatic): ";
    REQUIRE(fault_of(reshape_static{{5, -1}}, {{2, 3, 4}}) ==
            place + "targetShape [5, -1] does not fit its input of shape [2, 3, 4], which has 24 elements");
    REQUIRE(fault_of(reshape_static{{2}}, {{1}}) ==
            place + "targetShape [2] does not fit its input of shape [1], which has 1 element");
    REQUIRE(fault_of(reshape_static{{0, -1}}, {{0}}) ==
            place + "targetShape [0, -1] does not fit its input of shape [0], which has 0 elements");
    REQUIRE(fault_of(reshape_static{{-1, -1}}, {{4}}) ==
            place + "a targetShape of extents from 0 up and one -1 at most wanted, [-1, -1] given");
    REQUIRE(fault_of(reshape_static{{-2}}, {{4}}) ==
            place + "a targetShape of extents from 0 up and one -1 at most wanted, [-2] given");
    for (extent a : hostile_extents()) {
        ask_everything(reshape_static{{a}});
        for (extent b : hostile_extents()) ask_everything(reshape_static{{a, b}});
    }
}

namespace {
inline constexpr auto small_reshape = compose(input{"x", {3, 4}}, reshape_static{{2, -1}});
}

TEST_CASE("reshape_static: the same bits composed and at run time, in place") {
    network<small_reshape> net;
    static_assert(network<small_reshape>::plan().arena_size == 16);
    const std::vector<float> x = numbers<float>(12);
    const auto y = net(x);
    REQUIRE(y.shape(1) == 6);
    REQUIRE(same_bits_unrolled(net, x));
}
