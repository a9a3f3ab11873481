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

/// to[i] = lane i of v, in all lanes.
template <class T, std::size_t Rows>
[[gnu::always_inline]] inline void spread(const batch<T>& v, batch<T> (&to)[Rows]) noexcept {
    alignas(64) T copy[lanes<T>];
    v.store_aligned(copy);
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) { to[r] = batch<T>(copy[r]); });
}

/// `Rows` contiguous rows, one behind the other: while one waits for its sum or its largest element, which is NaN where
/// there is one, the others go on.
template <class T, std::size_t Rows, class N>
[[gnu::always_inline]] inline void softmax_rows(N size, const T* x, T* y) noexcept {
    const extent n = size, whole = n / lanes<T> * lanes<T>, rest = n - whole;
    const auto row = [=](std::size_t r) __attribute__((always_inline)) { return static_cast<extent>(r) * n; };
    const auto larger = [](const batch<T>& a, const batch<T>& b)
        __attribute__((always_inline)) { return kernels::running_max<T>(a, b); };
    batch<T> most[Rows], sum[Rows];
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        most[r] = batch<T>(-std::numeric_limits<T>::infinity());
        sum[r] = batch<T>(T(0));
    });
    for (extent i = 0; i < whole; i += lanes<T>)
        unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
            most[r] = larger(most[r], load(x + row(r) + i));
        });
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        if (rest > 0 && whole > 0) {
            most[r] = larger(most[r], load(x + row(r) + n - lanes<T>));  // some of them once more
        } else if (rest > 0) {
            alignas(64) T copy[lanes<T>];
            std::fill(copy, copy + lanes<T>, -std::numeric_limits<T>::infinity());
            std::copy_n(x + row(r) + whole, rest, copy);
            most[r] = larger(most[r], batch<T>::load_aligned(copy));
        }
    });
    spread<T>(fold_rows<T>(most, larger), most);
    for (extent i = 0; i < whole; i += lanes<T>)
        unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
            const batch<T> e = kernels::exp<T>(load(x + row(r) + i) - most[r]);
            store<T>(y + row(r) + i, e);
            sum[r] = sum[r] + e;
        });
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        if (rest > 0) {
            T* const to = y + row(r) + whole;
            store_partial<T>(to, kernels::exp<T>(load_partial(x + row(r) + whole, rest) - most[r]), rest);
            sum[r] = sum[r] + load_partial(to, rest);
        }
    });
    spread<T>(batch<T>(T(1)) / fold_rows<T>(sum, [](const batch<T>& a, const batch<T>& b)
                                                     __attribute__((always_inline)) { return a + b; }), sum);
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        for_each_batch<T>(size, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
            out(y + row(r) + j, in(y + row(r) + j) * sum[r]);
        });
    });
}

/// `count` neighbouring columns of rows that begin `step` elements apart: Width batches, or part of one.
template <std::size_t Width, class T>
[[gnu::noinline]] void softmax_columns(extent size, extent step, extent count, const T* x, T* y) noexcept {
    const auto get = [&](const T* p, std::size_t w) __attribute__((always_inline)) {
        return Width == 1 ? load_partial(p, count) : load(p + static_cast<extent>(w) * lanes<T>);
    };
    const auto put = [&](T* p, std::size_t w, const batch<T>& v) __attribute__((always_inline)) {
        Width == 1 ? store_partial<T>(p, v, count) : store<T>(p + static_cast<extent>(w) * lanes<T>, v);
    };
    batch<T> most[Width], sum[Width];
    unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
        most[w] = get(x, w);
        sum[w] = batch<T>(T(0));
    });
    for (extent i = 1; i < size; ++i)
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
            most[w] = kernels::running_max<T>(most[w], get(x + i * step, w));
        });
    for (extent i = 0; i < size; ++i)
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
            const batch<T> e = kernels::exp<T>(get(x + i * step, w) - most[w]);
            put(y + i * step, w, e);
            sum[w] = sum[w] + e;
        });
    for (auto& s : sum) s = batch<T>(T(1)) / s;
    for (extent i = 0; i < size; ++i)
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
            put(y + i * step, w, get(y + i * step, w) * sum[w]);
        });
}

}  // namespace detail

/// y = exp(x - max) * (1 / sum of exp(x - max)) over the middle axis; y may be x. A row with NaN or +infinity is NaN.
template <class T, class N>
void softmax(extent outer, N n, extent inner, const T* x, T* y, thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    if (size <= 0) return;
    if (outer * size * inner < (1 << 14)) threads = nullptr;
    if (inner == 1) {
        const auto rows = [&](extent first, extent last) {
            constexpr extent together = std::is_same_v<N, extent> ? std::min<extent>(4, lanes<T>) : 1;
            for (; first + together <= last; first += together)
                detail::softmax_rows<T, together>(n, x + first * size, y + first * size);
            for (; first < last; ++first) detail::softmax_rows<T, 1>(n, x + first * size, y + first * size);
        };
        if (threads)
            parallel_for(threads, outer, 1, rows);
        else
            rows(0, outer);
        return;
    }
    constexpr extent wide = 4 * lanes<T>;
    const extent strips = (inner + wide - 1) / wide;
    parallel_for(threads, outer * strips, 1, [&](extent first, extent last) {
        for (extent strip = first; strip < last; ++strip) {
            const extent column = strip % strips * wide, end = std::min(inner, column + wide);
            const extent start = strip / strips * size * inner;
            if (end - column == wide)
                detail::softmax_columns<4>(size, inner, wide, x + start + column, y + start + column);
            else
                for (extent c = column; c < end; c += lanes<T>)
                    detail::softmax_columns<1>(size, inner, std::min(end - c, lanes<T>), x + start + c, y + start + c);
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
