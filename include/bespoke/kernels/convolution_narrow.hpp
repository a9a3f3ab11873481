#pragma once

#include "../core/threads.hpp"
#include "convolution_geometry.hpp"
#include "tile.hpp"

namespace bespoke::kernels::detail {

// Convolutions whose groups have few outputs, depthwise ones above all: there is no batch of channels to compute
// with, so these kernels compute with batches of pixels of a row.

/// Whether a group has so few channels on the side that is computed.
template <class T>
constexpr bool is_narrow(extent channels) {
    return channels <= std::max<extent>(lanes<T> / 4, 1);
}

/// Calls body(part, first, last) for ranges that cover [0, items), one for each thread of the pool.
template <class Body>
void split(thread_pool* threads, extent items, const Body& body) noexcept {
    const extent parts = std::min(threads ? static_cast<extent>(threads->size()) : extent{1}, items);
    parallel_for(threads, parts, 1, [&](extent first, extent last) {
        for (extent part = first; part < last; ++part)
            body(part, items * part / parts, items * (part + 1) / parts);
    });
}

/// In how many parts of at least `least` of `count` rows or pixels the threads share the images of so many examples.
/// Layers that follow each other are cut alike, so that a thread reads most of all what it wrote itself: what another
/// core has written comes many times slower. Where parts are fewer than threads, some threads share each.
inline extent image_parts(const thread_pool* threads, extent examples, extent count, extent least) noexcept {
    const extent size = threads ? static_cast<extent>(threads->size()) : 1;
    if (examples >= size) return 1;
    extent parts = std::clamp<extent>(count / least, 1, size);
    while (size % parts != 0) --parts;
    return parts;
}

/// y[q] = start + sum over p of weights[p * weight_step] * image[offsets[p] + q] for the pixels q in [0, count),
/// count <= Batches * lanes; one chain over p. The start is `*start`, or y[q] where that is null. Reads
/// nothing from `end` on.
template <class T, extent Batches>
[[gnu::noinline]] void narrow_pixels(extent steps, const T* weights, extent weight_step, const T* image,
                                     const T* end, const extent* offsets, extent count, const T* start,
                                     T* y) noexcept {
    constexpr auto batches = static_cast<std::size_t>(Batches);
    batch<T> sum[batches];
    unroll<batches>([&](std::size_t j) __attribute__((always_inline)) {
        T* p = y + static_cast<extent>(j) * lanes<T>;
        sum[j] = start != nullptr ? batch<T>(*start) : Batches > 1 ? load<T>(p) : load_partial<T>(p, count);
    });
    for (extent k = 0; k < steps; ++k) {
        const batch<T> w(weights[k * weight_step]);
        const T* p = image + offsets[k];
        if constexpr (Batches > 1)
            unroll<batches>([&](std::size_t j) __attribute__((always_inline)) {
                sum[j] = kernels::fma<T>(w, load(p + static_cast<extent>(j) * lanes<T>), sum[j]);
            });
        else
            sum[0] = kernels::fma<T>(w, end - p >= lanes<T> ? load(p) : load_partial(p, count), sum[0]);
    }
    unroll<batches>([&](std::size_t j) __attribute__((always_inline)) {
        T* p = y + static_cast<extent>(j) * lanes<T>;
        if (Batches > 1 || count == lanes<T>)
            store<T>(p, sum[j]);
        else
            store_partial<T>(p, sum[j], count);
    });
}

template <class T>
void narrow_row(extent steps, const T* weights, extent weight_step, const T* image, const T* end,
                const extent* offsets, extent count, const T* start, T* y) noexcept {
    for (extent x = 0; x < count;) {
        const bool many = count - x >= 4 * lanes<T>;
        const extent some = many ? 4 * lanes<T> : std::min(count - x, lanes<T>);
        (many ? narrow_pixels<T, 4> : narrow_pixels<T, 1>)(steps, weights, weight_step, image + x, end,
                                                           offsets, some, start, y + x);
        x += some;
    }
}

/// Output rows that are computed with one table of offsets.
inline constexpr extent narrow_rows = 8;

/// y of one group in the output rows [first, last); `y` and `bias` begin at the group.
template <class T>
[[gnu::noinline]] void narrow_forward(const convolution_geometry& g, const image_layout& layout,
                                      const T* image, const T* weights, const T* bias, bool accumulate,
                                      extent first, extent last, T* y) noexcept {
    const extent size = g.group_channels() * g.taps();
    const T* end = image + g.group_channels() * layout.channel_stride();
    extent offsets[k_block<T>];
    const T zero = 0;
    for (extent k = 0; k < size; k += k_block<T>) {
        const extent steps = std::min(size - k, k_block<T>);
        tap_offsets(g, layout, k, steps, offsets);
        for (extent o = 0; o < g.group_outputs(); ++o) {
            const T* start = accumulate || k > 0 ? nullptr : bias != nullptr ? bias + o : &zero;
            for (extent row = first; row < last; ++row)
                narrow_row(steps, weights + o * size + k, extent{1},
                           image + row * g.stride_y * layout.row_stride(), end, offsets, g.output_width,
                           start, y + o * g.pixels() + row * g.output_width);
        }
    }
}

/// dx of one group in the image rows [first, last), by way of `sums`, rows of the layout. `dy`, `weights` and `dx`
/// begin at the group.
template <class T>
[[gnu::noinline]] void narrow_backward_input(const convolution_geometry& g, const image_layout& layout,
                                             const T* dy, const T* weights, extent first, extent last,
                                             T* sums, T* dx) noexcept {
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs(),
                 row_size = layout.row_stride();
    extent offsets[k_block<T>];
    for (extent c = 0; c < g.group_channels(); ++c) {
        std::fill_n(sums, (last - first) * row_size, T(0));
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const extent column = layout.column(tap % g.kernel_width * g.dilation_x);
            const row_range rows = rows_of_tap(g, tap / g.kernel_width, first, last);
            for (extent o = 0; o < outputs; o += k_block<T>) {
                const extent steps = std::min(outputs - o, k_block<T>);
                for (extent p = 0; p < steps; ++p) offsets[p] = p * g.pixels();
                for (extent row = rows.first; row < rows.last; ++row)
                    narrow_row(steps, weights + o * size + c * g.taps() + tap, size,
                               dy + o * g.pixels() + row * g.output_width, dy + outputs * g.pixels(), offsets,
                               g.output_width, static_cast<const T*>(nullptr),
                               sums + (rows.image_row(g, row) - first) * row_size + column);
            }
        }
        for (extent row = first; row < last; ++row) {
            T* to = dx + c * g.plane() + row * g.width;
            const T* from = sums + (row - first) * row_size;
            const extent columns = std::min(g.width, g.covered_columns() - g.pad_left);
            for (extent x = std::max<extent>(0, -g.pad_left); x < columns; ++x)
                to[x] += from[layout.column(x + g.pad_left)];
        }
    }
}

/// dW of one channel and the outputs of its group; `dy` and `dweights` begin at the group and the channel. For each
/// tap the products are added in `lanes` chains over the output rows and the batches of a row, then the lanes
/// as in `sum_lanes`, then what dW holds.
template <class T>
[[gnu::noinline]] void narrow_weights(const convolution_geometry& g, const image_layout& layout,
                                      const T* image, const T* dy, T* dweights) noexcept {
    for (extent o = 0; o < g.group_outputs(); ++o)
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const T* from = image + tap / g.kernel_width * g.dilation_y * layout.row_stride() +
                            layout.column(tap % g.kernel_width * g.dilation_x);
            const T* slope = dy + o * g.pixels();
            batch<T> sum(T(0));
            for (extent row = 0; row < g.output_height; ++row, slope += g.output_width)
                for_each_batch<T>(
                    g.output_width, [&](extent x, auto in, auto) __attribute__((always_inline)) {
                        sum = kernels::fma<T>(in(slope + x),
                                              in(from + row * g.stride_y * layout.row_stride() + x), sum);
                    });
            dweights[o * g.group_channels() * g.taps() + tap] += sum_lanes<T>(sum);
        }
}

}  // namespace bespoke::kernels::detail
