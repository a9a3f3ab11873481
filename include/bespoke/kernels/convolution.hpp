#pragma once

#include "convolution_narrow.hpp"
#include "convolution_rows.hpp"
#include "depthwise.hpp"
#include "gemm.hpp"
#include "pointwise.hpp"
#include "transpose.hpp"
#include "winograd.hpp"

namespace bespoke::kernels {

// Order of arithmetic of a forward pass: each element is one chain of fma from its start (bias, or what is there)
// over channel, kernel row, kernel column, ascending. Taps in the padding take part as zeros. Threads split outputs
// only.
//
// That holds for the direct sums; 3 x 3 kernels may take another way, see winograd.hpp.
//
// How: a tile multiplies a few pixels with a panel of output channels. It reads the image through a table of the taps'
// offsets, so nothing is copied but images that need padding. The pixels are a piece of a row; where rows are too short
// for that, of a block, and have a table of offsets too. What comes out has its channels last and is transposed into y,
// a block of pixels at a time. Where an output is the sum of few products the pixels are the columns instead, see
// convolution_rows.hpp.

namespace detail {

template <class T>
struct forward_job {
    const convolution_geometry& g;
    image_layout layout;
    const T* x;
    extent x_stride;
    const T* weights;  ///< packed, or as they are for narrow groups
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    channel_epilogue<T> after;
};

/// Whether tiles take pieces of rows: where those fill them well.
constexpr bool by_lines(const convolution_geometry& g) noexcept {
    return count_strips(g.output_width).rows * 5 <= g.output_width * 6;
}
/// The layout of an image whose tiles read pixels, as many as they have rows, whether these are there or not.
constexpr image_layout tiled_layout(const convolution_geometry& g) noexcept {
    image_layout layout = make_layout(g, false);
    if (!layout.direct || !by_lines(g) || count_strips(g.output_width).rows == g.output_width) return layout;
    return {0, 0, g.height, 1, g.width, false};
}
/// Where the window of a pixel begins.
constexpr extent line_offset(const convolution_geometry& g, const image_layout& layout, extent row, extent column) {
    return row * g.stride_y * layout.row_stride() + column * g.stride_x;
}
/// Pixels of one block: whole rows, or as many as a table has.
constexpr extent block_pixels(const convolution_geometry& g) noexcept {
    return by_lines(g) ? std::max<extent>(table_size / g.output_width, 1) * g.output_width : table_size;
}

/// The images of one group, copied where the layout is not theirs.
template <class T>
const T* group_image(const convolution_geometry& g, const image_layout& layout, const T* x, extent group,
                     T* copy) noexcept {
    const T* from = x + group * g.group_channels() * g.plane();
    if (layout.direct) return from;
    copy_image(layout, g.group_channels(), g.height, g.width, from, copy);
    return copy;
}

/// Items are (example, group, block of pixels, panel of output channels).
template <class T>
[[gnu::noinline]] void forward_items(const forward_job<T>& job, extent first, extent last, T* image_space,
                                     T* sums) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs(), most = block_pixels(g);
    const extent blocks = (g.pixels() + most - 1) / most, panels = (outputs + width - 1) / width;
    const bool lines = by_lines(g);
    extent pixels[table_size], sums_rows[table_size], taps[k_block<T>], steps_between[k_block<T>];
    // As many whole channels as fit, which all have the taps of the first.
    const extent channels = k_block<T> / g.taps(), together = channels > 0 ? channels * g.taps() : k_block<T>;
    alignas(64) T start[width];
    multiples(width, table_size, sums_rows);
    const T* image = nullptr;
    extent held_image = -1, held_block = -1, held_taps = -1;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, block = item / panels % blocks, where = item / panels / blocks;
        const extent example = where / g.groups, group = where % g.groups,
                     channel = group * outputs + panel * width;
        const extent columns = std::min(outputs - panel * width, width);
        const auto begin = [&](extent b) {  // of a block; those of whole rows have as many as each other, or one more
            return lines ? g.output_height * b / blocks * g.output_width : std::min(b * most, g.pixels());
        };
        const extent pixel = begin(block), count = begin(block + 1) - pixel;
        if (std::exchange(held_image, where) != where)
            image = group_image(g, job.layout, job.x + example * job.x_stride, group, image_space);
        if (!lines && std::exchange(held_block, block) != block)
            grid_offsets(g.output_width, g.stride_y * job.layout.row_stride(), g.stride_x, pixel, count,
                         pixels);
        T* y = job.y + example * job.y_stride + channel * g.pixels() + pixel;
        if (job.accumulate)
            transpose(y, g.pixels(), columns, count, sums, width);
        else {
            std::fill_n(start, width, T(0));
            if (job.bias != nullptr) std::copy_n(job.bias + channel, columns, start);
        }
        for (extent k = 0; k == 0 || k < size; k += together) {
            const extent steps = std::min(size - k, together), known = channels > 0 ? 0 : k;
            if (std::exchange(held_taps, known) != known) {
                tap_offsets(g, job.layout, known, steps, taps);
                for (extent i = 0; i < steps; ++i) steps_between[i] = i + 1 < steps ? taps[i + 1] - taps[i] : 0;
            }
            const T* const seen = image + (k - known) / g.taps() * job.layout.channel_stride();
            const T* const b = job.weights + (group * panels + panel) * width * size + k * width;
            const bool goes_on = job.accumulate || k > 0;
            if (!lines) {
                multiply_panel<T>({steps, seen, taps, b, sums, goes_on ? nullptr : start}, count, pixels, sums_rows,
                                  columns);
                continue;
            }
            // The next weights come, a share with each strip.
            const extent strips = count_strips(g.output_width).strips * (count / g.output_width),
                         near = (width + strips - 1) / strips;
            extent share = 0;
            for (extent q = 0; q < count;) {
                const extent column = q % g.output_width, row = (pixel + q) / g.output_width,
                             some = strip_rows(g.output_width - column);
                T* c = sums + q * width;
                multiply_strip<T, multiply_add<T>, true>(
                    {steps, seen + line_offset(g, job.layout, row, column) + (steps > 0 ? taps[0] : 0), g.stride_x, 0,
                     b, width, c, width, goes_on ? c : start, goes_on ? width : 0,
                     b + steps * (width + share++ * near), near, c + some * width, nullptr, 0, steps_between},
                    some, columns);
                q += some;
            }
        }
        job.after.transposed(sums, width, {y, columns, count, g.pixels()}, channel);
    }
}

