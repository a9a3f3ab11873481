#pragma once

#include "simd.hpp"

#include <algorithm>

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

/// to[i] = p[places[i]], 0 where places[i] is negative; i in [0, n). Element by element: the instruction for it takes
/// longer on many machines.
template <class T>
inline void gather_at(extent n, const T* p, const extent* places, T* to) noexcept {
    const auto one = [&](extent i) { to[i] = places[i] < 0 ? T(0) : p[places[i]]; };
    constexpr extent some = 8;
    extent i = 0;
    for (; i + some <= n; i += some) {
        extent signs = 0;
        for (extent j = i; j < i + some; ++j) signs |= places[j];
        if (signs < 0) {
            for (extent j = i; j < i + some; ++j) one(j);
        } else {
            T found[some];  // all are read before one is written: the compiler does not know that `to` lies elsewhere
            for (extent j = 0; j < some; ++j) found[j] = p[places[i + j]];
            std::copy_n(found, some, to + i);
        }
    }
    for (; i < n; ++i) one(i);
}

}  // namespace bespoke::kernels
