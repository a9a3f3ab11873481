#pragma once

#include "simd.hpp"

/// Elements looked up one by one, with the instruction for it where the machine has it: of its intrinsics those that
/// say what is in every lane, since g++ 12 warns of the others.
namespace bespoke::kernels {

/// Lane i is p[index], `index` being the whole number in lane i of `indices`, from 0 up to below 2^24.
template <class T>
[[gnu::always_inline]] inline batch<T> gathered(const T* p, const batch<T>& indices) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFF, _mm512_maskz_cvttps_epi32(0xFFFF, indices), p,
                                        sizeof(T));
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
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

/// to[i] = p[places[i]], 0 where places[i] is negative; i in [0, n).
template <class T>
inline void gather_at(extent n, const T* p, const extent* places, T* to) noexcept {
    extent i = 0;
#if XSIMD_WITH_AVX512F
    for (; is_avx512<xsimd::default_arch> && i + 8 <= n; i += 8) {
        const __m512i place = _mm512_loadu_si512(places + i);
        const __mmask8 there = _mm512_cmpge_epi64_mask(place, _mm512_setzero_si512());
        if constexpr (std::is_same_v<T, float>)
            _mm256_storeu_ps(to + i, _mm512_mask_i64gather_ps(_mm256_setzero_ps(), there, place, p, sizeof(T)));
        else
            _mm512_storeu_pd(to + i, _mm512_mask_i64gather_pd(_mm512_setzero_pd(), there, place, p, sizeof(T)));
    }
#endif
    for (; i < n; ++i) to[i] = places[i] < 0 ? T(0) : p[places[i]];
}

}  // namespace bespoke::kernels
