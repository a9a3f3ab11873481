#include <bespoke/kernels/power.hpp>

#include "math_test.hpp"

namespace kernels = bespoke::kernels;

namespace {

using check::inf;
using check::points;

FUNCTION(
    exp2, std::exp2(x), 1.2,
    points{
        {0, 1}, {-0.0, 1}, {1, 2}, {-3, 0.125}, {10, 1024}, {inf, inf}, {-inf, 0}, {5000, inf}, {-5000, 0}});

FUNCTION(rsqrt, 1 / std::sqrt(x), 1.5,
         points{{1, 1}, {4, 0.5}, {0.25, 2}, {1e30, 1e-15}, {0, inf}, {-0.0, -inf}, {inf, 0}});

/// The largest error of x^y over random x and y of many sizes, in units in the last place.
template <class T>
double worst_power(int count) {
    check::numbers next(7);
    double most = 0;
    for (int i = 0; i < count; ++i) {
        const double size = std::ldexp(1.5 + next() / 2, static_cast<int>(next() * (i % 3 ? 4 : 120)));
        const T x = static_cast<T>(size);
        // so that the result is a number of T more often than not
        const double reach = std::is_same_v<T, float> ? 88 : 709;
        const T y =
            static_cast<T>(next() * reach / std::max(std::abs(std::log(static_cast<double>(x))), 1e-12));
        const long double exact = std::pow(static_cast<long double>(x), static_cast<long double>(y));
        if (!(static_cast<double>(exact) < static_cast<double>(std::numeric_limits<T>::max()))) continue;
        const T got = kernels::pow(x, y);
        int exponent;
        std::frexp(static_cast<T>(exact), &exponent);
        exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
        const double error = static_cast<double>(std::abs(static_cast<long double>(got) - exact) /
                                                 std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits));
        if (!(error < 3)) FAIL(x << "^" << y << " is no " << got);
        most = std::max(most, error);
    }
    return most;
}

}  // namespace

TEST_CASE("exp2: accuracy, special values, scalars and lanes", "[math]") {
    check::check_function<exp2_facts>();
}

TEST_CASE("rsqrt: accuracy, special values, scalars and lanes", "[math]") {
    check::check_function<rsqrt_facts>();
    CHECK(std::isnan(kernels::rsqrt(-1.0F)));
    CHECK(std::isnan(kernels::rsqrt(-inf)));
}

TEST_CASE("pow: accuracy", "[math]") {
    CHECK(worst_power<float>(300000) <= 1.5);
    CHECK(worst_power<double>(300000) <= 1.5);
}

TEMPLATE_TEST_CASE("pow: special values are those of std::pow", "[math]", float, double) {
    using T = TestType;
    const T tiny = std::numeric_limits<T>::denorm_min(), large = std::numeric_limits<T>::max();
    const T most = check::infinity<T>;
    const std::vector<T> values{
        0,    T(-0.0), 1,     -1,     2,     -2,     3,       -3,    T(0.5), T(-0.5), T(1.5),       T(-1.5),
        tiny, -tiny,   large, -large, 1e10F, -1e10F, 8388609, 65536, most,   -most,   check::nan<T>};
    for (T x : values)
        for (T y : values) {
            const T expected = std::pow(x, y), got = kernels::pow(x, y);
            CAPTURE(x, y, expected, got);
            if (std::isnan(expected)) {
                CHECK(std::isnan(got));
            } else {
                CHECK(check::ulp(got, static_cast<double>(expected)) <= 2);
                CHECK(std::signbit(got) == std::signbit(expected));
            }
        }
}

TEMPLATE_TEST_CASE("pow: whole numbers are exact", "[math]", float, double) {
    using T = TestType;
    for (int x = -20; x <= 20; ++x) {
        T product = 1;
        for (int n = 0; n <= 5; ++n, product *= static_cast<T>(x))
            CHECK(kernels::pow(static_cast<T>(x), static_cast<T>(n)) == product);
    }
    CHECK(kernels::pow(T(2), T(-3)) == T(0.125));
    CHECK(kernels::pow(T(-2), T(-3)) == T(-0.125));
    CHECK(kernels::pow(T(6.25), T(0.5)) == T(2.5));
}
