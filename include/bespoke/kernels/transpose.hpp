#pragma once

#include <algorithm>

#include "simd.hpp"

namespace bespoke::kernels {

/// The square v, lanes x lanes elements, reflected: lane i of v[j] and lane j of v[i] change places.
template <class T>
[[gnu::always_inline]] inline void transpose(batch<T> (&v)[static_cast<std::size_t>(lanes<T>)]) noexcept {
    constexpr std::size_t n = batch<T>::size;
    // Interleaving the halves of the list of rows rotates the bits of (row, lane) by one.
    for (std::size_t stage = 1; stage < n; stage *= 2) {
        batch<T> next[n];
        unroll<n / 2>([&](std::size_t i) __attribute__((always_inline)) {
            next[2 * i] = interleave_low<T>(v[i], v[i + n / 2]);
            next[2 * i + 1] = interleave_high<T>(v[i], v[i + n / 2]);
        });
        unroll<n>([&](std::size_t i) __attribute__((always_inline)) { v[i] = next[i]; });
    }
}

namespace detail {

/// `transpose` of one block of up to lanes x lanes elements; `first` is the number of its first row of the result.
template <class T, class F>
[[gnu::noinline]] void transpose_part(const T* from, extent from_stride, extent rows, extent columns, T* to,
                                      extent to_stride, bool add, const F& f, extent first) noexcept {
    constexpr auto n = batch<T>::size;
    batch<T> block[n];
    unroll<n>([&](std::size_t r) __attribute__((always_inline)) {
        block[r] = batch<T>(T(0));
        if (static_cast<extent>(r) < rows)
            block[r] = load_partial(from + static_cast<extent>(r) * from_stride, columns);
    });
    transpose<T>(block);
    unroll<n>([&](std::size_t c) __attribute__((always_inline)) {
        if (static_cast<extent>(c) >= columns) return;
        T* p = to + static_cast<extent>(c) * to_stride;
        if (add) block[c] = load_partial<T>(p, rows) + block[c];
        store_partial<T>(p, f(first + static_cast<extent>(c), p, rows, block[c]), rows);
    });
}

/// The lanes x lanes elements at `from`, transposed.
template <class T>
[[gnu::always_inline]] inline void load_transposed(const T* from, extent stride,
                                                   batch<T> (&block)[static_cast<std::size_t>(lanes<T>)]) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>) {
        // Quarters of registers are put together as they are loaded: that takes no shuffle.
        unroll<4>([&](std::size_t q) __attribute__((always_inline)) {
            __m512 row[4];
            unroll<4>([&](std::size_t i) __attribute__((always_inline)) {
                const T* p = from + static_cast<extent>(i) * stride + 4 * static_cast<extent>(q);
                row[i] = _mm512_castps128_ps512(_mm_loadu_ps(p));
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 4 * stride), 1);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 8 * stride), 2);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 12 * stride), 3);
            });
            const __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1])),
                          low2 = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3])),
                          high = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1])),
                          high2 = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
            block[4 * q] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
            block[4 * q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
            block[4 * q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
            block[4 * q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
        });
    } else
#endif
    {
        unroll<batch<T>::size>([&](std::size_t r) __attribute__((always_inline)) {
            block[r] = load(from + static_cast<extent>(r) * stride);
        });
        transpose<T>(block);
    }
}

/// Lane i of the result is element index(i) of the list of all lanes of v.
template <class T, std::size_t Count, class Index>
[[gnu::always_inline]] inline batch<T> pick_of(const batch<T> (&v)[Count], Index) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr std::make_index_sequence<n> all{};
    constexpr auto of_two = [](std::size_t i) { return Index{}(i) < 2 * n ? static_cast<int>(Index{}(i)) : -1; };
    batch<T> picked = pick<T>(v[0], v[1], of_two, all);  // -1: any lane
    unroll<Count - 2>([&](auto k) __attribute__((always_inline)) {
        constexpr auto of_next = [](std::size_t i) {
            constexpr std::size_t begin = (decltype(k)::value + 2) * n;
            return static_cast<int>(Index{}(i) / n == begin / n ? n + Index{}(i) - begin : i);
        };
        picked = pick<T>(picked, v[k + 2], of_next, all);
    });
    return picked;
}

