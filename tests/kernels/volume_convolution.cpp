#include <bespoke/kernels/volume_convolution.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;

namespace {

using kernels::volume_geometry;

/// From `channels` volumes [depth, height, width] with a kernel, strides, dilations and padding before each axis; the
/// output is as large as fits, with as much padding behind.
volume_geometry volume(extent channels, extent outputs, extent groups, std::array<extent, 3> size,
                         std::array<extent, 3> kernel, std::array<extent, 3> stride, std::array<extent, 3> dilation,
                         std::array<extent, 3> pad) {
    std::array<extent, 3> out{};
    for (std::size_t i = 0; i < 3; ++i)
        out[i] = (size[i] + 2 * pad[i] - (kernel[i] - 1) * dilation[i] - 1) / stride[i] + 1;
    kernels::convolution_geometry slice{
        channels * kernel[0], size[1],     size[2], outputs, out[1], out[2], kernel[1], kernel[2], stride[1], stride[2],
        dilation[1],          dilation[2], pad[1],  pad[2],  groups};
    return {slice, size[0], out[0], kernel[0], stride[0], dilation[0], pad[0]};
}

/// Calls body(x, weight, y) with the places of the factors of every product.
template <class Body>
void each_product(const volume_geometry& g, extent examples, const Body& body) {
    const auto& s = g.slice;
    const extent channels = g.channels() / s.groups, outputs = s.output_channels / s.groups;
    for (extent e = 0; e < examples; ++e)
        for (extent o = 0; o < s.output_channels; ++o)
            for (extent c = 0; c < channels; ++c)
                for (extent tap = 0; tap < g.kernel_depth * s.taps(); ++tap)
                    for (extent out = 0; out < g.output_depth * s.pixels(); ++out) {
                        const extent z = out / s.pixels() * g.stride + tap / s.taps() * g.dilation - g.pad_front;
                        const extent y = out % s.pixels() / s.output_width * s.stride_y +
                                         tap % s.taps() / s.kernel_width * s.dilation_y - s.pad_top;
                        const extent x =
                            out % s.output_width * s.stride_x + tap % s.kernel_width * s.dilation_x - s.pad_left;
                        if (z < 0 || z >= g.depth || y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
                        const extent channel = o / outputs * channels + c;
                        body(e * g.x_size() + ((channel * g.depth + z) * s.height + y) * s.width + x,
                             (o * channels + c) * g.kernel_depth * s.taps() + tap,
                             e * g.y_size() + o * g.output_depth * s.pixels() + out);
                    }
}

template <class T>
double largest_difference(const array<T>& got, const array<T>& before, const std::vector<double>& expected) {
    double worst = 0;
    for (extent i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(before[i]) -
                                         expected[static_cast<std::size_t>(i)]));
    return worst;
}

template <class T>
void compare(const volume_geometry& g, extent examples) {
    const extent weights = g.slice.output_channels * g.slice.group_channels() * g.slice.taps();
    const array<T> x(examples * g.x_size(), 1), w(weights, 2), dy(examples * g.y_size(), 3, 1);
    array<T> y(examples * g.y_size(), 4), dx(x.size(), 5), dw(weights, 6);
    std::vector<double> ey(static_cast<std::size_t>(y.size())), ex(static_cast<std::size_t>(x.size())),
        ew(static_cast<std::size_t>(weights));
    each_product(g, examples, [&](extent i, extent k, extent o) {
        ey[static_cast<std::size_t>(o)] += static_cast<double>(x[i]) * static_cast<double>(w[k]);
        ex[static_cast<std::size_t>(i)] += static_cast<double>(dy[o]) * static_cast<double>(w[k]);
        ew[static_cast<std::size_t>(k)] += static_cast<double>(dy[o]) * static_cast<double>(x[i]);
    });
    const array<T> y_before = y, dx_before = dx, dw_before = dw;
    for (std::size_t count : {std::size_t{0}, std::size_t{2}, std::size_t{5}}) {
        thread_pool pool(count == 0 ? 1 : count);
        thread_pool* threads = count == 0 ? nullptr : &pool;
        array<T> scratch(kernels::volume_scratch<T>(g, examples, static_cast<extent>(pool.size())), 7);
        array<T> again = y_before, dx_again = dx_before, dw_again = dw_before;
        kernels::volume_forward<T>(g, examples, x.data(), w.data(), nullptr, again.data(), true, scratch.data(),
                                   threads);
        kernels::volume_backward_input<T>(g, examples, dy.data(), w.data(), dx_again.data(), scratch.data(), threads);
        kernels::volume_backward_weights<T>(g, examples, x.data(), dy.data(), dw_again.data(), scratch.data(), threads);
        REQUIRE((again.intact() && dx_again.intact() && dw_again.intact() && scratch.intact()));
        if (count > 0)
            REQUIRE((check::same_bits(y, again) && check::same_bits(dx, dx_again) && check::same_bits(dw, dw_again)));
        y = again;
        dx = dx_again;
        dw = dw_again;
    }
    REQUIRE(largest_difference(y, y_before, ey) <= 300 * check::epsilon<T>);
    REQUIRE(largest_difference(dx, dx_before, ex) <= 300 * check::epsilon<T>);
    REQUIRE(largest_difference(dw, dw_before, ew) <= 3000 * check::epsilon<T>);
    // with the weights packed beforehand, and a bias
    array<T> packed(kernels::convolution_packed_size<T>(g.slice), 8);
    array<T> scratch(kernels::volume_scratch<T>(g, examples, 1), 9);
    const array<T> bias(g.slice.output_channels, 10);
    kernels::convolution_pack<T>(g.slice, w.data(), packed.data());
    array<T> alone(y.size(), 11), unpacked(y.size(), 12), start(y.size(), 13);
    kernels::volume_forward<T>(g, examples, x.data(), w.data(), bias.data(), alone.data(), false, scratch.data(),
                               nullptr, packed.data());
    kernels::volume_forward<T>(g, examples, x.data(), w.data(), bias.data(), unpacked.data(), false, scratch.data(),
                               nullptr);
    REQUIRE(check::same_bits(alone, unpacked));
    for (extent i = 0; i < start.size(); ++i) start[i] = bias[i / (g.output_depth * g.slice.pixels()) % bias.size()];
    REQUIRE(largest_difference(alone, start, ey) <= 300 * check::epsilon<T>);
}

}  // namespace

TEMPLATE_TEST_CASE("volume_convolution against every product", "", float, double) {
    compare<TestType>(volume(1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}), 1);
    compare<TestType>(volume(3, 5, 1, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}), 2);
    compare<TestType>(volume(4, 6, 2, {5, 4, 7}, {2, 3, 2}, {2, 1, 3}, {1, 1, 2}, {1, 0, 2}), 2);
    compare<TestType>(volume(3, 3, 3, {6, 3, 3}, {2, 2, 2}, {1, 2, 1}, {3, 1, 1}, {2, 1, 0}), 1);
    compare<TestType>(volume(2, 40, 1, {3, 4, 4}, {5, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2, 0, 0}), 1);
    compare<TestType>(volume(8, 16, 1, {9, 12, 12}, {3, 3, 3}, {2, 1, 1}, {1, 1, 1}, {1, 1, 1}), 2);
}

TEST_CASE("volume_convolution: slices run together while what they see stays near") {
    const auto small = volume(1, 1, 1, {8, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
    REQUIRE(small.together(8) == 8);
    REQUIRE(small.together(0) == 1);
    const auto large = volume(64, 64, 1, {8, 56, 56}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
    REQUIRE(large.together(800) == 1);
}
