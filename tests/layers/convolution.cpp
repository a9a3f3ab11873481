#include <bespoke/layers/convolution.hpp>
#include <bespoke/network/network.hpp>

#include "torch_numbers.hpp"

FLOAT_IN_IMPLEMENTATION(convolution)
DOUBLE_IN_INSTANCES(convolution)

using namespace bespoke;
using layer_test::evaluate;
using layer_test::fault_of;
using layer_test::numbers;
using layer_test::require_gradients;
using layer_test::result;

namespace {

constexpr same_padding top_left{.asymmetry_mode = same_padding_mode::top_left_heavy};

/// A layer, an input, and what a reader of the specification finds with pencil and paper.
struct test_case {
    convolution layer;
    shape x, y;
    extent top, left;  ///< padding; of a deconvolution: what is cropped
};

const std::vector<test_case>& convolutions() {
    // clang-format off
    static const std::vector<test_case> cases{
        {{.output_channels = 2}, {1, 5, 6}, {2, 3, 4}, 0, 0},
        {{.output_channels = 3, .kernel_size = {1, 1}}, {2, 3, 3}, {3, 3, 3}, 0, 0},
        {{.output_channels = 6, .kernel_size = {2, 3}, .stride = {2, 1}, .padding = padded(1, 0, 2, 1)},
         {4, 7, 6}, {6, 4, 7}, 1, 2},
        {{.output_channels = 6, .n_groups = 2, .kernel_size = {3, 2}, .dilation_factor = {2, 1}},
         {4, 9, 5}, {6, 5, 4}, 0, 0},
        {{.output_channels = 4, .n_groups = 4, .padding = same}, {4, 5, 5}, {4, 5, 5}, 1, 1},
        {{.output_channels = 12, .n_groups = 4, .stride = {2, 2}, .padding = same},
         {4, 5, 6}, {12, 3, 3}, 1, 0},
        {{.output_channels = 1, .kernel_size = {2, 4}, .padding = same}, {1, 4, 5}, {1, 4, 5}, 0, 1},
        {{.output_channels = 1, .kernel_size = {2, 4}, .padding = top_left}, {1, 4, 5}, {1, 4, 5}, 1, 2},
        {{.output_channels = 2, .stride = {2, 2}, .padding = same}, {2, 6, 7}, {2, 3, 4}, 0, 1},
        {{.output_channels = 2, .stride = {2, 2}, .padding = top_left}, {2, 6, 7}, {2, 3, 4}, 1, 1},
        {{.output_channels = 2, .kernel_size = {1, 1}, .stride = {3, 3}, .padding = same},
         {1, 5, 5}, {2, 2, 2}, 0, 0},
        {{.output_channels = 2, .dilation_factor = {2, 3}, .padding = same}, {1, 7, 7}, {2, 7, 7}, 2, 3},
        {{.output_channels = 3, .kernel_size = {1, 1}, .stride = {3, 3}, .padding = padded(3, 3, 3, 3)},
         {3, 3, 3}, {3, 3, 3}, 3, 3},
        {{.output_channels = 2, .stride = {largest_window, 7}, .has_bias = false},
         {2, 3, 5}, {2, 1, 1}, 0, 0},
        {{.output_channels = 3, .n_groups = 0, .kernel_size = {3, 1}},
         {2, 3, 2, 4, 3}, {2, 3, 3, 2, 3}, 0, 0},
    };
    // clang-format on
    return cases;
}

const std::vector<test_case>& deconvolutions() {
    // clang-format off
    static const std::vector<test_case> cases{
        {{.output_channels = 2, .is_deconvolution = true}, {3, 4, 5}, {2, 6, 7}, 0, 0},
        {{.output_channels = 3, .kernel_size = {3, 2}, .stride = {2, 3}, .is_deconvolution = true},
         {2, 4, 5}, {3, 9, 14}, 0, 0},
        {{.output_channels = 3,
          .kernel_size = {3, 2},
          .stride = {2, 3},
          .padding = padded(1, 0, 2, 1),
          .is_deconvolution = true},
         {2, 4, 5}, {3, 8, 11}, 1, 2},
        {{.output_channels = 6, .n_groups = 3, .stride = {2, 1}, .is_deconvolution = true},
         {3, 3, 3}, {6, 7, 5}, 0, 0},
        {{.output_channels = 2, .stride = {2, 2}, .padding = same, .is_deconvolution = true},
         {2, 4, 5}, {2, 8, 10}, 0, 0},
        {{.output_channels = 2, .stride = {2, 2}, .padding = top_left, .is_deconvolution = true},
         {2, 4, 5}, {2, 8, 10}, 1, 1},
        {{.output_channels = 2,
          .kernel_size = {1, 1},
          .stride = {3, 3},
          .padding = same,
          .is_deconvolution = true},
         {2, 4, 5}, {2, 12, 15}, 0, 0},
        {{.output_channels = 2, .kernel_size = {4, 5}, .padding = same, .is_deconvolution = true},
         {1, 4, 5}, {2, 4, 5}, 1, 2},
        // output_size: the padding counts for nothing
        {{.output_channels = 2,
          .stride = {2, 2},
          .padding = padded(3, 0, 0, 3),
          .is_deconvolution = true,
          .output_size = {6, 8}},
         {2, 4, 5}, {2, 6, 8}, 1, 1},
        {{.output_channels = 2,
          .stride = {2, 3},
          .padding = top_left,
          .is_deconvolution = true,
          .output_size = {10, 17}},
         {2, 4, 5}, {2, 10, 17}, 0, 0},
        {{.output_channels = 2,
          .stride = {2, 2},
          .padding = top_left,
          .is_deconvolution = true,
          .output_size = {8, 10}},
         {2, 4, 5}, {2, 8, 10}, 0, 0},
        {{.output_channels = 2, .dilation_factor = {2, 3}, .is_deconvolution = true},
         {3, 4, 5}, {2, 8, 11}, 0, 0},
        {{.output_channels = 6,
          .n_groups = 3,
          .kernel_size = {3, 2},
          .stride = {2, 3},
          .dilation_factor = {2, 1},
          .padding = padded(1, 0, 2, 1),
          .is_deconvolution = true},
         {3, 4, 5}, {6, 10, 11}, 1, 2},
        {{.output_channels = 2,
          .kernel_size = {1, 2},
          .stride = {1, 2},
          .dilation_factor = {1, 2},
          .padding = padded(0, 0, 2, 2),
          .is_deconvolution = true,
          .output_size = {1, 21}},
         {2, 1, 12}, {2, 1, 21}, 0, 2},
        {{.output_channels = 4, .n_groups = 2, .stride = {3, 2}, .is_deconvolution = true, .has_bias = false},
         {2, 2, 1, 3}, {2, 4, 3, 7}, 0, 0},
    };
    // clang-format on
    return cases;
}

extent groups_of(const convolution& c) { return std::max<extent>(c.n_groups, 1); }

shape weights_shape(const test_case& t) {
    const convolution& c = t.layer;
    const extent in = t.x.from_end(3), out = c.output_channels, g = groups_of(c);
    return c.is_deconvolution ? shape{in, out / g, c.kernel_size[0], c.kernel_size[1]}
                              : shape{out, in / g, c.kernel_size[0], c.kernel_size[1]};
}

/// The definition, one product at a time. Each (output, tap) meets one input: in a convolution that at
/// output * stride + tap * dilation - before, in a deconvolution the other way round.
template <class T>
std::vector<double> naive(const test_case& t, extent examples, const std::vector<T>& x,
                          const std::vector<T>& weights, const std::vector<T>& bias) {
    const convolution& c = t.layer;
    const extent rows = examples * t.x.product(0, t.x.rank() - 3), in = t.x.from_end(3), h = t.x.from_end(2),
                 w = t.x.from_end(1), out = c.output_channels, oh = t.y.from_end(2), ow = t.y.from_end(1),
                 g = groups_of(c), kh = c.kernel_size[0], kw = c.kernel_size[1];
    std::vector<double> y(static_cast<std::size_t>(rows * out * oh * ow));
    const auto at = [](const auto& v, extent i) -> auto& { return v[static_cast<std::size_t>(i)]; };
    for (extent i = 0; i < static_cast<extent>(y.size()); ++i)
        y[static_cast<std::size_t>(i)] =
            bias.empty() ? 0 : static_cast<double>(at(bias, i / (oh * ow) % out));
    for (extent r = 0; r < rows; ++r)
        for (extent o = 0; o < out; ++o)
            for (extent k = 0; k < in; ++k) {
                if (o / (out / g) != k / (in / g)) continue;
                const extent first =
                    c.is_deconvolution ? k * (out / g) + o % (out / g) : o * (in / g) + k % (in / g);
                for (extent u = 0; u < kh; ++u)
                    for (extent v = 0; v < kw; ++v)
                        for (extent i = 0; i < (c.is_deconvolution ? h : oh); ++i)
                            for (extent j = 0; j < (c.is_deconvolution ? w : ow); ++j) {
                                const extent fy = i * c.stride[0] - t.top + u * c.dilation_factor[0];
                                const extent fx = j * c.stride[1] - t.left + v * c.dilation_factor[1];
                                const extent yi = c.is_deconvolution ? fy : i,
                                             yj = c.is_deconvolution ? fx : j;
                                const extent xi = c.is_deconvolution ? i : fy,
                                             xj = c.is_deconvolution ? j : fx;
                                if (yi < 0 || yi >= oh || yj < 0 || yj >= ow || xi < 0 || xi >= h || xj < 0 ||
                                    xj >= w)
                                    continue;
                                y[static_cast<std::size_t>(((r * out + o) * oh + yi) * ow + yj)] +=
                                    static_cast<double>(at(x, ((r * in + k) * h + xi) * w + xj)) *
                                    static_cast<double>(at(weights, (first * kh + u) * kw + v));
                            }
            }
    return y;
}

template <class T>
void compare(const test_case& t, double tolerance) {
    const extent examples = 3;
    const auto x = numbers<T>(examples * t.x.size(), 1), weights = numbers<T>(weights_shape(t).size(), 2),
               bias = numbers<T>(t.layer.has_bias ? t.layer.output_channels : 0, 3);
    const result<T> r = evaluate<T>(t.layer, {{t.x, x}}, {weights, bias});
    REQUIRE(r.dimensions() == t.y);
    REQUIRE(layer_test::distance(r.first(), naive(t, examples, x, weights, bias)) < tolerance);
}

constexpr extent huge = extent{1} << 62;

constexpr shape planned(const convolution& c, const shape& x) {
    const std::array inputs{x};
    return output_shapes(c, std::span<const shape>(inputs)).shapes().at(0);
}

}  // namespace

