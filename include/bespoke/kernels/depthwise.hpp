#pragma once

#include "channel_map.hpp"
#include "convolution_narrow.hpp"

namespace bespoke::kernels::detail {

// Depthwise convolutions with a 3 x 3 kernel: each channel is an image of its own. Batches of pixels go down the image;
// the three rows that a batch sees stay in registers. Nothing is copied: what lies beside the image is masked out.

/// Whether `depthwise_forward` is for this geometry.
constexpr bool suits_depthwise(const convolution_geometry& g) noexcept {
    return g.groups == g.channels && g.groups == g.output_channels && g.kernel_height == 3 && g.kernel_width == 3 &&
           g.dilation_y == 1 && g.dilation_x == 1 && g.stride_y == g.stride_x && (g.stride_x == 1 || g.stride_x == 2);
}

/// The lanes [first, last) of a batch whose first element is `begin` of a row of `size`: those within the row.
template <class T>
struct row_window {
    unsigned first, last, mask;

    row_window() = default;
    row_window(extent begin, extent size)
        : first(static_cast<unsigned>(std::clamp<extent>(-begin, 0, lanes<T>))),
          last(static_cast<unsigned>(std::clamp<extent>(size - begin, 0, lanes<T>))),
          mask(((1u << last) - 1u) & ~((1u << first) - 1u)) {}

    /// Zero in the other lanes; reads nothing beside them.
    [[gnu::always_inline]] batch<T> load(const T* p) const noexcept {
#ifdef __AVX512F__
        if constexpr (is_avx512 && std::is_same_v<T, float>)
            return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
        else if constexpr (is_avx512 && std::is_same_v<T, double>)
            return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p);
        else
#endif
        {
            if (first == 0 && last == static_cast<unsigned>(lanes<T>)) return kernels::load(p);
            alignas(64) T copy[lanes<T>] = {};
            for (unsigned i = first; i < last; ++i) copy[i] = p[i];
            return batch<T>::load_aligned(copy);
        }
    }
};

/// Some channels of a depthwise convolution; x, weights, bias and y are those of the first.
template <class T>
struct depthwise_images {
    const convolution_geometry& g;
    const T* x;
    const T* weights;
    const T* bias;  ///< or null
    T* y;
    bool accumulate;
    const channel_map<T>* map;  ///< or null
    extent channel, channels;   ///< the first, and how many
    bool flipped;               ///< with the taps of the kernel in reverse
};

/// The output rows [first, last) of `Batches` batches of pixels, from `column` on. `Edge`: pixels may be missing, or
/// see what is beside the image.
template <class T, extent Stride, std::size_t Batches, bool Edge>
[[gnu::noinline]] void depthwise_rows(const depthwise_images<T>& images, extent column, extent first,
                                      extent last) noexcept {
    const convolution_geometry& g = images.g;
    const extent height = g.height, width = g.width, output_width = g.output_width;
    constexpr extent ahead = 16;  // rows that are brought near
    const extent bottom = (last - 1) * Stride - g.pad_top + 3;
    // What the loads of a batch see: of the three taps, or of the even and odd elements and those two further.
    constexpr extent shifts[4] = {0, Stride == 1 ? 1 : lanes<T>, 2, lanes<T> + 2};
    row_window<T> windows[4][Batches];
    extent valid[Batches];
    unroll<Batches>([&](std::size_t j) __attribute__((always_inline)) {
        const extent at = column + static_cast<extent>(j) * lanes<T>;
        valid[j] = std::clamp<extent>(output_width - at, 0, lanes<T>);
        unroll<4>([&](std::size_t k) __attribute__((always_inline)) {
            windows[k][j] = row_window<T>(at * Stride - g.pad_left + shifts[k], width);
        });
    });
    const T* x = images.x + column * Stride - g.pad_left;
    batch<T> row[3][3][Batches];  // taps of the rows that are seen
    const auto read = [&](extent r, batch<T>(&taps)[3][Batches]) __attribute__((always_inline)) {
        if (r < 0 || r >= height) {
            unroll<3 * Batches>([&](std::size_t i) __attribute__((always_inline)) {
                taps[i / Batches][i % Batches] = batch<T>(T(0));
            });
            return;
        }
        unroll<Batches>([&](auto j) __attribute__((always_inline)) {
            const T* p = x + r * width + static_cast<extent>(j()) * Stride * lanes<T>;
            if (r + ahead < bottom) {  // rows further down may be another thread's
                __builtin_prefetch(p + ahead * width);
                if constexpr (Stride == 2) __builtin_prefetch(p + ahead * width + lanes<T>);
            }
            const auto at = [&](auto k) __attribute__((always_inline)) {
                if constexpr (Edge)
                    return windows[k][j].load(p + shifts[k]);
                else
                    return load(p + shifts[k]);
            };
            constexpr std::integral_constant<std::size_t, 0> zero;
            constexpr std::integral_constant<std::size_t, 1> one;
            constexpr std::integral_constant<std::size_t, 2> two;
            constexpr std::integral_constant<std::size_t, 3> three;
            if constexpr (Stride == 1) {
                taps[0][j] = at(zero);
                taps[1][j] = at(one);
                taps[2][j] = at(two);
            } else {
                const batch<T> a = at(zero), b = at(one);
                taps[0][j] = even_lanes<T>(a, b);
                taps[1][j] = odd_lanes<T>(a, b);
                taps[2][j] = even_lanes<T>(at(two), at(three));
            }
        });
    };
    const bool accumulate = images.accumulate, mapped = images.map != nullptr;
    for (extent c = 0; c < images.channels; ++c, x += g.plane()) {
        const batch<T> start(images.bias != nullptr ? images.bias[c] : T(0));
        batch<T> weights[9];
        unroll<9>([&](auto k) __attribute__((always_inline)) {
            constexpr auto tap = static_cast<extent>(k());
            weights[k] = batch<T>(images.weights[9 * c + (images.flipped ? 8 - tap : tap)]);
        });
        mapped_channel<T> map;
        if (mapped) map = mapped_channel<T>(*images.map, images.channel + c);
        T* y = images.y + c * g.pixels() + first * output_width + column;
        extent r = first * Stride - g.pad_top;
        read(r, row[0]);
        if constexpr (Stride == 1) read(r + 1, row[1]);
        r += Stride == 1 ? 2 : 1;
        for (extent o = first; o < last; ++o, r += Stride, y += output_width) {
            if constexpr (Stride == 2) read(r, row[1]);
            read(Stride == 1 ? r : r + 1, row[2]);
            unroll<Batches>([&](auto j) __attribute__((always_inline)) {
                T* to = y + static_cast<extent>(j()) * lanes<T>;
                batch<T> sum = start;
                if (accumulate) sum = Edge ? load_partial<T>(to, valid[j]) : load<T>(to);
                unroll<9>([&](std::size_t k) __attribute__((always_inline)) {
                    sum = kernels::fma<T>(weights[k], row[k / 3][k % 3][j], sum);
                });
                if (mapped) sum = map(sum);
                if constexpr (Edge)
                    store_partial<T>(to, sum, valid[j]);
                else
                    store<T>(to, sum);
            });
            unroll<3 * Batches>([&](auto i) __attribute__((always_inline)) {
                constexpr std::size_t k = i() / Batches, j = i() % Batches;
                row[0][k][j] = row[Stride == 1 ? 1 : 2][k][j];
                if constexpr (Stride == 1) row[1][k][j] = row[2][k][j];
            });
        }
    }
}

