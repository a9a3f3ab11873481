#pragma once

#include "double_word.hpp"
#include "math.hpp"

#include <numbers>

namespace bespoke::kernels {

/// An angle from 0 up as quadrant * pi / 2 + high + low, |high| at most a little more than pi / 4. `low` is what `high`
/// lost in rounding, and up to 2^-34 (float), 2^-67 (double) more. Of the quadrant only the lowest two bits count.
template <class T>
struct angle {
    batch<T> high, low;
    detail::bits_batch<T> quadrant;
};

namespace detail {

template <class T>
struct right_angle;
template <>
struct right_angle<float> {
    static constexpr float parts[] = {0x1.921fb6p+0f, -0x1.777a5cp-25f, -0x1.ee59dap-50f};  // of pi / 2
    static constexpr float short_parts[] = {0x1.921fb6p+0f, -0x1.777ap-25f, -0x1.73dcb4p-43f};
    static constexpr float near = 0x1p8f, wide = 0x1p16f;
};
template <>
struct right_angle<double> {
    static constexpr double parts[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
    static constexpr double short_parts[] = {0x1.921fb54442d18p+0, 0x1.1a626331p-54, 0x1.1701b839a252p-88};
    static constexpr double near = 0x1p20, wide = 0x1p30;
};

/// Binary digits of 2 / pi, as many as the largest double asks for, behind 64 digits 0.
inline constexpr std::uint32_t two_over_pi[] = {
    0,           0,           0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u,
    0xfe5163abu, 0xdebbc561u, 0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu,
    0xe88235f5u, 0x2ebb4484u, 0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu,
    0x1ff897ffu, 0xde05980fu, 0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du,
    0x7527bac7u, 0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u};

struct far_angle {
    double high, low;
    unsigned quadrant;
};

/// One angle of any size from 1 up; NaN where it is not finite. Payne and Hanek, "Radian reduction for trigonometric
/// functions", SIGNUM Newsletter 18, 1983: only those digits of 2 / pi are multiplied that make no whole turn and are
/// not below what counts.
[[gnu::noinline]] inline far_angle reduce_far(double x) noexcept {
    if (!(x <= std::numeric_limits<double>::max())) return {x - x, 0, 0};
    const std::uint64_t bits = bits_of(x),
                        number = (bits & ((std::uint64_t{1} << 52) - 1)) | (std::uint64_t{1} << 52);
    const int exponent = static_cast<int>(bits >> 52) - 1075;  // x = number * 2^exponent
    // 192 digits, from that on which makes less than a turn: digit i stands for 2^(exponent - i - 1) right angles
    const int first = exponent - 2 + 64;
    constexpr int words = 6;
    std::uint32_t digits[words], product[words]{};  // the most significant word first
    for (int i = 0; i < words; ++i) {
        const int word = first / 32 + i, shift = first % 32;
        digits[i] = shift == 0 ? two_over_pi[word]
                               : two_over_pi[word] << shift | two_over_pi[word + 1] >> (32 - shift);
    }
    for (int half = 0; half < 2; ++half) {
        const std::uint64_t factor = half == 0 ? number & 0xffffffffu : number >> 32;
        std::uint64_t carry = 0;
        for (int i = words - 1; i - half >= 0; --i) {
            carry += factor * digits[i] + product[i - half];
            product[i - half] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
    }
    // what does not fit in is whole turns; two digits are before the point
    unsigned quadrant = product[0] >> 30;
    for (int i = 0; i < words; ++i) product[i] = product[i] << 2 | (i + 1 < words ? product[i + 1] >> 30 : 0);
    const bool negative = product[0] >> 31 != 0;
    if (negative) ++quadrant;
    double high = 0, low = 0, unit = 0x1p-32;
    for (int i = 0; i < words; ++i, unit *= 0x1p-32) {
        const double part = static_cast<double>(negative ? ~product[i] : product[i]) * unit,
                     sum = high + part;
        low += part - (sum - high);
        high = sum;
    }
    const double right = right_angle<double>::parts[0], sign = negative ? -1 : 1;
    // Not by std::fma: MinGW's is not exact.
    const double_word<double> exact = exact_product<double>(batch<double>(high), batch<double>(right));
    const double most = first_lane<double>(exact.high),
                 rest = first_lane<double>(exact.low) + (low * right + high * right_angle<double>::parts[1]),
                 sum = most + rest;
    return {sign * sum, sign * (rest - (sum - most)), quadrant};
}

/// Puts into `a` those lanes of x that are far.
template <class T>
[[gnu::noinline]] void replace_far(const batch<T>& x, angle<T>& a) noexcept {
    using bits = typename format<T>::bits;
    alignas(64) T from[lanes<T>], high[lanes<T>], low[lanes<T>];
    alignas(64) bits quadrant[lanes<T>];
    x.store_aligned(from);
    a.high.store_aligned(high);
    a.low.store_aligned(low);
    a.quadrant.store_aligned(quadrant);
    for (extent i = 0; i < lanes<T>; ++i) {
        if (from[i] < right_angle<T>::wide) continue;
        const far_angle far = reduce_far(static_cast<double>(from[i]));
        high[i] = static_cast<T>(far.high);
        low[i] = static_cast<T>((far.high - static_cast<double>(high[i])) + far.low);
        quadrant[i] = static_cast<bits>(far.quadrant);
    }
    a.high = batch<T>::load_aligned(high);
    a.low = batch<T>::load_aligned(low);
    a.quadrant = bits_batch<T>::load_aligned(quadrant);
}

/// The nearest multiple of pi / 2.
template <class T>
struct right_angles {
    batch<T> count;
    bits_batch<T> quadrant;
};
template <class T>
[[gnu::always_inline]] inline right_angles<T> nearest_right_angle(const batch<T>& x) noexcept {
    const batch<T> magic(static_cast<T>(typename format<T>::bits{3} << (format<T>::mantissa - 1)));
    const batch<T> shifted = kernels::fma<T>(x, batch<T>(T(2 * std::numbers::inv_pi)), magic);
    return {shifted - magic, to_bits<T>(shifted)};
}

/// Puts into `a` those lanes of x that are not near.
template <class T>
[[gnu::noinline]] void replace_wide(const batch<T>& x, angle<T>& a) noexcept {
    using right = right_angle<T>;
    const auto [k, quadrant] = nearest_right_angle<T>(x);
    const batch<T> first = minus_product<T>(x, k, batch<T>(right::parts[0]));
    const double_word<T> p = exact_product<T>(k, batch<T>(right::parts[1])), rest = exact_sum<T>(first, -p.high);
    const double_word<T> sum =
        ordered_sum<T>(rest.high, kernels::fma<T>(k, batch<T>(-right::parts[2]), rest.low - p.low));
    const auto near = x < batch<T>(right::near);
    a.high = select<T>(near, a.high, sum.high);
    a.low = select<T>(near, a.low, sum.low);  // the quadrant is the same
    if (!simd::all(x < batch<T>(right::wide))) replace_far<T>(x, a);
}

}  // namespace detail

/// The angle x >= 0, however large, with an error far below one unit in the last place of `high`. NaN where x is
/// infinite or NaN. Cody and Waite's reduction in three parts: up to 2^8 (float), 2^20 (double) of so few digits that
/// products with the second one are exact, then of all; Payne and Hanek's from 2^16 (float), 2^30 (double) on.
template <class T>
[[gnu::always_inline]] inline angle<T> reduce_angle(const batch<T>& x) noexcept {
    using right = detail::right_angle<T>;
    const auto [k, quadrant] = detail::nearest_right_angle<T>(x);
    const batch<T> first = minus_product<T>(x, k, batch<T>(right::short_parts[0])),
                   second = k * batch<T>(right::short_parts[1]), high = first - second;
    // Exact: either `first` is the larger one, or all three have so few digits that nothing is lost.
    const batch<T> lost = (first - high) - second;
    angle<T> a{high, kernels::fma<T>(k, batch<T>(-right::short_parts[2]), lost), quadrant};
    if (!simd::all(x < batch<T>(right::near))) [[unlikely]] {
        const batch<T> in_memory = x;  // here alone: else it would be in memory in each call
        angle<T> replaced = a;
        detail::replace_wide<T>(in_memory, replaced);
        a = replaced;
    }
    return a;
}

}  // namespace bespoke::kernels
