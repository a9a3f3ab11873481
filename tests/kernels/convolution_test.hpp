#pragma once

#include <bespoke/kernels/convolution_backward.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

/// Convolutions against sums over every single product.
namespace convolution_test {

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
using geometry = kernels::convolution_geometry;

inline extent outputs(extent size, extent kernel, extent stride, extent dilation, extent before,
                      extent after) {
    return (size + before + after - (kernel - 1) * dilation - 1) / stride + 1;
}

inline geometry make(extent channels, extent height, extent width, extent output_channels, extent ky,
                     extent kx, extent sy = 1, extent sx = 1, extent dy = 1, extent dx = 1, extent top = 0,
                     extent left = 0, extent bottom = 0, extent right = 0, extent groups = 1) {
    return {channels,
            height,
            width,
            output_channels,
            outputs(height, ky, sy, dy, top, bottom),
            outputs(width, kx, sx, dx, left, right),
            ky,
            kx,
            sy,
            sx,
            dy,
            dx,
            top,
            left,
            groups};
}

/// Calls body(output index, input index or -1 in the padding, weight index) for every product, in documented order
/// of the forward pass.
template <class Body>
void each_product(const geometry& g, const Body& body) {
    const extent in = g.channels / g.groups, out = g.output_channels / g.groups;
    for (extent o = 0; o < g.output_channels; ++o)
        for (extent oy = 0; oy < g.output_height; ++oy)
            for (extent ox = 0; ox < g.output_width; ++ox)
                for (extent c = 0; c < in; ++c)
                    for (extent i = 0; i < g.kernel_height; ++i)
                        for (extent j = 0; j < g.kernel_width; ++j) {
                            const extent iy = oy * g.stride_y + i * g.dilation_y - g.pad_top;
                            const extent ix = ox * g.stride_x + j * g.dilation_x - g.pad_left;
                            const bool inside = iy >= 0 && iy < g.height && ix >= 0 && ix < g.width;
                            body((o * g.output_height + oy) * g.output_width + ox,
                                 inside ? ((o / out * in + c) * g.height + iy) * g.width + ix : extent{-1},
                                 ((o * in + c) * g.kernel_height + i) * g.kernel_width + j);
                        }
}

template <class T>
struct run_of {
    geometry g;
    extent examples, x_stride, y_stride;
    array<T> x, w, bias, y, dx, dw, db;
    run_of(const geometry& geometry_, extent n, extent offset = 0)
        : g(geometry_), examples(n), x_stride(g.channels * g.height * g.width + 2),
          y_stride(g.output_channels * g.output_height * g.output_width + 3), x(n * x_stride - 2, 1, offset),
          w(g.output_channels * (g.channels / g.groups) * g.kernel_height * g.kernel_width, 2, offset),
          bias(g.output_channels, 3, offset), y(n * y_stride - 3, 4, offset), dx(n * x_stride - 2, 5, offset),
          dw(w.size(), 6, offset), db(g.output_channels, 7, offset) {}

