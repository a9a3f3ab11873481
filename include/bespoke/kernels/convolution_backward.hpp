#pragma once

#include "convolution.hpp"
#include "reduction.hpp"
#include "transpose.hpp"

namespace bespoke::kernels {

// Order of arithmetic of the backward passes, threads split outputs only:
//   input    each element of dx gets one chain of fma from 0 over kernel row, kernel column, output channel,
//            ascending, of the taps that lie on an output; then it is added to what is there;
//            In depthwise convolutions of stride 1 (`flips_depthwise`) the chain begins with what is there and runs
//            over kernel row and column descending; taps beside the outputs take part as zeros.
//            3 x 3 kernels of stride 1 may take the way of winograd.hpp, what it gives is added to what is there;
//   weights  one chain of fma from what is there over example, output row, output column, ascending; in narrow groups
//            `lanes` chains for each example, see `narrow_weights`.
//
// How: dx of some rows of the image is summed up with its channels last. For each tap, tiles of pixels of dy times a
// panel of the weights are added where the tap puts them. dW is a product as well, of rows of taps that read the image
// through two tables of offsets, and panels of dy transposed.

namespace detail {

/// Rows of the image whose gradient is summed up together: such that the sums stay near.
inline extent backward_rows(const convolution_geometry& g) noexcept {
    return std::clamp<extent>(512 / g.covered_columns(), 1, g.height);
}

/// Whether dx is a depthwise convolution of dy with the kernel turned round.
constexpr bool flips_depthwise(const convolution_geometry& g) noexcept {
    return suits_depthwise(g) && g.stride_x == 1;
}
/// The convolution of dy, with the kernel turned round, that gives dx; of one with stride 1.
constexpr convolution_geometry turned_round(convolution_geometry g) noexcept {
    std::swap(g.channels, g.output_channels);
    std::swap(g.height, g.output_height);
    std::swap(g.width, g.output_width);
    g.pad_top = (g.kernel_height - 1) * g.dilation_y - g.pad_top;
    g.pad_left = (g.kernel_width - 1) * g.dilation_x - g.pad_left;
    return g;
}
template <class T>
constexpr bool turns_winograd(const convolution_geometry& g) noexcept {
    return uses_winograd<T>(turned_round(g));
}

template <class T>
struct backward_input_job {
    const convolution_geometry& g;
    const T* dy;
    extent dy_stride;
    const T* weights;
    T* dx;
    extent dx_stride;
};

/// The weights as [group][tap][panel of channels][output channel][channel], for output channels [first, last) of all
/// groups together.
template <class T>
[[gnu::noinline]] void pack_backward_weights(const convolution_geometry& g, const T* weights, extent first,
                                             extent last, T* to) noexcept {
    constexpr extent width = panel_width<T>;
    const extent channels = g.group_channels(), outputs = g.group_outputs(), taps = g.taps();
    const extent panels = (channels + width - 1) / width, tap_size = packed_size<T>(outputs, channels);
    for (extent channel = first; channel < last; ++channel)
        for (extent panel = 0; panel < panels; ++panel) {
            const extent columns = std::min(channels - panel * width, width);
            T* row = to + channel / outputs * taps * tap_size + (panel * outputs + channel % outputs) * width;
            transpose(weights + (channel * channels + panel * width) * taps, taps, columns, taps, row,
                      tap_size);
            for (extent tap = 0; tap < taps && columns < width; ++tap)
                std::fill_n(row + tap * tap_size + columns, width - columns, T(0));
        }
}

/// dx of some channels: dx[c, q] += sums[q, c] in the rows [first, last).
template <class T>
void add_sums(const convolution_geometry& g, const T* sums, extent channels, extent first, extent last,
              T* dx) noexcept {
    const extent row_size = g.covered_columns(), begin = std::max<extent>(0, -g.pad_left);
    const extent columns = std::min(g.width, row_size - g.pad_left) - begin;
    const bool whole = columns == g.width && row_size == g.width;  // then all rows are one
    for (extent row = first; row < last; row = whole ? last : row + 1)
        transpose(sums + ((row - first) * row_size + g.pad_left + begin) * panel_width<T>, panel_width<T>,
                  whole ? (last - first) * g.width : columns, channels, dx + row * g.width + begin, g.plane(),
                  true);
}

/// Items are (example, group, block of image rows, panel of channels).
template <class T>
[[gnu::noinline]] void backward_input_items(const backward_input_job<T>& job, extent first, extent last,
                                            T* sums) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent channels = g.group_channels(), outputs = g.group_outputs(), height = backward_rows(g);
    const extent blocks = (g.height + height - 1) / height, panels = (channels + width - 1) / width;
    const extent tap_size = packed_size<T>(outputs, channels), row_size = g.covered_columns();
    extent dy_rows[table_size], sums_rows[table_size], steps[k_block<T>];
    multiples(1, table_size, dy_rows);
    multiples(g.pixels(), std::min(outputs, k_block<T>), steps);
    extent held = -1;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, block = item / panels % blocks, where = item / panels / blocks;
        const extent example = where / g.groups, group = where % g.groups;
        const extent top = block * height, bottom = std::min(top + height, g.height);
        const extent columns = std::min(channels - panel * width, width);
        std::fill_n(sums, (bottom - top) * row_size * width, T(0));
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const row_range rows = rows_of_tap(g, tap / g.kernel_width, top, bottom);
            if (rows.first >= rows.last) continue;
            const extent pixels = (rows.last - rows.first) * g.output_width;
            const T* dy =
                job.dy + example * job.dy_stride + group * outputs * g.pixels() + rows.first * g.output_width;
            T* to = sums +
                    ((rows.image_row(g, rows.first) - top) * row_size + tap % g.kernel_width * g.dilation_x) *
                        width;
            const T* weights = job.weights + (group * g.taps() + tap) * tap_size + panel * width * outputs;
            for (extent q = 0; q < pixels; q += table_size) {
                if (std::exchange(held, q) != q)
                    grid_offsets(g.output_width, g.stride_y * row_size * width, g.stride_x * width, q,
                                 table_size, sums_rows);
                for (extent k = 0; k < outputs; k += k_block<T>)
                    multiply_panel<T>({std::min(outputs - k, k_block<T>), dy + q + k * g.pixels(), steps,
                                       weights + k * width, to, nullptr},
                                      std::min(pixels - q, table_size), dy_rows, sums_rows, columns);
            }
        }
        add_sums(g, sums, columns, top, bottom,
                 job.dx + example * job.dx_stride + (group * channels + panel * width) * g.plane());
    }
}

