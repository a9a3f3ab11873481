#include <bespoke/layers/one_hot.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEST_CASE("one_hot: along a new axis") {
    const one_hot layer{.one_hot_vector_size = 3, .axis = -1, .on_value = 5, .off_value = -1};
    auto got = evaluate<float>(layer, {{{2}, {2, 0}}});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == std::vector<float>{-1, -1, 5, 5, -1, -1});
    for (extent axis : {extent{0}, extent{-2}}) {
        one_hot first = layer;
        first.axis = axis;
        got = evaluate<float>(first, {{{2}, {2, 0}}});
        REQUIRE(got.dimensions() == shape{3, 2});
        REQUIRE(got.first() == std::vector<float>{-1, 5, -1, -1, 5, -1});
    }
    got = evaluate<float>(one_hot{.one_hot_vector_size = 2}, {{{}, {1}}});
    REQUIRE(got.dimensions() == shape{2});
    REQUIRE(got.first() == std::vector<float>{0, 1});
}

TEST_CASE("one_hot: every axis, element by element, several examples") {
    const shape s{2, 3, 4};
    const extent size = 40;
    std::vector<double> x;
    for (double v : numbers<double>(2 * s.size())) x.push_back(std::floor(v * 45));
    for (extent axis = -4; axis < 4; ++axis) {
        CAPTURE(axis);
        const auto made = static_cast<std::size_t>(axis < 0 ? axis + 4 : axis);
        const auto got = evaluate<double>(one_hot{size, axis, 2, 0.5f}, {{s, x}});
        REQUIRE(got.dimensions()[made] == size);
        const extent outer = 2 * s.product(0, made), inner = s.product(made, 3);
        for (extent o = 0; o < outer; ++o)
            for (extent c = 0; c < size; ++c)
                for (extent i = 0; i < inner; ++i)
                    REQUIRE(got.first()[static_cast<std::size_t>((o * size + c) * inner + i)] ==
                            (x[static_cast<std::size_t>(o * inner + i)] == static_cast<double>(c) ? 2 : 0.5));
    }
}

TEST_CASE("one_hot: an index outside gives off_value alone") {
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> x{
        -1, 2, 1e30f, infinity, -infinity, std::numeric_limits<float>::quiet_NaN(), 1.4f, -0.4f};
    const auto got = evaluate<float>(one_hot{.one_hot_vector_size = 2}, {{{8}, x}});
    REQUIRE(got.first() == std::vector<float>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0});
    REQUIRE(evaluate_with<float>(nullptr, one_hot{.one_hot_vector_size = 2}, {{{0, 3}, {}}}).first().empty());
}

TEST_CASE("one_hot: the size from a second input") {
    const auto run = [](const std::vector<float>& x, float size) {
        return evaluate<float>(one_hot{.axis = 0}, {{{2}, x}, {{1}, {size}}});
    };
    REQUIRE(run({2, 0}, 3).dimensions() == shape{3, 2});
    REQUIRE(run({2, 0}, 3).first() == std::vector<float>{0, 1, 0, 0, 1, 0});
    REQUIRE(run({2, 0}, 1).first() == std::vector<float>{0, 1});
    for (float size : {0.0F, -1.0F})
        REQUIRE(failure([&] {
                    run({2, 0}, size);
                }) == "layers/0 \"layer\" (oneHot): oneHotVectorSize from 1 up wanted, " +
                          std::to_string(static_cast<int>(size)) + " given");
    REQUIRE(fault_of(one_hot{}, {{2}, {2}}) ==
            "layers/0 \"layer\" (oneHot): an input of 1 number wanted for oneHotVectorSize, its shape is [2]");
}

TEST_CASE("one_hot: faults") {
    const std::string place = "layers/0 \"layer\" (oneHot): ";
    REQUIRE(fault_of(one_hot{.one_hot_vector_size = 3, .axis = 3}, {{2, 4}}) ==
            place + "an axis of its output, of rank 3, wanted, 3 given for the shape [2, 4]");
    REQUIRE(fault_of(one_hot{}, {{2, 4}}) == place + "oneHotVectorSize from 1 up wanted, 0 given");
    REQUIRE(fault_of(one_hot{.one_hot_vector_size = 3}, {{1, 1, 1, 1, 1, 1, 1, 2}}) ==
            place + "an input of rank 7 or less wanted, its shape is [1, 1, 1, 1, 1, 1, 1, 2]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(one_hot{a, b});
}

namespace {
inline constexpr auto coded = compose(input{"x", {3}}, one_hot{.one_hot_vector_size = 4});
}  // namespace

TEST_CASE("one_hot: composed") {
    network<coded> net;
    REQUIRE(net(std::vector<float>{3, 0, 1})(0, 3) == 1);
    REQUIRE(same_bits_unrolled(net, std::vector<float>{3, 0, 1}));
}
