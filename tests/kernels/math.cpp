#include <bespoke/kernels/math.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;

namespace {

// One struct a function: what it is, the reference, its accuracy, and where it must be exact.
#define FUNCTION(name, reference, ulps, ...)                                                 \
    struct name##_facts {                                                                    \
        template <class V>                                                                   \
        static V compute(const V& x) {                                                       \
            return kernels::name(x);                                                         \
        }                                                                                    \
        static long double exact(long double x) { return reference; }                        \
        static constexpr double tolerance = ulps;                                            \
        static std::vector<std::pair<double, double>> exact_points() { return __VA_ARGS__; } \
    }
constexpr double inf = std::numeric_limits<double>::infinity();
using points = std::vector<std::pair<double, double>>;

FUNCTION(exp, std::exp(x), 1.1, points{{0, 1}, {-0.0, 1}, {inf, inf}, {-inf, 0}, {1000, inf}, {-1000, 0}});
FUNCTION(log, std::log(x), 1.0, points{{1, 0}, {0, -inf}, {-0.0, -inf}, {inf, inf}, {-1, NAN}, {-inf, NAN}});
FUNCTION(log1p, std::log1p(x), 1.0,
         points{{0, 0}, {-0.0, -0.0}, {-1, -inf}, {inf, inf}, {-2, NAN}, {-inf, NAN}, {1e-30, 1e-30}});
FUNCTION(tanh, std::tanh(x), 2.5, points{{0, 0}, {-0.0, -0.0}, {inf, 1}, {-inf, -1}, {100, 1}, {-100, -1}});
FUNCTION(sigmoid, 1 / (1 + std::exp(-x)), 2.5, points{{0, 0.5}, {inf, 1}, {-inf, 0}, {200, 1}, {-1000, 0}});
FUNCTION(erf, std::erf(x), 3.0, points{{0, 0}, {-0.0, -0.0}, {inf, 1}, {-inf, -1}, {10, 1}, {-10, -1}});
FUNCTION(sqrt, std::sqrt(x), 0.501, points{{0, 0}, {-0.0, -0.0}, {4, 2}, {inf, inf}, {-1, NAN}});
#undef FUNCTION

/// The largest error at the elements of x, in units in the last place.
template <class Facts, class T>
double worst(const T* x, T& at) {
    constexpr auto w = kernels::lanes<T>;
    alignas(64) T y[w];
    Facts::compute(kernels::load(x)).store_aligned(y);
    double most = 0;
    for (bespoke::extent i = 0; i < w; ++i) {
        // Float: double is exact enough and faster. Double: the extra bits of long double.
        const auto exact = std::is_same_v<T, float>
                               ? static_cast<long double>(static_cast<double>(Facts::exact(x[i])))
                               : Facts::exact(x[i]);
        double error = check::ulp(y[i], static_cast<double>(exact));
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

}  // namespace

TEMPLATE_TEST_CASE("math: float over the whole range", "[math]", exp_facts, log_facts, log1p_facts,
                   tanh_facts, sigmoid_facts, erf_facts, sqrt_facts) {
    // Every 1009th bit pattern: all exponents, both signs, subnormals, infinities and NaN.
    constexpr std::uint64_t step = 1009;
    double most = 0;
    float at = 0;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32);) {
        alignas(64) float x[kernels::lanes<float>];
        for (float& v : x) {
            v = std::bit_cast<float>(
                static_cast<std::uint32_t>(std::min(bits, (std::uint64_t{1} << 32) - 1)));
            bits += step;
        }
        float where = 0;
        const double error = worst<TestType>(x, where);
        if (error > most) {
            most = error;
            at = where;
        }
    }
    CAPTURE(at);
    CHECK(most <= TestType::tolerance);
}

TEMPLATE_TEST_CASE("math: double on samples of every magnitude", "[math]", exp_facts, log_facts, log1p_facts,
                   tanh_facts, sigmoid_facts, erf_facts, sqrt_facts) {
    check::numbers next(1);
    double most = 0, at = 0;
    for (int i = 0; i < 100000; ++i) {
        alignas(64) double x[kernels::lanes<double>];
        for (double& v : x) v = std::ldexp(next(), static_cast<int>(next() * (i % 2 ? 12 : 1074)));
        double where = 0;
        const double error = worst<TestType>(x, where);
        if (error > most) {
            most = error;
            at = where;
        }
    }
    CAPTURE(at);
    CHECK(most <= TestType::tolerance);
}

TEMPLATE_TEST_CASE("math: special values", "[math]", exp_facts, log_facts, log1p_facts, tanh_facts,
                   sigmoid_facts, erf_facts, sqrt_facts) {
    const auto check_in = [](auto zero) {
        using T = decltype(zero);
        for (const auto& [x, expected] : TestType::exact_points()) {
            const T got = TestType::compute(static_cast<T>(x));
            CAPTURE(x, got);
            if (std::isnan(expected))
                CHECK(std::isnan(got));
            else {
                CHECK(got == static_cast<T>(expected));
                CHECK(std::signbit(got) == std::signbit(expected));
            }
        }
        CHECK(std::isnan(TestType::compute(check::nan<T>)));
    };
    check_in(0.0f);
    check_in(0.0);
}

TEMPLATE_TEST_CASE("math: a scalar gets the bits of a lane, wherever it is", "[math]", exp_facts, log_facts,
                   log1p_facts, tanh_facts, sigmoid_facts, erf_facts, sqrt_facts) {
    check::numbers next(2);
    for (int i = 0; i < 100; ++i) {
        alignas(64) float x[kernels::lanes<float>], y[kernels::lanes<float>];
        for (float& v : x) v = static_cast<float>(std::abs(8 * next()));
        TestType::compute(kernels::load(x)).store_aligned(y);
        for (bespoke::extent lane = 0; lane < kernels::lanes<float>; ++lane)
            REQUIRE(TestType::compute(x[lane]) == y[lane]);
    }
}

TEMPLATE_TEST_CASE("math: arithmetic means the same for scalars and batches", "[math]", float, double) {
    using T = TestType;
    using B = kernels::batch<T>;
    const T values[] = {T(-2), T(-0.0), T(0), T(1.5), check::infinity<T>, -check::infinity<T>, check::nan<T>};
    const auto same = [](T a, T b) {
        return a == b ? std::signbit(a) == std::signbit(b) || a == 0 : a != a && b != b;
    };
    for (T a : values)
        for (T b : values) {
            CAPTURE(a, b);
            CHECK(same(kernels::first_lane<T>(kernels::max<T>(B(a), B(b))), kernels::max(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::min<T>(B(a), B(b))), kernels::min(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::select<T>(B(a) < B(b), B(a), B(b))),
                       kernels::select(a < b, a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::copysign<T>(B(a), B(b))), kernels::copysign(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::abs<T>(B(a))), kernels::abs(a)));
        }
    for (T a : values)
        for (T b : values) {
            const T expected = std::isnan(a) || std::isnan(b) ? check::nan<T> : std::max(a, b);
            CHECK(same(kernels::running_max(a, b), expected));
            CHECK(same(kernels::first_lane<T>(kernels::running_max<T>(B(a), B(b))), expected));
            const T smaller = std::isnan(a) || std::isnan(b) ? check::nan<T> : std::min(a, b);
            CHECK(same(kernels::running_min(a, b), smaller));
            CHECK(same(kernels::first_lane<T>(kernels::running_min<T>(B(a), B(b))), smaller));
            CHECK(kernels::is_nan(a) == std::isnan(a));
            CHECK(xsimd::all(kernels::is_nan<T>(B(a))) == std::isnan(a));
        }
    CHECK(std::isnan(kernels::max(T(0), check::nan<T>)));
    CHECK(kernels::max(check::nan<T>, T(0)) == T(0));
    CHECK(std::isnan(kernels::min(T(0), check::nan<T>)));
}
