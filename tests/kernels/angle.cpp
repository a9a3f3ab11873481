#include <bespoke/kernels/angle.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;

namespace {

/// Checks the rest and the quadrant by what long double says of sine and cosine, which hold for angles of any size.
template <class T>
void check_angle(T x) {
    const auto a = kernels::reduce_angle<T>(kernels::batch<T>(x));
    const long double high = kernels::first_lane<T>(a.high), low = kernels::first_lane<T>(a.low);
    alignas(64) typename kernels::detail::format<T>::bits quadrant[kernels::lanes<T>];
    a.quadrant.store_aligned(quadrant);
    const long double sine = std::sin(static_cast<long double>(x)),
                      cosine = std::cos(static_cast<long double>(x));
    const long double expected[] = {std::atan2(sine, cosine), std::atan2(-cosine, sine),
                                    std::atan2(-sine, -cosine), std::atan2(cosine, -sine)};
    const long double rest = expected[quadrant[0] % 4];
    const bool right =
        std::abs(high) <= 0.79L &&
        std::abs(low) <= std::abs(high) * static_cast<long double>(std::numeric_limits<T>::epsilon()) +
                             (std::is_same_v<T, float> ? 0x1p-34L : 0x1p-67L) &&
        std::abs(high + low - rest) <= std::abs(rest) * (std::is_same_v<T, float> ? 0x1p-33L : 0x1p-61L);
    if (!right)  // what REQUIRE writes of each angle takes far longer than the angle
        FAIL("of " << x << ": " << high << " + " << low << ", quadrant " << quadrant[0] % 4 << " in place of " << rest);
}

}  // namespace

TEST_CASE("angle: floats of every size, and those nearest to right angles") {
    check::numbers next(3);
    for (int i = 0; i < 20000; ++i)
        check_angle(static_cast<float>(std::ldexp(1.5 + next() / 2, i % 256 - 128)));
    for (int k = 1; k < 60000; k += k < 200 ? 1 : 7)
        for (float side : {-1.0f, 1.0f}) {
            const float x = static_cast<float>(k * 1.57079632679489661923);
            check_angle(x);
            check_angle(std::nextafter(x, side * 1e30f));
        }
}

TEST_CASE("angle: doubles of every size, and those nearest to right angles") {
    check::numbers next(4);
    for (int i = 0; i < 20000; ++i) check_angle(std::ldexp(1.5 + next() / 2, i % 2047 - 1023));
    for (int k = 1; k < 60000; k += 7) {
        check_angle(k * 1.57079632679489661923);
        check_angle(std::ldexp(k * 1.57079632679489661923, k % 1000));
    }
    check_angle(6381956970095103.0 * 0x1p797);  // the double nearest to a whole number of right angles
    check_angle(std::numeric_limits<double>::max());
}

TEMPLATE_TEST_CASE("angle: does not depend on its neighbours", "", float, double) {
    using T = TestType;
    constexpr auto lanes = kernels::lanes<T>;
    alignas(64) T x[lanes], together[2][lanes], alone[2][lanes];
    for (bespoke::extent i = 0; i < lanes; ++i) {
        const T sizes[] = {T(0.3), T(200), T(3e4), T(2e6), T(1e12), check::infinity<T>};
        x[i] = sizes[i % 6] + static_cast<T>(i) / 4;
        const auto a = kernels::reduce_angle<T>(kernels::batch<T>(x[i]));
        alone[0][i] = kernels::first_lane<T>(a.high);
        alone[1][i] = kernels::first_lane<T>(a.low);
    }
    const auto a = kernels::reduce_angle<T>(kernels::batch<T>::load_aligned(x));
    a.high.store_aligned(together[0]);
    a.low.store_aligned(together[1]);
    for (bespoke::extent i = 0; i < lanes; ++i)
        for (int part = 0; part < 2; ++part)
            CHECK((together[part][i] == alone[part][i] || std::isnan(alone[0][i])));
}

TEST_CASE("angle: infinite and NaN") {
    for (double x : {check::infinity<double>, check::nan<double>}) {
        CHECK(std::isnan(
            kernels::first_lane<double>(kernels::reduce_angle<double>(kernels::batch<double>(x)).high)));
        const auto f = static_cast<float>(x);
        CHECK(std::isnan(
            kernels::first_lane<float>(kernels::reduce_angle<float>(kernels::batch<float>(f)).high)));
    }
}