/// Items are (example, group, block of output rows), for narrow groups and what `suits_rows`.
template <class T>
[[gnu::noinline]] void row_items(const forward_job<T>& job, extent first, extent last, T* image_space) noexcept {
    const convolution_geometry& g = job.g;
    const extent blocks = (g.output_height + narrow_rows - 1) / narrow_rows, outputs = g.group_outputs();
    const T* image = nullptr;
    extent held_image = -1;
    for (extent item = first; item < last; ++item) {
        const extent block = item % blocks, where = item / blocks, example = where / g.groups,
                     group = where % g.groups, row = block * narrow_rows,
                     last_row = std::min(row + narrow_rows, g.output_height);
        if (std::exchange(held_image, where) != where)
            image = group_image(g, job.layout, job.x + example * job.x_stride, group, image_space);
        T* y = job.y + example * job.y_stride + group * outputs * g.pixels();
        const extent size = g.group_channels() * g.taps();
        const T* bias = job.bias != nullptr ? job.bias + group * outputs : nullptr;
        if (is_narrow<T>(outputs))
            narrow_forward(g, job.layout, image, job.weights + group * outputs * size, bias, job.accumulate, row,
                           last_row, y);
        else
            rows_forward(g, job.layout, image, job.weights + group * packed_size<T>(size, outputs), bias, row,
                         last_row, y, job.after.without_added(), group * outputs);
        const output_block<T> results{y + row * g.output_width, outputs, (last_row - row) * g.output_width, g.pixels()};
        if (is_narrow<T>(outputs))
            job.after.finish(results, group * outputs);
        else
            job.after.finish_behind(results, group * outputs);
    }
}

/// Elements of the results of one block, before they are transposed.
template <class T>
constexpr extent forward_sums(const convolution_geometry& g) {
    return (block_pixels(g) + tile_rows) * panel_width<T>;
}
/// The elements of scratch that each thread has for itself.
template <class T>
constexpr extent forward_part(const convolution_geometry& g) {
    if (suits_depthwise(g)) return 0;
    if (suits_pointwise<T>(g)) return pointwise_part<T>(g);
    const auto image = [&](const image_layout& layout) { return image_size(layout, g.group_channels()); };
    const extent rows = image(make_layout(g, true)), tiles = image(tiled_layout(g)) + tile_rows * g.stride_x;
    if (is_narrow<T>(g.group_outputs())) return rows;
    return std::max(packed_size<T>(1, tiles) + forward_sums<T>(g), suits_rows<T>(g) ? rows : 0);
}
template <class T>
constexpr bool uses_winograd(const convolution_geometry& g) {
    return std::is_same_v<T, float> && g.winograd && suits_winograd(g);
}

}  // namespace detail

