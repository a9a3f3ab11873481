#pragma once

#include "math.hpp"

namespace bespoke::kernels {

// The functions of this page work with a copy of f: the compiler sees that no result is stored in it.

namespace detail {
template <class F, class T, class N>
void map_one(N n, const F f, const T* x, T* y) noexcept {
    for_each_two_batches<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) { out(y + i, f(in(x + i))); });
}
}  // namespace detail

/// y[i] = f(x[i]), i in [0, n). `f` maps a batch to a batch; y may be x. An f that is one of several functions may have
/// `chosen(body)`, which calls body with the one that it is.
template <class F, class T, class N>
void map(N n, const F& given, const T* x, T* y) noexcept {
    if constexpr (requires { given.chosen([](const auto&) {}); })
        return given.chosen([&](const auto& f) { map(n, f, x, y); });
    else
        detail::map_one(n, given, x, y);
}

/// The same for `rows` rows of n elements, `stride` apart in x and in y.
template <class F, class T>
void map_rows(extent rows, extent n, extent stride, const F& given, const T* x, T* y) noexcept {
    if constexpr (requires { given.chosen([](const auto&) {}); })
        return given.chosen([&](const auto& f) { map_rows(rows, n, stride, f, x, y); });
    else
        for (extent i = 0; i < rows; ++i) detail::map_one(n, given, x + i * stride, y + i * stride);
}

/// dx[i] += dy[i] * f.derivative(x[i], y[i]) of an F that comes as `const void*`, i in [0, n), n a multiple of lanes.
/// Where dx is dy it is multiplied instead.
template <class T>
using slope_function = void(const void* f, extent n, const T* x, const T* y, const T* dy, T* dx) noexcept;
template <class F, class T>
void erased_slope(const void* given, extent n, const T* x, const T* y, const T* dy, T* dx) noexcept {
    const F f = *static_cast<const F*>(given);
    alignas(64) T nothing[lanes<T>];
    batch<T>(T(-0.0)).store_aligned(nothing);
    const T* const before = dx == dy ? nothing : dx;
    const extent step = dx == dy ? 0 : 1;
    for (extent i = 0; i < n; i += lanes<T>) {
        const batch<T> slope = f.derivative(load(x + i), load(y + i));
        store(dx + i, kernels::fma<T>(load(dy + i), slope, load(before + i * step)));
    }
}

/// The same for any n; the last elements in a padded copy.
template <class T>
void map_backward(slope_function<T>* function, const void* f, extent n, const T* x, const T* y, const T* dy,
                  T* dx) noexcept {
    const extent rest = n % lanes<T>, whole = n - rest;
    if (whole > 0) function(f, whole, x, y, dy, dx);
    if (rest == 0) return;
    alignas(64) T last[4][lanes<T>];
    const T* const from[4] = {x, y, dy, dx};
    for (std::size_t k = 0; k < 4; ++k) load_partial(from[k] + whole, rest).store_aligned(last[k]);
    T* const to = last[dx == dy ? 2 : 3];
    function(f, lanes<T>, last[0], last[1], last[2], to);
    store_partial(dx + whole, batch<T>::load_aligned(to), rest);
}
template <class F, class T, class N>
void map_backward(N n, const F& f, const T* x, const T* y, const T* dy, T* dx) noexcept {
    map_backward<T>(&erased_slope<F, T>, &f, n, x, y, dy, dx);
}

/// y[i] += x[i].
template <class T, class N>
void accumulate(N n, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out)
               __attribute__((always_inline)) { out(y + i, in(y + i) + in(x + i)); });
}

/// y[i] += a * x[i], one fma.
template <class T, class N>
void accumulate_scaled(N n, T a, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            out(y + i, kernels::fma<T>(batch<T>(a), in(x + i), in(y + i)));
        });
}

/// y[i] = a * x[i]; y may be x.
template <class T, class N>
void scale(N n, T a, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out)
               __attribute__((always_inline)) { out(y + i, batch<T>(a) * in(x + i)); });
}

/// y[i] = a.
template <class T, class N>
void fill(N n, T a, T* y) noexcept {
    for_each_two_batches<T>(
        n, [&](extent i, auto, auto out) __attribute__((always_inline)) { out(y + i, batch<T>(a)); });
}

namespace detail {
/// What `copy` does, for an innermost loop.
template <class T>
[[gnu::always_inline]] inline void copy_run(extent n, const T* x, T* y) noexcept {
    if (n <= 0 || x == y) return;
    // memcpy has a start, and what moves 64 bytes at a time is the faster of the two until it has made up for that.
    if (is_avx512 && n <= 256 * lanes<T>)
        for_each_batch<T>(
            n, [&](extent i, auto in, auto out) __attribute__((always_inline)) { out(y + i, in(x + i)); });
    else
        std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
}
}  // namespace detail

/// y[i] = x[i]; the arrays are equal or do not overlap.
template <class T>
[[gnu::noinline]] void copy(extent n, const T* x, T* y) noexcept {
    detail::copy_run(n, x, y);
}

}  // namespace bespoke::kernels
