#pragma once

#include "math.hpp"

#include <numbers>

namespace bespoke::kernels {

// Hyperbolic functions beside tanh (math.hpp) and their inverses, and what is left of e^x without 1. Largest error over
// the whole range, in units in the last place of the result: expm1_below, sinh and cosh 2, asinh, acosh and atanh 3.
// NaN gives NaN, and so does what is outside the range of an inverse; the ends overflow only where the result does.

namespace detail {

template <class T>
struct hyperbolic;
template <>
struct hyperbolic<float> {
    // (sinh(x) - x) / x^3 in x^2, |x| <= 1
    static constexpr float sine[] = {0.166666672f, 0.00833335053f, 0.000198360911f, 2.81732014e-06f};
    static constexpr float large = 0x1p30f;  // from there on 1 + x is x
};
template <>
struct hyperbolic<double> {
    static constexpr double sine[] = {0.16666666666666669,    0.0083333333333331459,  0.00019841269841434036,
                                      2.7557319156313682e-06, 2.5052123262809582e-08, 1.6057249779285991e-10,
                                      7.7590525483643543e-13};
    static constexpr double large = 0x1p60;
};

/// e^a / 2, a >= 0: infinite from twice the first overflow on.
template <class T>
[[gnu::always_inline]] inline batch<T> half_exp(const batch<T>& a) noexcept {
    const batch<T> one(T(1));
    auto r = reduce_exp<T>(kernels::min<T>(batch<T>(coefficients<T>::exponential_high + T(1)), a));
    r.k = r.k - one;
    r.shifted = r.shifted - one;
    return scale_by_power<T>(r.expm1 + one, r);
}

}  // namespace detail

/// e^x - 1 where x < 0, without cancellation where x is small; else 0.
template <class T>
inline batch<T> expm1_below(const batch<T>& x) noexcept {
    const batch<T> one(T(1));
    const auto r = detail::reduce_exp<T>(kernels::max<T>(batch<T>(T(-40)), kernels::min<T>(batch<T>(T(0)), x)));
    const batch<T> power = detail::scale_by_power<T>(one, r);
    return kernels::fma<T>(power, r.expm1, power - one);
}

/// (e^x - e^-x) / 2
template <class T>
inline batch<T> sinh(const batch<T>& x) noexcept {
    const batch<T> a = kernels::abs<T>(x), square = x * x;
    const batch<T> small =
        kernels::fma<T>(a * square, detail::polynomial<T>(square, detail::hyperbolic<T>::sine), a);
    const batch<T> half = detail::half_exp<T>(a);
    return kernels::copysign<T>(
        kernels::select<T>(a < batch<T>(T(1)), small, half - batch<T>(T(0.25)) / half), x);
}

/// (e^x + e^-x) / 2
template <class T>
inline batch<T> cosh(const batch<T>& x) noexcept {
    const batch<T> half = detail::half_exp<T>(kernels::abs<T>(x));
    return half + batch<T>(T(0.25)) / half;
}

/// log(x + sqrt(x^2 + 1)), as log1p of |x| + x^2 / (1 + sqrt(x^2 + 1)).
template <class T>
inline batch<T> asinh(const batch<T>& x) noexcept {
    const batch<T> one(T(1)), a = kernels::abs<T>(x), square = x * x;
    const auto large = a > batch<T>(detail::hyperbolic<T>::large);
    const batch<T> above = a + square / (one + kernels::sqrt<T>(square + one));
    const batch<T> y = kernels::log1p<T>(kernels::select<T>(large, a, above));
    return kernels::copysign<T>(kernels::select<T>(large, y + batch<T>(T(std::numbers::ln2)), y), x);
}

/// log(x + sqrt(x^2 - 1)) for x >= 1, as log1p of t + sqrt(t (t + 2)), t = x - 1; NaN below.
template <class T>
inline batch<T> acosh(const batch<T>& x) noexcept {
    const batch<T> one(T(1)), t = x - one;
    const auto large = x > batch<T>(detail::hyperbolic<T>::large);
    const batch<T> above = t + kernels::sqrt<T>(kernels::fma<T>(t, t, t + t));
    const batch<T> y = kernels::log1p<T>(kernels::select<T>(large, x, above));
    return kernels::select<T>(x < one, batch<T>(std::numeric_limits<T>::quiet_NaN()),
                              kernels::select<T>(large, y + batch<T>(T(std::numbers::ln2)), y));
}

/// log((1 + x) / (1 - x)) / 2, as log1p of 2 |x| / (1 - |x|); infinite at 1 and -1, NaN beyond.
template <class T>
inline batch<T> atanh(const batch<T>& x) noexcept {
    const batch<T> a = kernels::abs<T>(x);
    return kernels::copysign<T>(batch<T>(T(0.5)) * kernels::log1p<T>((a + a) / (batch<T>(T(1)) - a)), x);
}

template <std::floating_point T>
inline T expm1_below(T x) noexcept {
    return first_lane<T>(kernels::expm1_below<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T sinh(T x) noexcept {
    return first_lane<T>(kernels::sinh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T cosh(T x) noexcept {
    return first_lane<T>(kernels::cosh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T asinh(T x) noexcept {
    return first_lane<T>(kernels::asinh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T acosh(T x) noexcept {
    return first_lane<T>(kernels::acosh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T atanh(T x) noexcept {
    return first_lane<T>(kernels::atanh<T>(batch<T>(x)));
}

}  // namespace bespoke::kernels
