#pragma once

#include "../core/shape.hpp"
#include "instruction_set.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace bespoke::kernels {

/// One register of elements, of the widest instruction set that the compiler was told to use.
template <class T>
using batch = simd::batch<T, simd::default_arch>;
/// What comparing two of them gives.
template <class T>
using batch_bool = simd::batch_bool<T, simd::default_arch>;

/// Elements in one batch: 16 floats with AVX-512, 8 with AVX2, 4 with SSE2, NEON and where there are no registers.
template <class T>
inline constexpr extent lanes = static_cast<extent>(batch<T>::size);

/// a * b + c; rounded once where the machine has the instruction, twice where not (SSE2).
///
/// xsimd 8.1 has no fma for AVX-512 and leaves it to the compiler whether to fuse: always call this one.
template <class T>
[[gnu::always_inline]] inline batch<T> fma(const batch<T>& a, const batch<T>& b, const batch<T>& c) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>)
        return _mm512_fmadd_ps(a, b, c);
    else if constexpr (is_avx512 && std::is_same_v<T, double>)
        return _mm512_fmadd_pd(a, b, c);
    else
#endif
        return simd::fma(a, b, c);
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
#ifndef __OPTIMIZE__
        if constexpr (requires { &F::operator(); }) {  // not a template: it takes a size_t
            for (std::size_t i = 0; i < sizeof...(I); ++i) f(i);
            return;
        } else
#endif
            (f(std::integral_constant<std::size_t, I>{}), ...);
    }
};
}  // namespace detail

/// unroll<Count>(f) calls f(integral_constant<size_t, 0>) ... f(integral_constant<size_t, Count - 1>), written out.
/// An f that takes a size_t, not `auto`, is compiled once: enough where it wants no constant. Without optimization it
/// is called in a loop: written out, the tiles of products would be most of what such a build compiles.
template <std::size_t Count>
inline constexpr detail::unroller<std::make_index_sequence<Count>> unroll{};

/// Before a loop of at most 16 steps: with optimization it is written out. For a kernel of many sizes it compiles in
/// half the time that `unroll` takes. Not where the body has a branch whose condition is the same in all steps: g++
/// makes more loops of that one first, and writes none of them out.
#ifdef __clang__
#define BESPOKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BESPOKE_UNROLL _Pragma("GCC unroll 16")
#endif

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
#ifdef __AVX512F__
    asm("" : "+v"(v.data));
#elif defined(__SSE2__)
    asm("" : "+x"(v.data));
#endif
    return v;
}

/// Asks for n elements from p on, up to 8 KiB of them, which need not be there: what is done meanwhile hides their way
/// from a cache further away.
template <class T>
void prefetch(const T* p, extent n) noexcept {
    constexpr auto size = static_cast<extent>(sizeof(T)), line = 64 / size;
    for (extent i = 0; i < std::min(n, 8192 / size); i += line) __builtin_prefetch(p + i, 0, 2);
}

namespace detail {

/// The first n elements, at most a batch of them. Called for so few, memcpy takes longer than the rest of a kernel.
template <class T>
[[gnu::always_inline]] inline void copy_few(T* to, const T* from, extent n) noexcept {
    if (n == lanes<T>) {
        std::memcpy(to, from, sizeof(batch<T>));
        return;
    }
    unroll<std::bit_width(batch<T>::size) - 1>([&](auto k) __attribute__((always_inline)) {
        constexpr std::size_t width = batch<T>::size >> (decltype(k)::value + 1);
        if ((static_cast<std::size_t>(n) & width) == 0) return;
        std::memcpy(to, from, width * sizeof(T));
        to += width;
        from += width;
    });
}

/// What `load_partial` and `store_partial` do where no instruction does. They stand beside each loop: not in line.
template <class T>
[[gnu::noinline]] batch<T> load_few(const T* p, extent n) noexcept {
#if defined(__SSE2__) && !defined(BESPOKE_WITHOUT_XSIMD)
    if constexpr (sizeof(batch<T>) == 16 && std::is_same_v<T, float>) {  // not through memory, for which it would wait
        if (n == 4) return _mm_loadu_ps(p);
        const __m128 last = n % 2 != 0 ? _mm_load_ss(p + n - 1) : _mm_setzero_ps();
        if (n < 2) return last;
        return _mm_movelh_ps(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))), last);
    }
