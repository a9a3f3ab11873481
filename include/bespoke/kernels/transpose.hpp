#pragma once

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

/// Rows of two neighbours, of which one follows the other, become two rows.
template <class T>
inline void part_pairs(const T* from, extent count, T* to, extent to_stride) noexcept {
    constexpr extent n = lanes<T>;
    for (extent i = 0; i < count; i += n) {
        const extent now = count - i < n ? count - i : n, low = 2 * now < n ? 2 * now : n;
        const batch<T> a = load_partial(from + 2 * i, low), b = load_partial(from + 2 * i + low, 2 * now - low);
        store_partial<T>(to + i, even_lanes<T>(a, b), now);
        store_partial<T>(to + to_stride + i, odd_lanes<T>(a, b), now);
    }
}
/// The other way round.
template <class T>
inline void join_pairs(const T* from, extent from_stride, extent count, T* to) noexcept {
    constexpr extent n = lanes<T>;
    for (extent i = 0; i < count; i += n) {
        const extent now = count - i < n ? count - i : n, low = 2 * now < n ? 2 * now : n;
        const batch<T> a = load_partial(from + i, now), b = load_partial(from + from_stride + i, now);
        store_partial<T>(to + 2 * i, interleave_low<T>(a, b), low);
        store_partial<T>(to + 2 * i + low, interleave_high<T>(a, b), 2 * now - low);
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
        if (columns == 2 && from_stride == 2 && !add) return detail::part_pairs(from, rows, to, to_stride);
        if (rows == 2 && to_stride == 2 && !add) return detail::join_pairs(from, from_stride, columns, to);
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
