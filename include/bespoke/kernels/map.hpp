#pragma once

#include "math.hpp"

namespace bespoke::kernels {

// The functions of this page work with a copy of f: the compiler sees that no result is stored in it.

namespace detail {
template <class F, class T, class N>
void map_one(N n, const F f, const T* x, T* y) noexcept {
    for_each_batch<T>(
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

/// dx[i] += dy[i] * f.derivative(x[i], y[i]), i in [0, n). Where dx is dy it is multiplied instead.
template <class F, class T, class N>
void map_backward(N n, const F& given, const T* x, const T* y, const T* dy, T* dx) noexcept {
    const F f = given;
    alignas(64) T nothing[lanes<T>];
    batch<T>(T(-0.0)).store_aligned(nothing);
    const T* const before = dx == dy ? nothing : dx;
    const extent step = dx == dy ? 0 : 1;
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> slope = f.derivative(in(x + i), in(y + i));
            out(dx + i, kernels::fma<T>(in(dy + i), slope, in(before + i * step)));
        });
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
    for_each_batch<T>(
        n, [&](extent i, auto, auto out) __attribute__((always_inline)) { out(y + i, batch<T>(a)); });
}

/// y[i] = x[i]; the arrays are equal or do not overlap.
template <class T, class N>
void copy(N n, const T* x, T* y) noexcept {
    if (n > 0 && x != y) std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
}

}  // namespace bespoke::kernels