#endif
    alignas(64) T copy[lanes<T>] = {};
    copy_few(copy, p, n);
    return batch<T>::load_aligned(copy);
}
template <class T>
[[gnu::always_inline]] inline void store_parts(T* p, const batch<T>& v, extent n) noexcept {
    alignas(64) T copy[lanes<T>];
    v.store_aligned(copy);
    copy_few(p, copy, n);
}
template <class T>
[[gnu::noinline]] void store_few(T* p, batch<T> v, extent n) noexcept {
    store_parts(p, v, n);
}

#if XSIMD_WITH_AVX
/// All bits of the first n lanes of a register of 32 bytes; elements of Size bytes.
template <std::size_t Size>
[[gnu::always_inline]] inline __m256i mask_of_first(extent n) noexcept {
    alignas(64) static constexpr std::int32_t bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits + 8 - n * static_cast<extent>(Size / 4)));
}
#endif

}  // namespace detail

/// The first `n` elements at `p`, zero in the other lanes; 0 <= n <= lanes. Reads nothing beyond them.
template <class T>
[[gnu::always_inline]] inline batch<T> load_partial(const T* p, extent n) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p);
    else if constexpr (is_avx512 && std::is_same_v<T, double>)
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p);
    else
#elif XSIMD_WITH_AVX
    if constexpr (sizeof(batch<T>) == 32 && std::is_same_v<T, float>)
        return _mm256_maskload_ps(p, detail::mask_of_first<4>(n));
    else if constexpr (sizeof(batch<T>) == 32 && std::is_same_v<T, double>)
        return _mm256_maskload_pd(p, detail::mask_of_first<8>(n));
    else
#endif
        return detail::load_few(p, n);
}

/// Stores the first `n` lanes; 0 <= n <= lanes. Writes nothing beyond them.
template <class T>
[[gnu::always_inline]] inline void store_partial(T* p, const batch<T>& v, extent n) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>)
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
    else if constexpr (is_avx512 && std::is_same_v<T, double>)
        _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v);
    else
#endif
    if constexpr (sizeof(batch<T>) == 16)
        detail::store_few(p, v, n);
    else  // a softmax of short rows would wait for the call
        detail::store_parts(p, v, n);
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
[[gnu::always_inline]] inline batch_bool<T> first_lanes(extent n) noexcept {
    alignas(64) static constexpr auto number = [] {
        std::array<T, static_cast<std::size_t>(lanes<T>)> all{};
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<T>(i);
        return all;
    }();
    return batch<T>::load_aligned(number.data()) < batch<T>(static_cast<T>(n));
}

/// Bit i says whether lane i is true.
template <class T>
[[gnu::always_inline]] inline std::uint64_t lane_bits(const batch_bool<T>& v) noexcept {
    if constexpr (is_avx512) {
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

/// The same for bodies that may be short: two batches a turn, as a turn of the loop can take as long as one.
template <class T, class N, class Body>
[[gnu::always_inline]] inline void for_each_two_batches(N n, const Body& body) noexcept {
    const extent size = n;
    extent i = 0;
    for (; i + 2 * lanes<T> <= size; i += 2 * lanes<T>) {
        body(i, detail::load_whole<T>{}, detail::store_whole<T>{});
        body(i + lanes<T>, detail::load_whole<T>{}, detail::store_whole<T>{});
    }
    for_each_batch<T>(
        size - i, [&](extent j, auto in, auto out) __attribute__((always_inline)) { body(i + j, in, out); });
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
        unroll<Rows / 2>([&](std::size_t i) __attribute__((always_inline)) {
            const batch<T>&a = rows[2 * i], &b = rows[2 * i + 1];
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

}  // namespace bespoke::kernels
