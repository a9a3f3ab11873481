#include <bespoke/kernels/double_word.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;

namespace {

template <class T>
long double value(const kernels::double_word<T>& w) {
    return static_cast<long double>(kernels::first_lane<T>(w.high)) +
           static_cast<long double>(kernels::first_lane<T>(w.low));
}

}  // namespace

TEMPLATE_TEST_CASE("double_word: sums and products lose nothing", "", float, double) {
    using T = TestType;
    using B = kernels::batch<T>;
    check::numbers next(5);
    for (int i = 0; i < 1000; ++i) {
        const T a = static_cast<T>(next()), b = static_cast<T>(std::ldexp(next(), -9));
        const auto sum = kernels::ordered_sum<T>(B(a), B(b / 2));
        REQUIRE(kernels::first_lane<T>(sum.high) == a + b / 2);
        if (std::abs(a) >= std::abs(b / 2))
            REQUIRE(value(sum) == static_cast<long double>(a) + static_cast<long double>(b / 2));
        for (const auto& [p, q] : {std::pair(a, b), std::pair(b, a)}) {
            const auto both = kernels::exact_sum<T>(B(p), B(q));
            REQUIRE(kernels::first_lane<T>(both.high) == p + q);
            REQUIRE(value(both) == static_cast<long double>(p) + static_cast<long double>(q));
        }
        const auto product = kernels::exact_product<T>(B(a), B(b));
        const T high = kernels::first_lane<T>(product.high);
        REQUIRE(high == a * b);
        // long double holds the product of two floats; of two doubles fma gives what the product lost
        REQUIRE(kernels::first_lane<T>(product.low) == std::fma(a, b, -high));
    }
    const auto none = kernels::ordered_sum<T>(B(T(0)), B(T(3)));
    REQUIRE(kernels::first_lane<T>(none.high) == 3);
    REQUIRE(kernels::first_lane<T>(none.low) == 0);
}

TEMPLATE_TEST_CASE("double_word: c - a b where that cancels", "", float, double) {
    using T = TestType;
    using B = kernels::batch<T>;
    check::numbers next(6);
    for (int i = 0; i < 1000; ++i) {
        const T a = static_cast<T>(next() + 2), b = static_cast<T>(next() + 2), c = a * b;
        REQUIRE(kernels::first_lane<T>(kernels::minus_product<T>(B(c), B(a), B(b))) == std::fma(-a, b, c));
    }
}
