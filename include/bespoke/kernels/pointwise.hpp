#pragma once

#include "block_product.hpp"
#include "convolution_narrow.hpp"
#include "gemm.hpp"
#include "transpose.hpp"

namespace bespoke::kernels::detail {

// Convolutions with a 1 x 1 kernel: products of the weights with images, whose rows are channels. Large images are the
// right-hand side as they stand, and the result has the order of y: some channels of many pixels at a time where x has
// few, else some pixels of all channels. Of small ones, where the last batch of pixels would be half empty, the pixels
// are the rows and the result is transposed. All read the same packed weights.

template <class T>
struct pointwise_job {
    const convolution_geometry& g;
    const T* x;
    extent x_stride;
    const T* packed;
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    channel_epilogue<T> after;
    extent parts = 1;  ///< of the pixels, where these are rows
};

/// Whether `pointwise_forward` is for this geometry.
template <class T>
constexpr bool suits_pointwise(const convolution_geometry& g) noexcept {
    return g.kernel_height == 1 && g.kernel_width == 1 && g.pad_top == 0 && g.pad_left == 0 &&
           g.covered_rows() <= g.height && g.covered_columns() <= g.width && !is_narrow<T>(g.group_outputs());
}

/// Whether the kernel sees each pixel as it stands in x.
constexpr bool sees_all_pixels(const convolution_geometry& g) noexcept {
    return g.output_height == g.height && g.output_width == g.width;
}

/// Whether the pixels are the rows.
template <class T>
constexpr bool pixels_as_rows(const convolution_geometry& g) noexcept {
    constexpr extent most = 256, transposing = 8;  // a transposition costs as much as so many channels
    const extent size = g.group_channels(), batches = (g.pixels() + lanes<T> - 1) / lanes<T> * lanes<T>;
    return g.pixels() <= most && count_strips(g.pixels()).rows * (size + transposing) < batches * size;
}

/// Steps of k that are computed together: a panel of so many stays in a first cache for all rows, beside the lines that
/// a tile reads of the other side.
constexpr extent pointwise_steps(const convolution_geometry& g) noexcept {
    constexpr extent near = 192;
    const extent parts = std::max<extent>((g.group_channels() + near - 1) / near, 1);
    return (g.group_channels() + parts - 1) / parts;
}

/// The elements of scratch that each thread has for itself: pixels that do not fill a batch or tile, and results.
template <class T>
constexpr extent pointwise_part(const convolution_geometry& g) noexcept {
    if (!pixels_as_rows<T>(g)) return (pointwise_steps(g) + tile_rows) * panel_width<T>;
    const extent steps = std::max<extent>(pointwise_steps(g), 1), parts = (g.group_channels() + steps - 1) / steps;
    return packed_left_size<T>(1, parts * pointwise_steps(g)) + (g.pixels() + tile_rows) * panel_width<T>;
}

/// Elements of scratch besides: the pixels of one example that are seen.
constexpr extent pointwise_copy(const convolution_geometry& g) noexcept {
    return sees_all_pixels(g) ? 0 : g.channels * g.pixels();
}

/// The pixels of the channels [first, last) that are seen, side by side.
template <class T>
[[gnu::noinline]] void gather_pixels(const convolution_geometry& g, extent first, extent last, const T* x,
                                     T* to) noexcept {
    to += first * g.pixels();
    for (extent channel = first; channel < last; ++channel)
        for (extent row = 0; row < g.output_height; ++row, to += g.output_width) {
            const T* from = x + channel * g.plane() + row * g.stride_y * g.width;
            extent j = 0;
            if (g.stride_x == 2)
                for (; 2 * (j + lanes<T>) <= g.width && j + lanes<T> <= g.output_width; j += lanes<T>)
                    store<T>(to + j, even_lanes<T>(load(from + 2 * j), load(from + 2 * j + lanes<T>)));
            for (; j < g.output_width; ++j) to[j] = from[j * g.stride_x];
        }
}

/// Items are (example, group, panel of pixels).
template <class T>
[[gnu::noinline]] void pointwise_columns(const pointwise_job<T>& job, extent first, extent last, T* space) noexcept {
    constexpr extent width = panel_width<T>;
    constexpr T zeros[tile_rows] = {};
    const convolution_geometry& g = job.g;
    const extent pixels = g.pixels(), outputs = g.group_outputs(), size = g.group_channels();
    const extent panels = (pixels + width - 1) / width, together = pointwise_steps(g);
    // Rows that lie a power of two or a page apart drive each other out of the caches: many outputs are worth a copy.
    const bool packs = outputs > 4 * tile_rows;
    // The next pixels of a few outputs are brought near: those of the next outputs would come too late.
    const bool few = outputs <= 128;
    T *copy = space, *edge = space + together * width;
    for (extent item = first; item < last; ++item) {
        const extent pixel = item % panels * width, where = item / panels, example = where / g.groups,
                     group = where % g.groups, columns = std::min(pixels - pixel, width);
        const bool whole = columns == width;
        const T* x = job.x + example * job.x_stride + group * size * pixels + pixel;
        T* y = job.y + example * job.y_stride + group * outputs * pixels + pixel;
        for (extent k = 0; k == 0 || k < size; k += together) {
            const extent steps = std::min(size - k, together);
            const bool goes_on = job.accumulate || k > 0, ends = job.after && k + together >= size;
            const T* b = x + k * pixels;
            if (!whole) {
                if (steps > 0) std::fill_n(copy, steps * width, T(0));
                copy_rows(steps, columns, b, pixels, copy, width);
                b = copy;
            } else if (packs) {
                for (extent i = 0; i < steps; ++i) {
                    store<T>(copy + i * width, load(b + i * pixels));
                    store<T>(copy + i * width + lanes<T>, load(b + i * pixels + lanes<T>));
                }
                b = copy;
            }
            for (extent o = 0; o < outputs;) {
                // Panels of weights are cut into tiles.
                const extent inside = o % width, rows = std::min({outputs - o, width - inside, tile_rows});
                const T* a =
                    job.packed + group * packed_size<T>(size, outputs) + (o - inside) * size + k * width + inside;
                T* to = y + o * pixels;
                if (!whole && goes_on) copy_rows(rows, columns, to, pixels, edge, width);
                T* c = whole ? to : edge;
                const extent c_row = whole ? pixels : width;
                const T* start = goes_on ? c : job.bias != nullptr ? job.bias + group * outputs + o : zeros;
                // With the first tile the next pixels come, else the next weights.
                multiply_strip<T>({steps, a, 1, width, b, b == copy ? width : pixels, c, c_row, start,
                                   goes_on ? c_row : -1,
                                   o == 0 ? x + k * pixels + width : a + size * width, o == 0 ? pixels : width,
                                   c + (whole && few ? width : rows * c_row), ends && whole ? job.after.map : nullptr,
                                   group * outputs + o},
                                  rows, columns);
                if (!whole) copy_rows(rows, columns, edge, width, to, pixels);
                o += rows;
                // A panel of channels at a time: calls are dear, and more of them would not stay in the first cache.
                if (const extent done = inside + rows; ends && (done == width || o == outputs)) {
                    const output_block<T> results{y + (o - done) * pixels, done, columns, pixels};
                    whole ? job.after.finish_mapped(results)
                          : job.after.finish(results, group * outputs + o - done);
                }
            }
        }
    }
}

/// Whether a strip of output channels meets many pixels before the next one does. Each of its tiles then reads pixels
/// from a cache of the second level: small tiles, which wait for that, do so where there are few channels.
constexpr bool goes_by_strips(const convolution_geometry& g) noexcept {
    return g.group_channels() <= (tile_rows == 12 ? pointwise_steps(g) : 48);
}

/// Elements of x that it meets then.
template <class T>
inline constexpr extent strip_near = 512 * 1024 / static_cast<extent>(sizeof(T));

/// The same items, for channels that one step takes: each row of y is written on and on, which the caches see coming,
/// while x, which has fewer, is read again from a cache of the second level.
template <class T>
[[gnu::noinline]] void pointwise_strips(const pointwise_job<T>& job, extent first, extent last, T* space) noexcept {
    constexpr extent width = panel_width<T>, most_finished = 8;
    constexpr T zeros[tile_rows] = {};
    const convolution_geometry& g = job.g;
    const extent pixels = g.pixels(), outputs = g.group_outputs(), size = g.group_channels();
    const extent panels = (pixels + width - 1) / width,
                 most = std::max<extent>(strip_near<T> / (std::max<extent>(size, 1) * width), 1);
    T *copy = space, *edge = space + size * width;
    for (extent item = first, count = 0; item < last; item += count) {
        const extent panel = item % panels, where = item / panels, example = where / g.groups, group = where % g.groups;
        count = std::min({most, panels - panel, last - item});
        const extent begin = panel * width, end = std::min(begin + count * width, pixels), whole = end - end % width;
        const T* x = job.x + example * job.x_stride + group * size * pixels;
        T* y = job.y + example * job.y_stride + group * outputs * pixels;
        if (whole < end) {
            std::fill_n(copy, size * width, T(0));
            copy_rows(size, end - whole, x + whole, pixels, copy, width);
        }
        for (extent o = 0, rows = 0; o < outputs; o += rows) {
            // Panels of weights are cut into tiles.
            const extent inside = o % width, channel = group * outputs + o;
            rows = std::min({outputs - o, width - inside, tile_rows});
            const T* a = job.packed + group * packed_size<T>(size, outputs) + (o - inside) * size + inside;
            const T* start = job.bias != nullptr ? job.bias + channel : zeros;
            T* to = y + o * pixels;
            // With the first rows the next pixels come, else the next weights.
            const auto come = [&](const T* near) { return o == 0 ? near : a + size * width; };
            const extent step = o == 0 ? pixels : width;
            for (extent q = begin, done = begin; q < whole;) {
                T* c = to + q;
                multiply_strip<T>({size, a, 1, width, x + q, pixels, c, pixels, job.accumulate ? c : start,
                                   job.accumulate ? pixels : -1, come(x + q + width), step, c + width, job.after.map,
                                   channel},
                                  rows, width);
                q += width;
                if (q - done < most_finished * width && q < whole) continue;
                job.after.finish_mapped({to + done, rows, q - done, pixels});
                done = q;
            }
            if (whole == end) continue;
            to += whole;
            if (job.accumulate) copy_rows(rows, end - whole, to, pixels, edge, width);
            multiply_strip<T>({size, a, 1, width, copy, width, edge, width, job.accumulate ? edge : start,
                               job.accumulate ? width : -1, come(copy), step, edge},
                              rows, end - whole);
            copy_rows(rows, end - whole, edge, width, to, pixels);
            job.after.finish({to, rows, end - whole, pixels}, channel);
        }
    }
}

/// Items are (example, group, part of the pixels, panel of outputs).
template <class T>
[[gnu::noinline]] void pointwise_rows(const pointwise_job<T>& job, extent first, extent last, T* space) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent pixels = g.pixels(), outputs = g.group_outputs(), size = g.group_channels();
    const extent panels = (outputs + width - 1) / width, together = pointwise_steps(g);
    T *sums = space, *left = space + (pixels + tile_rows) * width;
    alignas(64) T start[width];
    extent held = -1, begin = 0, end = 0, filled = 0;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, where = item / panels, image = where / job.parts,
                     example = image / g.groups, group = image % g.groups,
                     columns = std::min(outputs - panel * width, width), channel = group * outputs + panel * width;
        const T* x = job.x + example * job.x_stride + group * size * pixels;
        const T* weights = job.packed + group * packed_size<T>(size, outputs) + panel * width * size;
        const bool fresh = std::exchange(held, where) != where;
        if (fresh) {
            const extent part = where % job.parts, strips = pixels / tall_tile_rows;
            begin = strips * part / job.parts * tall_tile_rows;
            end = part + 1 == job.parts ? pixels : strips * (part + 1) / job.parts * tall_tile_rows;
            filled = begin;  // the last strip is packed where it is not whole
            while (filled + strip_rows(end - filled) < end) filled += strip_rows(end - filled);
            if (next_tile_rows(end - filled) == end - filled) filled = end;
            for (extent k = 0; filled < end && k < size; k += together)
                pack_left(x + k * pixels + filled, extent{1}, pixels, end - filled, std::min(size - k, together),
                          left + k * tile_rows);
        }
        T* y = job.y + example * job.y_stride + channel * pixels + begin;
        std::fill_n(start, width, T(0));
        if (job.accumulate)
            transpose(y, pixels, columns, end - begin, sums, width);
        else if (job.bias != nullptr)
            std::copy_n(job.bias + channel, columns, start);
        for (extent k = 0; k == 0 || k < size; k += together) {
            const extent steps = std::min(size - k, together);
            const bool goes_on = job.accumulate || k > 0;
            const T* b = weights + k * width;
            // With the first panel of a part the next pixels come, which another thread may have written, else a share
            // of the next weights.
            const bool pixels_come = fresh && job.parts > 1;
            const extent share = width * steps / (end - begin) + 1;
            for (extent i = begin, rows = 0; i < end; i += rows) {
                const bool packed = i >= filled;
                rows = strip_rows(end - i);
                T* c = sums + (i - begin) * width;
                const T* coming =
                    pixels_come ? x + k * pixels + i + 2 * rows - 1 : b + size * width + (i - begin) * share;
                const extent step = pixels_come ? pixels : rows * share / std::max<extent>(steps, 1) + 1;
                multiply_strip<T>({steps, packed ? left + k * tile_rows : x + k * pixels + i, 1,
                                   packed ? tile_rows : pixels, b, width, c, width, goes_on ? c : start,
                                   goes_on ? width : 0, coming, step, c + rows * width},
                                  rows, columns);
            }
        }
        job.after.transposed(sums, width, {y, columns, end - begin, pixels}, channel);
    }
}

/// The whole pass; `scratch` holds pointwise_copy(g) elements and then pointwise_part<T>(g) for each thread.
template <class T>
[[gnu::noinline]] void pointwise_forward(pointwise_job<T> job, extent examples, T* scratch,
                                         thread_pool* threads) noexcept {
    const convolution_geometry& g = job.g;
    const bool by_rows = pixels_as_rows<T>(g), copies = !sees_all_pixels(g);
    const extent panels = ((by_rows ? g.group_outputs() : g.pixels()) + panel_width<T> - 1) / panel_width<T>;
    if (by_rows) job.parts = image_parts(threads, examples, g.pixels(), 4 * tall_tile_rows);
    for (extent e = 0; e < (copies ? examples : 1); ++e) {
        pointwise_job<T> part = job;
        if (copies) {
            parallel_for(threads, g.channels, 1, [&](extent first, extent last) {
                gather_pixels(g, first, last, job.x + e * job.x_stride, scratch);
            });
            part.x = scratch;
            part.y += e * job.y_stride;
        }
        const extent items = (copies ? 1 : examples) * g.groups * job.parts * panels;
        split(threads, items, [&](extent thread, extent first, extent last) {
            (by_rows             ? pointwise_rows<T>
             : goes_by_strips(g) ? pointwise_strips<T>
                                 : pointwise_columns<T>)(
                part, first, last, scratch + pointwise_copy(g) + thread * pointwise_part<T>(g));
        });
    }
}

}  // namespace bespoke::kernels::detail
