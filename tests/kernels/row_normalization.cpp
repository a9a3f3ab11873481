#include <bespoke/kernels/row_normalization.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

using namespace bespoke;
using check::array;
using check::real;
using check::slope;
namespace kernels = bespoke::kernels;

TEMPLATE_TEST_CASE("row_normalization: layer_normalization", "[row_normalization]", float, double) {
    using T = TestType;
    for (extent outer : {0, 1, 3, 6})
        for (extent n : check::sizes<T>()) {
            if (n == 0) continue;
            CAPTURE(outer, n);
            array<T> x(outer * n, 1, 1);
            for (extent i = 0; i < x.size(); ++i) x[i] += T(10);
            const array<T> gamma(n, 2, 1), beta(n, 3, 1);
            array<T> y(outer * n, 4, 1), plain = y, in_place = x;
            const T epsilon = T(1e-3);
            kernels::layer_normalization(outer, n, x.data(), gamma.data(), beta.data(), epsilon, y.data());
            kernels::layer_normalization<T>(outer, n, x.data(), nullptr, nullptr, epsilon, plain.data());
            kernels::layer_normalization(outer, n, in_place.data(), gamma.data(), beta.data(), epsilon,
                                         in_place.data());
            REQUIRE(y.intact());
            CHECK(check::same_bits(y, in_place));
            for (extent row = 0; row < outer; ++row) {
                double mean = 0, variance = 0;
                for (extent i = 0; i < n; ++i) mean += real(x[row * n + i]) / real(n);
                for (extent i = 0; i < n; ++i) variance += std::pow(real(x[row * n + i]) - mean, 2) / real(n);
                for (extent i = 0; i < n; ++i) {
                    const double h = (real(x[row * n + i]) - mean) / std::sqrt(variance + real(epsilon));
                    REQUIRE(std::abs(real(plain[row * n + i]) - h) <= check::epsilon<T> * 1000);
                    REQUIRE(std::abs(real(y[row * n + i]) - (h * real(gamma[i]) + real(beta[i]))) <=
                            check::epsilon<T> * 1000);
                }
            }
        }
}

TEST_CASE("row_normalization: of many equal numbers nothing is left", "[row_normalization]") {
    constexpr extent n = (extent{1} << 18) + 3;
    const std::vector<float> x(static_cast<std::size_t>(4 * n), 0.7F);
    std::vector<float> y(x.size());
    const auto largest = [&] {
        float most = 0;
        for (const float v : y) most = std::max(most, std::abs(v));
        return most;
    };
    kernels::layer_normalization<float>(4, n, x.data(), nullptr, nullptr, 1e-5F, y.data());
    CHECK(largest() < 1e-3F);
    kernels::layer_normalization<float>(1, n, x.data(), nullptr, nullptr, 1e-5F, y.data());
    CHECK(largest() < 1e-3F);
    kernels::centre_rows(4, n, x.data(), y.data(), false);
    CHECK(largest() < 2e-6F);
    kernels::l2_normalization(4, n, x.data(), 0.0F, y.data());
    CHECK(std::abs(largest() * std::sqrt(static_cast<float>(n)) - 1) < 2e-6F);
}

TEST_CASE("row_normalization: of a mean far larger than the differences these stay right", "[row_normalization]") {
    constexpr extent n = 1003;
    const std::vector<float> x(static_cast<std::size_t>(5 * n), 200.1F);
    std::vector<float> y(x.size());
    kernels::layer_normalization<float>(5, n, x.data(), nullptr, nullptr, 1e-5F, y.data());
    CHECK(std::ranges::all_of(y, [](float v) { return std::abs(v) < 1e-4F; }));
}

TEST_CASE("row_normalization: gradients of layer_normalization by central differences", "[row_normalization]") {
    for (extent n : {extent{2}, extent{5}, kernels::lanes<double> * 2 + 3})
        for (bool with_gamma : {false, true}) {
            const extent outer = 3;
            const double epsilon = 1e-3;
            const array<double> x(outer * n, 1), dy(outer * n, 2), weights(n, 3);
            const double* gamma = with_gamma ? weights.data() : nullptr;
            array<double> dx(outer * n, 4), dgamma(n, 5), dbeta(n, 6), moments(2 * outer, 7);
            const array<double> held = dx, held_gamma = dgamma, held_beta = dbeta;
            kernels::layer_normalization_backward(outer, n, x.data(), gamma, epsilon, dy.data(), dx.data(),
                                                  dgamma.data(), dbeta.data(), moments.data());
            for (const auto* a : {&dx, &dgamma, &dbeta, &moments}) REQUIRE(a->intact());
            const auto value = [&](const std::vector<double>& v) {
                std::vector<double> y(v.size());
                kernels::layer_normalization<double>(outer, n, v.data(), gamma, nullptr, epsilon, y.data());
                double total = 0;
                for (std::size_t i = 0; i < v.size(); ++i) total += y[i] * dy[static_cast<extent>(i)];
                return total;
            };
            const std::vector<double> point(x.data(), x.data() + x.size());
            for (extent i = 0; i < x.size(); ++i)
                REQUIRE(dx[i] - held[i] ==
                        Approx(slope(value, point, static_cast<std::size_t>(i))).margin(1e-7));
            std::vector<double> h(point.size());
            kernels::layer_normalization<double>(outer, n, x.data(), nullptr, nullptr, epsilon, h.data());
            for (extent i = 0; i < n; ++i) {
                double products = 0, total = 0;
                for (extent row = 0; row < outer; ++row) {
                    products += dy[row * n + i] * h[static_cast<std::size_t>(row * n + i)];
                    total += dy[row * n + i];
                }
                REQUIRE(dgamma[i] - held_gamma[i] == Approx(products).margin(1e-10));
                REQUIRE(dbeta[i] - held_beta[i] == Approx(total).margin(1e-10));
            }
            // Parts may be left out.
            array<double> only = held_beta;
            kernels::layer_normalization_backward<double>(outer, n, x.data(), gamma, epsilon, dy.data(),
                                                          nullptr, nullptr, only.data(), moments.data());
            CHECK(check::same_bits(only, dbeta));
        }
}

