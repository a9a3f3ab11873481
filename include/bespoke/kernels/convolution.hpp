#pragma once

#include "gemm.hpp"
#include "map.hpp"

#include <numeric>

// Loops over the rows and batches of a tile: so short that they are to be written out.
#ifdef __clang__
#define BESPOKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BESPOKE_UNROLL _Pragma("GCC unroll 16")
#endif

namespace bespoke::kernels {

/// Sizes of a two-dimensional convolution of one example.
///
/// x [channels, height, width], weights [output_channels, channels / groups, kernel_height, kernel_width],
/// y [output_channels, output_height, output_width]; channel counts are totals over the groups.
/// y[o, oy, ox] = bias[o] + sum over c, ky, kx of
///     weights[o, c, ky, kx] * x[c, oy * stride_y + ky * dilation_y - pad_top, ox * stride_x + kx * dilation_x - pad_left],
/// where x is zero outside the image. What is padded below and to the right follows from the output size.
struct convolution_geometry {
    extent channels, height, width;
    extent output_channels, output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent dilation_y, dilation_x;
    extent pad_top, pad_left;
    extent groups;
};

// Order of arithmetic. Each element is one chain of fma from its start (bias, or what is there):
//   forward           over channel, kernel row, kernel column, ascending;
//   backward input    over output channel, kernel row, kernel column, ascending, without the taps that fall
//                     between two outputs (they add nothing);
//   backward weights  over example, output row, output column, ascending; a depthwise one in `lanes` chains,
//                     one a lane, for each output row, see `depthwise_weights`.
// Taps in the padding take part as zeros. Threads split outputs only.
//
// How: the product weights x im2col(x), where panels of im2col(x) are packed a few at a time. Images that need
// padding or a stride are first copied so that every tap reads consecutive elements: zeros all around, and the
// columns of each row sorted by their remainder modulo the horizontal stride.

namespace detail {

/// A copy of an image, or the image itself, in which tap and pixel give an offset each.
struct image_layout {
    extent before_y, before_x;  ///< zeros above and to the left
    extent rows, phases, phase_stride;
    bool direct;  ///< the image can be read as it is

