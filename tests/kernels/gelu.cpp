#include <bespoke/kernels/gelu.hpp>

#include "math_test.hpp"

namespace kernels = bespoke::kernels;

namespace {

using check::inf;

long double exact(long double x) { return x * std::erfc(-x / std::sqrt(2.0L)) / 2; }

/// Steps of 2^-14 from -16 to 16, and each exponent below.
template <class T, class Body>
void each_argument(const Body& body) {
    for (int i = -(1 << 18); i <= 1 << 18; ++i) body(std::ldexp(static_cast<T>(i), -14));
    for (int exponent = -149; exponent < 10; ++exponent)
        for (T sign : {T(1), T(-1)}) body(sign * std::ldexp(T(1.37), exponent));
}

}  // namespace

TEMPLATE_TEST_CASE("gelu: accuracy, special values, scalars and lanes", "[gelu]", float, double) {
    using T = TestType;
    const long double unit = std::numeric_limits<T>::epsilon();
    each_argument<T>([&](T x) {
        const T y = kernels::gelu(x);
        const auto error = std::abs(static_cast<long double>(y) - exact(x));
        auto allowed = (std::is_same_v<T, float> ? 1 : 2) * unit;
        if (x > -1) {
            int exponent = 0;
            std::frexp(static_cast<double>(y), &exponent);
            allowed = std::max((x < 0 ? 4 : 3) * std::ldexp(unit, exponent - 1),
                               static_cast<long double>(std::numeric_limits<T>::denorm_min()));
        }
        if (!(error <= allowed)) FAIL("gelu(" << x << ") is no " << y);
    });
    REQUIRE(kernels::gelu(T(inf)) == T(inf));
    REQUIRE(kernels::gelu(T(-inf)) == 0);
    REQUIRE(kernels::gelu(T(-1e30)) == 0);
    REQUIRE(kernels::gelu(T(1e30)) == T(1e30));
    REQUIRE(std::isnan(kernels::gelu(check::nan<T>)));
    for (T zero : {T(0), T(-0.0)}) REQUIRE(std::signbit(kernels::gelu(zero)) == std::signbit(zero));

    alignas(64) T x[kernels::lanes<T>], y[kernels::lanes<T>];
    for (bespoke::extent i = 0; i < kernels::lanes<T>; ++i) x[i] = T(0.7) * static_cast<T>(i - 3);
    kernels::gelu(kernels::load(x)).store_aligned(y);
    for (bespoke::extent i = 0; i < kernels::lanes<T>; ++i) REQUIRE(y[i] == kernels::gelu(x[i]));
}
