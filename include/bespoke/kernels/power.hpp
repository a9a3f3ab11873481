#pragma once

#include "math.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // see math.hpp
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {
namespace detail {

/// An unevaluated sum: `high` is the rounded value, `low` what that lost.
template <class T>
struct double_word {
    batch<T> high, low;
};

/// a + b where |a| >= |b| or a = 0.
template <class T>
[[gnu::always_inline]] inline double_word<T> exact_sum(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> high = a + b;
    return {high, b - (high - a)};
}

/// a * b. Dekker, Numerische Mathematik 18, 1971, where the machine has no fma.
template <class T>
[[gnu::always_inline]] inline double_word<T> exact_product(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> high = a * b;
    if constexpr (has_fma) {
        return {high, kernels::fma<T>(a, b, -high)};
    } else {
        constexpr auto half = (typename format<T>::bits{1} << ((format<T>::mantissa + 2) / 2)) + 1;
        const batch<T> splitter(static_cast<T>(half));
        const batch<T> sa = splitter * a, sb = splitter * b;
        const batch<T> a1 = sa - (sa - a), b1 = sb - (sb - b), a2 = a - a1, b2 = b - b1;
        return {high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2};
    }
}

/// (log((1 + s) / (1 - s)) - 2 s - 2 s^3 / 3) / s^5 in s^2, |s| <= 0.1716: the terms 2 / 5, 2 / 7, ... of the series.
template <class T>
struct atanh_series;
template <>
struct atanh_series<float> {
    static constexpr float terms[] = {2.0f / 5, 2.0f / 7, 2.0f / 9, 2.0f / 11, 2.0f / 13};
};
template <>
struct atanh_series<double> {
    static constexpr double terms[] = {2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13, 2.0 / 15,
                                       2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25};
};

/// log(x) to about 1.5 times the digits of T, for finite x > 0.
template <class T>
[[gnu::always_inline]] inline double_word<T> precise_log(const batch<T>& x) noexcept {
    using c = coefficients<T>;
    constexpr T up = static_cast<T>(typename format<T>::bits{1} << format<T>::mantissa);
    const auto subnormal = x < batch<T>(std::numeric_limits<T>::min());
    batch<T> k, f;
    split_exponent<T>(xsimd::select(subnormal, x * batch<T>(up), x), k, f);
    k = xsimd::select(subnormal, k - batch<T>(static_cast<T>(format<T>::mantissa)), k);
    // s = f / (2 + f); log(1 + f) = s (2 + z (2/3 + z (2/5 + ...))), z = s^2
    const double_word<T> denominator = exact_sum<T>(batch<T>(T(2)), f);
    const batch<T> s = f / denominator.high;
    const double_word<T> back = exact_product<T>(s, denominator.high);
    const batch<T> s_low = (((f - back.high) - back.low) - s * denominator.low) / denominator.high;
    double_word<T> z = exact_product<T>(s, s);
    z.low = kernels::fma<T>(s + s, s_low, z.low);
    constexpr T third = T(2) / T(3);
    constexpr T third_low = static_cast<T>(2.0L / 3.0L - static_cast<long double>(third));
    double_word<T> p = exact_sum<T>(batch<T>(third), z.high * polynomial(z.high, atanh_series<T>::terms));
    p.low = p.low + batch<T>(third_low);
    const double_word<T> w = exact_product<T>(z.high, p.high);
    double_word<T> v = exact_sum<T>(batch<T>(T(2)), w.high);
    v.low = v.low + (w.low + kernels::fma<T>(z.high, p.low, z.low * p.high));
    double_word<T> y = exact_product<T>(s, v.high);
    y.low = y.low + kernels::fma<T>(s, v.low, s_low * v.high);
    // k ln2_high is exact
    double_word<T> sum = exact_sum<T>(k * batch<T>(c::ln2_high), y.high);
    sum.low = sum.low + kernels::fma<T>(k, batch<T>(c::ln2_low), y.low);
    return exact_sum<T>(sum.high, sum.low);
}

}  // namespace detail

/// x to the power of y, with the special cases of std::pow. Largest error in units in the last place of the result:
/// 1.3 in float and double, subnormal results too.
template <class T>
inline batch<T> pow(const batch<T>& x, const batch<T>& y) noexcept {
    using c = detail::coefficients<T>;
    using limits = std::numeric_limits<T>;
    const batch<T> zero(T(0)), one(T(1)), infinity(limits::infinity()), nan(limits::quiet_NaN());
    const batch<T> a = xsimd::abs(x), low(c::exponential_low), high(c::exponential_high);

    const detail::double_word<T> log = detail::precise_log<T>(a);
    const detail::double_word<T> product = detail::exact_product<T>(y, log.high);
    const auto inside = (product.high > low) & (product.high < high);
    const batch<T> rest = xsimd::select(inside, kernels::fma<T>(y, log.low, product.low), zero);
    const auto r = detail::reduce_exp<T>(xsimd::min(high, xsimd::max(low, product.high)));
    const batch<T> grown = kernels::fma<T>(rest, one + r.expm1, r.expm1);
    batch<T> power = detail::scale_by_power<T>(one + grown, r);

    const auto negative = y < zero;
    power = xsimd::select(a == zero, xsimd::select(negative, infinity, zero), power);
    power = xsimd::select(a == infinity, xsimd::select(negative, zero, infinity), power);
    power = xsimd::select(a == one, one, power);
    const batch<T> half = y * batch<T>(T(0.5));
    const auto whole = xsimd::floor(y) == y;
    const auto even = xsimd::floor(half) == half;
    power = xsimd::select(even, power, xsimd::select(whole, kernels::copysign<T>(power, x), power));
    const auto finite_below = (x < zero) & (x > -infinity);
    power = xsimd::select(finite_below, xsimd::select(whole, power, nan), power);
    power = xsimd::select(xsimd::isnan(x), x, xsimd::select(xsimd::isnan(y), y, power));
    return xsimd::select(y == zero, one, xsimd::select(x == one, one, power));
}
template <std::floating_point T>
inline T pow(T x, T y) noexcept {
    return first_lane<T>(kernels::pow<T>(batch<T>(x), batch<T>(y)));
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop
