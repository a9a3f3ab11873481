#pragma once

#include "../core/threads.hpp"
#include "lookup.hpp"
#include "map.hpp"

#include <algorithm>
#include <cmath>

/// Images of another size by linear interpolation along each axis, and the transposed map.
namespace bespoke::kernels {

/// Sides go up to here: a float holds every whole number below.
inline constexpr extent largest_side = extent{1} << 24;

/// Where the samples along one axis lie. Sample i is (1 - w) x[k] + w x[k + 1], 0 <= w <= 1; where w is 0, x[k + 1] is
/// not looked at.
template <class T>
struct sample_axis {
    extent inputs, outputs;
    T* memory;  ///< k of every sample, then w

    static constexpr extent size(extent outputs) { return 2 * outputs; }
    extent first(extent i) const { return static_cast<extent>(memory[i]); }
    T weight(extent i) const { return memory[outputs + i]; }
    /// Places sample i at the point `at`, or at the edge where that lies outside; NaN is 0.
    void place(extent i, double at) const {
        const double inside = at > 0 ? std::min(at, static_cast<double>(inputs - 1)) : 0;
        const double low = std::floor(inside);
        memory[i] = static_cast<T>(low);
        memory[outputs + i] = static_cast<T>(inside - low);
    }
};

namespace detail {

/// Samples each of `inputs` along the row.
template <class T>
void sample_row(const sample_axis<T>& axis, const T* x, T* y) noexcept {
    const batch<T> zero(T(0)), one(T(1));
    for_each_batch<T>(
        axis.outputs, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> first = in(axis.memory + j), w = in(axis.memory + axis.outputs + j);
            const auto alone = w == zero;
            const batch<T> low = gathered<T>(x, first);
            if (simd::all(alone)) return out(y + j, low);
            const batch<T> high = gathered<T>(x, select<T>(alone, first, first + one));
            out(y + j, select<T>(alone, low, kernels::fma<T>(w, high, (one - w) * low)));
        });
}
/// dx += the transposed map of dy.
template <class T>
void sample_row_backward(const sample_axis<T>& axis, const T* dy, T* dx) noexcept {
    for (extent j = 0; j < axis.outputs; ++j) {
        const T w = axis.weight(j);
        T* to = dx + axis.first(j);
        to[0] = kernels::fma(T(1) - w, dy[j], to[0]);
        if (w != T(0)) to[1] = kernels::fma(w, dy[j], to[1]);
    }
}

/// Two neighbouring rows of an image, each as wide as the result: rows k and k + 1 never share a place.
template <class T>
struct row_pair {
    T* memory;
    extent width;
    extent held[2]{-1, -1};

    T* place(extent row) const { return memory + row % 2 * width; }
};

/// Calls body(first, last, memory) for parts of [0, count), `size` elements of memory for each.
template <class T, class Body>
void each_part(thread_pool* threads, extent count, T* memory, extent size, const Body& body) {
    const extent parts = std::min(count, threads == nullptr ? extent{1} : static_cast<extent>(threads->size()));
    parallel_for(threads, parts, 1, [&](extent begin, extent end) {
        for (extent part = begin; part < end; ++part)
            body(count * part / parts, count * (part + 1) / parts, memory + part * size);
    });
}
/// The threads, where there is work for them.
inline thread_pool* threads_for(extent elements, thread_pool* threads) {
    return elements < (1 << 14) ? nullptr : threads;
}

}  // namespace detail

/// Elements of `scratch` for the functions below.
inline extent resize_scratch(extent output_width, extent threads) { return 2 * output_width * threads; }

/// y[p, i, j] = x[p] sampled at row i of `rows` and column j of `columns`.
template <class T>
void resize(extent planes, const sample_axis<T>& rows, const sample_axis<T>& columns, const T* x, T* y, T* scratch,
            thread_pool* threads) noexcept {
    const extent height = rows.outputs, width = columns.outputs, plane = rows.inputs * columns.inputs;
    const extent all = planes * height;
    const auto run = [&](extent begin, extent end, T* memory) {
        detail::row_pair<T> pair{memory, width};
        extent p = -1;
        const auto sampled = [&](extent row) -> const T* {
            if (pair.held[row % 2] != row) {
                pair.held[row % 2] = row;
                detail::sample_row(columns, x + p * plane + row * columns.inputs, pair.place(row));
            }
            return pair.place(row);
        };
        for (extent r = begin; r < end; ++r) {
            if (p != r / height) {
                p = r / height;
                pair.held[0] = pair.held[1] = -1;
            }
            const extent first = rows.first(r % height);
            const T w = rows.weight(r % height);
            const T* above = sampled(first);
            T* to = y + r * width;
            if (w == T(0)) {
                kernels::copy(width, above, to);
                continue;
            }
            const T* below = sampled(first + 1);
            const batch<T> lower(w), upper(T(1) - w);
            for_each_batch<T>(
                width, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                    out(to + j, kernels::fma<T>(lower, in(below + j), upper * in(above + j)));
                });
        }
    };
    detail::each_part(detail::threads_for(all * width, threads), all, scratch, 2 * width, run);
}

/// dx += the transposed map of dy. An element is summed up in the order of the rows of dy: threads split the planes.
template <class T>
void resize_backward(extent planes, const sample_axis<T>& rows, const sample_axis<T>& columns, const T* dy, T* dx,
                     T* scratch, thread_pool* threads) noexcept {
    const extent height = rows.outputs, width = columns.outputs, plane = rows.inputs * columns.inputs;
    const auto run = [&](extent begin, extent end, T* memory) {
        for (extent p = begin; p < end; ++p) {
            detail::row_pair<T> pair{memory, width};
            const auto put = [&](extent place) {
                const extent row = pair.held[place];
                if (row < 0) return;
                detail::sample_row_backward(columns, pair.place(row), dx + p * plane + row * columns.inputs);
            };
            const auto sum = [&](extent row) -> T* {
                if (pair.held[row % 2] != row) {
                    put(row % 2);
                    pair.held[row % 2] = row;
                    kernels::fill(width, T(0), pair.place(row));
                }
                return pair.place(row);
            };
            for (extent i = 0; i < height; ++i) {
                const T* from = dy + (p * height + i) * width;
                const T w = rows.weight(i);
                kernels::accumulate_scaled(width, T(1) - w, from, sum(rows.first(i)));
                if (w != T(0)) kernels::accumulate_scaled(width, w, from, sum(rows.first(i) + 1));
            }
            put(0);
            put(1);
        }
    };
    detail::each_part(detail::threads_for(planes * height * width, threads), planes, scratch, 2 * width, run);
}

}  // namespace bespoke::kernels
