#pragma once

#include "simd.hpp"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

// g++ 12 takes the deliberately undefined operand inside its own AVX-512 header for uninitialized (its bug 105593).
// Through these wrappers it stays silent, so call kernels::max rather than simd::max.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {

// Elementary functions for float, double and batches of them: kernels::tanh(v). A scalar is computed in the first lane
// of a batch, so it gets the same bits as an element of an array. Largest error over the whole range in units in the
// last place (tests/kernels/math.cpp sweeps float, samples double): exp 1.1, log 1, log1p 1, tanh 2.5, sigmoid 2.5, erf
// 3; square root and the arithmetic functions are correctly rounded. NaN gives NaN; the ends saturate without a
// spurious overflow. The polynomials are weighted minimax fits made for this file.

namespace detail {

template <class T>
struct format;
template <>
struct format<float> {
    using bits = std::uint32_t;
    static constexpr int mantissa = 23;
    static constexpr bits bias = 127;
};
template <>
struct format<double> {
    using bits = std::uint64_t;
    static constexpr int mantissa = 52;
    static constexpr bits bias = 1023;
};

template <class T>
using bits_batch = batch<typename format<T>::bits>;

template <class T>
[[gnu::always_inline]] inline bits_batch<T> to_bits(const batch<T>& v) noexcept {
    return simd::bitwise_cast<bits_batch<T>>(v);
}
template <class T>
[[gnu::always_inline]] inline batch<T> from_bits(const bits_batch<T>& v) noexcept {
    return simd::bitwise_cast<batch<T>>(v);
}
template <class T>
constexpr typename format<T>::bits bits_of(T v) noexcept {
    return std::bit_cast<typename format<T>::bits>(v);
}

template <class T>
struct coefficients;
template <>
struct coefficients<float> {
    // (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2
    static constexpr float exponential[] = {0.5f, 0.16666542f, 0.0416662805f, 0.00836673845f, 0.00139464939f};
    static constexpr float exponential_low = -104.0f, exponential_high = 89.0f;
    // (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2, |s| <= 0.1716
    static constexpr float logarithm[] = {0.666666627f, 0.400003344f, 0.285373062f, 0.235822991f};
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    // erf(x) / x in x^2, |x| <= 1
    static constexpr float erf_small[] = {1.12837911f,    -0.37612626f,     0.112835854f,   -0.0268538166f,
                                          0.00518833799f, -0.000801029208f, 7.85420852e-05f};
    // log(1 - erf(x)) in x - erf_centre, 1 <= x <= erf_end
    static constexpr float erf_large[] = {-5.36494112f,   -4.41815948f,     -0.923753738f,  -0.0164883733f,
                                          0.00354447379f, -0.000710067688f, 0.000186951278f};
    static constexpr float erf_centre = 2.0f, erf_end = 4.0f;
};
template <>
struct coefficients<double> {
    static constexpr double exponential[] = {
        0.50000000000000056,    0.16666666666666682,    0.041666666666571324,   0.0083333333333160016,
        0.0013888888933149171,  0.00019841269900075943, 2.4801503496464809e-05, 2.7557230533975886e-06,
        2.7626713522534719e-07, 2.51136713989353e-08};
    static constexpr double exponential_low = -746.0, exponential_high = 710.0;
    static constexpr double logarithm[] = {0.66666666666667351, 0.39999999999413682, 0.28571428742615318,
                                           0.22222198547789901, 0.18183565780130076, 0.15314009640820511,
                                           0.14796396948700186};
    static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double erf_small[] = {
        1.1283791670955126,     -0.37612638903183748,    0.11283791670954857,    -0.02686617064507292,
        0.0052239776247811447,  -0.0008548326978760133,  0.00012055331037612707, -1.4925593525202056e-05,
        1.6460973126419775e-06, -1.6350028640321757e-07, 1.4657903596792e-08,    -1.1365760226651028e-09,
        5.945424596676009e-11};
    static constexpr double erf_large[] = {
        -7.8068152727272544,     -5.3526807509865177,     -0.94389373352572892,    -0.010858072740038449,
        0.0021654769177155003,   -0.00042093251554090483, 7.7030777707292445e-05,  -1.2756024670775486e-05,
        1.7688682475210822e-06,  -1.5574837161119697e-07, -1.232033557969463e-08,  1.0892832178178304e-08,
        -3.7275092938792062e-09, 7.7610423262432527e-10,  -1.0371049080091048e-10, 5.6632435445762209e-11,
        -5.2687981807464359e-12, -5.0134681136136232e-12};
    static constexpr double erf_centre = 2.5, erf_end = 6.0;
};

/// c[0] + c[1] x + c[2] x^2 + ..., as one chain of fma.
template <class T, class Coefficients>
[[gnu::always_inline]] inline batch<T> polynomial(const batch<T>& x, const Coefficients& c) noexcept {
    constexpr std::size_t last = sizeof(c) / sizeof(T) - 1;
    batch<T> sum(c[last]);
    unroll<last>([&](std::size_t i) __attribute__((always_inline)) {
        sum = kernels::fma(sum, x, batch<T>(c[last - 1 - i]));
    });
    return sum;
}

/// Adding 1.5 * 2^mantissa leaves the nearest integer in the low bits.
template <class T>
inline constexpr T to_integer = static_cast<T>(typename format<T>::bits{3} << (format<T>::mantissa - 1));

/// Factor x = k ln 2 + r, |r| <= ln 2 / 2: k, k in the low bits of `shifted`, and (exp(r) - 1) / Factor.
template <class T>
struct reduced {
    batch<T> k, shifted, expm1;
};
template <class T, int Factor = 1>
[[gnu::always_inline]] inline reduced<T> reduce_exp(const batch<T>& x) noexcept {
    using c = coefficients<T>;
    constexpr auto scaled = [](auto all, T power) {  // Factor stands in the constants
        for (T& v : all) v *= power *= T(Factor);
        return all;
    }(std::to_array(c::exponential), T(1));
    const batch<T> shifted = kernels::fma(x, batch<T>(Factor * T(1.44269504088896340736)), batch<T>(to_integer<T>));
    const batch<T> k = shifted - batch<T>(to_integer<T>), high(-c::ln2_high / Factor), low(-c::ln2_low / Factor);
    const batch<T> r = kernels::fma(k, low, kernels::fma(k, high, x));
    const batch<T> square = r * r;
    batch<T> rest;
    if constexpr (std::is_same_v<T, float>) {
        // In two halves side by side: small networks wait for each step.
        const auto pair = [&](std::size_t i) __attribute__((always_inline)) {
            return kernels::fma(r, batch<T>(scaled[i + 1]), batch<T>(scaled[i]));
        };
        rest = kernels::fma(square, kernels::fma(square, batch<T>(scaled[4]), pair(2)), pair(0));
    } else
        rest = polynomial(r, scaled);
    return {k, shifted, kernels::fma(square, rest, r)};
}
/// Sign 2^k, a normal number.
template <class T, int Sign = 1>
[[gnu::always_inline]] inline batch<T> power_of_two(const reduced<T>& x) noexcept {
    const bits_batch<T> offset(bits_of(to_integer<T>) - format<T>::bias - (Sign < 0 ? format<T>::bias + 1 : 0) * 2);
    return from_bits<T>((to_bits<T>(x.shifted) - offset) << format<T>::mantissa);
}

/// v * 2^k, rounded once, where the result may overflow or be subnormal.
template <class T>
[[gnu::always_inline]] inline batch<T> scale_by_power(const batch<T>& v, const reduced<T>& x) noexcept {
#ifdef __AVX512F__
    if constexpr (is_avx512 && std::is_same_v<T, float>)
        return _mm512_scalef_ps(v, x.k);
    else if constexpr (is_avx512 && std::is_same_v<T, double>)
        return _mm512_scalef_pd(v, x.k);
    else
#endif
    {
        // 2^k as a product of two powers that are both normal numbers; 2 * bias keeps all counts positive.
        const bits_batch<T> sum = to_bits<T>(x.shifted) - bits_batch<T>(bits_of(to_integer<T>) - 2 * format<T>::bias);
        const bits_batch<T> half = sum >> 1;
        return v * from_bits<T>(half << format<T>::mantissa) * from_bits<T>((sum - half) << format<T>::mantissa);
    }
}

/// k ln 2 + log(1 + f) + correction, 1 + f in [sqrt(1/2), sqrt(2)).
template <class T>
[[gnu::always_inline]] inline batch<T> log_reduced(const batch<T>& k, const batch<T>& f,
                                                   const batch<T>& correction) noexcept {
    using c = coefficients<T>;
    const batch<T> s = f / (f + batch<T>(T(2))), z = s * s;
    const batch<T> half_square = f * f * batch<T>(T(0.5));
    const batch<T> inner = kernels::fma(z, polynomial(z, c::logarithm), half_square);
    const batch<T> low = kernels::fma(s, inner, kernels::fma(k, batch<T>(c::ln2_low), correction));
    return kernels::fma(k, batch<T>(c::ln2_high), f - (half_square - low));
}

/// x = 2^k (1 + f), for positive normal x.
template <class T>
[[gnu::always_inline]] inline void split_exponent(const batch<T>& x, batch<T>& k, batch<T>& f) noexcept {
    using bits = typename format<T>::bits;
    constexpr bits root_half = bits_of(T(0.70710678118654752440));
    constexpr bits mask = (bits{1} << format<T>::mantissa) - 1;
    constexpr T magic = static_cast<T>(bits{1} << format<T>::mantissa);
    const bits_batch<T> u = to_bits<T>(x) + bits_batch<T>(bits_of(T(1)) - root_half);
    k = from_bits<T>((u >> format<T>::mantissa) | bits_batch<T>(bits_of(magic))) -
        batch<T>(magic + static_cast<T>(format<T>::bias));
    f = from_bits<T>((u & bits_batch<T>(mask)) + bits_batch<T>(root_half)) - batch<T>(T(1));
}

}  // namespace detail

