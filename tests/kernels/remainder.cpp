#include <bespoke/kernels/remainder.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

/// As Python and numpy define them, with the exact std::fmod.
template <class T>
T mod_by_hand(T a, T b) {
    const T r = std::fmod(a, b);
    if (r == 0) return std::copysign(T(0), b);
    return (r < 0) != (b < 0) ? r + b : r;
}
template <class T>
T floor_by_hand(T a, T b) {
    if (b == 0) return a / b;
    const T r = std::fmod(a, b);
    const T ratio = (a - r) / b - ((r != 0 && (r < 0) != (b < 0)) ? T(1) : T(0));
    if (ratio == 0) return std::copysign(T(0), a / b);
    const T whole = std::floor(ratio);
    return ratio - whole > T(0.5) ? whole + 1 : whole;
}
template <class T>
bool same(T a, T b) {
    return (std::isnan(a) && std::isnan(b)) || check::same_bits(&a, &b, 1);
}

}  // namespace

TEST_CASE("floor_mod and floor_divide: what Python gives", "[remainder]") {
    CHECK(kernels::floor_mod(5.0, 3.0) == 2);
    CHECK(kernels::floor_mod(-5.0, 3.0) == 1);
    CHECK(kernels::floor_mod(5.0, -3.0) == -1);
    CHECK(kernels::floor_mod(-5.0, -3.0) == -2);
    CHECK(kernels::floor_mod(5.5, 2.0) == 1.5);
    CHECK(kernels::floor_mod(1.0, 0.1) == 0.09999999999999995);
    CHECK(kernels::floor_divide(1.0, 0.1) == 9);
    CHECK(kernels::floor_divide(-5.0, 3.0) == -2);
    CHECK(kernels::floor_divide(5.0, -3.0) == -2);
    CHECK(kernels::floor_divide(-6.0, 3.0) == -2);
    CHECK(kernels::floor_divide(-1.0, check::infinity<double>) == -1);
    CHECK(kernels::floor_divide(1.0, 0.0) == check::infinity<double>);
    CHECK(std::isnan(kernels::floor_divide(0.0, 0.0)));
    CHECK(std::isnan(kernels::floor_mod(1.0, 0.0)));
    CHECK(kernels::floor_mod(-1.0, check::infinity<double>) == check::infinity<double>);
    CHECK(std::signbit(kernels::floor_mod(4.0, -2.0)));
}

TEMPLATE_TEST_CASE("floor_mod and floor_divide: against std::fmod", "[remainder]", float, double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    std::vector<T> values;
    for (T v : {T(0), limits::denorm_min(), limits::min(), T(0.1), T(0.5), T(1), T(3), T(7.25), T(1e6),
                T(1e7) + 1, limits::max(), check::infinity<T>, check::nan<T>})
        values.insert(values.end(), {v, -v});
    check::numbers next(7);
    for (int i = 0; i < 40; ++i) values.push_back(static_cast<T>(next() * std::exp2(12 * next())));
    for (int i = 1; i < 20; ++i) values.push_back(static_cast<T>(i) * T(0.1));
    for (T a : values)
        for (T b : values) {
            CAPTURE(a, b);
            CHECK(same(kernels::floor_mod(a, b), mod_by_hand(a, b)));
            CHECK(same(kernels::floor_divide(a, b), floor_by_hand(a, b)));
        }
}

TEMPLATE_TEST_CASE("floor_mod: one large quotient changes nothing for the others", "[remainder]", float,
                   double) {
    using T = TestType;
    using batch = kernels::batch<T>;
    check::array<T> a(kernels::lanes<T>, 1), b(kernels::lanes<T>, 2);
    const auto check_all = [&] {
        alignas(64) T got[batch::size];
        kernels::store<T>(got, kernels::floor_mod<T>(kernels::load<T>(a.data()), kernels::load<T>(b.data())));
        for (extent i = 0; i < kernels::lanes<T>; ++i) CHECK(same(got[i], mod_by_hand(a[i], b[i])));
    };
    check_all();
    a[1] = T(1e30);
    check_all();
}