TEST_CASE("convolution: shapes at compile time") {
    static_assert(planned({.output_channels = 16, .kernel_size = {3, 3}, .padding = same}, {1, 8, 8}) ==
                  shape{16, 8, 8});
    static_assert(planned({.output_channels = 4, .stride = {2, 3}}, {5, 2, 9, 10}) == shape{5, 4, 4, 3});
    static_assert(planned({.output_channels = 4, .padding = padded(1, 2, 3, 4)}, {2, 9, 10}) ==
                  shape{4, 10, 15});
    static_assert(planned({.output_channels = 4, .stride = {2, 2}, .is_deconvolution = true}, {2, 9, 10}) ==
                  shape{4, 19, 21});
    static_assert(planned({.output_channels = 4, .stride = {2, 2}, .padding = same, .is_deconvolution = true},
                          {2, 9, 10}) == shape{4, 18, 20});
    static_assert(convolution{.output_channels = 4, .n_groups = 0}.resolved(std::array{shape{6, 3, 3}}) ==
                  convolution{.output_channels = 4, .kernel_channels = 6});
    static_assert(convolution{.output_channels = 4, .n_groups = 2, .is_deconvolution = true}
                      .resolved(std::array{shape{6, 3, 3}})
                      .kernel_channels == 6);
    SUCCEED();
}

