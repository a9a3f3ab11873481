#pragma once

#include "angle.hpp"

#pragma GCC diagnostic push  // see math.hpp
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {

// Trigonometric functions and their inverses, in radians. Largest error over the whole range, however large the angle,
// in units in the last place of the result: sin and cos 1, tan 2.5, asin, acos and atan 2. NaN gives NaN, and so do
// infinite angles and what is outside the range of an inverse.

namespace detail {

template <class T>
struct trigonometric;
template <>
struct trigonometric<float> {
    // (sin(x) - x) / x^3 and (cos(x) - 1 + x^2 / 2) / x^4 in x^2, |x| <= pi / 4
    static constexpr float sine[] = {-0.166666538f, 0.00833213981f, -0.000195117245f};
    static constexpr float cosine[] = {0.0416666456f, -0.00138873106f, 2.44317071e-05f};
    // (asin(x) - x) / x^3 in x^2, |x| <= 1 / 2
    static constexpr float arcsine[] = {0.166667446f, 0.0749553517f, 0.0454460271f, 0.0242820419f,
                                        0.0420136191f};
    // (atan(x) - x) / x^3 in x^2, |x| <= tan(pi / 8)
    static constexpr float arctangent[] = {-0.333333194f, 0.19998616f, -0.142458349f, 0.106086209f,
                                           -0.0611163154f};
};
template <>
struct trigonometric<double> {
    static constexpr double sine[] = {-0.1666666666666663,     0.0083333333333217366,
                                      -0.00019841269829159601, 2.7557313440101275e-06,
                                      -2.5050715391143118e-08, 1.5894162926018395e-10};
    static constexpr double cosine[] = {0.041666666666666595,   -0.0013888888888873255,
                                        2.480158728884197e-05,  -2.7557314144812642e-07,
                                        2.0875692531507601e-09, -1.1357944856263809e-11};
    static constexpr double arcsine[] = {0.16666666666666705,   0.074999999999829786, 0.04464285716478588,
                                         0.03038194311983336,   0.022372204617653858, 0.017351781000823491,
                                         0.013978961152020321,  0.011413005349511132, 0.010706529731396181,
                                         0.0039679294331406373, 0.021106721890409418, -0.020192865043694726,
                                         0.032148646459307276};
    static constexpr double arctangent[] = {
        -0.33333333333333331,  0.19999999999998772,  -0.14285714285502055,  0.11111111094232122,
        -0.090909083349946643, 0.076922865795187478, -0.066662774928892193, 0.05877473376280188,
        -0.052210700276819164, 0.04513562593826035,  -0.03369116583222715,  0.015400860886298122};
};

/// The cosine of what an angle has beyond its quadrant in lanes that are `odd`, in the others the sine; `odd` may be
/// std::true_type or std::false_type, for all of them.
template <class T, class Odd>
[[gnu::always_inline]] inline batch<T> of_rest(const angle<T>& a, const Odd& odd) noexcept {
    using c = trigonometric<T>;
    static_assert(std::size(c::sine) == std::size(c::cosine));
    const batch<T> one(T(1)), r = a.high, square = r * r, half = square * batch<T>(T(0.5)), near_one = one - half;
    const auto either = [&](const batch<T>& if_odd, const batch<T>& if_even) __attribute__((always_inline)) {
        if constexpr (requires { Odd::value; })
            return Odd::value ? if_odd : if_even;
        else
            return kernels::select<T>(odd, if_odd, if_even);
    };
    const auto coefficient = [&](std::size_t i) __attribute__((always_inline)) {
        return either(batch<T>(c::cosine[i]), batch<T>(c::sine[i]));
    };
    constexpr std::size_t last = std::size(c::sine) - 1;
    batch<T> sum = coefficient(last);
    unroll<last>([&](std::size_t i) __attribute__((always_inline)) {
        sum = kernels::fma<T>(sum, square, coefficient(last - 1 - i));
    });
    const batch<T> low = either(kernels::fma<T>(r, -a.low, (one - near_one) - half), a.low);
    return either(near_one, r) + kernels::fma<T>(square * either(square, r), sum, low);
}

/// Whether the lowest bit is set, lane by lane.
template <class T>
[[gnu::always_inline]] inline batch_bool<T> is_odd(
    const bits_batch<T>& v) noexcept {
    const bits_batch<T> sign = v << (8 * static_cast<int>(sizeof(T)) - 1);
    return from_bits<T>(sign | bits_batch<T>(bits_of(T(1)))) < batch<T>(T(0));
}

/// The sine of an angle, times the sign of `sign`.
template <class T>
[[gnu::always_inline]] inline batch<T> sine_of(const angle<T>& a, const batch<T>& sign) noexcept {
    const batch<T> y = of_rest<T>(a, is_odd<T>(a.quadrant));
    const batch<T> half_turn = from_bits<T>(a.quadrant << (8 * static_cast<int>(sizeof(T)) - 2));
    return y ^ ((sign ^ half_turn) & batch<T>(T(-0.0)));
}

/// z of asin(x) = asin(sqrt(z)) or pi / 2 - 2 asin(sqrt(z)), z <= 1 / 4, and asin(sqrt(z)).
template <class T>
struct reduced_arcsine {
    batch_bool<T> large;
    batch<T> root, tail;  ///< asin(sqrt(z)) = root + tail
};
template <class T>
[[gnu::always_inline]] inline reduced_arcsine<T> reduce_arcsine(const batch<T>& a) noexcept {
    const batch<T> half(T(0.5));
    const auto large = a > half;
    const batch<T> square = kernels::select<T>(large, kernels::fma<T>(-half, a, half), a * a);
    const batch<T> root = kernels::select<T>(large, kernels::sqrt<T>(square), a);
    return {large, root, root * square * polynomial<T>(square, trigonometric<T>::arcsine)};
}

template <class T>
inline constexpr T right_high = right_angle<T>::parts[0];
template <class T>
inline constexpr T right_low = right_angle<T>::parts[1];

}  // namespace detail

template <class T>
inline batch<T> sin(const batch<T>& x) noexcept {
    return detail::sine_of<T>(reduce_angle<T>(kernels::abs<T>(x)), x);
}

template <class T>
inline batch<T> cos(const batch<T>& x) noexcept {
    auto a = reduce_angle<T>(kernels::abs<T>(x));
    a.quadrant = a.quadrant + detail::bits_batch<T>(1);
    return detail::sine_of<T>(a, batch<T>(T(0)));
}

template <class T>
inline batch<T> tan(const batch<T>& x) noexcept {
    const auto a = reduce_angle<T>(kernels::abs<T>(x));
    const batch<T> sine = detail::of_rest<T>(a, std::false_type{}), cosine = detail::of_rest<T>(a, std::true_type{});
    const auto odd = detail::is_odd<T>(a.quadrant);
    const batch<T> y = kernels::select<T>(odd, -cosine, sine) / kernels::select<T>(odd, sine, cosine);
    return y ^ (x & batch<T>(T(-0.0)));
}

/// From -pi / 2 to pi / 2; NaN outside -1 to 1.
template <class T>
inline batch<T> asin(const batch<T>& x) noexcept {
    const auto r = detail::reduce_arcsine<T>(kernels::abs<T>(x));
    const batch<T> small = r.root + r.tail, two(T(2)), low(detail::right_low<T>), high(detail::right_high<T>);
    const batch<T> large = high - (two * r.root - kernels::fma<T>(-two, r.tail, low));
    return kernels::copysign<T>(kernels::select<T>(r.large, large, small), x);
}

/// From 0 to pi; NaN outside -1 to 1.
template <class T>
inline batch<T> acos(const batch<T>& x) noexcept {
    const auto r = detail::reduce_arcsine<T>(kernels::abs<T>(x));
    const batch<T> zero(T(0)), two(T(2)), low(detail::right_low<T>), high(detail::right_high<T>);
    const batch<T> root = kernels::copysign<T>(r.root, x), tail = kernels::copysign<T>(r.tail, x);
    const batch<T> small = high - (root - (low - tail));
    const batch<T> twice = two * (r.root + r.tail);
    const batch<T> large = kernels::select<T>(x < zero, two * high - (twice - two * low), twice);
    return kernels::select<T>(r.large, large, small);
}

/// From -pi / 2 to pi / 2.
template <class T>
inline batch<T> atan(const batch<T>& x) noexcept {
    const batch<T> one(T(1)), zero(T(0)), a = kernels::abs<T>(x);
    const auto above_first = a > batch<T>(T(std::numbers::sqrt2 - 1));
    const auto above_second = a > batch<T>(T(std::numbers::sqrt2 + 1));
    // atan(a) = atan(t), pi / 4 + atan(t) or pi / 2 + atan(t)
    const batch<T> t = kernels::select<T>(above_second, -one, kernels::select<T>(above_first, a - one, a)) /
                       kernels::select<T>(above_second, a, kernels::select<T>(above_first, a + one, one));
    const batch<T> square = t * t;
    const batch<T> tail = t * square * detail::polynomial<T>(square, detail::trigonometric<T>::arctangent);
    const batch<T> part =
        kernels::select<T>(above_second, one, kernels::select<T>(above_first, batch<T>(T(0.5)), zero));
    const batch<T> rest = kernels::fma<T>(part, batch<T>(detail::right_low<T>), tail);
    return kernels::copysign<T>(part * batch<T>(detail::right_high<T>) + (t + rest), x);
}

template <std::floating_point T>
inline T sin(T x) noexcept {
    return first_lane<T>(kernels::sin<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T cos(T x) noexcept {
    return first_lane<T>(kernels::cos<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T tan(T x) noexcept {
    return first_lane<T>(kernels::tan<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T asin(T x) noexcept {
    return first_lane<T>(kernels::asin<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T acos(T x) noexcept {
    return first_lane<T>(kernels::acos<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T atan(T x) noexcept {
    return first_lane<T>(kernels::atan<T>(batch<T>(x)));
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop
