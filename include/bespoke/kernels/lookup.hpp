#pragma once

#include "simd.hpp"

/// Elements looked up one by one.
namespace bespoke::kernels {

/// Lane i is p[index], `index` being the whole number in lane i of `indices`, from 0 up to below 2^24. Of the
/// intrinsics for it those that say what is in every lane, since g++ 12 warns of the others.
template <class T>
[[gnu::always_inline]] inline batch<T> gathered(const T* p, const batch<T>& indices) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>)
        return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFF, _mm512_maskz_cvttps_epi32(0xFFFF, indices), p,
                                        sizeof(T));
    else if constexpr (is_avx512 && std::is_same_v<T, double>)
        return _mm512_mask_i32gather_pd(_mm512_setzero_pd(), 0xFF, _mm512_maskz_cvttpd_epi32(0xFF, indices), p,
                                        sizeof(T));
    else
#endif
    {
        alignas(64) T place[lanes<T>], lane[lanes<T>];
        indices.store_aligned(place);
        for (extent i = 0; i < lanes<T>; ++i) lane[i] = p[static_cast<extent>(place[i])];
        return batch<T>::load_aligned(lane);
    }
}

/// to[i] = lane i of `whole`, a whole number below 2^31 in size.
template <class T>
[[gnu::always_inline]] inline void store_places(extent* to, const batch<T>& whole) noexcept {
#if defined(__AVX512DQ__)
    if constexpr (is_avx512 && std::is_same_v<T, float> && sizeof(extent) == 8) {
        _mm512_storeu_si512(to, _mm512_maskz_cvttps_epi64(0xFF, _mm512_maskz_extractf32x8_ps(0xFF, whole, 0)));
        _mm512_storeu_si512(to + 8, _mm512_maskz_cvttps_epi64(0xFF, _mm512_maskz_extractf32x8_ps(0xFF, whole, 1)));
        return;
    }
#elif XSIMD_WITH_AVX2
    if constexpr (std::is_same_v<T, float> && lanes<T> == 8 && sizeof(extent) == 8) {
        const __m256i near = _mm256_cvttps_epi32(whole);
        const auto half = [&](extent* at, __m128i part) __attribute__((always_inline)) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm256_cvtepi32_epi64(part));
        };
        half(to, _mm256_castsi256_si128(near));
        half(to + 4, _mm256_extracti128_si256(near, 1));
        return;
    }
#endif
    alignas(64) T lane[lanes<T>];
    whole.store_aligned(lane);
    for (extent i = 0; i < lanes<T>; ++i) to[i] = static_cast<extent>(lane[i]);
}

/// to[i] = p[places[i]], 0 where places[i] is negative; i in [0, n). Element by element: the instruction for it takes
/// longer on many machines.
template <class T>
inline void gather_at(extent n, const T* p, const extent* places, T* to) noexcept {
    const auto one = [&](extent i) { to[i] = places[i] < 0 ? T(0) : p[places[i]]; };
    constexpr std::size_t some = 8;
    extent i = 0;
    for (; i + extent{some} <= n; i += extent{some}, to += some, places += some) {
        extent signs = 0;
        unroll<some>([&](std::size_t j) __attribute__((always_inline)) { signs |= places[j]; });
        if (signs < 0) {
            for (extent j = 0; j < extent{some}; ++j) one(j);
        } else {
            T found[some];  // all are read before one is written: the compiler does not know that `to` lies elsewhere
            unroll<some>([&](std::size_t j) __attribute__((always_inline)) { found[j] = p[places[j]]; });
            unroll<some>([&](std::size_t j) __attribute__((always_inline)) { to[j] = found[j]; });
        }
    }
    for (; i < n; ++i, ++to, ++places) one(0);
}

}  // namespace bespoke::kernels
