#include <bespoke/layers/convolution3d.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

/// A layer, an input, and what a reader of the specification finds with pencil and paper.
struct volume_case {
    convolution3d layer;
    shape x, y;
    std::array<extent, 3> before;  ///< padding; of a deconvolution: what is cropped
};

const std::vector<volume_case>& volume_convolutions() {
    using type = padding_type_3d;
    // clang-format off
    static const std::vector<volume_case> cases{
        {{.output_channels = 2}, {1, 4, 5, 6}, {2, 2, 3, 4}, {0, 0, 0}},
        // the example of the specification
        {{.output_channels = 2, .stride_depth = 2, .stride_height = 2, .stride_width = 2, .padding_type = type::same},
         {1, 3, 3, 8, 8}, {1, 2, 2, 4, 4}, {1, 0, 0}},
        {{.output_channels = 4, .n_groups = 2, .kernel_depth = 2, .kernel_height = 1, .kernel_width = 3,
          .dilation_depth = 2, .dilation_width = 2, .has_bias = false, .padding_type = type::valid,
          .custom_padding_front = 7},
         {2, 4, 4, 3, 6}, {2, 4, 2, 3, 2}, {0, 0, 0}},
        {{.output_channels = 3, .kernel_depth = 2, .kernel_height = 3, .kernel_width = 1, .stride_depth = 2,
          .stride_width = 3, .custom_padding_front = 1, .custom_padding_back = 2, .custom_padding_top = 2,
          .custom_padding_right = 3},
         {3, 3, 3, 4}, {3, 3, 3, 3}, {1, 2, 0}},
        {{.output_channels = 2, .n_groups = 0, .kernel_depth = 1, .kernel_height = 1, .kernel_width = 1,
          .stride_depth = 0, .stride_height = 0, .stride_width = 0, .dilation_depth = 0, .dilation_height = 0,
          .dilation_width = 0},
         {2, 2, 1, 2}, {2, 2, 1, 2}, {0, 0, 0}},
        {{.output_channels = 3, .n_groups = 3, .kernel_depth = 4, .kernel_height = 2, .kernel_width = 2,
          .padding_type = type::same},
         {3, 3, 3, 3}, {3, 3, 3, 3}, {1, 0, 0}},
    };
    // clang-format on
    return cases;
}
const std::vector<volume_case>& volume_deconvolutions() {
    using type = padding_type_3d;
    // clang-format off
    static const std::vector<volume_case> cases{
        {{.output_channels = 2, .is_deconvolution = true}, {3, 2, 3, 4}, {2, 4, 5, 6}, {0, 0, 0}},
        {{.output_channels = 4, .n_groups = 2, .kernel_depth = 2, .kernel_height = 3, .kernel_width = 1,
          .stride_depth = 2, .stride_width = 2, .dilation_height = 2, .is_deconvolution = true},
         {2, 2, 2, 2, 3}, {2, 4, 4, 6, 5}, {0, 0, 0}},
        {{.output_channels = 1, .kernel_width = 2, .stride_depth = 2, .padding_type = type::same,
          .is_deconvolution = true},
         {1, 2, 3, 3}, {1, 4, 3, 3}, {0, 1, 0}},
        {{.output_channels = 2, .stride_depth = 2, .stride_height = 2, .custom_padding_front = 1,
          .custom_padding_back = 2, .custom_padding_top = 1, .custom_padding_left = 1, .custom_padding_right = 1,
          .is_deconvolution = true},
         {2, 3, 2, 2}, {2, 4, 4, 2}, {1, 1, 1}},
        {{.output_channels = 1, .has_bias = false, .padding_type = type::valid, .is_deconvolution = true,
          .output_size = {4, 3, 4}},
         {1, 2, 2, 2}, {1, 4, 3, 4}, {0, 0, 0}},
        {{.output_channels = 1, .stride_depth = 3, .custom_padding_front = 1, .is_deconvolution = true,
          .output_size = {7, 4, 4}},
         {1, 2, 2, 2}, {1, 7, 4, 4}, {1, 0, 0}},  // what lies behind the last window is the bias
        {{.output_channels = 1, .padding_type = type::same, .is_deconvolution = true, .output_size = {2, 3, 4}},
         {1, 2, 2, 2}, {1, 2, 3, 4}, {1, 0, 0}},
    };
    // clang-format on
    return cases;
}

