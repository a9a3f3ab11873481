#pragma once

#include "channel_map.hpp"
#include "convolution_narrow.hpp"

namespace bespoke::kernels::detail {

// Depthwise convolutions with a 3 x 3 kernel: each channel is an image of its own. Batches of pixels go down the image;
// a row is read once and added to all outputs that see it, whose sums stay in registers beside the nine weights.
// Nothing is copied: what lies beside the image is masked out.

/// Whether `depthwise_forward` is for this geometry.
constexpr bool suits_depthwise(const convolution_geometry& g) noexcept {
    return g.groups == g.channels && g.groups == g.output_channels && g.kernel_height == 3 && g.kernel_width == 3 &&
           g.dilation_y == 1 && g.dilation_x == 1 && g.stride_y == g.stride_x && (g.stride_x == 1 || g.stride_x == 2);
}

/// The lanes of a batch whose first element is `begin` of a row of `size` that are within the row.
template <class T>
class row_window {
public:
    row_window() = default;
    row_window(extent begin, extent size)
        : first_(std::clamp<extent>(-begin, 0, lanes<T>)), last_(std::clamp<extent>(size - begin, first_, lanes<T>)) {
#ifdef __AVX512F__
        mask_ = ((1u << last_) - 1u) & ~((1u << first_) - 1u);
#elif XSIMD_WITH_AVX
        mask_ = _mm256_andnot_ps(_mm256_castsi256_ps(mask_of_first<sizeof(T)>(first_)),
                                 _mm256_castsi256_ps(mask_of_first<sizeof(T)>(last_)));
#endif
    }

    /// Zero in the other lanes; reads nothing beside them.
    [[gnu::always_inline]] batch<T> load(const T* p) const noexcept {
#ifdef __AVX512F__
        if constexpr (is_avx512 && std::is_same_v<T, float>)
            return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask_), p);
        else if constexpr (is_avx512 && std::is_same_v<T, double>)
            return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask_), p);
        else
#elif XSIMD_WITH_AVX
        if constexpr (sizeof(batch<T>) == 32 && std::is_same_v<T, float>)
            return _mm256_maskload_ps(p, _mm256_castps_si256(mask_));
        else if constexpr (sizeof(batch<T>) == 32 && std::is_same_v<T, double>)
            return _mm256_maskload_pd(p, _mm256_castps_si256(mask_));
        else
#endif
            return first_ == 0 && last_ == lanes<T> ? kernels::load(p) : load_between(p, first_, last_);
    }

private:
    [[gnu::noinline]] static batch<T> load_between(const T* p, extent first, extent last) noexcept {
        alignas(64) T copy[lanes<T>] = {};
        for (extent i = first; i < last; ++i) copy[i] = p[i];
        return batch<T>::load_aligned(copy);
    }

    extent first_, last_;
#ifdef __AVX512F__
    unsigned mask_;
#elif XSIMD_WITH_AVX
    __m256 mask_;
#endif
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
/// see what is beside the image; what is written beside them in the same rows of outputs is to be written again.
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
    batch<T> taps[3][Batches];  // of the row that is seen
    const auto read = [&](extent r) __attribute__((always_inline)) {
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
        T* const top = images.y + c * g.pixels() + column;
        const T* const end = images.y + c * g.pixels() + last * output_width;
        batch<T> sum[3][Batches];  // of the output row that is finished next, and those behind it
        const auto begin = [&](std::size_t i, extent o) __attribute__((always_inline)) {
            unroll<Batches>([&](std::size_t j) __attribute__((always_inline)) {
                sum[i][j] = start;
                if (!accumulate || o >= last) return;
                const T* from = top + o * output_width + static_cast<extent>(j) * lanes<T>;
                sum[i][j] = Edge ? load_partial<T>(from, valid[j]) : load<T>(from);
            });
        };
        /// The row that was read is this one of the kernel's for these outputs.
        const auto add = [&](std::size_t i, std::size_t row) __attribute__((always_inline)) {
            unroll<3 * Batches>([&](std::size_t at) __attribute__((always_inline)) {
                const std::size_t k = at / Batches, j = at % Batches;
                sum[i][j] = kernels::fma<T>(weights[3 * row + k], taps[k][j], sum[i][j]);
            });
        };
        const auto next = [&](std::size_t i, std::size_t from) __attribute__((always_inline)) {
            unroll<Batches>([&](std::size_t j) __attribute__((always_inline)) { sum[i][j] = sum[from][j]; });
        };
        extent r = first * Stride - g.pad_top;
        read(r++);
        begin(0, first);
        add(0, 0);
        if constexpr (Stride == 1) {
            read(r++);
            add(0, 1);
            begin(1, first + 1);
            add(1, 0);
        }
        for (extent o = first; o < last; ++o) {
            read(r++);
            if constexpr (Stride == 1) {
                add(0, 2);
                add(1, 1);
                begin(2, o + 2);
                add(2, 0);
            } else {
                add(0, 1);
                read(r++);
                add(0, 2);
                begin(1, o + 1);
                add(1, 0);
            }
            T* y = top + o * output_width;
            unroll<Batches>([&](std::size_t j) __attribute__((always_inline)) {
                T* to = y + static_cast<extent>(j) * lanes<T>;
                const batch<T> result = mapped ? map(sum[0][j]) : sum[0][j];
                if (!Edge || (!accumulate && to + lanes<T> <= end))
                    store<T>(to, result);
                else
                    store_partial<T>(to, result, valid[j]);
            });
            next(0, 1);
            if constexpr (Stride == 1) next(1, 2);
        }
    }
}

/// The output rows [first, last). From the right to the left: the last batch of a row may write into the next one.
template <class T, extent Stride>
[[gnu::noinline]] void depthwise_channels(const depthwise_images<T>& images, extent first, extent last) noexcept {
    const convolution_geometry& g = images.g;
    constexpr extent width = 2 * lanes<T>;
    for (extent column = (g.output_width - 1) / width * width; column >= 0; column -= width) {
        const extent begin = column * Stride - g.pad_left, end = begin + Stride * width + 2;
        if (begin >= 0 && end <= g.width && column + width <= g.output_width)
            depthwise_rows<T, Stride, 2, false>(images, column, first, last);
        else if (g.output_width - column <= lanes<T>)
            depthwise_rows<T, Stride, 1, true>(images, column, first, last);
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
