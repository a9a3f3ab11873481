#pragma once

#include "../core/threads.hpp"
#include "math.hpp"

#include <algorithm>
#include <limits>

namespace bespoke::kernels {

/// The sum of x[0, n): `lanes` chains, element i in lane i mod lanes, then the lanes as in `sum_lanes`.
template <class T>
T sum(extent n, const T* x) noexcept {
    batch<T> total(T(0));
    for_each_batch<T>(
        n, [&](extent i, auto in, auto) __attribute__((always_inline)) { total = total + in(x + i); });
    return sum_lanes<T>(total);
}

/// The sum of x[i] * y[i], i in [0, n): chains of fma in the order of `sum`.
template <class T>
T dot(extent n, const T* x, const T* y) noexcept {
    batch<T> total(T(0));
    for_each_batch<T>(
        n, [&](extent i, auto in, auto)
               __attribute__((always_inline)) { total = kernels::fma<T>(in(x + i), in(y + i), total); });
    return sum_lanes<T>(total);
}

/// The largest of x[0, n), NaN where there is one; -infinity of nothing.
template <class T>
T running_max(extent n, const T* x) noexcept {
    batch<T> most(-std::numeric_limits<T>::infinity());
    for (; n >= lanes<T>; n -= lanes<T>, x += lanes<T>) most = kernels::running_max<T>(most, load(x));
    alignas(64) T lane[lanes<T>];
    most.store_aligned(lane);
    T result = lane[0];
    for (T v : lane) result = kernels::running_max(result, v);
    for (extent i = 0; i < n; ++i) result = kernels::running_max(result, x[i]);
    return result;
}

/// Whether none of x[0, n) is infinite or NaN.
template <class T>
bool all_finite(extent n, const T* x) noexcept {
    batch<T> differences(T(0));  // 0 of numbers, NaN of the others
    for_each_batch<T>(
        n, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            const batch<T> v = in(x + i);
            differences = differences + (v - v);
        });
    return sum_lanes<T>(differences) == 0;
}

/// out[j] += sum over rows of x[row * stride + j], j in [0, n): one chain from out[j], rows ascending.
template <class T>
void column_sums(extent rows, extent n, const T* x, extent stride, T* out,
                 thread_pool* threads = nullptr) noexcept {
    if (rows * n < (1 << 15)) threads = nullptr;
    parallel_for(threads, n, lanes<T>, [&](extent first, extent last) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto put) __attribute__((always_inline)) {
                batch<T> total = in(out + first + j);
                for (extent row = 0; row < rows; ++row) total = total + in(x + row * stride + first + j);
                put(out + first + j, total);
            });
    });
}

}  // namespace bespoke::kernels
