#pragma once

#include "../core/threads.hpp"
#include "math.hpp"

#include <algorithm>
#include <limits>

namespace bespoke::kernels {

// Over the middle axis of x [outer, n, inner]. Order of arithmetic: with inner = 1 the sums over n run in
// `lanes` chains (element i in lane i mod lanes), then the lanes as in `sum_lanes`; otherwise n ascending.
// It depends on n and inner alone.

namespace detail {

/// The largest of x[0, n), NaN where there is one; -infinity for n = 0.
template <class T, class N>
[[gnu::always_inline]] inline T largest(N size, const T* x) noexcept {
    const extent n = size;
    constexpr T low = -std::numeric_limits<T>::infinity();
    batch<T> most(low);
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> v = load(x + i);
        most = kernels::running_max<T>(most, v);
    }
    if (i < n) {
        alignas(64) T copy[lanes<T>];
        std::fill(copy, copy + lanes<T>, low);
        std::copy(x + i, x + n, copy);
        const batch<T> v = batch<T>::load_aligned(copy);
        most = kernels::running_max<T>(most, v);
    }
    alignas(64) T lane[lanes<T>];
    most.store_aligned(lane);
    T result = lane[0];
    for (extent l = 1; l < lanes<T>; ++l) result = kernels::running_max(result, lane[l]);
    return result;
}

/// One contiguous row.
template <class T, class N>
[[gnu::always_inline]] inline void softmax_row(N size, const T* x, T* y) noexcept {
    const extent n = size;
    const batch<T> most(largest<T>(size, x));
    batch<T> sum(T(0));
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> e = kernels::exp<T>(load(x + i) - most);
        store<T>(y + i, e);
        sum = sum + e;
    }
    if (const extent rest = n - i; rest > 0) {
        store_partial<T>(y + i, kernels::exp<T>(load_partial(x + i, rest) - most), rest);
        sum = sum + load_partial(y + i, rest);
    }
    const batch<T> total(sum_lanes<T>(sum));
    for_each_batch<T>(
        size, [&](extent j, auto in, auto out)
                  __attribute__((always_inline)) { out(y + j, in(y + j) / total); });
}

}  // namespace detail

/// y = exp(x - max) / sum of exp(x - max) over the middle axis; y may be x. A row with NaN or +infinity is NaN.
template <class T, class N>
void softmax(extent outer, N n, extent inner, const T* x, T* y, thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    if (size <= 0) return;
    if (outer * size * inner < (1 << 14)) threads = nullptr;
    if (inner == 1) {
        const auto rows = [&](extent first, extent last) {
            for (extent row = first; row < last; ++row)
                detail::softmax_row<T>(n, x + row * size, y + row * size);
        };
        if (threads)
            parallel_for(threads, outer, 1, rows);
        else
            rows(0, outer);
        return;
    }
    const extent pieces = (inner + lanes<T> - 1) / lanes<T>;
    parallel_for(threads, outer * pieces, 1, [&](extent first, extent last) {
        for (extent piece = first; piece < last; ++piece) {
            const extent start = piece / pieces * size * inner + piece % pieces * lanes<T>;
            const extent count = std::min(inner - piece % pieces * lanes<T>, lanes<T>);
            const T* from = x + start;
            T* to = y + start;
            batch<T> most = load_partial(from, count);
            for (extent i = 1; i < size; ++i) {
                const batch<T> v = load_partial(from + i * inner, count);
                most = kernels::running_max<T>(most, v);
            }
            batch<T> sum(T(0));
            for (extent i = 0; i < size; ++i) {
                const batch<T> e = kernels::exp<T>(load_partial(from + i * inner, count) - most);
                store_partial<T>(to + i * inner, e, count);
                sum = sum + e;
            }
            for (extent i = 0; i < size; ++i)
                store_partial<T>(to + i * inner, load_partial(to + i * inner, count) / sum, count);
        }
    });
}

/// dx += y * (dy - sum over the middle axis of y * dy).
template <class T, class N>
void softmax_backward(extent outer, N n, extent inner, const T* y, const T* dy, T* dx,
                      thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    if (size <= 0) return;
    if (outer * size * inner < (1 << 14)) threads = nullptr;
    if (inner == 1) {
        parallel_for(threads, outer, 1, [&](extent first, extent last) {
            for (extent row = first; row < last; ++row) {
                const T *p = y + row * size, *g = dy + row * size;
                T* to = dx + row * size;
                batch<T> sum(T(0));
                for_each_batch<T>(
                    n, [&](extent i, auto in, auto) __attribute__((always_inline)) {
                        sum = kernels::fma<T>(in(p + i), in(g + i), sum);
                    });
                const batch<T> total(sum_lanes<T>(sum));
                for_each_batch<T>(
                    n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                        out(to + i, kernels::fma<T>(in(p + i), in(g + i) - total, in(to + i)));
                    });
            }
        });
        return;
    }
    const extent pieces = (inner + lanes<T> - 1) / lanes<T>;
    parallel_for(threads, outer * pieces, 1, [&](extent first, extent last) {
        for (extent piece = first; piece < last; ++piece) {
            const extent start = piece / pieces * size * inner + piece % pieces * lanes<T>;
            const extent count = std::min(inner - piece % pieces * lanes<T>, lanes<T>);
            batch<T> sum(T(0));
            for (extent i = 0; i < size; ++i)
                sum = kernels::fma<T>(load_partial(y + start + i * inner, count),
                                      load_partial(dy + start + i * inner, count), sum);
            for (extent i = 0; i < size; ++i) {
                const extent at = start + i * inner;
                store_partial<T>(
                    dx + at,
                    kernels::fma<T>(load_partial(y + at, count), load_partial(dy + at, count) - sum,
                                    load_partial(dx + at, count)),
                    count);
            }
        }
    });
}

/// log(sum of exp(x[i * stride])), i in [0, n), without overflow; the sum runs over i ascending.
/// -infinity for n = 0, and where every element is -infinity.
template <class T>
T log_sum_exp(extent n, const T* x, extent stride) noexcept {
    T most = -std::numeric_limits<T>::infinity();
    for (extent i = 0; i < n; ++i) most = kernels::running_max(most, x[i * stride]);
    // NaN, all -infinity, or +infinity: the answer, and x - most would be NaN.
    if (!(most - most == T(0))) return most;
    alignas(64) T copy[lanes<T>];
    T sum = 0;
    for (extent i = 0; i < n; i += lanes<T>) {
        const extent count = std::min(n - i, lanes<T>);
        for (extent l = 0; l < lanes<T>; ++l) copy[l] = l < count ? x[(i + l) * stride] : most;
        kernels::exp<T>(batch<T>::load_aligned(copy) - batch<T>(most)).store_aligned(copy);
        for (extent l = 0; l < count; ++l) sum += copy[l];
    }
    return most + kernels::log(sum);
}

}  // namespace bespoke::kernels