TEST_CASE("convolution: the sum over the window, written out") {
    for (const test_case& t : convolutions()) {
        INFO("case " << &t - convolutions().data());
        compare<double>(t, 1e-14);
        compare<float>(t, 1e-5);
    }
}

TEST_CASE("deconvolution: every input spreads over a window, written out") {
    for (const test_case& t : deconvolutions()) {
        INFO("case " << &t - deconvolutions().data());
        compare<double>(t, 1e-14);
        compare<float>(t, 1e-5);
    }
}

TEST_CASE("convolution and deconvolution: numbers of PyTorch") {
    using layer_test::steps;
    const auto x = steps<float>(1, 240);
    const auto y = evaluate<float>(convolution{.output_channels = 6,
                                               .n_groups = 2,
                                               .kernel_size = {3, 2},
                                               .stride = {2, 1},
                                               .dilation_factor = {1, 2},
                                               .padding = padded(1, 1, 2, 2)},
                                   {{shape{4, 6, 5}, x}}, {steps<float>(2, 72), steps<float>(3, 6)});
    REQUIRE(y.dimensions() == shape{6, 3, 7});
    layer_test::require_summary(
        y.first(), {252, -22.109375, 344.004638672, {-1.640625, 0.109375, 0.015625}, -0.359375}, 1e-6);
    const auto z = evaluate<float>(convolution{.output_channels = 6,
                                               .n_groups = 2,
                                               .kernel_size = {3, 2},
                                               .stride = {2, 3},
                                               .padding = padded(1, 1, 0, 0),
                                               .is_deconvolution = true},
                                   {{shape{2, 4, 6, 5}, x}}, {steps<float>(2, 72), steps<float>(3, 6)});
    REQUIRE(z.dimensions() == shape{2, 6, 11, 14});
    layer_test::require_summary(
        z.first(), {1848, -68.796875, 1158.374755859, {-0.71875, -1.140625, -0.625}, -1.4375}, 1e-6);
    const auto dilated = evaluate<float>(convolution{.output_channels = 6,
                                                     .n_groups = 2,
                                                     .kernel_size = {3, 2},
                                                     .stride = {2, 3},
                                                     .dilation_factor = {2, 3},
                                                     .padding = padded(1, 1, 0, 0),
                                                     .is_deconvolution = true},
                                         {{shape{2, 4, 6, 5}, x}}, {steps<float>(2, 72), steps<float>(3, 6)});
    REQUIRE(dilated.dimensions() == shape{2, 6, 13, 16});
    layer_test::require_summary(
        dilated.first(), {2496, -95.796875, 1388.413818359, {-0.625, -0.625, -0.625}, -0.875}, 1e-6);
}

TEST_CASE("convolution: weights that come as second input") {
    const test_case t{
        {.output_channels = 4, .n_groups = 2, .kernel_size = {2, 3}, .stride = {1, 2}, .padding = same},
        {2, 2, 4, 5},
        {2, 4, 4, 3},
        0,
        1};
    const extent examples = 3;
    const auto x = numbers<double>(examples * t.x.size(), 1), weights = numbers<double>(examples * 24, 2),
               bias = numbers<double>(4, 3);
    const auto part = [](const std::vector<double>& v, extent size, extent i) {
        return std::vector<double>(v.begin() + size * i, v.begin() + size * (i + 1));
    };
    SECTION("of each example its own") {
        const auto r = evaluate<double>(t.layer, {{t.x, x}, {{4, 1, 2, 3}, weights}}, {{}, bias});
        REQUIRE(r.dimensions() == t.y);
        for (extent i = 0; i < examples; ++i)
            REQUIRE(layer_test::distance(part(r.first(), t.y.size(), i),
                                         naive(t, 1, part(x, t.x.size(), i), part(weights, 24, i), bias)) <
                    1e-14);
    }
    SECTION("one for all examples: the bits of a convolution with these weights") {
        const auto own = part(weights, 24, 0);
        const auto r = evaluate<double>(t.layer, {{t.x, x}, {{4, 1, 2, 3}, own, true}}, {{}, bias});
        REQUIRE(layer_test::same_bits(r, evaluate<double>(t.layer, {{t.x, x}}, {own, bias})));
    }
    SECTION("one image for all weights") {
        const auto image = part(x, t.x.size(), 0);
        const auto r = evaluate<double>(t.layer, {{t.x, image, true}, {{4, 1, 2, 3}, weights}}, {{}, bias});
        for (extent i = 0; i < examples; ++i)
            REQUIRE(layer_test::distance(part(r.first(), t.y.size(), i),
                                         naive(t, 1, image, part(weights, 24, i), bias)) < 1e-14);
    }
}

// So a loop or a branch calls it: what they write is stored example after example.
TEST_CASE("convolution: an image that is stored once, results that are not") {
    const convolution layer{.output_channels = 2, .kernel_size = {2, 2}};
    const shape x{3, 3, 4}, y{2, 2, 3};
    const extent examples = 3;
    const auto image = numbers<double>(36, 1), weights = numbers<double>(24, 2), bias = numbers<double>(2, 3),
               dy = numbers<double>(examples * 12, 4);
    const std::array xs{dynamic_view<const double>{image.data(), x, examples, 0}};
    std::vector<double> out(36), dx(36, 5), dweights(24, 6);
    const std::array ys{dynamic_view<double>{out.data(), y, examples, 12}};
    const convolution::parameters<dynamic_view<const double>> p{{weights.data(), {2, 3, 2, 2}, 1, 24},
                                                                {bias.data(), {2}, 1, 2}};
    const std::array shapes{x};
    std::vector<double> scratch(static_cast<std::size_t>(layer.scratch_size<double>(shapes, examples, 1)));
    workspace<double> w{.scratch = scratch.data()};
    layer.forward(std::span<const dynamic_view<const double>>(xs), std::span<const dynamic_view<double>>(ys),
                  p, w);
    const auto one = naive({layer, x, y, 0, 0}, 1, image, weights, bias);
    for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == Approx(one[i % 12]));

    const std::array const_ys{dynamic_view<const double>{out.data(), y, examples, 12}},
        dys{dynamic_view<const double>{dy.data(), y, examples, 12}};
    const std::array dxs{dynamic_view<double>{dx.data(), x, examples, 0}};
    const convolution::parameters<dynamic_view<double>> dp{{dweights.data(), {2, 3, 2, 2}, 1, 24}, {}};
    layer.backward(std::span<const dynamic_view<const double>>(xs),
                   std::span<const dynamic_view<const double>>(const_ys),
                   std::span<const dynamic_view<const double>>(dys),
                   std::span<const dynamic_view<double>>(dxs), p, dp, w);
    // the same as one example with the sum of the dy
    std::vector<double> sum(12), dx_of_sum(36, 5), dweights_of_sum(24, 6);
    for (std::size_t i = 0; i < dy.size(); ++i) sum[i % 12] += dy[i];
    const std::array once{dynamic_view<const double>{image.data(), x, 1, 36}},
        y_once{dynamic_view<const double>{out.data(), y, 1, 12}},
        dy_once{dynamic_view<const double>{sum.data(), y, 1, 12}};
    const std::array dx_once{dynamic_view<double>{dx_of_sum.data(), x, 1, 36}};
    const convolution::parameters<dynamic_view<double>> dp_once{{dweights_of_sum.data(), {2, 3, 2, 2}, 1, 24},
                                                                {}};
    layer.backward(std::span<const dynamic_view<const double>>(once),
                   std::span<const dynamic_view<const double>>(y_once),
                   std::span<const dynamic_view<const double>>(dy_once),
                   std::span<const dynamic_view<double>>(dx_once), p, dp_once, w);
    CHECK(layer_test::distance(dx, dx_of_sum) < 1e-14);
    CHECK(layer_test::distance(dweights, dweights_of_sum) < 1e-14);
}

TEST_CASE("convolution: gradients") {
    for (const test_case& t : convolutions()) {
        INFO("case " << &t - convolutions().data());
        require_gradients(t.layer, {t.x});
    }
}

TEST_CASE("deconvolution: gradients") {
    for (const test_case& t : deconvolutions()) {
        INFO("case " << &t - deconvolutions().data());
        require_gradients(t.layer, {t.x});
    }
}

TEST_CASE("convolution: gradients with weights that come as second input") {
    require_gradients(
        convolution{.output_channels = 4, .n_groups = 2, .kernel_size = {2, 3}, .padding = same},
        {{2, 4, 5}, {4, 1, 2, 3}}, {.examples = 3});
    require_gradients(convolution{.output_channels = 2, .stride = {2, 1}, .has_bias = false},
                      {{2, 3, 5, 4}, {2, 3, 3, 3}});
}

namespace {
constexpr auto small =
    compose(input{"x", {2, 5, 4}}, convolution{.output_channels = 4, .padding = same} | named("a"),
            convolution{.output_channels = 6, .n_groups = 2, .stride = {2, 1}} | named("b"),
            convolution{.output_channels = 2, .stride = {2, 2}, .is_deconvolution = true} | named("c"));
}

TEST_CASE("convolution: composed and run-time networks give the same bits") {
    network<small> net(7);
    static_assert(network<small>::plan().blobs[3].dimensions == shape{2, 5, 5});
    REQUIRE(layer_test::same_bits_unrolled(net, numbers<float>(40)));
}

TEST_CASE("convolution: what does not fit is said") {
    const shape x{4, 8, 9};
    CHECK(fault_of(convolution{.output_channels = 2}, {{8, 9}}) ==
          "layers/0 \"layer\" (convolution): an input [.., channels, height, width] wanted, its shape is [8, "
          "9]");
    CHECK(fault_of(convolution{.output_channels = 2}, {{4, 0, 9}}) ==
          "layers/0 \"layer\" (convolution): an input that is not empty wanted, its shape is [4, 0, 9]");
    CHECK(fault_of(convolution{}, {x}) ==
          "layers/0 \"layer\" (convolution): outputChannels from 1 up wanted, -1 given");
    CHECK(fault_of(convolution{.output_channels = 6, .n_groups = 4}, {x}) ==
          "layers/0 \"layer\" (convolution): channels that 4 groups divide wanted, the input has 4 (shape "
          "[4, 8, 9]), "
          "the output 6");
    CHECK(fault_of(convolution{.output_channels = 6, .n_groups = 3}, {x}) ==
          "layers/0 \"layer\" (convolution): channels that 3 groups divide wanted, the input has 4 (shape "
          "[4, 8, 9]), "
          "the output 6");
    CHECK(fault_of(convolution{.output_channels = 2, .n_groups = -1}, {x}) ==
          "layers/0 \"layer\" (convolution): nGroups from 0 up wanted, -1 given");
    CHECK(fault_of(convolution{.output_channels = 2, .kernel_channels = 4, .n_groups = 2}, {x}) ==
          "layers/0 \"layer\" (convolution): 4 kernel channels declared, 2 wanted for an input of the shape "
          "[4, 8, 9] "
          "and 2 groups");
    CHECK(
        fault_of(
            convolution{.output_channels = 2, .kernel_channels = 2, .n_groups = 2, .is_deconvolution = true},
            {x}) ==
        "layers/0 \"layer\" (convolution): 2 kernel channels declared, 4 wanted for an input of the shape "
        "[4, 8, 9] "
        "in 2 groups");
    CHECK(fault_of(convolution{.output_channels = 2, .kernel_size = {0, 3}}, {x}) ==
          "layers/0 \"layer\" (convolution): kernelSize from 1 to 2147483647 wanted, [0, 3] given");
    CHECK(fault_of(convolution{.output_channels = 2, .stride = {1, -2}}, {x}) ==
          "layers/0 \"layer\" (convolution): stride from 1 to 2147483647 wanted, [1, -2] given");
    CHECK(fault_of(convolution{.output_channels = 2, .dilation_factor = {0, 1}}, {x}) ==
          "layers/0 \"layer\" (convolution): dilationFactor from 1 to 2147483647 wanted, [0, 1] given");
    CHECK(fault_of(convolution{.output_channels = 2, .padding = padded(0, -1, 0, 0)}, {x}) ==
          "layers/0 \"layer\" (convolution): paddingAmounts from 0 to 2147483647 wanted, [0, -1] given");
    CHECK(
        fault_of(convolution{.output_channels = 2, .kernel_size = {5, 3}, .dilation_factor = {2, 1}}, {x}) ==
        "layers/0 \"layer\" (convolution): the kernel covers a height of 9, the padded input has 8 (shape "
        "[4, 8, 9])");
    CHECK(fault_of(convolution{.output_channels = 2, .kernel_size = {3, 12}, .padding = padded(0, 0, 1, 1)},
                   {x}) ==
          "layers/0 \"layer\" (convolution): the kernel covers a width of 12, the padded input has 11 (shape "
          "[4, 8, 9])");
    CHECK(fault_of(convolution{.output_channels = 2,
                               .kernel_size = {2, 2},
                               .dilation_factor = {1 << 30, 1 << 30},
                               .padding = padded(0, 1 << 30, 0, 1 << 30),
                               .is_deconvolution = true},
                   {x}) ==
          "layers/0 \"layer\" (convolution): an output of up to 1099511627776 elements before cropping wanted, "
          "the input's shape is [4, 8, 9]");
    CHECK(
        fault_of(convolution{.output_channels = 2, .padding = padded(10, 0, 0, 0), .is_deconvolution = true},
                 {x}) ==
        "layers/0 \"layer\" (convolution): nothing is left of the output height of 10 after cropping 10 and "
        "0");
    CHECK(fault_of(
              convolution{
                  .output_channels = 2, .stride = {2, 2}, .is_deconvolution = true, .output_size = {19, 1}},
              {x}) ==
          "layers/0 \"layer\" (convolution): an output height from 1 to 18 wanted, outputShape is [19, 1]");
    CHECK(fault_of(convolution{.output_channels = 2, .is_deconvolution = true, .output_size = {5, 0}}, {x}) ==
          "layers/0 \"layer\" (convolution): an output width from 1 to 11 wanted, outputShape is [5, 0]");
    CHECK(fault_of(convolution{.output_channels = 2, .is_deconvolution = true, .output_size = {5}}, {x}) ==
          "layers/0 \"layer\" (convolution): outputShape [H, W] wanted, [5] given");
    CHECK(fault_of(convolution{.output_channels = 2}, {x, {2, 4, 3, 2}}) ==
          "layers/0 \"layer\" (convolution): weights of the shape [2, 4, 3, 3] wanted as second input, their "
          "shape is "
          "[2, 4, 3, 2]");
    CHECK(fault_of(convolution{.output_channels = 2, .is_deconvolution = true}, {x, {4, 2, 3, 3}}) ==
          "layers/0 \"layer\" (convolution): a deconvolution takes one input, 2 given");
    CHECK(fault_of(convolution{.output_channels = 2}, {x, x, x}) ==
          "layers/0 \"layer\" (convolution): 1 to 2 inputs wanted, 3 named");
    // sizes that no machine holds
    CHECK(
        fault_of(convolution{.output_channels = huge}, {x}) ==
        "layers/0 \"layer\" (convolution): its weights would have the shape [4611686018427387904, 4, 3, 3]");
    CHECK(fault_of(convolution{.output_channels = 1,
                               .stride = {largest_window, 1},
                               .padding = padded(largest_window, 0, largest_window, 0)},
                   {x}) ==
          "layers/0 \"layer\" (convolution): a padded input of up to 1099511627776 elements wanted, its "
          "shape is "
          "[4, 8, 9]");
    CHECK(fault_of(convolution{.output_channels = 1, .stride = {largest_window, 1}, .is_deconvolution = true},
                   {{1, 1024, 1}}) ==
          "layers/0 \"layer\" (convolution): a stride of 2147483647 is too much for an input of the shape "
          "[1, 1024, 1]");
}

