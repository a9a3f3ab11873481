#include <bespoke/layers/reorganize_data.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(reorganize_data)

using namespace bespoke;
using namespace layer_test;

namespace {

constexpr reorganize_data to_depth{.mode = reorganization_type::space_to_depth, .block_size = 2},
    to_space{.mode = reorganization_type::depth_to_space, .block_size = 2},
    pixels{.mode = reorganization_type::pixel_shuffle, .block_size = 2};

/// Both moves to space, by their formulas. x: images [C, H, W], one after the other.
std::vector<float> spaced(bool shuffled, std::size_t images, std::size_t channels, std::size_t height,
                          std::size_t width, std::size_t b, const std::vector<float>& x) {
    const std::size_t made = channels / (b * b);
    std::vector<float> y;
    for (std::size_t n = 0; n < images; ++n)
        for (std::size_t c = 0; c < made; ++c)
            for (std::size_t row = 0; row < height * b; ++row)
                for (std::size_t column = 0; column < width * b; ++column) {
                    const std::size_t place = row % b * b + column % b;
                    const std::size_t from = shuffled ? c * b * b + place : place * made + c;
                    y.push_back(x[((n * channels + from) * height + row / b) * width + column / b]);
                }
    return y;
}

}  // namespace

TEST_CASE("reorganize_data: the specification's examples") {
    std::vector<float> x;
    for (int i = 1; i <= 16; ++i) x.push_back(static_cast<float>(i));
    auto got = evaluate<float>(to_space, {{{8, 1, 2}, x}});
    REQUIRE(got.dimensions() == shape{2, 2, 4});
    REQUIRE(got.first() == std::vector<float>{1, 5, 2, 6, 9, 13, 10, 14, 3, 7, 4, 8, 11, 15, 12, 16});
    const auto back = evaluate<float>(to_depth, {{{2, 2, 4}, got.first()}});
    REQUIRE(back.dimensions() == shape{8, 1, 2});
    REQUIRE(back.first() == x);
    got = evaluate<float>(pixels, {{{8, 1, 2}, x}});
    REQUIRE(got.dimensions() == shape{2, 2, 4});
    REQUIRE(got.first() == std::vector<float>{1, 3, 2, 4, 5, 7, 6, 8, 9, 11, 10, 12, 13, 15, 14, 16});
}

TEST_CASE("reorganize_data: blocks of several sizes, leading axes, examples, threads") {
    for (std::size_t b : {2U, 3U, 5U}) {
        const std::size_t channels = 3 * b * b, height = 7, width = 19;
        const auto e = [](std::size_t n) { return static_cast<extent>(n); };
        const shape deep{2, e(channels), e(height), e(width)}, wide{2, 3, e(height * b), e(width * b)};
        const auto x = numbers<float>(3 * deep.size());
        for (bool shuffled : {false, true}) {
            reorganize_data layer = shuffled ? pixels : to_space;
            layer.block_size = e(b);
            CAPTURE(b, shuffled);
            const auto got = evaluate<float>(layer, {{deep, x}});
            REQUIRE(got.dimensions() == wide);
            REQUIRE(got.first() == spaced(shuffled, 6, channels, height, width, b, x));
            if (shuffled) continue;
            layer.mode = reorganization_type::space_to_depth;
            const auto back = evaluate<float>(layer, {{wide, got.first()}});
            REQUIRE(back.dimensions() == deep);
            REQUIRE(back.first() == x);
        }
    }
}

TEST_CASE("reorganize_data: gradients") {
    require_gradients(to_depth, {{3, 4, 6}});
    require_gradients(to_space, {{8, 2, 3}});
    require_gradients(pixels, {{2, 8, 3, 1}});
}

TEST_CASE("reorganize_data: shapes and faults") {
    static_assert(to_depth.output_shape(shape{3, 4, 6}).shapes()[0] == shape{12, 2, 3});
    const std::string place = "layers/0 \"layer\" (reorganizeData): ";
    REQUIRE(fault_of(to_depth, {{2, 2}}) == place + "an input of rank 3 or more wanted, its shape is [2, 2]");
    REQUIRE(fault_of(reorganize_data{.block_size = 1}, {{2, 2, 2}}) ==
            place + "a blockSize from 2 up wanted, 1 given");
    REQUIRE(fault_of(to_depth, {{1, 3, 2}}) ==
            place +
                "a height and a width wanted that blockSize 2 divides, the shape of its input is [1, 3, 2]");
    for (const auto& layer : {to_space, pixels})
        REQUIRE(fault_of(layer, {{6, 3, 2}}) == place +
                                                    "channels wanted that the square of blockSize 2 divides, "
                                                    "the shape of its input is [6, 3, 2]");
    constexpr extent huge = extent{1} << 40;
    REQUIRE(
        std::string(
            reorganize_data{.block_size = huge}.output_shape(shape{1, huge, huge}).problem().what.view()) ==
        "an output of smaller extents wanted, the shape of its input is [1, 1099511627776, 1099511627776] "
        "and "
        "blockSize 1099511627776");
    REQUIRE(evaluate<float>(to_space, {{{0, 3, 2}, {}}}).dimensions() == shape{0, 6, 4});
    REQUIRE(evaluate<float>(to_depth, {{{3, 0, 2}, {}}}).dimensions() == shape{12, 0, 1});
    for (extent b : hostile_extents())
        for (reorganize_data layer : {to_depth, to_space, pixels}) {
            layer.block_size = b;
            ask_everything(layer);
        }
}

namespace {
inline constexpr auto there_and_back = compose(input{"x", {4, 2, 3}}, pixels, to_depth, to_space);
}

TEST_CASE("reorganize_data: the same bits composed and at run time") {
    network<there_and_back> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(24)));
}
