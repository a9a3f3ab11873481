#pragma once

#include "block_product.hpp"
#include "channel_map.hpp"
#include "convolution_narrow.hpp"

namespace bespoke::kernels::detail {

// Convolutions with few products for each output, those of an image of one or three channels above all: batches of
// pixels of a row are computed for several output channels at once. What comes out stands where y wants it; a tile of
// pixels times a panel of channels would have to be transposed, which costs as much as so few products. The last batch
// of a row begins where it is whole, and computes again what it shares with the one before.

/// The most products for each output.
inline constexpr extent most_row_products = 192;

/// Whether `rows_forward` is for this geometry.
template <class T>
constexpr bool suits_rows(const convolution_geometry& g) noexcept {
    return g.group_channels() * g.taps() <= most_row_products && g.output_width >= lanes<T> &&
           !is_narrow<T>(g.group_outputs());
}

/// Where the pixels of one batch stand.
template <class T>
struct row_batch {
    const T* x;
    T* y;
};

/// y[i * pixels + q] = start[i] + sum over k in [0, steps) of weights[k * panel_width + i] * x[offsets[k] + q] of two
/// batches of pixels and the output channels i in [0, count), count <= Rows; one chain of fma over k ascending. Then
/// `map`, unless it is null; `channel` is the first.
template <class T, std::size_t Rows>
[[gnu::noinline]] void rows_tile(extent steps, const T* weights, const extent* offsets, const row_batch<T>& low,
                                 const row_batch<T>& high, const T* start, extent count, extent pixels,
                                 const channel_map<T>* map, extent channel) noexcept {
    batch<T> sum[2 * Rows];
    unroll<Rows>([&](std::size_t i) __attribute__((always_inline)) {
        sum[2 * i] = sum[2 * i + 1] = batch<T>(start[i]);
    });
    for (extent k = 0; k < steps; ++k, weights += panel_width<T>) {
        const batch<T> left = kernels::in_register<T>(load(low.x + offsets[k])),
                       right = kernels::in_register<T>(load(high.x + offsets[k]));
        unroll<Rows>([&](std::size_t i) __attribute__((always_inline)) {
            const batch<T> w(weights[i]);
            sum[2 * i] = kernels::fma<T>(w, left, sum[2 * i]);
            sum[2 * i + 1] = kernels::fma<T>(w, right, sum[2 * i + 1]);
        });
    }
    unroll<Rows>([&](std::size_t i) __attribute__((always_inline)) {
        if (static_cast<extent>(i) >= count) return;
        if (map != nullptr) {
            const mapped_channel<T> f(*map, channel + static_cast<extent>(i));
            sum[2 * i] = f(sum[2 * i]);
            sum[2 * i + 1] = f(sum[2 * i + 1]);
        }
        store<T>(low.y + static_cast<extent>(i) * pixels, sum[2 * i]);
        store<T>(high.y + static_cast<extent>(i) * pixels, sum[2 * i + 1]);
    });
}

/// y of one group in the output rows [first, last); `image`, in a layout where the pixels of a row are consecutive, the
/// packed weights, `bias` and `y` begin at the group, whose first output channel is `channel`.
template <class T>
[[gnu::noinline]] void rows_forward(const convolution_geometry& g, const image_layout& layout, const T* image,
                                    const T* packed, const T* bias, extent first, extent last, T* y,
                                    const channel_map<T>* map, extent channel) noexcept {
    constexpr extent width = panel_width<T>;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs();
    const extent across = (g.output_width + lanes<T> - 1) / lanes<T>, batches = (last - first) * across;
    extent offsets[most_row_products];
    tap_offsets(g, layout, 0, size, offsets);
    const auto place = [&](extent i, extent output) -> row_batch<T> {
        const extent row = first + i / across,
                     column = std::min(i % across * lanes<T>, g.output_width - lanes<T>);
        return {image + row * g.stride_y * layout.row_stride() + column,
                y + output * g.pixels() + row * g.output_width + column};
    };
    for (extent o = 0; o < outputs;) {
        // Panels of weights are cut into tiles; where the last one would leave its panel it begins earlier.
        const extent inside = o % width, left = std::min(outputs - o, width - inside);
        // Two of the middle size are better than one of the largest and one of the smallest.
        const bool halves = left > tile_rows && left <= 2 * middle_tile_rows;
        const extent rows = 3 * left > 2 * tile_rows && !halves ? tile_rows
                            : left > small_tile_rows            ? middle_tile_rows
                                                                : small_tile_rows,
                     begin = std::min(inside, width - rows);
        o += begin - inside;
        const extent count = std::min(outputs - o, rows);
        T start[tile_rows] = {};
        if (bias != nullptr) std::copy_n(bias + o, count, start);
        for (extent i = 0; i < batches; i += 2)
            (rows == tile_rows          ? rows_tile<T, tile_rows>
             : rows == middle_tile_rows ? rows_tile<T, middle_tile_rows>
                                        : rows_tile<T, small_tile_rows>)(
                size, packed + (o - begin) * size + begin, offsets, place(i, o), place(std::min(i + 1, batches - 1), o),
                start, count, g.pixels(), map, channel + o);
        o += count;
    }
}

}  // namespace bespoke::kernels::detail