/// Items are (example, group, block of image rows).
template <class T>
[[gnu::noinline]] void narrow_backward_input_items(const backward_input_job<T>& job, extent first,
                                                   extent last, T* sums) noexcept {
    const convolution_geometry& g = job.g;
    const extent height = backward_rows(g), blocks = (g.height + height - 1) / height;
    const image_layout layout = make_layout(g, true);
    for (extent item = first; item < last; ++item) {
        const extent top = item % blocks * height, where = item / blocks;
        const extent example = where / g.groups, group = where % g.groups, channels = g.group_channels(),
                     outputs = g.group_outputs();
        narrow_backward_input(g, layout, job.dy + example * job.dy_stride + group * outputs * g.pixels(),
                              job.weights + group * outputs * channels * g.taps(), top,
                              std::min(top + height, g.height), sums,
                              job.dx + example * job.dx_stride + group * channels * g.plane());
    }
}

/// The elements of scratch that each thread has for itself.
template <class T>
extent backward_input_part(const convolution_geometry& g) noexcept {
    // A row of a layout is up to a stride longer than what is covered.
    if (is_narrow<T>(g.group_channels()))
        return backward_rows(g) * (g.covered_columns() + g.width + g.stride_x);
    return backward_rows(g) * g.covered_columns() * panel_width<T>;
}
template <class T>
struct backward_weights_job {
    const convolution_geometry& g;
    image_layout layout;
    extent examples;
    const T* x;
    extent x_stride;
    const T* dy;
    extent dy_stride;
    T* dweights;
};

/// Rows of dW transposed, taps of all channels, that are computed together.
inline constexpr extent tap_rows = small_tile_rows;