/// The constant v, for a V that is a float, a double or a batch.
template <class V>
[[gnu::always_inline]] inline V number(double v) noexcept {
    if constexpr (std::floating_point<V>)
        return static_cast<V>(v);
    else
        return V(static_cast<typename V::value_type>(v));
}

/// where ? a : b, lane by lane.
template <class T>
[[gnu::always_inline]] inline batch<T> select(const batch_bool<T>& where,
                                              const batch<T>& a, const batch<T>& b) noexcept {
    return simd::select(where, a, b);
}
template <std::floating_point T>
constexpr T select(bool where, T a, T b) noexcept {
    return where ? a : b;
}

/// The larger of both; `b` where either is NaN. So max(limit, x) keeps a NaN in x.
template <class T>
[[gnu::always_inline]] inline batch<T> max(const batch<T>& a, const batch<T>& b) noexcept {
    return simd::max(a, b);
}
template <std::floating_point T>
constexpr T max(T a, T b) noexcept {
    return a > b ? a : b;
}

/// The smaller of both; `b` where either is NaN. So min(limit, x) keeps a NaN in x.
template <class T>
[[gnu::always_inline]] inline batch<T> min(const batch<T>& a, const batch<T>& b) noexcept {
    return simd::min(a, b);
}
template <std::floating_point T>
constexpr T min(T a, T b) noexcept {
    return a < b ? a : b;
}

/// Whether x is NaN, lane by lane. Never x != x: xsimd 8.1 compares that as ordered on AVX, so it is false for NaN.
template <class T>
[[gnu::always_inline]] inline batch_bool<T> is_nan(const batch<T>& x) noexcept {
    return simd::isnan(x);
}
template <std::floating_point T>
constexpr bool is_nan(T x) noexcept {
    return x != x;
}

/// The larger of both, NaN where either is: what a running maximum (`a`) becomes with the next element.
template <class T>
[[gnu::always_inline]] inline batch<T> running_max(const batch<T>& a, const batch<T>& next) noexcept {
    return simd::select(simd::isnan(next), next, simd::max(next, a));  // what waits for `a` is the maximum only
}
template <std::floating_point T>
constexpr T running_max(T a, T next) noexcept {
    return is_nan(next) ? next : next > a ? next : a;  // g++ would make a jump of one condition
}

/// The smaller of both, NaN where either is: as `running_max`.
template <class T>
[[gnu::always_inline]] inline batch<T> running_min(const batch<T>& a, const batch<T>& next) noexcept {
    return simd::select(simd::isnan(next), next, simd::min(next, a));
}
template <std::floating_point T>
constexpr T running_min(T a, T next) noexcept {
    return is_nan(next) ? next : next < a ? next : a;
}

template <class T>
[[gnu::always_inline]] inline batch<T> abs(const batch<T>& x) noexcept {
    return simd::abs(x);
}
template <std::floating_point T>
inline T abs(T x) noexcept {
    return std::abs(x);
}

template <class T>
[[gnu::always_inline]] inline batch<T> sqrt(const batch<T>& x) noexcept {
    return simd::sqrt(x);
}
template <std::floating_point T>
inline T sqrt(T x) noexcept {
    return std::sqrt(x);
}

/// |x| with the sign of `sign`.
template <class T>
[[gnu::always_inline]] inline batch<T> copysign(const batch<T>& x, const batch<T>& sign) noexcept {
    const batch<T> mask(T(-0.0));
    return simd::abs(x) | (sign & mask);
}
template <std::floating_point T>
inline T copysign(T x, T sign) noexcept {
    return std::copysign(x, sign);
}

/// e^x. Infinite from the first overflow on, zero from the last subnormal on.
template <class T>
inline batch<T> exp(const batch<T>& x) noexcept {
    using c = detail::coefficients<T>;
    const auto r = detail::reduce_exp<T>(
        simd::min(batch<T>(c::exponential_high), simd::max(batch<T>(c::exponential_low), x)));
    // Zero before it is scaled: to round a result to zero takes hundreds of cycles, and behind masks all are zero.
    const auto vanishes = x < batch<T>(c::exponential_low);
    return detail::scale_by_power<T>(simd::select(vanishes, batch<T>(T(0)), r.expm1 + batch<T>(T(1))), r);
}