TEST_CASE("convolution: any hyper-parameters give a shape or a fault") {
    const std::vector<extent> odd{-huge, -1, 0, 1, 2, 3, 1000, largest_window, largest_window + 1, huge};
    const std::vector<shape> xs{{1, 1, 1}, {2, 3, 4}, {6, 1, 1 << 20}, {2, huge, 3}};
    philox random(1);
    const auto pick = [&] {
        return odd[static_cast<std::size_t>(random.uniform() * static_cast<double>(odd.size()))];
    };
    std::size_t shapes = 0, faults = 0;
    for (int i = 0; i < 20000; ++i) {
        convolution c{.output_channels = pick(),
                      .kernel_channels = random.uniform() < 0.5 ? unset : pick(),
                      .n_groups = random.uniform() < 0.5 ? 1 : pick(),
                      .kernel_size = {pick(), pick()},
                      .stride = {pick(), pick()},
                      .dilation_factor = {pick(), pick()},
                      .is_deconvolution = random.uniform() < 0.5};
        if (random.uniform() < 0.5) c.dilation_factor = {1, 1};
        if (random.uniform() < 0.3) c.padding = same;
        if (random.uniform() < 0.3) c.padding = padded(pick(), pick(), pick(), pick());
        if (random.uniform() < 0.3) c.output_size = {pick(), pick()};
        const std::array inputs{xs[static_cast<std::size_t>(i) % xs.size()]};
        if (const auto y = c.output_shape(inputs)) {
            ++shapes;
            for (extent e : y.shapes()[0]) REQUIRE(e > 0);
        } else {
            ++faults;
            REQUIRE(!y.problem().what.view().empty());
        }
    }
    CHECK(shapes > 10);
    CHECK(faults > 10);
}