TEMPLATE_TEST_CASE("row_normalization: threads and static sizes do not change a bit", "[row_normalization]", float,
                   double) {
    using T = TestType;
    thread_pool two(2), five(5);
    const extent outer = 500;
    const array<T> x(outer * 67, 1), dy(outer * 67, 2), gamma(67, 3), beta(67, 4);
    const auto all = [&](auto n, thread_pool* threads) {
        array<T> y(outer * 67, 5), dx(outer * 67, 6), dgamma(67, 7), dbeta(67, 8), moments(2 * outer, 9);
        kernels::layer_normalization(outer, n, x.data(), gamma.data(), beta.data(), T(1e-5), y.data(),
                                     threads);
        kernels::layer_normalization_backward(outer, n, x.data(), gamma.data(), T(1e-5), dy.data(), dx.data(),
                                              dgamma.data(), dbeta.data(), moments.data(), threads);
        std::vector<T> result(y.data(), y.data() + y.size());
        for (const auto* a : {&dx, &dgamma, &dbeta})
            result.insert(result.end(), a->data(), a->data() + a->size());
        return result;
    };
    const auto one = all(extent{67}, nullptr);
    CHECK(check::same_bits(one.data(), all(extent{67}, &two).data(), static_cast<extent>(one.size())));
    CHECK(check::same_bits(one.data(), all(constant<67>{}, &five).data(), static_cast<extent>(one.size())));
}

TEST_CASE("row_normalization: NaN stays in its row", "[row_normalization]") {
    array<float> x(12 * 20, 1), y(240, 2);
    x[1 * 20 + 7] = check::nan<float>;
    kernels::layer_normalization<float>(12, 20, x.data(), nullptr, nullptr, 1e-5f, y.data());
    for (extent i = 0; i < 240; ++i) CHECK(std::isnan(y[i]) == (i / 20 == 1));
    // A constant row is zero, not 0 / 0.
    std::fill_n(x.data(), 20, 3.0f);
    kernels::layer_normalization<float>(1, 20, x.data(), nullptr, nullptr, 1e-5f, y.data());
    for (extent i = 0; i < 20; ++i) CHECK(y[i] == 0);
}

TEMPLATE_TEST_CASE("row_normalization: rows centred, and divided by their length", "[row_normalization]", float,
                   double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const auto& [outer, n] : std::vector<std::pair<extent, extent>>{{3, 1}, {5, 7}, {2, 67}, {700, 64}, {0, 4}}) {
        const array<T> x(outer * n, 1, 1), dy(outer * n, 2, 1), before(outer * n, 3, 1);
        array<T> centred = before, added = before, unit = before, dx = before, in_place = x;
        const auto run = [&, rows = outer, size = n](thread_pool* threads) {
            centred = before, added = before, unit = before, dx = before, in_place = x;
            kernels::centre_rows(rows, size, x.data(), centred.data(), false, threads);
            kernels::centre_rows(rows, size, x.data(), added.data(), true, threads);
            kernels::centre_rows(rows, size, in_place.data(), in_place.data(), false, threads);
            kernels::l2_normalization(rows, size, x.data(), T(0.5), unit.data(), threads);
            kernels::l2_normalization_backward(rows, size, x.data(), T(0.5), dy.data(), dx.data(), threads);
        };
        run(nullptr);
        REQUIRE((centred.intact() && added.intact() && unit.intact() && dx.intact()));
        REQUIRE(check::same_bits(centred, in_place));
        for (extent row = 0; row < outer; ++row) {
            double sum = 0, squares = 0.5, along = 0;
            for (extent i = row * n; i < (row + 1) * n; ++i) {
                sum += real(x[i]);
                squares += real(x[i]) * real(x[i]);
                along += real(x[i]) * real(dy[i]);
            }
            for (extent i = row * n; i < (row + 1) * n; ++i) {
                const double c = real(x[i]) - sum / real(n), length = std::sqrt(squares);
                const double slope = real(dy[i]) / length - real(x[i]) * along / (length * squares);
                REQUIRE(std::abs(real(centred[i]) - c) <= 20 * check::epsilon<T>);
                REQUIRE(std::abs(real(added[i]) - (real(before[i]) + c)) <= 20 * check::epsilon<T>);
                REQUIRE(std::abs(real(unit[i]) - real(x[i]) / length) <= 20 * check::epsilon<T>);
                REQUIRE(std::abs(real(dx[i]) - (real(before[i]) + slope)) <= 50 * check::epsilon<T>);
            }
        }
        const array<T> kept[] = {centred, added, unit, dx};
        for (thread_pool* pool : {&two, &five}) {
            run(pool);
            REQUIRE(check::same_bits(kept[0], centred));
            REQUIRE(check::same_bits(kept[1], added));
            REQUIRE(check::same_bits(kept[2], unit));
            REQUIRE(check::same_bits(kept[3], dx));
        }
    }
}