/// Natural logarithm; log(0) = -infinity, NaN below.
template <class T>
inline batch<T> log(const batch<T>& x) noexcept {
    using limits = std::numeric_limits<T>;
    constexpr T up = static_cast<T>(typename detail::format<T>::bits{1} << detail::format<T>::mantissa);
    const auto subnormal = x < batch<T>(limits::min());
    batch<T> k, f;
    detail::split_exponent<T>(simd::select(subnormal, x * batch<T>(up), x), k, f);
    k = simd::select(subnormal, k - batch<T>(static_cast<T>(detail::format<T>::mantissa)), k);
    batch<T> y = detail::log_reduced<T>(k, f, batch<T>(T(0)));
    y = simd::select(x == batch<T>(T(0)), batch<T>(-limits::infinity()), y);
    y = simd::select(x < batch<T>(T(0)), batch<T>(limits::quiet_NaN()), y);
    return simd::select(x < batch<T>(limits::infinity()), y, x);
}

/// log(1 + x), exact to the last places for small x too; log1p(-1) = -infinity, NaN below.
template <class T>
inline batch<T> log1p(const batch<T>& x) noexcept {
    using limits = std::numeric_limits<T>;
    const batch<T> one(T(1)), zero(T(0));
    const batch<T> u = one + x;
    batch<T> k, f;
    detail::split_exponent<T>(u, k, f);
    // What 1 + x lost in rounding.
    const batch<T> lost = simd::select(x > one, one - (u - x), x - (u - one)) / u;
    const auto small = x > batch<T>(T(-0.2928)) && x < batch<T>(T(0.4142));
    const batch<T> y0 = detail::log_reduced<T>(simd::select(small, zero, k), simd::select(small, x, f),
                                               simd::select(small, zero, lost));
    batch<T> y = simd::select(x == zero, x, y0);
    y = simd::select(x == -one, batch<T>(-limits::infinity()), y);
    y = simd::select(x < -one, batch<T>(limits::quiet_NaN()), y);
    return simd::select(x < batch<T>(limits::infinity()), y, x);
}

/// Hyperbolic tangent, as (e^2|x| - 1) / (e^2|x| + 1).
template <class T>
inline batch<T> tanh(const batch<T>& x) noexcept {
    const batch<T> half(T(0.5)), a = simd::min(batch<T>(T(20)), simd::abs(x));
    const auto r = detail::reduce_exp<T, 2>(a);
    const batch<T> power = detail::power_of_two<T>(r);
    const batch<T> sinh = kernels::fma(power, r.expm1, kernels::fma(power, half, -half));  // times e^|x|
    return sinh / (sinh + batch<T>(T(1))) | (x & batch<T>(T(-0.0)));
}

/// 1 / (1 + e^-x), without overflow and with the subnormal end exact.
template <class T>
inline batch<T> sigmoid(const batch<T>& x) noexcept {
    const batch<T> one(T(1));
    const batch<T> e = kernels::exp<T>(-simd::abs(x));
    return simd::select(x < batch<T>(T(0)), e, one) / (one + e);
}

/// Gauss error function.
template <class T>
inline batch<T> erf(const batch<T>& x) noexcept {
    using c = detail::coefficients<T>;
    const batch<T> one(T(1));
    const batch<T> a = simd::abs(x);
    const batch<T> small = x * detail::polynomial<T>(x * x, c::erf_small);
    // 1 - exp(..), from 0 to 1, with the sign of x; the power is a normal number
    const auto rest = detail::reduce_exp<T>(
        detail::polynomial<T>(simd::min(batch<T>(c::erf_end), a) - batch<T>(c::erf_centre), c::erf_large));
    const batch<T> large = one - detail::scale_by_power<T>(rest.expm1 + one, rest);
    return simd::select(a < one, small, large | (x & batch<T>(T(-0.0))));
}

template <std::floating_point T>
inline T exp(T x) noexcept {
    return first_lane<T>(kernels::exp<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T log(T x) noexcept {
    return first_lane<T>(kernels::log<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T log1p(T x) noexcept {
    return first_lane<T>(kernels::log1p<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T tanh(T x) noexcept {
    return first_lane<T>(kernels::tanh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T sigmoid(T x) noexcept {
    return first_lane<T>(kernels::sigmoid<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T erf(T x) noexcept {
    return first_lane<T>(kernels::erf<T>(batch<T>(x)));
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop
