#include <bespoke/kernels/power.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

/// |pow(x, y) - the exact power| in units in the last place of T.
template <class T>
double error(T x, T y) {
    const long double exact = std::pow(static_cast<long double>(x), static_cast<long double>(y));
    const T got = kernels::pow(x, y), rounded = static_cast<T>(exact);
    if (std::isnan(rounded) || std::isnan(got)) return std::isnan(rounded) && std::isnan(got) ? 0 : 1e30;
    if (got == rounded) return std::abs(exact) > 1e-4000L && std::isfinite(got) ? 0.5 : 0;
    if (std::isinf(rounded) || std::isinf(got)) return 1e30;
    int exponent;
    std::frexp(rounded, &exponent);
    exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
    return static_cast<double>(std::abs(static_cast<long double>(got) - exact) /
                               std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits));
}

/// The largest error for bases and results from the smallest to the largest there are.
template <class T>
double worst(extent count) {
    using limits = std::numeric_limits<T>;
    check::numbers next(3);
    double most = 0;
    const double range = static_cast<double>(limits::max_exponent);
    for (extent i = 0; i < count; ++i) {
        const double lx = (i % 4 == 0 ? 0.01 : i % 4 == 1 ? 2 : range * 1.02) * next();
        const double ly = range * 1.08 * next() / (std::abs(lx) < 1e-300 ? 1 : lx);
        const T x = static_cast<T>(std::exp2(lx)), y = static_cast<T>(ly);
        if (!(x > 0) || std::isinf(x) || std::isinf(y)) continue;
        const double e = error(x, y);
        if (e > most) {
            UNSCOPED_INFO(x << "^" << y << " is " << kernels::pow(x, y) << ", error " << e);
            most = e;
        }
    }
    return most;
}

}  // namespace

TEMPLATE_TEST_CASE("pow: error", "[power]", float, double) {
    // std::pow of long double is the reference: its error is some 1e-3 of a place of double
    CHECK(worst<TestType>(400000) <= 1.3);
}

TEMPLATE_TEST_CASE("pow: whole numbers are exact", "[power]", float, double) {
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

TEMPLATE_TEST_CASE("pow: special cases as std::pow", "[power]", float, double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    const T big = std::ldexp(T(1), limits::digits + 1), odd = std::ldexp(T(1), limits::digits) - 1;
    std::vector<T> values;
    for (T v : {T(0), limits::denorm_min(), limits::min(), T(0.3), T(0.5), T(1) - limits::epsilon() / 2, T(1),
                T(1) + limits::epsilon(), T(1.5), T(2), T(2.5), T(3), T(4), odd, big, limits::max(),
                check::infinity<T>, check::nan<T>})
        values.insert(values.end(), {v, -v});
    for (T x : values)
        for (T y : values) {
            CAPTURE(x, y);
            const T got = kernels::pow(x, y), expected = std::pow(x, y);
            CHECK((std::isnan(got) == std::isnan(expected)));
            if (std::isnan(expected)) continue;
            CHECK(std::signbit(got) == std::signbit(expected));
            CHECK(error(x, y) <= 1.3);
        }
}

TEMPLATE_TEST_CASE("pow: a batch has the bits of its elements", "[power]", float, double) {
    using T = TestType;
    const extent n = kernels::lanes<T> * 4;
    check::array<T> x(n, 1), y(n, 2);
    x[0] = 0;
    x[1] = -2;
    y[1] = 3;
    for (extent i = 2; i < n; i += 2) x[i] = std::abs(x[i]);
    for (extent i = 0; i < n; i += kernels::lanes<T>) {
        alignas(64) T got[static_cast<std::size_t>(kernels::lanes<T>)];
        kernels::store<T>(got,
                          kernels::pow<T>(kernels::load<T>(x.data() + i), kernels::load<T>(y.data() + i)));
        for (extent k = 0; k < kernels::lanes<T>; ++k) {
            const T alone = kernels::pow(x[i + k], y[i + k]);
            CHECK(check::same_bits(&got[k], &alone, 1));
        }
    }
}
