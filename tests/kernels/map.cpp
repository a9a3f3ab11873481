#include <bespoke/kernels/map.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// x^2 + x, with a derivative that uses both x and y.
struct curve {
    template <class V>
    V operator()(const V& x) const {
        return kernels::fma(x, x, x);
    }
    template <class V>
    V derivative(const V& x, const V& y) const {
        return kernels::fma(V(2), x, V(1)) + (y - y);
    }
};

}  // namespace

TEMPLATE_TEST_CASE("map: forward and backward, in place and at any alignment", "[map]", float, double) {
    using T = TestType;
    const curve f;
    for (extent offset : {0, 1, 3})
        for (extent n : check::sizes<T>()) {
            const array<T> x(n, 1, offset), dy(n, 2, offset);
            array<T> y(n, 3, offset), in_place = x, dx(n, 4, offset);
            const array<T> held = dx;
            kernels::map(n, f, x.data(), y.data());
            kernels::map(n, f, in_place.data(), in_place.data());
            kernels::map_backward(n, f, x.data(), y.data(), dy.data(), dx.data());
            CHECK(y.intact());
            CHECK(dx.intact());
            CHECK(check::same_bits(y, in_place));
            array<T> slope = held;
            kernels::map_backward(n, f, x.data(), y.data(), slope.data(), slope.data());
            CHECK(slope.intact());
            for (extent i = 0; i < n; ++i) {
                REQUIRE(y[i] == f(x[i]));
                REQUIRE(slope[i] == held[i] * f.derivative(x[i], y[i]));
                REQUIRE(dx[i] == kernels::fma(dy[i], f.derivative(x[i], y[i]), held[i]));
            }
        }
}

TEMPLATE_TEST_CASE("map: rows get the bits of a call for each, what lies between them stays", "[map]", float, double) {
    for (extent rows : {0, 1, 4})
        for (extent n : {0, 1, 7, 32, 33}) {
            const extent stride = n + 5;
            const array<TestType> x(rows * stride, 1);
            array<TestType> y(rows * stride, 2), expected = y;
            kernels::map_rows(rows, n, stride, curve{}, x.data(), y.data());
            for (extent i = 0; i < rows; ++i)
                kernels::map(n, curve{}, x.data() + i * stride, expected.data() + i * stride);
            CHECK(y.intact());
            CHECK(check::same_bits(y, expected));
        }
}

TEMPLATE_TEST_CASE("map: static sizes give the bits of dynamic ones", "[map]", float, double) {
    const array<TestType> x(67, 1);
    array<TestType> a(67, 2), b(67, 3);
    kernels::map(
        extent{67}, [](const auto& v) { return kernels::tanh(v); }, x.data(), a.data());
    kernels::map(
        constant<67>{}, [](const auto& v) { return kernels::tanh(v); }, x.data(), b.data());
    CHECK(check::same_bits(a, b));
}

TEMPLATE_TEST_CASE("map: accumulate, scale, fill, copy", "[map]", float, double) {
    using T = TestType;
    for (extent n : check::sizes<T>()) {
        const array<T> x(n, 1, 1), held(n, 2, 1);
        array<T> sum = held, axpy = held, scaled = held, filled = held, copied = held;
        kernels::accumulate(n, x.data(), sum.data());
        kernels::accumulate_scaled(n, T(3), x.data(), axpy.data());
        kernels::scale(n, T(3), x.data(), scaled.data());
        kernels::fill(n, T(-0.0), filled.data());
        kernels::copy(n, x.data(), copied.data());
        for (const auto* a : {&sum, &axpy, &scaled, &filled, &copied}) CHECK(a->intact());
        CHECK(check::same_bits(copied, x));
        for (extent i = 0; i < n; ++i) {
            REQUIRE(sum[i] == held[i] + x[i]);
            REQUIRE(axpy[i] == kernels::fma(T(3), x[i], held[i]));
            REQUIRE(scaled[i] == T(3) * x[i]);
            REQUIRE((filled[i] == T(0) && std::signbit(filled[i])));
        }
    }
}

TEMPLATE_TEST_CASE("map: special values stay in their place", "[map]", float, double) {
    using T = TestType;
    const extent n = 2 * kernels::lanes<T> + 3;
    for (extent at = 0; at < n; ++at) {
        array<T> x(n, 1), y(n, 2);
        x[at] = check::nan<T>;
        x[(at + 1) % n] = check::infinity<T>;
        kernels::map(
            n, [](const auto& v) { return kernels::exp(v); }, x.data(), y.data());
        for (extent i = 0; i < n; ++i) {
            CHECK(std::isnan(y[i]) == (i == at));
            CHECK(std::isinf(y[i]) == (i == (at + 1) % n));
        }
    }
}