/// Elements that `convolution_pack` writes.
template <class T>
constexpr extent convolution_packed_size(const convolution_geometry& g) noexcept {
    if (detail::uses_winograd<T>(g)) return winograd_packed_size<T>(g);
    if (detail::is_narrow<T>(g.group_outputs())) return 0;
    return g.groups * packed_size<T>(g.group_channels() * g.taps(), g.group_outputs());
}

/// The weights in the order in which `convolution_forward` reads them. Of the geometry the channels, kernel sizes and
/// groups matter, and with `winograd` strides and dilations.
template <class T>
[[gnu::noinline]] void convolution_pack(const convolution_geometry& g, const T* weights, T* packed,
                                        thread_pool* threads = nullptr) noexcept {
    if constexpr (std::is_same_v<T, float>)
        if (detail::uses_winograd<T>(g)) return winograd_pack(g, weights, packed, threads);
    const extent outputs = g.group_outputs(), size = g.group_channels() * g.taps();
    if (detail::is_narrow<T>(outputs)) return;
    for (extent group = 0; group < g.groups; ++group)
        pack(weights + group * outputs * size, extent{1}, size, size, outputs,
             packed + group * packed_size<T>(size, outputs), threads);
}

/// Elements of scratch that `convolution_forward` needs, for a pool of `threads` threads (1 for none).
template <class T>
constexpr extent convolution_forward_scratch(const convolution_geometry& g, extent threads) noexcept {
    if (std::min({g.channels, g.output_channels, g.pixels()}) <= 0) return 0;
    return convolution_packed_size<T>(g) + (detail::suits_pointwise<T>(g) ? detail::pointwise_copy(g) : 0) +
           (detail::uses_winograd<T>(g) ? winograd_scratch<T>(g, threads) : threads * detail::forward_part<T>(g));
}

/// y = conv(x) + bias, or y += conv(x) where `accumulate` (then `bias` is null); `bias` may be null.
///
/// `x_stride` and `y_stride` are the elements between examples. `scratch` holds
/// convolution_forward_scratch<T>(g, threads of the pool) elements. `packed` is what `convolution_pack` made of the
/// weights; null: it is made here. `after` is run on each block of y; its rows are channels, its columns pixels that
/// follow each other.
template <class T>
[[gnu::noinline]] void convolution_forward(const convolution_geometry& g, extent examples, const T* x,
                                           extent x_stride, const T* weights, const T* bias, T* y,
                                           extent y_stride, bool accumulate, T* scratch,
                                           thread_pool* threads = nullptr,
                                           const T* packed = nullptr,
                                           const epilogue<T>* after = nullptr) noexcept {
    if (examples <= 0 || g.pixels() <= 0 || g.output_channels <= 0) return;
    if (detail::suits_depthwise(g))
        return detail::depthwise_forward<T>({g, x, x_stride, weights, bias, y, y_stride, accumulate, false,
                                             detail::channel_epilogue<T>(after)},
                                            examples, threads);
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    T* parts = scratch + convolution_packed_size<T>(g);
    if constexpr (std::is_same_v<T, float>)
        if (detail::uses_winograd<T>(g)) {
            if (packed == nullptr) winograd_pack(g, weights, scratch, threads);
            return winograd_forward(g, examples, x, x_stride, packed != nullptr ? packed : scratch, bias, y, y_stride,
                                    accumulate, parts, threads, after);
        }
    const extent outputs = g.group_outputs();
    const bool narrow = detail::is_narrow<T>(outputs), by_rows = narrow || (detail::suits_rows<T>(g) && !accumulate);
    const auto layout = by_rows ? detail::make_layout(g, true) : detail::tiled_layout(g);
    detail::forward_job<T> job{g, layout, x, x_stride, weights, bias, y, y_stride, accumulate,
                               detail::channel_epilogue<T>(after)};
    extent items = examples * g.groups;
    if (by_rows)
        items *= (g.output_height + detail::narrow_rows - 1) / detail::narrow_rows;
    else
        items *= (outputs + panel_width<T> - 1) / panel_width<T> *
                 ((g.pixels() + detail::block_pixels(g) - 1) / detail::block_pixels(g));
    if (!narrow) {
        if (packed == nullptr) convolution_pack(g, weights, scratch, threads);
        job.weights = packed != nullptr ? packed : scratch;
    }
    if (detail::suits_pointwise<T>(g))
        return detail::pointwise_forward<T>({g, x, x_stride, job.weights, bias, y, y_stride, accumulate, job.after},
                                            examples, parts, threads);
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = parts + part * detail::forward_part<T>(g);
        if (by_rows)
            detail::row_items(job, first, last, space);
        else
            detail::forward_items(job, first, last, space + detail::forward_sums<T>(g), space);
    });
}

}  // namespace bespoke::kernels
