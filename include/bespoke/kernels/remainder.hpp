#pragma once

#include "math.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // see math.hpp
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {
namespace detail {

/// std::fmod lane by lane.
template <class T>
[[gnu::noinline]] batch<T> fmod_each(const batch<T>& a, const batch<T>& b) noexcept {
    alignas(64) T x[lanes<T>], y[lanes<T>];
    a.store_aligned(x);
    b.store_aligned(y);
    for (extent i = 0; i < lanes<T>; ++i) x[i] = std::fmod(x[i], y[i]);
    return batch<T>::load_aligned(x);
}

/// fmod(a, b), but for the sign of a zero.
template <class T>
inline batch<T> fmod(const batch<T>& a, const batch<T>& b) noexcept {
    if constexpr (has_fma) {
        constexpr T limit = static_cast<T>(typename format<T>::bits{1} << format<T>::mantissa);
        const batch<T> zero(T(0)), q = simd::trunc(a / b);
        if (!simd::any(simd::abs(q) >= batch<T>(limit))) {
            // Exact: q is the quotient, or one beyond it where a / b was rounded up to a whole number.
            const batch<T> r = kernels::fma<T>(-q, b, a), step = simd::abs(b);
            const batch<T> fixed = simd::select(a < zero, simd::select(r > zero, r - step, r),
                                                 simd::select(r < zero, r + step, r));
            const auto endless = step == batch<T>(std::numeric_limits<T>::infinity());
            return simd::select(endless, a + (a - a), fixed);  // NaN for infinite a
        }
    }
    return fmod_each<T>(a, b);
}

}  // namespace detail

/// The remainder of a / b that has the sign of b, exact but for one rounding where the signs differ: what numpy.mod
/// and Python's % give. NaN for b = 0 and for infinite a.
template <class T>
inline batch<T> floor_mod(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> zero(T(0)), r = detail::fmod<T>(a, b);
    const batch<T> lift =
        simd::select(r < zero, simd::select(b < zero, zero, b), simd::select(b < zero, b, zero));
    return simd::select(r == zero, kernels::copysign<T>(zero, b), r + lift);
}

/// The largest whole number that is not above a / b, of the exact quotient: what numpy.floor_divide and Python's //
/// give. 1 // 0.1 is 9, as 0.1 is a little more than a tenth. Where b = 0 it is a / b.
template <class T>
inline batch<T> floor_divide(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> zero(T(0)), one(T(1)), r = detail::fmod<T>(a, b), ratio = a / b;
    const batch<T> lower = simd::select(r < zero, simd::select(b < zero, zero, one),
                                         simd::select(r > zero, simd::select(b < zero, one, zero), zero));
    const batch<T> exact = (a - r) / b - lower, whole = simd::floor(exact);
    const batch<T> nearest = simd::select(exact - whole > batch<T>(T(0.5)), whole + one, whole);
    const batch<T> result = simd::select(exact == zero, kernels::copysign<T>(zero, ratio), nearest);
    return simd::select(b == zero, ratio, result);
}

template <std::floating_point T>
inline T floor_mod(T a, T b) noexcept {
    return first_lane<T>(kernels::floor_mod<T>(batch<T>(a), batch<T>(b)));
}
template <std::floating_point T>
inline T floor_divide(T a, T b) noexcept {
    return first_lane<T>(kernels::floor_divide<T>(batch<T>(a), batch<T>(b)));
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop
