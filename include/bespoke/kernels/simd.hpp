#pragma once

#include "../core/shape.hpp"

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <xsimd/xsimd.hpp>

namespace bespoke::kernels {

/// One register of elements, of the widest instruction set that the compiler was told to use.
template <class T>
using batch = xsimd::batch<T, xsimd::default_arch>;

/// Elements in one batch: 16 floats with AVX-512, 8 with AVX2, 4 with SSE2.
template <class T>
inline constexpr extent lanes = static_cast<extent>(batch<T>::size);

template <class Arch>
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, Arch>;

/// Vector registers of the instruction set; tile sizes follow from it.
inline constexpr std::size_t vector_registers =
    is_avx512<xsimd::default_arch> || std::is_base_of_v<xsimd::neon64, xsimd::default_arch> ? 32 : 16;

/// Whether the machine rounds a multiply-add once.
inline constexpr bool has_fma = is_avx512<xsimd::default_arch> || XSIMD_WITH_FMA3_AVX2 ||
                                XSIMD_WITH_FMA3_AVX || XSIMD_WITH_FMA3_SSE || XSIMD_WITH_FMA4 ||
                                XSIMD_WITH_NEON64;

/// a * b + c; rounded once where the machine has the instruction, twice where not (SSE2).
///
/// xsimd 8.1 has no fma for AVX-512 and leaves it to the compiler whether to fuse: always call this one.
template <class T>
[[gnu::always_inline]] inline batch<T> fma(const batch<T>& a, const batch<T>& b, const batch<T>& c) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_fmadd_ps(a, b, c);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        return _mm512_fmadd_pd(a, b, c);
    else
#endif
        return xsimd::fma(a, b, c);
}
template <std::floating_point T>
[[gnu::always_inline]] inline T fma(T a, T b, T c) noexcept {
    if constexpr (has_fma)
        return std::fma(a, b, c);
    else {
        const T product = a * b;  // in a statement of its own: clang fuses within one
        return product + c;
    }
}

namespace detail {
template <class Numbers>
struct unroller;
template <std::size_t... I>
struct unroller<std::index_sequence<I...>> {
    template <class F>
    [[gnu::always_inline]] void operator()(const F& f) const noexcept {
        (f(std::integral_constant<std::size_t, I>{}), ...);
    }
};
}  // namespace detail

/// unroll<Count>(f) calls f(integral_constant<size_t, 0>) ... f(integral_constant<size_t, Count - 1>), written out.
template <std::size_t Count>
inline constexpr detail::unroller<std::make_index_sequence<Count>> unroll{};

template <class T>
[[gnu::always_inline]] inline batch<T> load(const T* p) noexcept {
    return batch<T>::load_unaligned(p);
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, const batch<T>& v) noexcept {
    v.store_unaligned(p);
}

/// v, which the compiler is to keep in a register: g++ would rather load it again for each use.
template <class T>
[[gnu::always_inline]] inline batch<T> in_register(batch<T> v) noexcept {
#if XSIMD_WITH_AVX512F
    asm("" : "+v"(v.data));
#elif XSIMD_WITH_SSE2
    asm("" : "+x"(v.data));
#endif
    return v;
}

/// The first `n` elements at `p`, zero in the other lanes; 0 <= n <= lanes. Reads nothing beyond them.
template <class T>
[[gnu::always_inline]] inline batch<T> load_partial(const T* p, extent n) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p);
    else
#endif
    {
        alignas(64) T copy[lanes<T>] = {};
        if (n > 0) std::memcpy(copy, p, static_cast<std::size_t>(n) * sizeof(T));
        return batch<T>::load_aligned(copy);
    }
}

/// Stores the first `n` lanes; 0 <= n <= lanes. Writes nothing beyond them.
template <class T>
[[gnu::always_inline]] inline void store_partial(T* p, const batch<T>& v, extent n) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v);
    else
#endif
    {
        alignas(64) T copy[lanes<T>];
        v.store_aligned(copy);
        if (n > 0) std::memcpy(p, copy, static_cast<std::size_t>(n) * sizeof(T));
    }
}

/// The lane that stands for a scalar, so that one element gets the bits that it gets in a batch.
template <class T>
[[gnu::always_inline]] inline T first_lane(const batch<T>& v) noexcept {
    alignas(64) T copy[lanes<T>];
    v.store_aligned(copy);
    return copy[0];
}

/// True in the first `n` lanes; 0 <= n <= lanes.
template <class T>
[[gnu::always_inline]] inline xsimd::batch_bool<T, xsimd::default_arch> first_lanes(extent n) noexcept {
    alignas(64) static constexpr auto number = [] {
        std::array<T, static_cast<std::size_t>(lanes<T>)> all{};
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<T>(i);
        return all;
    }();
    return batch<T>::load_aligned(number.data()) < batch<T>(static_cast<T>(n));
}

/// Bit i says whether lane i is true.
template <class T>
[[gnu::always_inline]] inline std::uint64_t lane_bits(const xsimd::batch_bool<T, xsimd::default_arch>& v) noexcept {
    if constexpr (is_avx512<xsimd::default_arch>) {
        return static_cast<std::uint64_t>(v.data);
    } else {
        alignas(64) bool lane[lanes<T>];
        v.store_unaligned(lane);
        std::uint64_t bits = 0;
        for (extent i = 0; i < lanes<T>; ++i) bits |= std::uint64_t{lane[i]} << i;
        return bits;
    }
}

namespace detail {

/// How `for_each_batch` lets its body move the elements of a whole batch.
template <class T>
struct load_whole {
    [[gnu::always_inline]] batch<T> operator()(const T* p) const noexcept { return kernels::load(p); }
};
template <class T>
struct store_whole {
    [[gnu::always_inline]] void operator()(T* p, const batch<T>& v) const noexcept { kernels::store(p, v); }
};
/// And of a batch of which `count` elements are there.
template <class T>
struct load_some {
    extent count;
    [[gnu::always_inline]] batch<T> operator()(const T* p) const noexcept { return load_partial(p, count); }
};
template <class T>
struct store_some {
    extent count;
    [[gnu::always_inline]] void operator()(T* p, const batch<T>& v) const noexcept { store_partial(p, v, count); }
};

}  // namespace detail

/// Calls body(offset, load, store) for each batch of [0, n): `load(p)` and `store(p, v)` move
/// the elements that are there. The last, partial batch runs the same code on a padded copy.
template <class T, class N, class Body>
[[gnu::always_inline]] inline void for_each_batch(N n, const Body& body) noexcept {
    const extent size = n;
    extent i = 0;
    for (; i + lanes<T> <= size; i += lanes<T>) body(i, detail::load_whole<T>{}, detail::store_whole<T>{});
    if (const extent rest = size - i; rest > 0) body(i, detail::load_some<T>{rest}, detail::store_some<T>{rest});
}

namespace detail {

/// Lanes of the two batches a, b taken as one of twice the length: lane i of the result is lane Index(i).
template <class T, class Index, std::size_t... I>
[[gnu::always_inline]] inline batch<T> pick(const batch<T>& a, const batch<T>& b, Index index,
                                            std::index_sequence<I...>) noexcept {
    using raw [[gnu::vector_size(sizeof(batch<T>))]] = T;
    return batch<T>(static_cast<typename batch<T>::register_type>(
        __builtin_shufflevector((raw)a.data, (raw)b.data, index(I)...)));
}

}  // namespace detail

/// Every second element of the 2 * lanes elements a, b, from the first on.
template <class T>
[[gnu::always_inline]] inline batch<T> even_lanes(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr auto index = [](std::size_t i) { return static_cast<int>(2 * i); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<batch<T>::size>{});
}

/// Every second element of the 2 * lanes elements a, b, from the second on.
template <class T>
[[gnu::always_inline]] inline batch<T> odd_lanes(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr auto index = [](std::size_t i) { return static_cast<int>(2 * i + 1); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<batch<T>::size>{});
}

/// The lanes of `v`, the last one first.
template <class T>
[[gnu::always_inline]] inline batch<T> reversed_lanes(const batch<T>& v) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr auto index = [](std::size_t i) { return static_cast<int>(n - 1 - i); };
    return detail::pick<T>(v, v, index, std::make_index_sequence<n>{});
}

/// The lanes of each row as a balanced tree: f(f(0, 1), f(2, 3)) and so on; that of row i is lane i of the result.
/// `f` maps two batches to one. Rows is a power of two, up to lanes. `width`: lanes that are together already.
template <class T, std::size_t Rows, class F>
[[gnu::always_inline]] inline batch<T> fold_rows(const batch<T> (&rows)[Rows], const F& f, extent width = 1) noexcept {
    if constexpr (Rows == 1) {
        batch<T> v = rows[0];
        for (; width < lanes<T>; width *= 2) v = f(even_lanes<T>(v, v), odd_lanes<T>(v, v));
        return v;
    } else {
        batch<T> pairs[Rows / 2];
        unroll<Rows / 2>([&](auto i) __attribute__((always_inline)) {
            const batch<T>&a = rows[2 * i()], &b = rows[2 * i() + 1];
            pairs[i] = f(even_lanes<T>(a, b), odd_lanes<T>(a, b));
        });
        return fold_rows<T>(pairs, f, 2 * width);
    }
}

/// The lanes of `v` as a balanced tree: f(f(0, 1), f(2, 3)) and so on. `f` maps two batches to one.
template <class T, class F>
[[gnu::always_inline]] inline T fold_lanes(const batch<T>& v, const F& f) noexcept {
    const batch<T> rows[]{v};
    return first_lane<T>(fold_rows<T>(rows, f));
}

/// The lanes of `v`, added as a balanced tree: (0 + 1) + (2 + 3) and so on.
template <class T>
[[gnu::always_inline]] inline T sum_lanes(const batch<T>& v) noexcept {
    return fold_lanes<T>(v, [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) { return a + b; });
}

/// a[0], b[0], a[1], b[1], ...: as many elements as one batch holds.
template <class T>
[[gnu::always_inline]] inline batch<T> interleave_low(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr auto index = [](std::size_t i) { return static_cast<int>(i / 2 + i % 2 * n); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<n>{});
}

/// The rest of what `interleave_low` begins.
template <class T>
[[gnu::always_inline]] inline batch<T> interleave_high(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr auto index = [](std::size_t i) { return static_cast<int>(i / 2 + i % 2 * n + n / 2); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<n>{});
}

/// The square v, lanes x lanes elements, reflected: lane i of v[j] and lane j of v[i] change places.
template <class T>
[[gnu::always_inline]] inline void transpose(batch<T> (&v)[static_cast<std::size_t>(lanes<T>)]) noexcept {
    constexpr std::size_t n = batch<T>::size;
    // Interleaving the halves of the list of rows rotates the bits of (row, lane) by one.
    for (std::size_t stage = 1; stage < n; stage *= 2) {
        batch<T> next[n];
        unroll<n / 2>([&](auto i) __attribute__((always_inline)) {
            next[2 * i] = interleave_low<T>(v[i], v[i + n / 2]);
            next[2 * i + 1] = interleave_high<T>(v[i], v[i + n / 2]);
        });
        unroll<n>([&](auto i) __attribute__((always_inline)) { v[i] = next[i]; });
    }
}

namespace detail {

/// `transpose` of one block of up to lanes x lanes elements; `first` is the number of its first row of the result.
template <class T, class F>
[[gnu::noinline]] void transpose_part(const T* from, extent from_stride, extent rows, extent columns, T* to,
                                      extent to_stride, bool add, const F& f, extent first) noexcept {
    constexpr auto n = batch<T>::size;
    batch<T> block[n];
    unroll<n>([&](auto r) __attribute__((always_inline)) {
        block[r] = batch<T>(T(0));
        if (static_cast<extent>(r()) < rows)
            block[r] = load_partial(from + static_cast<extent>(r()) * from_stride, columns);
    });
    transpose<T>(block);
    unroll<n>([&](auto c) __attribute__((always_inline)) {
        if (static_cast<extent>(c()) >= columns) return;
        T* p = to + static_cast<extent>(c()) * to_stride;
        if (add) block[c] = load_partial<T>(p, rows) + block[c];
        store_partial<T>(p, f(first + static_cast<extent>(c()), p, rows, block[c]), rows);
    });
}

/// The lanes x lanes elements at `from`, transposed.
template <class T>
[[gnu::always_inline]] inline void load_transposed(const T* from, extent stride,
                                                   batch<T> (&block)[static_cast<std::size_t>(lanes<T>)]) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>) {
        // Quarters of registers are put together as they are loaded: that takes no shuffle.
        unroll<4>([&](auto q) __attribute__((always_inline)) {
            __m512 row[4];
            unroll<4>([&](auto i) __attribute__((always_inline)) {
                const T* p = from + static_cast<extent>(i()) * stride + 4 * static_cast<extent>(q());
                row[i] = _mm512_castps128_ps512(_mm_loadu_ps(p));
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 4 * stride), 1);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 8 * stride), 2);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 12 * stride), 3);
            });
            const __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1])),
                          low2 = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3])),
                          high = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1])),
                          high2 = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
            block[4 * q()] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
            block[4 * q() + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
            block[4 * q() + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
            block[4 * q() + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
        });
    } else
#endif
    {
        unroll<batch<T>::size>([&](auto r) __attribute__((always_inline)) {
            block[r] = load(from + static_cast<extent>(r()) * stride);
        });
        transpose<T>(block);
    }
}

}  // namespace detail

namespace detail {

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
                unroll<static_cast<std::size_t>(n)>([&](auto c) __attribute__((always_inline)) {
                    block[c] = block[c] + load<T>(target + static_cast<extent>(c()) * to_stride);
                });
            unroll<static_cast<std::size_t>(n)>([&](auto c) __attribute__((always_inline)) {
                T* const p = target + static_cast<extent>(c()) * to_stride;
                store<T>(p, f(j + static_cast<extent>(c()), p, n, block[c]));
            });
        }
}

}  // namespace bespoke::kernels
