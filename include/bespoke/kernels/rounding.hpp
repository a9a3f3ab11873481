#pragma once

#include "math.hpp"

#pragma GCC diagnostic push  // see math.hpp
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {

// To whole numbers, exactly. The sign of x stays, also that of a result 0; infinities and NaN stay.

/// The largest whole number that is not above x.
template <class T>
[[gnu::always_inline]] inline batch<T> floor(const batch<T>& x) noexcept {
    return kernels::copysign<T>(simd::floor(x), x);
}
template <std::floating_point T>
inline T floor(T x) noexcept {
    return std::floor(x);
}

/// The smallest whole number that is not below x.
template <class T>
[[gnu::always_inline]] inline batch<T> ceil(const batch<T>& x) noexcept {
    return kernels::copysign<T>(simd::ceil(x), x);
}
template <std::floating_point T>
inline T ceil(T x) noexcept {
    return std::ceil(x);
}

/// The whole number nearest to x, the even one of two that are equally near.
template <class T>
[[gnu::always_inline]] inline batch<T> round(const batch<T>& x) noexcept {
    return kernels::copysign<T>(simd::nearbyint(x), x);
}
template <std::floating_point T>
inline T round(T x) noexcept {
    return std::nearbyint(x);
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop
