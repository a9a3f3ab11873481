#pragma once

#include "simd.hpp"

namespace bespoke::kernels {

/// A number as the sum of two, the second of which is what the first lost in rounding.
template <class T>
struct double_word {
    batch<T> high, low;
};

/// a + b exactly, where |a| >= |b| or a = 0.
template <class T>
[[gnu::always_inline]] inline double_word<T> ordered_sum(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> high = a + b;
    return {high, (a - high) + b};
}

/// a + b exactly (Knuth, "The Art of Computer Programming", 4.2.2).
template <class T>
[[gnu::always_inline]] inline double_word<T> exact_sum(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> high = a + b, of_b = high - a;
    return {high, (a - (high - of_b)) + (b - of_b)};
}

/// a * b exactly, where no part of it leaves the range of T. Without a machine's fma in Dekker's way, with factors
/// halved by Veltkamp's (Dekker, "A floating-point technique for extending the available precision", 1971).
template <class T>
[[gnu::always_inline]] inline double_word<T> exact_product(const batch<T>& a, const batch<T>& b) noexcept {
    const batch<T> high = in_register<T>(a * b);  // or the compiler fuses it into the sum where it is used
    if constexpr (has_fma) {
        return {high, kernels::fma<T>(a, b, -high)};
    } else {
        const auto upper = [](const batch<T>& v) {
            const batch<T> c = v * batch<T>(T(std::is_same_v<T, float> ? 4097 : 134217729));
            return c - (c - v);
        };
        const batch<T> a1 = upper(a), b1 = upper(b), a2 = a - a1, b2 = b - b1;
        return {high, a2 * b2 - (((high - a1 * b1) - a2 * b1) - a1 * b2)};
    }
}

/// c - a b. Exact where the result is a number of T and c and a b are near each other; else rounded once or twice.
template <class T>
[[gnu::always_inline]] inline batch<T> minus_product(const batch<T>& c, const batch<T>& a,
                                                     const batch<T>& b) noexcept {
    if constexpr (has_fma) {
        return kernels::fma<T>(a, -b, c);
    } else {
        const double_word<T> p = exact_product<T>(a, b);
        return (c - p.high) - p.low;
    }
}

}  // namespace bespoke::kernels
