#pragma once

#include "map.hpp"

#include <algorithm>

namespace bespoke::kernels {

/// Sizes of a two-dimensional convolution of one example.
///
/// x [channels, height, width], weights [output_channels, channels / groups, kernel_height, kernel_width],
/// y [output_channels, output_height, output_width]; channel counts are totals over the groups.
/// y[o, oy, ox] = bias[o] + sum over c, ky, kx of
///     weights[o, c, ky, kx] *
///     x[c, oy * stride_y + ky * dilation_y - pad_top, ox * stride_x + kx * dilation_x - pad_left],
/// where x is zero outside the image. What is padded below and to the right follows from the output size.
struct convolution_geometry {
    extent channels, height, width;
    extent output_channels, output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent dilation_y, dilation_x;
    extent pad_top, pad_left;
    extent groups;
    bool winograd = false;  ///< the forward pass may take `winograd_forward` where that suits; float only

    constexpr extent plane() const { return height * width; }
    constexpr extent pixels() const { return output_height * output_width; }
    constexpr extent taps() const { return kernel_height * kernel_width; }
    constexpr extent group_channels() const { return channels / groups; }
    constexpr extent group_outputs() const { return output_channels / groups; }
    /// Rows and columns of the image that the windows cover, padding included.
    constexpr extent covered_rows() const {
        return (output_height - 1) * stride_y + (kernel_height - 1) * dilation_y + 1;
    }
    constexpr extent covered_columns() const {
        return (output_width - 1) * stride_x + (kernel_width - 1) * dilation_x + 1;
    }
};

namespace detail {

/// A copy of the image with its padding, or the image itself, in which tap and pixel give an offset each.
/// A row holds its columns sorted by their remainder modulo `phases`.
struct image_layout {
    extent before_y, before_x;  ///< zeros above and to the left
    extent rows, phases, phase_stride;
    bool direct;  ///< the image can be read as it is

    constexpr extent row_stride() const { return phases * phase_stride; }
    constexpr extent channel_stride() const { return rows * row_stride(); }
    /// Of column `x` (counted from the first zero) in a row.
    constexpr extent column(extent x) const { return x % phases * phase_stride + x / phases; }
};

/// With `consecutive` the elements that one tap reads for the pixels of a row lie side by side.
constexpr image_layout make_layout(const convolution_geometry& g, bool consecutive) {
    const extent rows = g.covered_rows(), columns = g.covered_columns(),
                 phases = consecutive ? g.stride_x : 1;
    if (g.pad_top == 0 && g.pad_left == 0 && phases == 1 && rows <= g.height && columns <= g.width)
        return {0, 0, g.height, 1, g.width, true};
    return {g.pad_top, g.pad_left, rows, phases, (columns + phases - 1) / phases, false};
}

/// to[j] = from[j * step], j in [first, last), and 0 for the others of [0, size).
template <class T>
[[gnu::always_inline]] inline void copy_line(const T* from, extent first, extent last, extent size, extent step,
                                             T* to) noexcept {
    constexpr extent n = lanes<T>;
    extent j = first;
    if (last - first < n || first > n || size - last > n || step > 2) {
        std::fill(to, to + first, T(0));
        for (; j < last; ++j) to[j] = from[j * step];
        std::fill(to + last, to + size, T(0));
        return;
    }
    // Batches of zeros, over which the others are written.
    if (first > 0) store<T>(to, batch<T>(T(0)));
    if (last < size) store<T>(to + size - n, batch<T>(T(0)));
    if (step == 1) {
        for (; j + n <= last; j += n) store<T>(to + j, load(from + j));
        if (j < last) store<T>(to + last - n, load(from + last - n));
        return;
    }
    for (; j + n < last; j += n) store<T>(to + j, even_lanes<T>(load(from + 2 * j), load(from + 2 * j + n)));
    // The last batch ends with the last element.
    if (const T* p = from + 2 * (last - n) - 1; j > first)
        store<T>(to + last - n, odd_lanes<T>(load(p), load(p + n)));
    else
        for (; j < last; ++j) to[j] = from[2 * j];
}

/// Copies `channels` images [height, width] into `layout`.
template <class T>
[[gnu::noinline]] void copy_image(const image_layout& layout, extent channels, extent height, extent width,
                                  const T* x, T* to) noexcept {
    for (extent c = 0; c < channels; ++c)
        for (extent r = 0; r < layout.rows; ++r) {
            const extent y = r - layout.before_y;
            const bool inside = y >= 0 && y < height;
            const T* from = x + (c * height + y) * width;
            for (extent phase = 0; phase < layout.phases; ++phase, to += layout.phase_stride) {
                // Element j is column j * phases + phase - before_x of the image.
                const extent shift = phase - layout.before_x;
                const auto count = [&](extent column) {
                    return std::clamp<extent>((column - shift + layout.phases - 1) / layout.phases, 0,
                                              layout.phase_stride);
                };
                const extent begin = !inside ? layout.phase_stride : shift < 0 ? count(0) : 0;
                const extent end = !inside ? begin : width <= shift ? begin : std::max(begin, count(width));
                copy_line(from + shift, begin, end, layout.phase_stride, layout.phases, to);
            }
        }
}

/// Elements of a copy of one group's images.
constexpr extent image_size(const image_layout& layout, extent channels) {
    return layout.direct ? 0 : channels * layout.channel_stride();
}

/// Offsets in the layout of the taps [first, first + count); tap k = (c * kernel_height + i) * kernel_width + j.
inline void tap_offsets(const convolution_geometry& g, const image_layout& layout, extent first, extent count,
                        extent* to) noexcept {
    extent j = first % g.kernel_width, i = first / g.kernel_width % g.kernel_height, c = first / g.taps();
    for (extent k = 0; k < count; ++k) {
        to[k] = c * layout.channel_stride() + i * g.dilation_y * layout.row_stride() +
                layout.column(j * g.dilation_x);
        if (++j < g.kernel_width) continue;
        j = 0;
        if (++i < g.kernel_height) continue;
        i = 0;
        ++c;
    }
}

/// Offsets y * row_step + x * column_step of the pixels [first, first + count) of a grid `width` wide, in row-major
/// order.
inline void grid_offsets(extent width, extent row_step, extent column_step, extent first, extent count,
                         extent* to) noexcept {
    extent x = first % width, row = first / width * row_step;
    for (extent q = 0; q < count; ++q) {
        to[q] = row + x * column_step;
        if (++x < width) continue;
        x = 0;
        row += row_step;
    }
}

/// Output rows [first, last) whose tap i falls into some rows of the image.
struct row_range {
    extent tap, first, last;
    constexpr extent image_row(const convolution_geometry& g, extent row) const {
        return row * g.stride_y + tap * g.dilation_y - g.pad_top;
    }
};
constexpr row_range rows_of_tap(const convolution_geometry& g, extent tap, extent first, extent last) {
    // The least row with row * stride >= from.
    const auto from = [&](extent image_row) {
        const extent distance = image_row + g.pad_top - tap * g.dilation_y;
        return distance <= 0 ? 0 : std::min((distance + g.stride_y - 1) / g.stride_y, g.output_height);
    };
    return {tap, from(first), from(last)};
}

constexpr extent convolution_work(const convolution_geometry& g, extent examples) {
    return examples * g.output_channels * g.pixels() * g.group_channels() * g.taps();
}

/// Pixels or taps whose offsets are in one table.
inline constexpr extent table_size = 96;

}  // namespace detail
}  // namespace bespoke::kernels