/// Items are (group, panel of output channels, block of `tap_rows` taps). `sums` holds dW transposed of one panel.
template <class T>
[[gnu::noinline]] void backward_weights_items(const backward_weights_job<T>& job, extent first, extent last,
                                              T* space) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs();
    const extent blocks = (size + tap_rows - 1) / tap_rows, panels = (outputs + width - 1) / width;
    T *packed = space, *sums = packed + k_block<T> * width, *image_space = sums + size * width;
    extent pixels[k_block<T>], taps[table_size], sums_rows[table_size];
    multiples(width, table_size, sums_rows);
    extent held = -1;
    for (extent item = first; item < last;) {
        // All items of one panel together.
        const extent where = item / blocks, group = where / panels, panel = where % panels;
        const extent begin = item % blocks * tap_rows, next = std::min(last, (where + 1) * blocks);
        const extent end = std::min((next - where * blocks) * tap_rows, size);
        const extent columns = std::min(outputs - panel * width, width),
                     channel = group * outputs + panel * width;
        T* target = job.dweights + channel * size + begin;
        std::fill_n(sums, (end - begin) * width, T(0));
        transpose(target, size, columns, end - begin, sums, width);
        for (extent e = 0; e < job.examples; ++e) {
            const T* image = group_image(g, job.layout, job.x + e * job.x_stride, group, image_space);
            for (extent q = 0; q < g.pixels(); q += k_block<T>) {
                const extent steps = std::min(g.pixels() - q, k_block<T>);
                if (std::exchange(held, q) != q)
                    grid_offsets(g.output_width, g.stride_y * job.layout.row_stride(), g.stride_x, q, steps,
                                 pixels);
                pack(job.dy + e * job.dy_stride + channel * g.pixels() + q, extent{1}, g.pixels(), steps,
                     columns, packed);
                for (extent k = begin; k < end; k += table_size) {
                    const extent rows = std::min(end - k, table_size);
                    tap_offsets(g, job.layout, k, rows, taps);
                    multiply_panel<T>({steps, image, pixels, packed, sums + (k - begin) * width, nullptr},
                                      rows, taps, sums_rows, columns);
                }
            }
        }
        transpose(sums, width, end - begin, columns, target, size);
        item = next;
    }
}

/// Items are (group, channel of the group).
template <class T>
[[gnu::noinline]] void narrow_weights_items(const backward_weights_job<T>& job, extent first, extent last,
                                            T* space) noexcept {
    const convolution_geometry& g = job.g;
    for (extent e = 0; e < job.examples; ++e)
        for (extent item = first; item < last; ++item) {
            const extent group = item / g.group_channels();
            const T* image = job.x + e * job.x_stride + item * g.plane();
            if (!job.layout.direct) {
                copy_image(job.layout, extent{1}, g.height, g.width, image, space);
                image = space;
            }
            narrow_weights(
                g, job.layout, image, job.dy + e * job.dy_stride + group * g.group_outputs() * g.pixels(),
                job.dweights +
                    (group * g.group_outputs() * g.group_channels() + item % g.group_channels()) * g.taps());
        }
}

template <class T>
constexpr extent backward_weights_part(const convolution_geometry& g) {
    const bool narrow = is_narrow<T>(g.group_outputs());
    const image_layout layout = make_layout(g, narrow);
    if (narrow) return image_size(layout, 1);
    return (k_block<T> + g.group_channels() * g.taps()) * panel_width<T> +
           packed_size<T>(1, image_size(layout, g.group_channels()));
}

}  // namespace detail

/// Elements that `convolution_backward_pack` writes.
template <class T>
constexpr extent convolution_backward_packed_size(const convolution_geometry& g) noexcept {
    if (detail::turns_winograd<T>(g)) return winograd_packed_size<T>(detail::turned_round(g));
    if (detail::is_narrow<T>(g.group_channels())) return 0;
    return g.groups * g.taps() * packed_size<T>(g.group_outputs(), g.group_channels());
}

/// The weights in the order in which `convolution_backward_input` reads them. Of the geometry the channels, kernel
/// sizes and groups matter, and with `winograd` strides and dilations.
template <class T>
[[gnu::noinline]] void convolution_backward_pack(const convolution_geometry& g, const T* weights, T* packed,
                                                 thread_pool* threads = nullptr) noexcept {
    if constexpr (std::is_same_v<T, float>)
        if (detail::turns_winograd<T>(g))
            return winograd_pack(detail::turned_round(g), weights, packed, threads, true);
    if (detail::is_narrow<T>(g.group_channels())) return;
    if (g.channels * g.group_outputs() * g.taps() < detail::threaded_elements) threads = nullptr;
    parallel_for(threads, g.output_channels, 1, [&](extent first, extent last) {
        detail::pack_backward_weights(g, weights, first, last, packed);
    });
}

/// Elements of scratch that the backward passes need, for a pool of `threads` threads (1 for none).
template <class T>
extent convolution_backward_scratch(const convolution_geometry& g, extent threads) noexcept {
    if (std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return 0;
    const extent input = detail::turns_winograd<T>(g) ? winograd_scratch<T>(detail::turned_round(g), threads)
                                                      : threads * detail::backward_input_part<T>(g);
    return std::max(convolution_backward_packed_size<T>(g) + input,
                    threads * detail::backward_weights_part<T>(g));
}

/// Elements of scratch for all three passes.
template <class T>
extent convolution_scratch(const convolution_geometry& g, extent threads) noexcept {
    return std::max(convolution_forward_scratch<T>(g, threads), convolution_backward_scratch<T>(g, threads));
}

/// dx += the gradient with respect to x, given dy. Also the forward pass of a deconvolution, whose input is dy.
/// `scratch` holds convolution_backward_scratch<T>(g, threads of the pool) elements. `packed` is what
/// `convolution_backward_pack` made of the weights; null: it is made here.
template <class T>
[[gnu::noinline]] void convolution_backward_input(const convolution_geometry& g, extent examples, const T* dy,
                                                  extent dy_stride, const T* weights, T* dx, extent dx_stride,
                                                  T* scratch, thread_pool* threads = nullptr,
                                                  const T* packed = nullptr) noexcept {
    if (examples <= 0 || std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return;
    if (detail::flips_depthwise(g))
        return detail::depthwise_forward<T>(
            {detail::turned_round(g), dy, dy_stride, weights, nullptr, dx, dx_stride, true, true, {}}, examples,
            threads);
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    if (packed == nullptr) convolution_backward_pack(g, weights, scratch, threads);
    T* parts = scratch + convolution_backward_packed_size<T>(g);
    if constexpr (std::is_same_v<T, float>)
        if (detail::turns_winograd<T>(g))
            return winograd_forward<T>(detail::turned_round(g), examples, dy, dy_stride,
                                       packed != nullptr ? packed : scratch, nullptr, dx, dx_stride, true, parts,
                                       threads);
    const bool narrow = detail::is_narrow<T>(g.group_channels());
    const extent height = detail::backward_rows(g);
    const extent items = examples * g.groups * ((g.height + height - 1) / height) *
                         (narrow ? 1 : (g.group_channels() + panel_width<T> - 1) / panel_width<T>);
    const detail::backward_input_job<T> job{
        g, dy, dy_stride, narrow ? weights : packed != nullptr ? packed : scratch, dx, dx_stride};
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = parts + part * detail::backward_input_part<T>(g);
        (narrow ? detail::narrow_backward_input_items<T> : detail::backward_input_items<T>)(job, first, last,
                                                                                            space);
    });
}

/// dweights += the gradient with respect to the weights, given x and dy, summed over the examples.
/// `scratch` as in `convolution_backward_input`.
template <class T>
[[gnu::noinline]] void convolution_backward_weights(const convolution_geometry& g, extent examples,
                                                    const T* x, extent x_stride, const T* dy,
                                                    extent dy_stride, T* dweights, T* scratch,
                                                    thread_pool* threads = nullptr) noexcept {
    if (examples <= 0 || std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const bool narrow = detail::is_narrow<T>(g.group_outputs());
    const extent taps = g.group_channels() * g.taps();
    const extent items = narrow ? g.channels
                                : g.groups * ((taps + detail::tap_rows - 1) / detail::tap_rows) *
                                      ((g.group_outputs() + panel_width<T> - 1) / panel_width<T>);
    const detail::backward_weights_job<T> job{
        g, detail::make_layout(g, narrow), examples, x, x_stride, dy, dy_stride, dweights};
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = scratch + part * detail::backward_weights_part<T>(g);
        (narrow ? detail::narrow_weights_items<T> : detail::backward_weights_items<T>)(job, first, last,
                                                                                       space);
    });
}

/// dbias[c] += sum of dy [examples, channels, inner] over examples and the inner axis: for each channel and
/// example `lanes` chains, then the lanes as in `sum_lanes`, examples ascending.
template <class T>
void channel_sums(extent examples, extent channels, extent inner, const T* dy, extent dy_stride, T* dbias,
                  thread_pool* threads = nullptr) noexcept {
    if (examples * channels * inner < detail::threaded_elements) threads = nullptr;
    parallel_for(threads, channels, 1, [&](extent first, extent last) {
        for (extent c = first; c < last; ++c)
            for (extent e = 0; e < examples; ++e) dbias[c] += sum(inner, dy + e * dy_stride + c * inner);
    });
}

}  // namespace bespoke::kernels