/// The definition, in double.
std::vector<double> expected(const volume_case& t, extent examples, const std::vector<float>& x,
                             const std::vector<float>& weights, const std::vector<float>& bias) {
    const convolution3d& l = t.layer;
    const auto one = [](std::int32_t v) { return v == 0 ? extent{1} : extent{v}; };
    const extent groups = one(l.n_groups), C = t.x.from_end(4), O = l.output_channels,
                 rows = t.x.product(0, t.x.rank() - 4);
    const extent in[3] = {t.x.from_end(3), t.x.from_end(2), t.x.from_end(1)};
    const extent out[3] = {t.y.from_end(3), t.y.from_end(2), t.y.from_end(1)};
    const extent kernel[3] = {l.kernel_depth, l.kernel_height, l.kernel_width};
    const extent stride[3] = {one(l.stride_depth), one(l.stride_height), one(l.stride_width)};
    const extent dilation[3] = {one(l.dilation_depth), one(l.dilation_height), one(l.dilation_width)};
    const extent volume_x = in[0] * in[1] * in[2], volume_y = out[0] * out[1] * out[2],
                 taps = kernel[0] * kernel[1] * kernel[2];
    std::vector<double> y(static_cast<std::size_t>(examples * rows * O * volume_y));
    for (std::size_t i = 0; i < y.size() && l.has_bias; ++i)
        y[i] = static_cast<double>(bias[i / static_cast<std::size_t>(volume_y) % static_cast<std::size_t>(O)]);
    // a step leads from a small side (the output of a convolution, the input of a deconvolution) to a large one
    const extent* small = l.is_deconvolution ? in : out;
    const extent* large = l.is_deconvolution ? out : in;
    for (extent r = 0; r < examples * rows; ++r)
        for (extent c = 0; c < C; ++c)
            for (extent o = 0; o < O; ++o) {
                if (c / (C / groups) != o / (O / groups)) continue;
                const extent matrix =
                    l.is_deconvolution ? c * (O / groups) + o % (O / groups) : o * (C / groups) + c % (C / groups);
                for (extent tap = 0; tap < taps; ++tap)
                    for (extent s = 0; s < small[0] * small[1] * small[2]; ++s) {
                        const extent at[3] = {s / small[2] / small[1], s / small[2] % small[1], s % small[2]};
                        const extent k[3] = {tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]};
                        extent big = 0;
                        bool inside = true;
                        for (std::size_t i = 0; i < 3; ++i) {
                            const extent z = at[i] * stride[i] + k[i] * dilation[i] - t.before[i];
                            inside = inside && z >= 0 && z < large[i];
                            big = big * large[i] + z;
                        }
                        if (!inside) continue;
                        const extent from = l.is_deconvolution ? s : big, to = l.is_deconvolution ? big : s;
                        y[static_cast<std::size_t>((r * O + o) * volume_y + to)] +=
                            static_cast<double>(x[static_cast<std::size_t>((r * C + c) * volume_x + from)]) *
                            static_cast<double>(weights[static_cast<std::size_t>(matrix * taps + tap)]);
                    }
            }
    return y;
}

void check_values(const volume_case& t, extent examples) {
    const auto shapes = t.layer.parameter_shapes(t.x);
    const auto x = numbers<float>(examples * t.x.size(), 1), w = numbers<float>(shapes.weights.size(), 2),
               b = numbers<float>(shapes.bias.size(), 3);
    std::vector<std::vector<float>> parameters{w};
    if (t.layer.has_bias) parameters.push_back(b);
    const auto got = evaluate<float>(t.layer, {{t.x, x}}, parameters);
    REQUIRE(got.dimensions() == t.y);
    REQUIRE(distance(got.first(), expected(t, examples, x, w, b)) < 2e-6);
}

}  // namespace

TEST_CASE("convolution3d: values") {
    for (const auto* cases : {&volume_convolutions(), &volume_deconvolutions()})
        for (const volume_case& t : *cases) {
            CAPTURE(&t - cases->data());
            check_values(t, 1);
            check_values(t, 3);
        }
    // by hand: sums of neighbours along the depth
    REQUIRE(
        evaluate<float>(convolution3d{.output_channels = 1, .kernel_depth = 2, .kernel_height = 1, .kernel_width = 1},
                        {{{1, 3, 1, 2}, {1, 2, 3, 4, 5, 6}}}, {{10, 1}, {0.5f}})
            .first() == std::vector<float>{13.5f, 24.5f, 35.5f, 46.5f});
}

TEST_CASE("convolution3d: gradients") {
    for (const auto* cases : {&volume_convolutions(), &volume_deconvolutions()})
        for (const volume_case& t : *cases) {
            CAPTURE(&t - cases->data());
            require_gradients(t.layer, {t.x});
        }
}

TEST_CASE("convolution3d: what does not fit") {
    const std::string place = "layers/0 \"layer\" (convolution3d): ";
    const convolution3d good{.output_channels = 2};
    const shape x{2, 4, 5, 6};
    const auto fault = [&](const auto& change) {
        convolution3d layer = good;
        change(layer);
        return fault_of(layer, {x});
    };
    REQUIRE(fault_of(good, {{4, 5, 6}}) ==
            place + "an input [.., channels, depth, height, width] wanted, its shape is [4, 5, 6]");
    REQUIRE(fault_of(good, {{2, 0, 5, 6}}) == place + "an input that is not empty wanted, its shape is [2, 0, 5, 6]");
    REQUIRE(fault_of(good, {{extent{1} << 32, 3, 3, 3}}) ==
            place + "up to 2147483647 input channels wanted, the shape of its input is [4294967296, 3, 3, 3]");
    REQUIRE(fault([](auto& l) { l.output_channels = 0; }) == place + "outputChannels from 1 up wanted, 0 given");
    REQUIRE(fault([](auto& l) { l.n_groups = -1; }) == place + "nGroups from 0 up wanted, -1 given");
    REQUIRE(fault([](auto& l) { l.input_channels = 3; }) ==
            place + "3 input channels declared, its input has 2 (shape [2, 4, 5, 6])");
    REQUIRE(fault([](auto& l) { l.n_groups = 3; }) ==
            place + "channels that 3 groups divide wanted, the input has 2 (shape [2, 4, 5, 6]), the output 2");
    REQUIRE(fault([](auto& l) { l.kernel_depth = 0; }) == place + "kernelDepth from 1 up wanted, 0 given");
    REQUIRE(fault([](auto& l) { l.stride_height = -1; }) == place + "strideHeight from 1 up wanted, -1 given");
    REQUIRE(fault([](auto& l) { l.dilation_width = -2; }) == place + "dilationWidth from 1 up wanted, -2 given");
    REQUIRE(fault([](auto& l) { l.custom_padding_back = -2; }) ==
            place + "custom padding from 0 up wanted, [0, -2] given for the axis Depth");
    REQUIRE(fault([](auto& l) { l.kernel_height = 6; }) ==
            place + "the kernelHeight covers 6, the padded input has 5 (shape [2, 4, 5, 6])");
    REQUIRE(fault([](auto& l) { l.output_size = {9}; }).empty());
    const auto transposed = [&](const auto& change) {
        return fault([&](auto& l) {
            l.is_deconvolution = true;
            change(l);
        });
    };
    REQUIRE(transposed([](auto& l) {
                l.output_size = {4, 4};
            }) == place + "outputShape [D, H, W] wanted, [4, 4] given");
    REQUIRE(transposed([](auto& l) {
                l.output_size = {4, 9, 4};
            }) == place + "an outputHeight from 1 to 7 wanted, outputShape is [4, 9, 4]");
    REQUIRE(transposed([](auto& l) {
                l.output_size = {4, 4, 4};
                l.custom_padding_left = 8;
            }) == place + "nothing is left of the outputWidth of 8 after cropping 8");
    REQUIRE(transposed([](auto& l) { l.custom_padding_left = l.custom_padding_right = 4; }) ==
            place + "nothing is left of the outputWidth of 8 after cropping 4 and 4");
    ask_everything(good);
    ask_everything(convolution3d{.output_channels = 2, .is_deconvolution = true});
    for (std::int32_t a :
         {std::numeric_limits<std::int32_t>::min(), -1, 0, 1, 7, 1 << 20, std::numeric_limits<std::int32_t>::max()})
        for (const shape& s : hostile_shapes())
            for (bool is_deconvolution : {false, true}) {
                plan_of(convolution3d{.output_channels = a, .is_deconvolution = is_deconvolution}, {s});
                plan_of(convolution3d{.output_channels = 2,
                                      .kernel_depth = a,
                                      .kernel_width = a,
                                      .custom_padding_front = a,
                                      .custom_padding_right = a,
                                      .is_deconvolution = is_deconvolution},
                        {s});
                plan_of(convolution3d{.output_channels = 2,
                                      .stride_depth = a,
                                      .dilation_height = a,
                                      .padding_type = padding_type_3d::same,
                                      .is_deconvolution = is_deconvolution},
                        {s});
            }
    const convolution3d resolved = convolution3d{.output_channels = 2, .n_groups = 0}.resolved(x);
    REQUIRE(resolved.input_channels == 2);
    REQUIRE(resolved.n_groups == 1);
}

namespace {
inline constexpr auto volumes = compose(input{"x", {2, 4, 5, 5}}, convolution3d{.output_channels = 3},
                                        convolution3d{.output_channels = 2, .is_deconvolution = true});
}

TEST_CASE("convolution3d: the same bits composed and at run time") {
    network<volumes> net;
    REQUIRE(net(numbers<float>(200)).shape(0) == 2);
    REQUIRE(same_bits_unrolled(net, numbers<float>(200)));
}
