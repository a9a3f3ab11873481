#include <bespoke/layers/scale.hpp>

#include <bespoke/layers/convolution.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(bias)
FLOAT_IN_IMPLEMENTATION(convolution)
FLOAT_IN_IMPLEMENTATION(scale)
DOUBLE_IN_INSTANCES(convolution)

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;
const shape x_shape{2, 1, 2};
const floats x{1, 2, 3, 4, 10, 20, 30, 40};  // two examples

floats scaled(const shape& by, const floats& factor) {
    return evaluate<float>(bespoke::scale{.shape_scale = by}, {{x_shape, x}}, {factor}).first();
}
floats biased(const shape& by, const floats& more) {
    return evaluate<float>(bespoke::bias{.shape = by}, {{x_shape, x}}, {more}).first();
}

const std::vector<shape> images{{3, 4, 5}, {2, 3, 4, 5}, {1, 2, 3, 1, 1}, {2, 1, 1}};
/// What may meet them.
std::vector<shape> shapes_for(const shape& s) {
    return {{1},
            {s.from_end(3)},
            {1, s.from_end(2), s.from_end(1)},
            {s.from_end(3), s.from_end(2), s.from_end(1)}};
}

}  // namespace

TEST_CASE("scale, bias: by hand") {
    REQUIRE(scaled({1}, {2}) == floats{2, 4, 6, 8, 20, 40, 60, 80});
    REQUIRE(scaled({2}, {2, -1}) == floats{2, 4, -3, -4, 20, 40, -30, -40});
    REQUIRE(scaled({1, 1, 2}, {2, -1}) == floats{2, -2, 6, -4, 20, -20, 60, -40});
    REQUIRE(scaled({2, 1, 2}, {1, 2, 3, 4}) == floats{1, 4, 9, 16, 10, 40, 90, 160});
    REQUIRE(biased({1}, {0.5f}) == floats{1.5f, 2.5f, 3.5f, 4.5f, 10.5f, 20.5f, 30.5f, 40.5f});
    REQUIRE(biased({2}, {1, -1}) == floats{2, 3, 2, 3, 11, 21, 29, 39});
    REQUIRE(biased({1, 1, 2}, {1, -1}) == floats{2, 1, 4, 3, 11, 19, 31, 39});
    REQUIRE(biased({2, 1, 2}, {1, 2, 3, 4}) == floats{2, 4, 6, 8, 11, 22, 33, 44});
    const bespoke::scale both{.shape_scale = {2}, .has_bias = true, .shape_bias = {1, 1, 2}};
    REQUIRE(evaluate<float>(both, {{x_shape, x}}, {{2, -1}, {100, 200}}).first() ==
            floats{102, 204, 97, 196, 120, 240, 70, 160});
    const float nan = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(std::isnan(evaluate<float>(bespoke::scale{}, {{{1, 1, 1}, {nan}}}, {{0}}).first()[0]));
}

TEST_CASE("scale, bias: gradients") {
    for (const shape& image : images)
        for (const shape& by : shapes_for(image)) {
            require_gradients(bespoke::bias{.shape = by}, {image});
            require_gradients(bespoke::scale{.shape_scale = by}, {image});
            for (const shape& more : shapes_for(image))
                require_gradients(bespoke::scale{.shape_scale = by, .has_bias = true, .shape_bias = more},
                                  {image});
        }
}

TEST_CASE("scale, bias: the same bits with threads where there is much to do") {
    const shape s{8, 40, 60};
    const bespoke::scale layer{.shape_scale = {8}, .has_bias = true, .shape_bias = {1, 40, 60}};
    evaluate<float>(layer, {{s, numbers<float>(3 * s.size())}},
                    {numbers<float>(8, 2), numbers<float>(2400, 3)});
}

TEST_CASE("scale, bias: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(bespoke::scale{}, {{2, 3}}) ==
            place + "(scale): an input of rank 3 or more wanted, its shape is [2, 3]");
    REQUIRE(fault_of(bespoke::bias{}, {{2, 3}}) ==
            place + "(bias): an input of rank 3 or more wanted, its shape is [2, 3]");
    REQUIRE(fault_of(bespoke::scale{.shape_scale = {3}}, {{2, 3, 4}}) ==
            place +
                "(scale): a shapeScale [1], [C], [1, H, W] or [C, H, W] wanted that meets an input of the "
                "shape [2, 3, "
                "4], [3] given");
    REQUIRE(fault_of(bespoke::scale{.has_bias = true, .shape_bias = {2, 1, 1}}, {{2, 3, 4}}) ==
            place +
                "(scale): a shapeBias [1], [C], [1, H, W] or [C, H, W] wanted that meets an input of the "
                "shape [2, 3, "
                "4], [2, 1, 1] given");
    REQUIRE(fault_of(bespoke::bias{.shape = {}}, {{2, 3, 4}}) ==
            place +
                "(bias): a shape [1], [C], [1, H, W] or [C, H, W] wanted that meets an input of the shape "
                "[2, 3, 4], [] "
                "given");
    REQUIRE(fault_of(bespoke::scale{.shape_bias = {9}}, {{2, 3, 4}}) ==
            "");  // without has_bias it means nothing
    for (extent e : hostile_extents()) {
        ask_everything(bespoke::scale{.shape_scale = {e}});
        ask_everything(bespoke::bias{.shape = {e, e, e}});
    }
}

namespace {
constexpr auto chained(auto... outputs) {
    return compose(input{"x", {2, 12, 12}}, convolution{.output_channels = 8, .padding = same} | named("c"),
                   bespoke::scale{.shape_scale = {8}} | named("s"), bespoke::bias{.shape = {8}} | named("b"),
                   bespoke::scale{.shape_scale = {8}, .has_bias = true, .shape_bias = {8}} | named("t"),
                   bespoke::bias{} | named("y"), output{"y"}, outputs...);
}
inline constexpr auto fused = chained();
inline constexpr auto apart = chained(output{"c"}, output{"s"}, output{"b"}, output{"t"});

template <const auto& D, bool OneOutput>
floats run(extent examples) {
    network<D> net(3);
    for (std::size_t i = 2; i < net.plan().parameters.size(); ++i) {
        const extent n = net.plan().parameters[i].dimensions.size();
        const auto values = numbers<float>(n, i);
        std::copy(values.begin(), values.end(), net.core().parameter(i));
    }
    net.prepare();
    const auto y = net.predict_batch(numbers<float>(examples * 288));
    if constexpr (OneOutput)
        return {y.begin(), y.end()};
    else
        return {std::get<0>(y).begin(), std::get<0>(y).end()};
}
}  // namespace

TEST_CASE("scale, bias: one a channel run in the epilogue of a convolution, with the same bits") {
    constexpr plan_view plan = network<fused>::plan();
    for (std::size_t step = 1; step < 4; ++step) REQUIRE(plan.steps[step].head == 0);
    REQUIRE(plan.steps[4].head == blob_facts::npos);  // one for all
    for (extent examples : {1, 3}) REQUIRE(same_bits(run<fused, true>(examples), run<apart, false>(examples)));
}
