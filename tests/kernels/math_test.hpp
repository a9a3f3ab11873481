#pragma once

#include "check.hpp"

#include <bespoke/kernels/math.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>
#include <vector>

/// What tests of elementary functions share.
namespace check {

/// Arguments and the exact results wanted of them.
using points = std::vector<std::pair<double, double>>;
constexpr double inf = infinity<double>;

// One struct a function of kernels: what it is, the reference, its accuracy, and where it must be exact.
#define FUNCTION(name, reference, ulps, ...)                          \
    struct name##_facts {                                             \
        template <class V>                                            \
        static V compute(const V& x) {                                \
            return bespoke::kernels::name(x);                         \
        }                                                             \
        static long double exact(long double x) { return reference; } \
        static constexpr double tolerance = ulps;                     \
        static check::points exact_points() { return __VA_ARGS__; }   \
    }

/// The largest error at the elements of x, in units in the last place.
template <class Facts, class T>
double worst(const T* x, T& at) {
    constexpr auto w = bespoke::kernels::lanes<T>;
    alignas(64) T y[w];
    Facts::compute(bespoke::kernels::load(x)).store_aligned(y);
    double most = 0;
    for (bespoke::extent i = 0; i < w; ++i) {
        // Float: double is exact enough and faster. Double: the extra bits of long double.
        const auto exact = std::is_same_v<T, float>
                               ? static_cast<long double>(static_cast<double>(Facts::exact(x[i])))
                               : Facts::exact(x[i]);
        double error = ulp(y[i], static_cast<double>(exact));
        if (std::is_same_v<T, double> && error < 100 && std::isfinite(static_cast<double>(exact))) {
            int exponent;
            std::frexp(static_cast<double>(exact), &exponent);
            exponent = std::max(exponent, std::numeric_limits<double>::min_exponent);
            error = static_cast<double>(std::abs(y[i] - exact) / std::ldexp(1.0L, exponent - 53));
            if (!(error >= 0)) error = 0;
        }
        if (error > most) {
            most = error;
            at = x[i];
        }
    }
    return most;
}

/// Every 1009th bit pattern of a float: all exponents, both signs, subnormals, infinities and NaN.
template <class Facts>
void check_whole_range() {
    constexpr std::uint64_t step = 1009;
    double most = 0;
    float at = 0;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32);) {
        alignas(64) float x[lanes<float>];
        for (float& v : x) {
            v = std::bit_cast<float>(
                static_cast<std::uint32_t>(std::min(bits, (std::uint64_t{1} << 32) - 1)));
            bits += step;
        }
        float where = 0;
        const double error = worst<Facts>(x, where);
        if (error > most) {
            most = error;
            at = where;
        }
    }
    CAPTURE(at, most);
    CHECK(most <= Facts::tolerance);
}

/// Doubles of every magnitude.
template <class Facts>
void check_samples() {
    numbers next(1);
    double most = 0, at = 0;
    for (int i = 0; i < 100000; ++i) {
        alignas(64) double x[lanes<double>];
        for (double& v : x) v = std::ldexp(next(), static_cast<int>(next() * (i % 2 ? 12 : 1074)));
        double where = 0;
        const double error = worst<Facts>(x, where);
        if (error > most) {
            most = error;
            at = where;
        }
    }
    CAPTURE(at, most);
    CHECK(most <= Facts::tolerance);
}

template <class Facts, class T>
void check_special_values() {
    for (const auto& [x, expected] : Facts::exact_points()) {
        const T got = Facts::compute(static_cast<T>(x));
        CAPTURE(x, got);
        if (std::isnan(expected))
            CHECK(std::isnan(got));
        else {
            CHECK(got == static_cast<T>(expected));
            CHECK(std::signbit(got) == std::signbit(expected));
        }
    }
    CHECK(std::isnan(Facts::compute(nan<T>)));
}

/// A scalar gets the bits of a lane, wherever it is.
template <class Facts>
void check_lanes() {
    numbers next(2);
    for (int i = 0; i < 100; ++i) {
        alignas(64) float x[lanes<float>], y[lanes<float>];
        for (float& v : x) v = static_cast<float>(std::abs(8 * next()));
        Facts::compute(bespoke::kernels::load(x)).store_aligned(y);
        for (extent lane = 0; lane < lanes<float>; ++lane) {
            const float alone = Facts::compute(x[lane]);
            CAPTURE(x[lane]);
            REQUIRE(std::memcmp(&alone, &y[lane], sizeof alone) == 0);
        }
    }
}

/// Everything that is asked of an elementary function.
template <class Facts>
void check_function() {
    check_whole_range<Facts>();
    check_samples<Facts>();
    check_special_values<Facts, float>();
    check_special_values<Facts, double>();
    check_lanes<Facts>();
}

}  // namespace check