    enum class pass { forward, plain, accumulate, input, weights, sums };
    /// `packs`: the weights are packed before the call, not by it.
    array<T> result(pass p, thread_pool* threads = nullptr, bool packs = false) const {
        const extent workers = threads ? static_cast<extent>(threads->size()) : 1;
        array<T> scratch(kernels::convolution_scratch<T>(g, workers), 8);
        array<T> packed(p == pass::input ? kernels::convolution_backward_packed_size<T>(g)
                                         : kernels::convolution_packed_size<T>(g),
                        9);
        if (packs && p == pass::input) kernels::convolution_backward_pack(g, w.data(), packed.data(), threads);
        if (packs && p != pass::input) kernels::convolution_pack(g, w.data(), packed.data(), threads);
        REQUIRE(packed.intact());
        const T* given = packs ? packed.data() : nullptr;
        array<T> out = p == pass::input ? dx : p == pass::weights ? dw : p == pass::sums ? db : y;
        if (p == pass::input)
            kernels::convolution_backward_input(g, examples, y.data(), y_stride, w.data(), out.data(),
                                                x_stride, scratch.data(), threads, given);
        else if (p == pass::weights)
            kernels::convolution_backward_weights(g, examples, x.data(), x_stride, y.data(), y_stride,
                                                  out.data(), scratch.data(), threads);
        else if (p == pass::sums)
            kernels::channel_sums(examples, g.output_channels, g.output_height * g.output_width, y.data(),
                                  y_stride, out.data(), threads);
        else
            kernels::convolution_forward(g, examples, x.data(), x_stride, w.data(),
                                         p == pass::forward ? bias.data() : nullptr, out.data(), y_stride,
                                         p == pass::accumulate, scratch.data(), threads, given);
        REQUIRE(scratch.intact());
        REQUIRE(out.intact());
        return out;
    }
    /// What a forward pass gives, to the bit: each output meets its products one after the other, over channel, row
    /// and column; what lies in the padding is 0.
    array<T> chain(pass p) const {
        const extent in = g.channels / g.groups, out = g.output_channels / g.groups;
        const extent taps = g.kernel_height * g.kernel_width;
        array<T> all = y;
        for (extent e = 0; e < examples; ++e)
            for (extent o = 0; o < g.output_channels; ++o) {
                T* const plane = all.data() + e * y_stride + o * g.pixels();
                if (p != pass::accumulate) std::fill_n(plane, g.pixels(), p == pass::forward ? bias[o] : T(0));
                for (extent k = 0; k < in * taps; ++k) {
                    const T* const image = x.data() + e * x_stride + (o / out * in + k / taps) * g.plane();
                    const extent i = k % taps / g.kernel_width, j = k % g.kernel_width;
                    const T weight = w[o * in * taps + k];
                    for (extent oy = 0; oy < g.output_height; ++oy) {
                        const extent iy = oy * g.stride_y + i * g.dilation_y - g.pad_top;
                        const T* const row = iy >= 0 && iy < g.height ? image + iy * g.width : nullptr;
                        T* const to = plane + oy * g.output_width;
                        extent ix = j * g.dilation_x - g.pad_left;
                        for (extent ox = 0; ox < g.output_width; ++ox, ix += g.stride_x)
                            to[ox] = kernels::fma(weight, row && ix >= 0 && ix < g.width ? row[ix] : T(0), to[ox]);
                    }
                }
            }
        return all;
    }
    /// That a forward pass runs its epilogue once on each element, whole sums only, and a map which that begins with
    /// before the rest, whatever the map does.
    void compare_epilogues(pass p, thread_pool* threads = nullptr) const {
        const extent workers = threads ? static_cast<extent>(threads->size()) : 1;
        const array<T> scale(g.output_channels, 10), shift(g.output_channels, 11), other(y.size(), 13),
            plain = result(p, threads);
        array<T> packed(kernels::convolution_packed_size<T>(g), 9);
        kernels::convolution_pack(g, w.data(), packed.data());
        const auto change = [](const void* factor, const output_block<T>& block) noexcept {
            for (extent i = 0; i < block.rows; ++i)
                for (extent j = 0; j < block.columns; ++j)
                    block.data[i * block.stride + j] *= *static_cast<const T*>(factor);
        };
        const T half = T(0.5), wrong = check::nan<T>;
        const epilogue<T> rest{change, &half};
        const T* const sum = other.data();
        const channel_map<T> maps[] = {{},
                                       {.low = T(-0.25), .high = T(0.5)},
                                       {.scale = scale.data(), .shift = shift.data()},
                                       {.scale = scale.data(), .shift = shift.data(), .low = 0},
                                       {.scale = scale.data(), .shift = shift.data(), .low = T(-1), .high = T(0.125)},
                                       {.added = sum},
                                       {.scale = scale.data(), .shift = shift.data(), .low = 0, .added = sum}};
        for (channel_map<T> map : maps)
            for (const bool goes_on : {false, true}) {
                const bool mapped = map.scale != nullptr || map.added != nullptr || map.is_bounded();
                if (!mapped && !goes_on) continue;
                // A convolution knows its channels: it does not run the whole where it can run the parts.
                const epilogue<T> after{change, mapped ? &wrong : &half, mapped ? &map : nullptr,
                                        goes_on ? &rest : nullptr};
                array<T> with = y, scratch(kernels::convolution_forward_scratch<T>(g, workers), 12);
                map.result = with.data();
                kernels::convolution_forward<T>(g, examples, x.data(), x_stride, w.data(),
                                                p == pass::forward ? bias.data() : nullptr, with.data(), y_stride,
                                                p == pass::accumulate, scratch.data(), threads, packed.data(), &after);
                bool right = with.intact() && scratch.intact();
                for (extent i = 0; i < with.size(); ++i) {
                    T wanted = plain[i];
                    if (const extent at = i % y_stride; at < y_stride - 3) {
                        const extent channel = at / g.pixels();
                        if (map.scale != nullptr) wanted = kernels::fma(wanted, scale[channel], shift[channel]);
                        if (map.added != nullptr) wanted += other[i];
                        wanted = std::min(std::max(wanted, map.low), map.high) * (goes_on ? half : T(1));
                    }
                    right = right && with[i] == wanted;
                }
                CAPTURE(map.scale, map.low, map.high, goes_on);
                CHECK(right);
            }
    }
    /// The same on one thread and on several.
    void compare_epilogues(pass p, thread_pool& threads) const {
        if (sanitized && p == pass::plain) return;
        const bool alone = p != pass::accumulate;
        if (!sanitized || alone) compare_epilogues(p);
        if (!sanitized || !alone) compare_epilogues(p, &threads);
    }
    void compare(pass p) const {
        const array<T>& held = p == pass::input ? dx : p == pass::weights ? dw : p == pass::sums ? db : y;
        std::vector<double> exact(static_cast<std::size_t>(held.size())), size(exact.size()),
            terms(exact.size());
        for (extent i = 0; i < held.size(); ++i)
            exact[static_cast<std::size_t>(i)] = static_cast<double>(held[i]);
        const extent plane = g.output_height * g.output_width;
        for (extent e = 0; e < examples; ++e) {
            for (extent i = 0; i < g.output_channels * plane && p != pass::input && p != pass::weights; ++i) {
                auto& to = exact[static_cast<std::size_t>(p == pass::sums ? i / plane : e * y_stride + i)];
                if (p == pass::forward) to = static_cast<double>(bias[i / plane]);
                if (p == pass::plain) to = 0;
                if (p == pass::sums) to += static_cast<double>(y[e * y_stride + i]);
                terms[static_cast<std::size_t>(p == pass::sums ? i / plane : e * y_stride + i)] += 1;
            }
            if (p == pass::sums) continue;
            const T *from_x = x.data() + e * x_stride, *from_y = y.data() + e * y_stride, *taps = w.data();
            const extent begin = p == pass::input ? e * x_stride : p == pass::weights ? 0 : e * y_stride;
            double *sum = exact.data() + begin, *sizes = size.data() + begin, *n = terms.data() + begin;
            each_product(g, [&](extent out, extent in, extent tap) {
                if (in < 0) return;
                const extent at = p == pass::input ? in : p == pass::weights ? tap : out;
                const double term = static_cast<double>(p == pass::input ? from_y[out] : from_x[in]) *
                                    static_cast<double>(p == pass::weights ? from_y[out] : taps[tap]);
                sum[at] += term;
                sizes[at] += std::abs(term);
                n[at] += 1;
            });
        }
        const array<T> got = result(p);
        for (extent i = 0; i < got.size(); ++i) {
            const auto at = static_cast<std::size_t>(i);
            const double allowed =
                check::epsilon<T> * (terms[at] + 2) * (size[at] + std::abs(exact[at]) + terms[at]);
            if (!(std::abs(static_cast<double>(got[i]) - exact[at]) <= allowed))  // what CHECK writes takes far longer
                FAIL("pass " << static_cast<int>(p) << ": " << got[i] << " at " << i << " in place of " << exact[at]);
        }
    }
    void compare_all() const {
        for (pass p : {pass::forward, pass::plain, pass::accumulate, pass::input, pass::weights, pass::sums})
            compare(p);
    }
};

inline std::vector<geometry> cases() {
    return {
        make(1, 8, 8, 4, 3, 3),                              // valid
        make(1, 8, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),     // same
        make(3, 7, 9, 5, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1),      // stride
        make(2, 9, 10, 3, 3, 2, 2, 3, 1, 1, 0, 1, 1, 0),     // strides and padding differ
        make(2, 11, 12, 3, 3, 3, 1, 1, 2, 3, 2, 3, 2, 3),    // dilation
        make(2, 13, 12, 3, 3, 3, 2, 2, 2, 3, 2, 1, 0, 3),    // dilation and stride share a factor
        make(4, 6, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2),   // groups
        make(6, 9, 8, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6),   // depthwise
        make(6, 9, 8, 12, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 6),  // depthwise, stride, multiplier
        make(5, 37, 1, 7, 3, 1, 1, 1, 1, 1, 1, 0, 1, 0),     // one column
        make(4, 1, 40, 9, 1, 5, 1, 1, 1, 4, 0, 16, 0, 0),    // causal in one dimension
        make(17, 5, 7, 33, 1, 1),                            // pointwise
        make(17, 5, 7, 33, 1, 1, 2, 2),                      // pointwise with stride
        make(3, 4, 4, 2, 4, 4),                              // one output
        make(2, 2, 2, 3, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2),      // kernel larger than the image
        make(2, 5, 5, 2, 1, 1, 3, 3, 1, 1, 2, 2, 2, 2),      // outputs wholly in the padding
        make(60, 6, 6, 13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),    // several blocks of k
        make(2, 17, 19, 3, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0),    // rows and columns left over
        make(2, 3, 3, 2, 3, 3, 4, 4, 1, 1, 5, 5, 6, 6),      // stride larger than the kernel
        make(2, 3, 70, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),     // few channels, rows of several batches
        make(3, 9, 150, 1, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1),    // the same with a stride
        make(400, 3, 3, 1, 1, 1),                            // few outputs, several blocks of k
        make(1, 3, 3, 400, 1, 1),                            // one channel, several blocks of outputs
        make(40, 3, 4, 400, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0),   // several blocks and panels on both sides
        make(12, 30, 5, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),   // several tables of pixels
        make(7, 40, 30, 34, 3, 3, 2, 3, 1, 1, 1, 0, 1, 2),   // several strips of the image
        make(12, 2, 600, 10, 1, 5, 1, 2, 1, 3, 0, 4, 0, 0),  // rows wider than a strip
    };
}

/// Each of three examples gets what it gets alone.
template <class T>
void require_independent_examples(typename run_of<T>::pass pass) {
    for (const geometry& g : cases()) {
        const run_of<T> many(g, 3, 1);
        const auto together = many.result(pass);
        const extent stride = pass == run_of<T>::pass::input ? many.x_stride : many.y_stride;
        for (extent e = 0; e < 3; ++e) {
            run_of<T> one(g, 1);
            one.w = many.w;
            one.bias = many.bias;
            std::copy_n(many.x.data() + e * many.x_stride, one.x.size(), one.x.data());
            std::copy_n(many.y.data() + e * many.y_stride, one.y.size(), one.y.data());
            std::copy_n(many.dx.data() + e * many.x_stride, one.dx.size(), one.dx.data());
            const auto alone = one.result(pass);
            CHECK(check::same_bits(alone.data(), together.data() + e * stride, alone.size()));
        }
    }
}

template <class T>
void require_same_bits_with_threads(std::initializer_list<typename run_of<T>::pass> passes) {
    thread_pool two(2), five(5);
    for (const geometry& g : {make(3, 40, 41, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
                              make(16, 20, 20, 40, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1),
                              make(64, 7, 7, 70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
                              make(32, 45, 45, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 32),
                              make(20, 40, 41, 3, 5, 5, 2, 2, 1, 1, 2, 2, 2, 2),
                              make(48, 9, 9, 96, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 3)})
        for (extent examples : {1, 3, 11}) {
            const run_of<T> r(g, examples);
            for (auto pass : passes) {
                const auto one = r.result(pass);
                CHECK(check::same_bits(one, r.result(pass, &two)));
                CHECK(check::same_bits(one, r.result(pass, &five)));
            }
        }
}

}  // namespace convolution_test