    constexpr extent row_stride() const { return phases * phase_stride; }
    constexpr extent channel_stride() const { return rows * row_stride(); }
    /// Of column `x` (counted from the first zero) in a row.
    constexpr extent column(extent x) const { return x % phases * phase_stride + x / phases; }
};

constexpr image_layout forward_layout(const convolution_geometry& g) {
    const extent rows = (g.output_height - 1) * g.stride_y + (g.kernel_height - 1) * g.dilation_y + 1;
    const extent columns = (g.output_width - 1) * g.stride_x + (g.kernel_width - 1) * g.dilation_x + 1;
    if (g.pad_top == 0 && g.pad_left == 0 && g.stride_x == 1 && rows <= g.height && columns <= g.width)
        return {0, 0, g.height, 1, g.width, true};
    return {g.pad_top, g.pad_left, rows, g.stride_x, (columns + g.stride_x - 1) / g.stride_x, false};
}

constexpr extent floor_divide(extent a, extent b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/// Of dy, as the backward pass to the input reads it.
constexpr image_layout backward_layout(const convolution_geometry& g) {
    const auto before = [](extent pad, extent kernel, extent dilation, extent stride) {
        return std::max<extent>(0, -floor_divide(pad - (kernel - 1) * dilation, stride));
    };
    const extent before_y = before(g.pad_top, g.kernel_height, g.dilation_y, g.stride_y);
    const extent before_x = before(g.pad_left, g.kernel_width, g.dilation_x, g.stride_x);
    const extent rows = std::max(g.output_height, (g.height - 1 + g.pad_top) / g.stride_y + 1);
    const extent columns = std::max(g.output_width, (g.width - 1 + g.pad_left) / g.stride_x + 1);
    const bool direct =
        before_y == 0 && before_x == 0 && rows == g.output_height && columns == g.output_width;
    return {before_y, before_x, rows + before_y, 1, columns + before_x, direct};
}

/// Copies `channels` images [height, width] into `layout`.
template <class T>
inline void copy_image(const image_layout& layout, extent channels, extent height, extent width, const T* x,
                       T* to) noexcept {
    for (extent c = 0; c < channels; ++c)
        for (extent r = 0; r < layout.rows; ++r) {
            const extent y = r - layout.before_y;
            const T* from = x + (c * height + y) * width;
            for (extent phase = 0; phase < layout.phases; ++phase, to += layout.phase_stride) {
                // Element j is column j * phases + phase - before_x of the image.
                const extent shift = phase - layout.before_x;
                const auto count = [&](extent column) {
                    return std::clamp<extent>((column - shift + layout.phases - 1) / layout.phases, 0,
                                              layout.phase_stride);
                };
                const extent begin = y < 0 || y >= height ? layout.phase_stride : shift < 0 ? count(0) : 0;
                const extent end = y < 0 || y >= height ? layout.phase_stride
                                   : width <= shift     ? begin
                                                        : std::max(begin, count(width));
                std::fill(to, to + begin, T(0));
                if (layout.phases == 1)
                    kernels::copy(end - begin, from + begin + shift, to + begin);
                else {
                    extent j = begin;
                    if (layout.phases == 2)
                        for (const T* p = from + 2 * j + shift; j + lanes<T> < end;
                             j += lanes<T>, p += 2 * lanes<T>)
                            store<T>(to + j, even_lanes<T>(load(p), load(p + lanes<T>)));
                    for (; j < end; ++j) to[j] = from[j * layout.phases + shift];
                }
                std::fill(to + end, to + layout.phase_stride, T(0));
            }
        }
}

/// Pixels in row-major order of a grid `width` wide; offset of pixel (y, x) = y * row_step + x.
struct pixel_grid {
    extent height, width, row_step;
    constexpr extent size() const { return height * width; }
};

/// Packs rows [k, k + steps) of im2col for pixels [first, first + count), count <= panel_width, into one panel.
///
/// Row k is tap (i, j) of channel c, k = (c * taps_y + i) * taps_x + j; its elements are those of `image` at
/// c * channel_stride + offset(i, j) + pixel offset. Writes up to one batch beyond the panel.
template <class T, class Offset>
inline void pack_pixels(const T* image, const T* end, extent channel_stride, extent taps_y, extent taps_x,
                        const Offset& offset, const pixel_grid& grid, extent first, extent count, extent k,
                        extent steps, T* to) noexcept {
    extent from[panel_width<T>], at[panel_width<T>], length[panel_width<T>];
    std::size_t runs = 0;
    for (extent done = 0; done < count; ++runs) {
        const extent y = (first + done) / grid.width, x = (first + done) % grid.width;
        from[runs] = y * grid.row_step + x;
        at[runs] = done;
        length[runs] = grid.row_step == grid.width ? count - done : std::min(count - done, grid.width - x);
        done += length[runs];
    }
    extent j = k % taps_x, i = k / taps_x % taps_y, c = k / taps_x / taps_y;
    for (extent step = 0; step < steps; ++step, to += panel_width<T>) {
        const T* base = image + c * channel_stride + offset(i, j);
        for (std::size_t r = 0; r < runs; ++r)
            for (extent v = 0; v < length[r]; v += lanes<T>) {
                const T* p = base + from[r] + v;
                store<T>(to + at[r] + v, end - p >= lanes<T> ? load(p) : load_partial(p, end - p));
            }
        if (++j == taps_x) {
            j = 0;
            if (++i == taps_y) {
                i = 0;
                ++c;
            }
        }
    }
}

/// Panels that are packed together, so that the left-hand side is read once for all of them.
inline constexpr extent panels_at_once = 4;

template <class T>
inline constexpr extent panels_scratch = panels_at_once* k_block<T>* panel_width<T> + lanes<T>;

/// Calls body(part) for `parts` parts, each with a scratch of its own; at most one part a thread.
template <class Body>
inline void for_each_part(thread_pool* threads, extent parts, const Body& body) noexcept {
    parallel_for(threads, parts, 1, [&](extent first, extent last) {
        for (extent part = first; part < last; ++part) body(part);
    });
}

inline extent pool_size(const thread_pool* threads) noexcept {
    return threads ? static_cast<extent>(threads->size()) : 1;
}

constexpr extent convolution_work(const convolution_geometry& g, extent examples) {
    return examples * g.output_channels * g.output_height * g.output_width * (g.channels / g.groups) *
           g.kernel_height * g.kernel_width;
}

/// Elements that hold dW transposed, [groups][taps][output channels of a group, whole panels].
template <class T>
constexpr extent transposed_weights_size(const convolution_geometry& g) {
    return g.groups * packed_size<T>(g.channels / g.groups * g.kernel_height * g.kernel_width,
                                     g.output_channels / g.groups);
}

/// The parts of a scratch.
template <class T>
constexpr extent image_scratch(const image_layout& layout, extent channels) {
    return layout.direct ? 0 : channels * layout.channel_stride() + lanes<T>;
}

/// y of one example and group: output channels [row, row + rows) of the group, pixels of panels [first, last).
template <class T>
inline void forward_block(const convolution_geometry& g, const image_layout& layout, const T* image,
                          const T* weights, const T* bias, T* y, extent rows, extent first, extent last,
                          bool accumulate, T* scratch) noexcept {
    const extent channels = g.channels / g.groups;
    const extent size = channels * g.kernel_height * g.kernel_width;
    const pixel_grid grid{g.output_height, g.output_width, g.stride_y * layout.row_stride()};
    const T* end = image + channels * layout.channel_stride();
    const auto offset = [&](extent i, extent j) {
        return i * g.dilation_y * layout.row_stride() + layout.column(j * g.dilation_x);
    };
    for (extent k = 0; k == 0 || k < size; k += k_block<T>) {
        const extent steps = std::min(size - k, k_block<T>);
        const bool load = accumulate || k > 0;
        for (extent panel = first; panel < last; ++panel) {
            const extent pixel = panel * panel_width<T>;
            const extent columns = std::min(grid.size() - pixel, panel_width<T>);
            T* packed = scratch + (panel - first) * steps * panel_width<T>;
            pack_pixels(image, end, layout.channel_stride(), g.kernel_height, g.kernel_width, offset, grid,
                        pixel, columns, k, steps, packed);
            if (columns > lanes<T>)
                tiles<T, 2>(rows, steps, weights + k, size, extent{1}, packed, y + pixel, grid.size(),
                            columns, static_cast<const T*>(nullptr), bias, load);
            else
                tiles<T, 1>(rows, steps, weights + k, size, extent{1}, packed, y + pixel, grid.size(),
                            columns, static_cast<const T*>(nullptr), bias, load);
        }
    }
}

/// One channel of a depthwise convolution: no product to share, so straight from the image.
template <class T>
inline void depthwise_forward(const convolution_geometry& g, const image_layout& layout, const T* image,
                              const T* weights, T start, T* y, bool accumulate) noexcept {
    const T* end = image + layout.channel_stride();
    for (extent oy = 0; oy < g.output_height; ++oy, y += g.output_width)
        for_each_batch<T>(
            g.output_width, [&](extent ox, auto in, auto out) __attribute__((always_inline)) {
                batch<T> sum = accumulate ? in(y + ox) : batch<T>(start);
                const T* w = weights;
                for (extent i = 0; i < g.kernel_height; ++i) {
                    const T* row = image + (oy * g.stride_y + i * g.dilation_y) * layout.row_stride() + ox;
                    for (extent j = 0; j < g.kernel_width; ++j) {
                        const T* p = row + layout.column(j * g.dilation_x);
                        const batch<T> x = end - p >= lanes<T> ? load(p) : load_partial(p, end - p);
                        sum = kernels::fma<T>(batch<T>(*w++), x, sum);
                    }
                }
                out(y + ox, sum);
            });
}

/// Input pixels whose position has one remainder modulo the strides, and the taps that reach them.
struct phase_axis {
    extent first, count;      ///< of the quotients j: pixel = j * stride + remainder - pad
    extent tap, taps, step;   ///< kernel indices tap, tap + step, ...
    extent shift, increment;  ///< output index = j - shift - i * increment for the i-th of them
};

constexpr phase_axis make_phase(extent remainder, extent size, extent pad, extent kernel, extent dilation,
                                extent stride) {
    phase_axis a{};
    a.first = -floor_divide(remainder - pad, stride);
    a.count = std::max<extent>(0, floor_divide(size - 1 + pad - remainder, stride) - a.first + 1);
    a.step = stride / std::gcd(stride, dilation);
    a.increment = dilation / std::gcd(stride, dilation);
    while (a.tap < kernel && a.tap < a.step && (a.tap * dilation - remainder) % stride != 0) ++a.tap;
    a.taps = a.tap < kernel && a.tap < a.step ? (kernel - 1 - a.tap) / a.step + 1 : 0;
    a.shift = floor_divide(a.tap * dilation - remainder, stride);
    return a;
}

/// dx of one example and group: the pixels of panels [first, last) of one phase.
template <class T>
inline void backward_block(const convolution_geometry& g, const image_layout& layout, const phase_axis& py,
                           const phase_axis& px, extent remainder_y, extent remainder_x, const T* image,
                           const T* weights, T* dx, extent first, extent last, T* scratch, T* sums) noexcept {
    const extent channels = g.channels / g.groups, output_channels = g.output_channels / g.groups;
    const extent size = output_channels * py.taps * px.taps;
    const extent plane = g.height * g.width;
    const pixel_grid grid{py.count, px.count, layout.row_stride()};
    const T* end = image + output_channels * layout.channel_stride();
    const auto offset = [&](extent i, extent j) {
        return (py.first - py.shift + layout.before_y - i * py.increment) * layout.row_stride() + px.first -
               px.shift + layout.before_x - j * px.increment;
    };
    // With a stride of 1 the pixels of a panel lie side by side in dx; otherwise they are collected in `sums`.
    const bool in_place = g.stride_y == 1 && g.stride_x == 1;
    const extent pixel0 = first * panel_width<T>,
                 pixels = std::min(grid.size(), last * panel_width<T>) - pixel0;
    const auto exchange = [&](bool read) {
        for (extent c = 0; c < channels; ++c)
            for (extent q = 0; q < pixels; ++q) {
                const extent y =
                    ((pixel0 + q) / grid.width + py.first) * g.stride_y + remainder_y - g.pad_top;
                const extent x =
                    ((pixel0 + q) % grid.width + px.first) * g.stride_x + remainder_x - g.pad_left;
                T& there = dx[c * plane + y * g.width + x];
                T& here = sums[c * panels_at_once * panel_width<T> + q];
                (read ? here : there) = read ? there : here;
            }
    };
    if (!in_place) exchange(true);
    for (extent k = 0; k < size; k += k_block<T>) {
        const extent steps = std::min(size - k, k_block<T>);
        for (extent panel = first; panel < last; ++panel) {
            const extent pixel = panel * panel_width<T>;
            const extent columns = std::min(grid.size() - pixel, panel_width<T>);
            T* packed = scratch + (panel - first) * steps * panel_width<T>;
            pack_pixels(image, end, layout.channel_stride(), py.taps, px.taps, offset, grid, pixel, columns,
                        k, steps, packed);
            T* c = in_place ? dx + pixel : sums + (pixel - pixel0);
            const extent c_row = in_place ? plane : panels_at_once * panel_width<T>;
            const T* none = nullptr;
            if (columns > lanes<T>)
                tiles<T, 2>(channels, steps, weights + k * channels, extent{1}, channels, packed, c, c_row,
                            columns, none, none, true);
            else
                tiles<T, 1>(channels, steps, weights + k * channels, extent{1}, channels, packed, c, c_row,
                            columns, none, none, true);
        }
    }
    if (!in_place) exchange(false);
}

/// sum[Rows, Batches] += image at `Rows` taps x dy transposed, over the pixels in order.
template <class T, std::size_t Rows, std::size_t Batches>
inline void weights_tile(const pixel_grid& grid, const T* const* taps, const T* dy, T* sums,
                         extent sums_row) noexcept {
    constexpr auto rows = static_cast<extent>(Rows), batches = static_cast<extent>(Batches);
    batch<T> sum[Rows][Batches];
    const T* row[Rows];
    BESPOKE_UNROLL
    for (extent i = 0; i < rows; ++i) {
        row[i] = taps[i];
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) sum[i][j] = load<T>(sums + i * sums_row + j * lanes<T>);
    }
    for (extent y = 0; y < grid.height; ++y) {
        const extent begin = y * grid.row_step;
        for (extent x = begin; x < begin + grid.width; ++x) {
            batch<T> right[Batches];
            BESPOKE_UNROLL
            for (extent j = 0; j < batches; ++j) right[j] = load(dy + j * lanes<T>);
            BESPOKE_UNROLL
            for (extent i = 0; i < rows; ++i) {
                const batch<T> left(row[i][x]);
                BESPOKE_UNROLL
                for (extent j = 0; j < batches; ++j) sum[i][j] = kernels::fma<T>(left, right[j], sum[i][j]);
            }
            dy += panel_width<T>;
        }
    }
    BESPOKE_UNROLL
    for (extent i = 0; i < rows; ++i) {
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) store<T>(sums + i * sums_row + j * lanes<T>, sum[i][j]);
    }
}

template <class T, std::size_t Batches, std::size_t Rows = tile_rows>
inline void weights_tiles(extent rows, const pixel_grid& grid, const T* const* taps, const T* dy, T* sums,
                          extent sums_row) noexcept {
    constexpr auto step = static_cast<extent>(Rows);
    extent i = 0;
    for (; i + step <= rows; i += step)
        weights_tile<T, Rows, Batches>(grid, taps + i, dy, sums + i * sums_row, sums_row);
    if constexpr (Rows > 1) {
        constexpr std::size_t next = Rows > 4 ? Rows / 3 : Rows / 2;
        if (i < rows)
            weights_tiles<T, Batches, next>(rows - i, grid, taps + i, dy, sums + i * sums_row, sums_row);
    }
}

/// dW of one output channel of a depthwise convolution: for each tap the products are added in `lanes` chains
/// over the output rows and the batches of a row, then the lanes as in `sum_lanes`, then what dW holds.
template <class T>
inline void depthwise_weights(const convolution_geometry& g, const image_layout& layout, const T* image,
                              const T* dy, T* dweights) noexcept {
    for (extent i = 0; i < g.kernel_height; ++i)
        for (extent j = 0; j < g.kernel_width; ++j) {
            const T* tap = image + i * g.dilation_y * layout.row_stride() + layout.column(j * g.dilation_x);
            batch<T> sum(T(0));
            for (extent oy = 0; oy < g.output_height; ++oy)
                for_each_batch<T>(
                    g.output_width, [&](extent ox, auto in, auto) __attribute__((always_inline)) {
                        sum = kernels::fma<T>(in(dy + oy * g.output_width + ox),
                                              in(tap + oy * g.stride_y * layout.row_stride() + ox), sum);
                    });
            dweights[i * g.kernel_width + j] += sum_lanes<T>(sum);
        }
}

}  // namespace detail

/// Elements of scratch that the three passes need, for a pool of `threads` threads (1 for none).
template <class T>
extent convolution_scratch(const convolution_geometry& g, extent threads) noexcept {
    if (std::min({g.channels, g.height, g.width, g.output_channels, g.output_height, g.output_width}) <= 0)
        return 0;
    const auto forward = detail::forward_layout(g), backward = detail::backward_layout(g);
    const extent image = detail::image_scratch<T>(forward, g.channels);
    const extent dy_image = detail::image_scratch<T>(backward, g.output_channels);
    const extent weights = g.output_channels * (g.channels / g.groups) * g.kernel_height * g.kernel_width;
    const extent sums = g.stride_y == 1 && g.stride_x == 1
                            ? 0
                            : g.channels / g.groups * detail::panels_at_once * panel_width<T>;
    const extent packed_dy = packed_size<T>(g.output_height * g.output_width, g.output_channels / g.groups);
    return std::max({threads * (image + detail::panels_scratch<T>),
                     weights + threads * (dy_image + sums + detail::panels_scratch<T>),
                     detail::transposed_weights_size<T>(g) + threads * (image + packed_dy)});
}

/// y = conv(x) + bias, or y += conv(x) where `accumulate` (then `bias` is null); `bias` may be null.
///
/// `x_stride` and `y_stride` are the elements between examples. `scratch` holds
/// convolution_scratch<T>(g, threads of the pool) elements.
template <class T>
void convolution_forward(const convolution_geometry& g, extent examples, const T* x, extent x_stride,
                         const T* weights, const T* bias, T* y, extent y_stride, bool accumulate, T* scratch,
                         thread_pool* threads = nullptr) noexcept {
    const extent pixels = g.output_height * g.output_width;
    if (examples <= 0 || pixels <= 0 || g.output_channels <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const auto layout = detail::forward_layout(g);
    const extent workers = detail::pool_size(threads);
    const extent channels = g.channels / g.groups, output_channels = g.output_channels / g.groups;
    const extent taps = g.kernel_height * g.kernel_width;
    const extent image_size = detail::image_scratch<T>(layout, g.channels);
    const bool depthwise = channels == 1 && output_channels <= 2;
    const extent panels = (pixels + panel_width<T> - 1) / panel_width<T>;
    const extent blocks = depthwise ? 1 : (panels + detail::panels_at_once - 1) / detail::panels_at_once;

    // Items [begin, end) of one example: (group, output channels, block of panels), depthwise an output channel.
    const bool by_example = examples >= 2 * workers;
    const extent row_parts =
        !depthwise && !by_example && g.groups * blocks < 2 * workers && output_channels >= 4 * workers
            ? workers
            : 1;
    const extent items = depthwise ? g.output_channels : g.groups * row_parts * blocks;
    const auto run = [&](extent example, extent begin, extent end, const T* image, T* panels_space) {
        for (extent item = begin; item < end; ++item) {
            T* out = y + example * y_stride;
            if (depthwise) {
                detail::depthwise_forward(g, layout, image + item / output_channels * layout.channel_stride(),
                                          weights + item * taps, bias ? bias[item] : T(0),
                                          out + item * pixels, accumulate);
                continue;
            }
            const extent block = item % blocks, part = item / blocks % row_parts,
                         group = item / blocks / row_parts;
            const extent row = output_channels * part / row_parts;
            const extent rows = output_channels * (part + 1) / row_parts - row;
            const extent channel = group * output_channels + row;
            detail::forward_block(g, layout, image + group * channels * layout.channel_stride(),
                                  weights + channel * channels * taps, bias ? bias + channel : nullptr,
                                  out + channel * pixels, rows, panels * block / blocks,
                                  panels * (block + 1) / blocks, accumulate, panels_space);
        }
    };
    T* panels_space = scratch + workers * image_size;
    if (by_example || workers == 1) {
        const extent parts = std::min(workers, examples);
        detail::for_each_part(threads, parts, [&](extent part) {
            T* image = scratch + part * image_size;
            for (extent e = examples * part / parts; e < examples * (part + 1) / parts; ++e) {
                if (!layout.direct)
                    detail::copy_image(layout, g.channels, g.height, g.width, x + e * x_stride, image);
                run(e, 0, items, layout.direct ? x + e * x_stride : image,
                    panels_space + part * detail::panels_scratch<T>);
            }
        });
        return;
    }
    for (extent e = 0; e < examples; ++e) {
        if (!layout.direct)
            parallel_for(threads, g.channels, 1, [&](extent first, extent last) {
                detail::copy_image(layout, last - first, g.height, g.width,
                                   x + e * x_stride + first * g.height * g.width,
                                   scratch + first * layout.channel_stride());
            });
        const extent parts = std::min(workers, items);
        detail::for_each_part(threads, parts, [&](extent part) {
            run(e, items * part / parts, items * (part + 1) / parts,
                layout.direct ? x + e * x_stride : scratch, panels_space + part * detail::panels_scratch<T>);
        });
    }
}

/// dx += the gradient with respect to x, given dy. Also the forward pass of a deconvolution, whose input is dy.
template <class T>
void convolution_backward_input(const convolution_geometry& g, extent examples, const T* dy, extent dy_stride,
                                const T* weights, T* dx, extent dx_stride, T* scratch,
                                thread_pool* threads = nullptr) noexcept {
    const extent pixels = g.output_height * g.output_width, plane = g.height * g.width;
    if (examples <= 0 || pixels <= 0 || plane <= 0 || g.channels <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const auto layout = detail::backward_layout(g);
    const extent workers = detail::pool_size(threads);
    const extent channels = g.channels / g.groups, output_channels = g.output_channels / g.groups;
    const extent taps = g.kernel_height * g.kernel_width;
    const extent image_size = detail::image_scratch<T>(layout, g.output_channels);
    const extent sums_size =
        g.stride_y == 1 && g.stride_x == 1 ? 0 : channels * detail::panels_at_once * panel_width<T>;
    const extent phases = g.stride_y * g.stride_x;
    const auto axes = [&](extent phase, detail::phase_axis& py, detail::phase_axis& px) {
        py = detail::make_phase(phase / g.stride_x, g.height, g.pad_top, g.kernel_height, g.dilation_y,
                                g.stride_y);
        px = detail::make_phase(phase % g.stride_x, g.width, g.pad_left, g.kernel_width, g.dilation_x,
                                g.stride_x);
    };

    // The weights as [group][phase][output channel, tap][channel]; a tap belongs to at most one phase.
    T* transposed = scratch;
    parallel_for(threads, output_channels, 1, [&](extent first, extent last) {
        T* start = transposed;
        for (extent group = 0; group < g.groups; ++group)
            for (extent phase = 0; phase < phases; ++phase) {
                detail::phase_axis py, px;
                axes(phase, py, px);
                const extent size = py.taps * px.taps * channels;
                T* to = start + first * size;
                for (extent o = first; o < last; ++o)
                    for (extent i = 0; i < py.taps; ++i)
                        for (extent j = 0; j < px.taps; ++j) {
                            const T* from = weights + (group * output_channels + o) * channels * taps +
                                            (py.tap + i * py.step) * g.kernel_width + px.tap + j * px.step;
                            for (extent c = 0; c < channels; ++c) *to++ = from[c * taps];
                        }
                start += output_channels * size;
            }
    });

    T* images = scratch + output_channels * g.groups * channels * taps;
    T* panels_space = images + workers * image_size;
    const extent part_size = detail::panels_scratch<T> + sums_size;
    const bool by_example = examples >= 2 * workers || workers == 1;

    // Blocks [begin, end) of the blocks of panels of all groups and phases of one example.
    const auto blocks_of = [&](const detail::phase_axis& py, const detail::phase_axis& px) {
        const extent panels = (py.count * px.count + panel_width<T> - 1) / panel_width<T>;
        return (panels + detail::panels_at_once - 1) / detail::panels_at_once;
    };
    const auto run = [&](extent example, extent begin, extent end, const T* image, T* space) {
        extent block = 0;
        const T* w = transposed;
        for (extent group = 0; group < g.groups; ++group)
            for (extent phase = 0; phase < phases; ++phase) {
                detail::phase_axis py, px;
                axes(phase, py, px);
                const extent panels = (py.count * px.count + panel_width<T> - 1) / panel_width<T>;
                const extent blocks = blocks_of(py, px);
                for (extent b = std::max<extent>(0, begin - block); b < std::min(blocks, end - block); ++b)
                    if (py.taps * px.taps > 0)
                        detail::backward_block(g, layout, py, px, phase / g.stride_x, phase % g.stride_x,
                                               image + group * output_channels * layout.channel_stride(), w,
                                               dx + example * dx_stride + group * channels * plane,
                                               panels * b / blocks, panels * (b + 1) / blocks, space,
                                               space + detail::panels_scratch<T>);
                block += blocks;
                w += output_channels * py.taps * px.taps * channels;
            }
    };
    extent items = 0;
    for (extent phase = 0; phase < phases; ++phase) {
        detail::phase_axis py, px;
        axes(phase, py, px);
        items += g.groups * blocks_of(py, px);
    }
    if (by_example) {
        const extent parts = std::min(workers, examples);
        detail::for_each_part(threads, parts, [&](extent part) {
            T* image = images + part * image_size;
            for (extent e = examples * part / parts; e < examples * (part + 1) / parts; ++e) {
                if (!layout.direct)
                    detail::copy_image(layout, g.output_channels, g.output_height, g.output_width,
                                       dy + e * dy_stride, image);
                run(e, 0, items, layout.direct ? dy + e * dy_stride : image, panels_space + part * part_size);
            }
        });
        return;
    }
    for (extent e = 0; e < examples; ++e) {
        if (!layout.direct)
            parallel_for(threads, g.output_channels, 1, [&](extent first, extent last) {
                detail::copy_image(layout, last - first, g.output_height, g.output_width,
                                   dy + e * dy_stride + first * pixels,
                                   images + first * layout.channel_stride());
            });
        const extent parts = std::min(workers, items);
        detail::for_each_part(threads, parts, [&](extent part) {
            run(e, items * part / parts, items * (part + 1) / parts,
                layout.direct ? dy + e * dy_stride : images, panels_space + part * part_size);
        });
    }
}

/// dweights += the gradient with respect to the weights, given x and dy, summed over the examples.
template <class T>
void convolution_backward_weights(const convolution_geometry& g, extent examples, const T* x, extent x_stride,
                                  const T* dy, extent dy_stride, T* dweights, T* scratch,
                                  thread_pool* threads = nullptr) noexcept {
    const extent pixels = g.output_height * g.output_width;
    if (examples <= 0 || pixels <= 0 || g.output_channels <= 0 || g.channels <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const auto layout = detail::forward_layout(g);
    const extent workers = detail::pool_size(threads);
    const extent channels = g.channels / g.groups, output_channels = g.output_channels / g.groups;
    const extent taps = g.kernel_height * g.kernel_width, size = channels * taps;
    const extent image_size = detail::image_scratch<T>(layout, g.channels);

    if (channels == 1 && output_channels <= 2) {
        const extent parts = std::min(workers, g.groups);
        detail::for_each_part(threads, parts, [&](extent part) {
            T* image = scratch + part * image_size;
            for (extent e = 0; e < examples; ++e)
                for (extent c = g.groups * part / parts; c < g.groups * (part + 1) / parts; ++c) {
                    const T* plane = x + e * x_stride + c * g.height * g.width;
                    if (!layout.direct) detail::copy_image(layout, 1, g.height, g.width, plane, image);
                    for (extent o = c * output_channels; o < (c + 1) * output_channels; ++o)
                        detail::depthwise_weights(g, layout, layout.direct ? plane : image,
                                                  dy + e * dy_stride + o * pixels, dweights + o * taps);
                }
        });
        return;
    }

    // dW transposed, [group][tap][output channel], so that a batch of output channels is contiguous. Each part
    // owns a range of taps and reads the channels of those taps only.
    const extent row = packed_size<T>(1, output_channels);
    T* sums = scratch;
    T* spaces = scratch + g.groups * size * row;
    const extent part_size = image_size + packed_size<T>(pixels, output_channels);
    constexpr auto grain = static_cast<extent>(detail::tile_rows);
    const extent blocks = (size + grain - 1) / grain;
    const extent parts = std::min(workers, g.groups * blocks);
    const detail::pixel_grid grid{g.output_height, g.output_width, g.stride_y * layout.row_stride()};
    detail::for_each_part(threads, parts, [&](extent part) {
        T* image = spaces + part * part_size;
        T* packed_dy = image + image_size;
        const extent first = g.groups * blocks * part / parts, last = g.groups * blocks * (part + 1) / parts;
        for (extent group = first / blocks; group * blocks < last; ++group) {
            const extent begin = std::max<extent>(0, first - group * blocks) * grain;
            const extent end = std::min(size, (last - group * blocks) * grain);
            T* total = sums + group * size * row;
            T* target = dweights + group * output_channels * size;
            transpose(target + begin, size, output_channels, end - begin, total + begin * row, row);
            for (extent k = begin; k < end; ++k)
                std::fill(total + k * row + output_channels, total + (k + 1) * row, T(0));
            const extent first_channel = begin / taps, last_channel = (end + taps - 1) / taps;
            for (extent e = 0; e < examples; ++e) {
                const T* planes = x + e * x_stride + (group * channels + first_channel) * g.height * g.width;
                if (!layout.direct)
                    detail::copy_image(layout, last_channel - first_channel, g.height, g.width, planes,
                                       image);
                const T* source = layout.direct ? planes : image;
                pack(dy + e * dy_stride + group * output_channels * pixels, extent{1}, pixels, pixels,
                     output_channels, packed_dy);
                for (extent k = begin; k < end; k += grain) {
                    const T* tap[detail::tile_rows];
                    const extent rows = std::min(grain, end - k);
                    for (extent r = 0; r < rows; ++r) {
                        const extent c = (k + r) / taps - first_channel, i = (k + r) % taps / g.kernel_width;
                        const extent j = (k + r) % g.kernel_width;
                        tap[r] = source + c * layout.channel_stride() +
                                 i * g.dilation_y * layout.row_stride() + layout.column(j * g.dilation_x);
                    }
                    for (extent o = 0; o < output_channels; o += panel_width<T>) {
                        const T* b = packed_dy + o * pixels;
                        if (output_channels - o > lanes<T>)
                            detail::weights_tiles<T, 2>(rows, grid, tap, b, total + k * row + o, row);
                        else
                            detail::weights_tiles<T, 1>(rows, grid, tap, b, total + k * row + o, row);
                    }
                }
            }
            transpose(total + begin * row, row, end - begin, output_channels, target + begin, size);
        }
    });
}

/// dbias[c] += sum of dy [examples, channels, inner] over examples and the inner axis: for each channel and
/// example `lanes` chains, then the lanes as in `sum_lanes`, examples ascending.
template <class T>
void channel_sums(extent examples, extent channels, extent inner, const T* dy, extent dy_stride, T* dbias,
                  thread_pool* threads = nullptr) noexcept {
    if (examples * channels * inner < detail::threaded_work) threads = nullptr;
    parallel_for(threads, channels, 1, [&](extent first, extent last) {
        for (extent c = first; c < last; ++c)
            for (extent e = 0; e < examples; ++e) {
                const T* row = dy + e * dy_stride + c * inner;
                batch<T> sum(T(0));
                for_each_batch<T>(
                    inner, [&](extent i, auto in, auto)
                               __attribute__((always_inline)) { sum = sum + in(row + i); });
                dbias[c] += sum_lanes<T>(sum);
            }
    });
}

}  // namespace bespoke::kernels

#undef BESPOKE_UNROLL