/// The output rows [first, last).
template <class T, extent Stride>
[[gnu::noinline]] void depthwise_channels(const depthwise_images<T>& images, extent first, extent last) noexcept {
    const convolution_geometry& g = images.g;
    for (extent column = 0; column < g.output_width; column += 2 * lanes<T>) {
        const extent begin = column * Stride - g.pad_left, end = begin + 2 * Stride * lanes<T> + 2;
        if (g.output_width - column <= lanes<T>)
            depthwise_rows<T, Stride, 1, true>(images, column, first, last);
        else if (begin >= 0 && end <= g.width && column + 2 * lanes<T> <= g.output_width)
            depthwise_rows<T, Stride, 2, false>(images, column, first, last);
        else
            depthwise_rows<T, Stride, 2, true>(images, column, first, last);
    }
}

template <class T>
struct depthwise_job {
    const convolution_geometry& g;
    const T* x;
    extent x_stride;
    const T* weights;
    const T* bias;  ///< or null
    T* y;
    extent y_stride;
    bool accumulate;
    bool flipped = false;       ///< with the taps of the kernel in reverse
    channel_epilogue<T> after;  ///< run on some rows of one or more channels at a time
};

/// Items are (example, part of the output rows, channel).
template <class T>
[[gnu::noinline]] void depthwise_items(const depthwise_job<T>& job, extent parts, extent first, extent last) noexcept {
    const convolution_geometry& g = job.g;
    // Some rows of one channel, or of narrow images some channels: what is finished is near.
    const extent rows = std::max<extent>(4096 / g.output_width, 8),
                 together = g.output_width <= lanes<T> ? std::max<extent>(4096 / g.pixels(), 1) : 1;
    for (extent item = first; item < last;) {
        const extent channel = item % g.channels, where = item / g.channels, example = where / parts,
                     part = where % parts, channels = std::min({together, last - item, g.channels - channel}),
                     bottom = g.output_height * (part + 1) / parts;
        const depthwise_images<T> images{g,
                                         job.x + example * job.x_stride + channel * g.plane(),
                                         job.weights + 9 * channel,
                                         job.bias != nullptr ? job.bias + channel : nullptr,
                                         job.y + example * job.y_stride + channel * g.pixels(),
                                         job.accumulate,
                                         job.after.without_added(),
                                         channel,
                                         channels,
                                         job.flipped};
        for (extent row = g.output_height * part / parts; row < bottom; row += rows) {
            const extent end = std::min(row + rows, bottom);
            (g.stride_x == 1 ? depthwise_channels<T, 1> : depthwise_channels<T, 2>)(images, row, end);
            job.after.finish_behind(
                {images.y + row * g.output_width, channels, (end - row) * g.output_width, g.pixels()}, channel);
        }
        item += channels;
    }
}

/// y = conv(x) + bias in the order of arithmetic of all forward passes.
template <class T>
[[gnu::noinline]] void depthwise_forward(const depthwise_job<T>& job, extent examples, thread_pool* threads) noexcept {
    const convolution_geometry& g = job.g;
    // Its multiply-adds, nine for each load and store, take some eight times as long as those of products.
    if (8 * convolution_work(g, examples) < threaded_work) threads = nullptr;
    const extent parts = image_parts(threads, examples, g.pixels(), 4096);
    parallel_for(threads, examples * parts * g.channels, 1,
                 [&](extent first, extent last) { depthwise_items(job, parts, first, last); });
}

}  // namespace bespoke::kernels::detail
