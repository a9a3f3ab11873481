#pragma once

#include "../core/threads.hpp"
#include "transpose.hpp"

namespace bespoke::kernels {

/// How running sums are taken.
struct scan_order {
    bool exclusive = false;   ///< element i is the sum of those before it, not of it too
    bool descending = false;  ///< from the last element to the first
};

namespace detail {

/// One step of a running sum: what is written at an element `v` where `total` was before.
template <class V>
[[gnu::always_inline]] inline V next_sum(V& total, const V& v, bool exclusive) noexcept {
    const V before = total;
    total = total + v;
    return exclusive ? before : total;
}

/// Columns of one matrix [count, inner], the batches [first, last) of each row.
template <class T>
void scan_columns(extent count, extent inner, const T* x, T* y, scan_order order, bool add, extent first,
                  extent last) noexcept {
    const extent begin = first * lanes<T>, end = std::min(last * lanes<T>, inner);
    for_each_batch<T>(
        end - begin, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
            batch<T> total(T(0));
            for (extent step = 0; step < count; ++step) {
                const extent at = (order.descending ? count - 1 - step : step) * inner + begin + j;
                const batch<T> sum = next_sum(total, in(x + at), order.exclusive);
                out(y + at, add ? in(y + at) + sum : sum);
            }
        });
}

/// Rows of `count` elements, as many as a batch has lanes: row i runs in lane i.
template <class T>
void scan_rows(extent count, const T* x, T* y, scan_order order, bool add) noexcept {
    constexpr extent n = lanes<T>;
    const extent whole = count / n * n, rest = count - whole;
    batch<T> total(T(0));
    const auto single = [&] {
        alignas(64) T sums[static_cast<std::size_t>(n)];
        total.store_aligned(sums);
        for (extent row = 0; row < n; ++row)
            for (extent step = 0; step < rest; ++step) {
                const extent at = row * count + (order.descending ? count - 1 - step : whole + step);
                const T sum = next_sum(sums[row], x[at], order.exclusive);
                y[at] = add ? y[at] + sum : sum;
            }
        total = batch<T>::load_aligned(sums);
    };
    if (order.descending) single();
    for (extent done = 0; done < whole; done += n) {
        const extent at = order.descending ? whole - n - done : done;
        batch<T> block[static_cast<std::size_t>(n)];
        load_transposed<T>(x + at, count, block);
        unroll<static_cast<std::size_t>(n)>([&](std::size_t step) __attribute__((always_inline)) {
            batch<T>& v = block[order.descending ? static_cast<std::size_t>(n) - 1 - step : step];
            v = next_sum(total, v, order.exclusive);
        });
        transpose<T>(block);
        unroll<static_cast<std::size_t>(n)>([&](std::size_t row) __attribute__((always_inline)) {
            T* to = y + at + static_cast<extent>(row) * count;
            store<T>(to, add ? load<T>(to) + block[row] : block[row]);
        });
    }
    if (!order.descending) single();
}

/// One row.
template <class T>
void scan_row(extent count, const T* x, T* y, scan_order order, bool add) noexcept {
    T total(0);
    for (extent step = 0; step < count; ++step) {
        const extent at = order.descending ? count - 1 - step : step;
        const T sum = next_sum(total, x[at], order.exclusive);
        y[at] = add ? y[at] + sum : sum;
    }
}

}  // namespace detail

/// y = the running sums of x [outer, count, inner] along its second axis, one chain of additions from 0 each; with
/// `add` they are added to y. y may be x where `add` is false.
template <class T>
void running_sums(extent outer, extent count, extent inner, const T* x, T* y, scan_order order, bool add,
                  thread_pool* threads = nullptr) noexcept {
    constexpr extent n = lanes<T>;
    if (outer * count * inner < (1 << 14)) threads = nullptr;
    if (inner == 1)
        return parallel_for(threads, outer, n, [&](extent first, extent last) {
            while (first < last) {
                const extent at = first * count;
                if (last - first >= n)
                    detail::scan_rows(count, x + at, y + at, order, add);
                else
                    detail::scan_row(count, x + at, y + at, order, add);
                first += last - first >= n ? n : 1;
            }
        });
    const extent across = (inner + n - 1) / n;
    parallel_for(threads, outer * across, 1, [&](extent first, extent last) {
        while (first < last) {
            const extent matrix = first / across, end = std::min(last, (matrix + 1) * across);
            const extent at = matrix * count * inner;
            detail::scan_columns(count, inner, x + at, y + at, order, add, first - matrix * across,
                                 end - matrix * across);
            first = end;
        }
    });
}

}  // namespace bespoke::kernels
