#pragma once

#include "double_word.hpp"
#include "rounding.hpp"

#include <numbers>

namespace bespoke::kernels {

// Powers. Largest error over the whole range, in units in the last place of the result: exp2 1.2, pow and
// rsqrt 1.5.

namespace detail {

template <class T>
struct powers;
template <>
struct powers<float> {
    // ((2^r - 1) / r - ln 2) / r, |r| <= 1 / 2
    static constexpr float exponential[] = {0.240226507f, 0.055503618f, 0.00961802341f, 0.0013390386f,
                                            0.000154717331f};
    static constexpr float low = -151.0f, high = 129.0f;  // beyond, 2^x is 0 or infinite
    // ((log((1 + s) / (1 - s)) - 2 s) / s^3 - 2 / 3) / s^2 in s^2, |s| <= 0.1716
    static constexpr float logarithm[] = {0.400001436f, 0.285478681f, 0.23403497f};
    static constexpr float two_thirds[] = {0x1.555556p-1f, -0x1.555556p-26f};
    static constexpr float exponent_end = 0x1p40f;  // beyond, x^y is 0, 1 or infinite
};
template <>
struct powers<double> {
    static constexpr double exponential[] = {
        0.2402265069591013,     0.055504108664821687,   0.0096181291075943098,  0.0013333558146387163,
        0.00015403530457037764, 1.5252733862103109e-05, 1.3215435271368911e-06, 1.0178048173230498e-07,
        7.0737902782823394e-09, 4.4571816855508587e-10};
    static constexpr double low = -1076.0, high = 1025.0;
    static constexpr double logarithm[] = {0.39999999999999997, 0.28571428571433816, 0.22222222219985874,
                                           0.18181818599805671, 0.15384573626828682, 0.13335727598927413,
                                           0.1168584725128312,  0.11903907748649757};
    static constexpr double two_thirds[] = {0x1.5555555555555p-1, 0x1.5555555555555p-55};
    static constexpr double exponent_end = 0x1p70;
};

/// log(x), x >= 0, to half again as many digits as T has; high is not finite at 0 and infinity.
template <class T>
[[gnu::always_inline]] inline double_word<T> precise_log(const batch<T>& x) noexcept {
    using limits = std::numeric_limits<T>;
    using p = powers<T>;
    using c = coefficients<T>;
    constexpr T up = static_cast<T>(typename format<T>::bits{1} << format<T>::mantissa);
    const auto subnormal = x < batch<T>(limits::min());
    batch<T> k, f;
    split_exponent<T>(kernels::select<T>(subnormal, x * batch<T>(up), x), k, f);
    k = kernels::select<T>(subnormal, k - batch<T>(static_cast<T>(format<T>::mantissa)), k);
    // s = f / (2 + f)
    const batch<T> two(T(2));
    const double_word<T> below = ordered_sum<T>(two, f);
    const batch<T> s = kernels::in_register<T>(f / below.high);
    const batch<T> s_low = minus_product<T>(minus_product<T>(f, s, below.high), s, below.low) / below.high;
    // z = s^2, t = 2 / 3 z + ..., log(1 + f) = 2 s + s t
    const batch<T> third(p::two_thirds[0]), third_low(p::two_thirds[1]);
    double_word<T> z = exact_product<T>(s, s);
    z.low = kernels::fma<T>(s + s, s_low, z.low);
    double_word<T> t = exact_product<T>(z.high, third);
    t.low = kernels::fma<T>(z.high, third_low, kernels::fma<T>(z.low, third, t.low));
    t = ordered_sum<T>(t.high, kernels::fma<T>(z.high * z.high, polynomial<T>(z.high, p::logarithm), t.low));
    double_word<T> u = exact_product<T>(s, t.high);
    u.low = kernels::fma<T>(s, t.low, kernels::fma<T>(s_low, t.high, u.low));
    double_word<T> y = ordered_sum<T>(s + s, u.high);
    y.low = y.low + kernels::fma<T>(two, s_low, u.low);
    const double_word<T> sum = ordered_sum<T>(kernels::in_register<T>(k * batch<T>(c::ln2_high)), y.high);
    y = ordered_sum<T>(sum.high, sum.low + kernels::fma<T>(k, batch<T>(c::ln2_low), y.low));
    const batch<T> zero(T(0)), infinite(limits::infinity());
    y.high = kernels::select<T>(x == zero, -infinite, kernels::select<T>(x < infinite, y.high, x));
    return y;
}

}  // namespace detail

/// 2^x. Infinite from the first overflow on, zero from the last subnormal on.
template <class T>
inline batch<T> exp2(const batch<T>& x) noexcept {
    using p = detail::powers<T>;
    using format = detail::format<T>;
    const batch<T> a = kernels::min<T>(batch<T>(p::high), kernels::max<T>(batch<T>(p::low), x));
    const batch<T> magic(static_cast<T>(typename format::bits{3} << (format::mantissa - 1)));
    const batch<T> shifted = a + magic, k = shifted - magic, r = a - k;
    const batch<T> power =
        kernels::fma<T>(r * r, detail::polynomial<T>(r, p::exponential), r * batch<T>(T(std::numbers::ln2)));
    return detail::scale_by_power<T>(power + batch<T>(T(1)), {k, shifted, power});
}

/// x^y as std::pow has it: of a negative x NaN but for whole y; x^0 = 1^y = 1 whatever the other is.
template <class T>
inline batch<T> pow(const batch<T>& x, const batch<T>& y) noexcept {
    using c = detail::coefficients<T>;
    using p = detail::powers<T>;
    const batch<T> zero(T(0)), one(T(1)), half(T(0.5)), end(p::exponent_end);
    const batch<T> exponent = kernels::min<T>(end, kernels::max<T>(-end, y));
    const double_word<T> log = detail::precise_log<T>(kernels::abs<T>(x));
    double_word<T> e = exact_product<T>(exponent, log.high);
    e.low = kernels::fma<T>(exponent, log.low, e.low);
    const auto outside = e.high > batch<T>(c::exponential_high) || e.high < batch<T>(c::exponential_low);
    const auto r = detail::reduce_exp<T>(kernels::min<T>(
        batch<T>(c::exponential_high), kernels::max<T>(batch<T>(c::exponential_low), e.high)));
    const batch<T> low = kernels::select<T>(outside, zero, e.low);
    const batch<T> power = detail::scale_by_power<T>(one + (r.expm1 + kernels::fma<T>(low, r.expm1, low)), r);
    const auto whole = kernels::floor<T>(y) == y;
    const auto odd = whole && !(kernels::floor<T>(y * half) == y * half);
    const batch<T> nan(std::numeric_limits<T>::quiet_NaN()), infinite(std::numeric_limits<T>::infinity());
    batch<T> result = kernels::select<T>(odd, kernels::copysign<T>(power, x), power);
    result = kernels::select<T>(x < zero && x > -infinite && !whole, nan, result);
    result = kernels::select<T>(kernels::is_nan<T>(x) || kernels::is_nan<T>(y), nan, result);
    return kernels::select<T>(y == zero || x == one, one, result);
}

/// 1 / sqrt(x); infinite of a zero, with its sign.
template <class T>
inline batch<T> rsqrt(const batch<T>& x) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>) {
        // 14 bits and one step of Newton's, which has no number to add where they are 0, infinite or NaN.
        const batch<T> y = _mm512_maskz_rsqrt14_ps(0xFFFF, x);
        const batch<T> rest = kernels::fma<T>(-(x * y), y, batch<T>(T(1)));
        return kernels::select<T>(kernels::is_nan<T>(rest), y, kernels::fma<T>(y * batch<T>(T(0.5)), rest, y));
    } else
#endif
        return batch<T>(T(1)) / kernels::sqrt<T>(x);
}

template <std::floating_point T>
inline T rsqrt(T x) noexcept {
    return first_lane<T>(kernels::rsqrt<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T exp2(T x) noexcept {
    return first_lane<T>(kernels::exp2<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T pow(T x, T y) noexcept {
    return first_lane<T>(kernels::pow<T>(batch<T>(x), batch<T>(y)));
}

}  // namespace bespoke::kernels
