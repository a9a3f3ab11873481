#include <bespoke/layers/flatten.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(flatten)
FLOAT_IN_IMPLEMENTATION(flatten_to_2d)
DOUBLE_IN_INSTANCES(flatten)

using namespace bespoke;
using namespace layer_test;

namespace {
constexpr flatten first{}, last{.mode = flatten_order::channel_last};
}

TEST_CASE("flatten: order of the elements") {
    // [C, H, W] = [2, 2, 3]; the number is 100 c + 10 h + w
    const std::vector<float> x{0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112};
    const auto rows = evaluate<float>(first, {{{2, 2, 3}, x}});
    REQUIRE(rows.dimensions() == shape{12, 1, 1});
    REQUIRE(rows.first() == x);
    REQUIRE(evaluate<float>(last, {{{2, 2, 3}, x}}).first() ==
            std::vector<float>{0, 100, 1, 101, 2, 102, 10, 110, 11, 111, 12, 112});
}

TEST_CASE("flatten: leading axes and examples stay apart") {
    const shape s{2, 3, 5, 7};
    const std::vector<double> x = numbers<double>(3 * s.size());
    const auto got = evaluate<double>(last, {{s, x}});
    REQUIRE(got.dimensions() == shape{2, 105, 1, 1});
    for (std::size_t n = 0; n < 6; ++n)
        for (std::size_t c = 0; c < 3; ++c)
            for (std::size_t p = 0; p < 35; ++p)
                REQUIRE(got.first()[n * 105 + p * 3 + c] == x[n * 105 + c * 35 + p]);
    REQUIRE(evaluate<double>(first, {{s, x}}).first() == x);
}

TEST_CASE("flatten: gradients") {
    for (const shape& s : {shape{1, 1, 1}, shape{3, 2, 5}, shape{2, 3, 4, 5}, shape{2, 1, 2, 3, 2}}) {
        require_gradients(first, {s});
        require_gradients(last, {s});
    }
}

TEST_CASE("flatten: the same bits with threads where there is much to do") {
    evaluate<float>(last, {{{17, 40, 50}, numbers<float>(2 * 34000)}});
}

TEST_CASE("flatten: shapes and faults") {
    static_assert(first.output_shape(shape{2, 3, 4}).shapes()[0] == shape{24, 1, 1});
    static_assert(last.output_shape(shape{5, 2, 3, 4}).shapes()[0] == shape{5, 24, 1, 1});
    static_assert(!first.output_shape(shape{3, 4}));
    REQUIRE(fault_of(first, {{3, 4}}) ==
            "layers/0 \"layer\" (flatten): an input of rank 3 or more wanted, its shape is [3, 4]");
    constexpr extent huge = extent{1} << 40;
    REQUIRE(std::string(first.output_shape(shape{huge, huge, 1}).problem().what.view()) ==
            "an input of fewer elements wanted, its shape is [1099511627776, 1099511627776, 1]");
    REQUIRE(evaluate<float>(last, {{{3, 0, 2}, {}}}).dimensions() == shape{0, 1, 1});
    ask_everything(first);
    ask_everything(last);
}

namespace {
inline constexpr auto small = compose(input{"x", {3, 4, 5}}, last);
}

TEST_CASE("flatten: the same bits composed and at run time") {
    network<small> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(60)));
}

TEST_CASE("flatten_to_2d: the specification's examples") {
    for (const auto& [axis, s, wanted] :
         std::vector<std::tuple<extent, shape, shape>>{{-1, {3}, {1, 3}},
                                                       {1, {3}, {3, 1}},
                                                       {-1, {4, 3}, {4, 3}},
                                                       {0, {5, 2}, {1, 10}},
                                                       {-2, {5, 5, 3}, {5, 15}},
                                                       {-1, {2, 3, 2}, {6, 2}},
                                                       {0, {}, {1, 1}},
                                                       {1, {0, 3}, {0, 3}}}) {
        const auto x = numbers<float>(2 * s.size());
        const auto got = evaluate<float>(flatten_to_2d{axis}, {{s, x}});
        REQUIRE(got.dimensions() == wanted);
        REQUIRE(got.first() == x);
    }
    require_gradients(flatten_to_2d{1}, {{2, 3, 2}});
}

TEST_CASE("flatten_to_2d: faults") {
    const std::string place = "layers/0 \"layer\" (flattenTo2D): ";
    REQUIRE(fault_of(flatten_to_2d{3}, {{2, 3}}) ==
            place + "an axis from -2 to 2 wanted for the shape [2, 3], 3 given");
    REQUIRE(fault_of(flatten_to_2d{-3}, {{2, 3}}) ==
            place + "an axis from -2 to 2 wanted for the shape [2, 3], -3 given");
    for (extent axis : hostile_extents()) ask_everything(flatten_to_2d{axis});
}