/// Rows of Count neighbours, of which one follows the other, become Count rows; at least `lanes` of them. The last
/// batches begin where they are whole: what they share with those before is written again.
template <std::size_t Count, class T>
void part_rows(const T* from, extent rows, T* to, extent to_stride) noexcept {
    for (extent next = 0; next < rows; next += lanes<T>) {
        const extent i = std::min(next, rows - lanes<T>);
        batch<T> v[Count];
        unroll<Count>([&](std::size_t k) __attribute__((always_inline)) {
            v[k] = load(from + static_cast<extent>(Count) * i + static_cast<extent>(k) * lanes<T>);
        });
        unroll<Count>([&](auto column) __attribute__((always_inline)) {
            constexpr auto index = [](std::size_t lane) { return Count * lane + decltype(column)::value; };
            store<T>(to + static_cast<extent>(column) * to_stride + i, pick_of<T>(v, index));
        });
    }
}
/// The other way round.
template <std::size_t Count, class T>
void join_rows(const T* from, extent from_stride, extent columns, T* to) noexcept {
    for (extent next = 0; next < columns; next += lanes<T>) {
        const extent i = std::min(next, columns - lanes<T>);
        batch<T> v[Count];
        unroll<Count>([&](std::size_t row) __attribute__((always_inline)) {
            v[row] = load(from + static_cast<extent>(row) * from_stride + i);
        });
        unroll<Count>([&](auto k) __attribute__((always_inline)) {
            constexpr auto index = [](std::size_t lane) {
                constexpr std::size_t n = batch<T>::size, first = decltype(k)::value * n;
                return (first + lane) % Count * n + (first + lane) / Count;
            };
            store<T>(to + static_cast<extent>(Count) * i + static_cast<extent>(k) * lanes<T>, pick_of<T>(v, index));
        });
    }
}

}  // namespace detail

/// What a transposition does to its elements: nothing.
struct kept_elements {
    template <class T>
    [[gnu::always_inline]] batch<T> operator()(extent, const T*, extent, const batch<T>& v) const noexcept {
        return v;
    }
};

/// to[j * to_stride + i] = from[i * from_stride + j], i in [0, rows), j in [0, columns); with `add` += instead of =.
/// They may not overlap. What is stored is f(j, place, count, elements) of up to a batch of elements with one j; some
/// are computed twice.
template <class T, class F = kept_elements>
[[gnu::noinline]] void transpose(const T* from, extent from_stride, extent rows, extent columns, T* to,
                                 extent to_stride, bool add = false, const F& f = {}) noexcept {
    constexpr extent n = lanes<T>;
    if constexpr (std::is_same_v<F, kept_elements>) {
        // Channels of pixels, parts of complex numbers.
        if (columns == from_stride && rows >= n && !add) {
            if (columns == 2) return detail::part_rows<2>(from, rows, to, to_stride);
            if (columns == 3) return detail::part_rows<3>(from, rows, to, to_stride);
            if (columns == 4) return detail::part_rows<4>(from, rows, to, to_stride);
        }
        if (rows == to_stride && columns >= n && !add) {
            if (rows == 2) return detail::join_rows<2>(from, from_stride, columns, to);
            if (rows == 3) return detail::join_rows<3>(from, from_stride, columns, to);
            if (rows == 4) return detail::join_rows<4>(from, from_stride, columns, to);
        }
    }
    for (extent left = 0; left < columns; left += n)
        for (extent top = 0; top < rows; top += n) {
            extent i = top, j = left;
            if (rows - i < n || columns - j < n) {
                if (add || rows < n || columns < n) {
                    detail::transpose_part(from + i * from_stride + j, from_stride, rows - i < n ? rows - i : n,
                                           columns - j < n ? columns - j : n, to + j * to_stride + i, to_stride, add,
                                           f, j);
                    continue;
                }
                // The last block begins where it is whole; what it shares with the one before is written again.
                i = i < rows - n ? i : rows - n;
                j = j < columns - n ? j : columns - n;
            }
            T* target = to + j * to_stride + i;
            batch<T> block[static_cast<std::size_t>(n)];
            detail::load_transposed<T>(from + i * from_stride + j, from_stride, block);
            if (add)
                unroll<static_cast<std::size_t>(n)>([&](std::size_t c) __attribute__((always_inline)) {
                    block[c] = block[c] + load<T>(target + static_cast<extent>(c) * to_stride);
                });
            unroll<static_cast<std::size_t>(n)>([&](std::size_t c) __attribute__((always_inline)) {
                T* const p = target + static_cast<extent>(c) * to_stride;
                store<T>(p, f(j + static_cast<extent>(c), p, n, block[c]));
            });
        }
}

}  // namespace bespoke::kernels
