#include <bespoke/kernels/normalization.hpp>

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

namespace {

std::vector<std::tuple<extent, extent, extent>> channel_cases() {
    return {{1, 1, 1},  {3, 4, 1},   {5, 40, 1}, {1, 3, 64}, {2, 3, 7},
            {3, 5, 33}, {2, 17, 16}, {0, 3, 4},  {4, 0, 2}};
}

}  // namespace

TEMPLATE_TEST_CASE("normalization: channel_affine and channel_moments", "[normalization]", float, double) {
    using T = TestType;
    for (const auto& [outer, channels, inner] : channel_cases()) {
        CAPTURE(outer, channels, inner);
        const extent size = outer * channels * inner;
        array<T> x(size, 1, 1);
        for (extent i = 0; i < size; ++i) x[i] += T(100);  // the squares would cancel in one pass
        const array<T> scale(channels, 2, 1), shift(channels, 3, 1);
        array<T> y(size, 4, 1), in_place = x, mean(channels, 5, 1), variance(channels, 6, 1);
        kernels::channel_affine(outer, channels, inner, x.data(), scale.data(), shift.data(), y.data());
        kernels::channel_affine(outer, channels, inner, in_place.data(), scale.data(), shift.data(),
                                in_place.data());
        REQUIRE(y.intact());
        CHECK(check::same_bits(y, in_place));
        for (extent i = 0; i < size; ++i) {
            const extent c = i / inner % channels;
            REQUIRE(y[i] == kernels::fma(scale[c], x[i], shift[c]));
        }
        if (size == 0) continue;
        kernels::channel_moments(outer, channels, inner, x.data(), mean.data(), variance.data());
        REQUIRE(mean.intact());
        REQUIRE(variance.intact());
        for (extent c = 0; c < channels; ++c) {
            double sum = 0, squares = 0;
            for (extent i = 0; i < size; ++i)
                if (i / inner % channels == c) sum += real(x[i]);
            const double centre = sum / real(outer * inner);
            for (extent i = 0; i < size; ++i)
                if (i / inner % channels == c) squares += (real(x[i]) - centre) * (real(x[i]) - centre);
            REQUIRE(std::abs(real(mean[c]) - centre) <= check::epsilon<T> * 1000);
            REQUIRE(std::abs(real(variance[c]) - squares / real(outer * inner)) <= check::epsilon<T> * 1000);
        }
    }
}

TEST_CASE("normalization: of many equal numbers nothing is left", "[normalization]") {
    constexpr extent n = (extent{1} << 18) + 3;
    const std::vector<float> x(static_cast<std::size_t>(4 * n), 0.7F);
    float mean = 0, variance = 0;
    for (const auto& [outer, inner] : {std::pair{extent{4}, n}, std::pair{4 * n, extent{1}}, std::pair{n, extent{3}}}) {
        kernels::channel_moments(outer, extent{1}, inner, x.data(), &mean, &variance);
        CHECK(std::abs(mean - 0.7F) < 2e-6F);
        CHECK(variance < 1e-11F);
    }
}

TEST_CASE("normalization: of a mean far larger than the differences these stay right", "[normalization]") {
    constexpr extent n = 1003;
    std::vector<float> x(static_cast<std::size_t>(5 * n), 200.1F);
    float mean = 0, variance = 0;
    for (const auto& [outer, inner] : {std::pair{extent{5}, n}, std::pair{5 * n, extent{1}}}) {
        kernels::channel_moments(outer, extent{1}, inner, x.data(), &mean, &variance);
        CHECK(mean == 200.1F);
        CHECK(variance < 1e-11F);
    }
    for (std::size_t i = 0; i < x.size(); i += 2) x[i] = 200.125F;  // exact, as is the other, 200.0
    for (std::size_t i = 1; i < x.size(); i += 2) x[i] = 200.0F;
    kernels::channel_moments(extent{4}, extent{1}, n, x.data(), &mean, &variance);
    CHECK(mean == 200.0625F);
    CHECK(variance == 0.0625F * 0.0625F);
}

TEST_CASE("normalization: gradients of batch normalization by central differences", "[normalization]") {
    for (const auto& [outer, channels, inner] : channel_cases()) {
        if (outer * channels * inner < 2 || outer * inner == 1) continue;
        CAPTURE(outer, channels, inner);
        const double epsilon = 1e-3;
        // clang 14 cannot capture structured bindings.
        const extent size = outer * channels * inner, each = outer * inner, c_of = channels, in_of = inner;
        const array<double> x(size, 1, 1), dy(size, 2, 1), gamma(channels, 3), fixed_mean(channels, 4);
        array<double> mean(channels, 5), variance(channels, 6), inverse(channels, 7), sums(2 * channels, 8);
        for (bool computed : {false, true}) {
            const auto value = [&](const std::vector<double>& v) {
                double total = 0;
                for (extent c = 0; c < c_of; ++c) {
                    double m = 0, s = 0;
                    for (extent i = 0; i < size; ++i)
                        if (i / in_of % c_of == c) m += v[static_cast<std::size_t>(i)] / real(each);
                    for (extent i = 0; i < size; ++i)
                        if (i / in_of % c_of == c)
                            s += std::pow(v[static_cast<std::size_t>(i)] - m, 2) / real(each);
                    if (!computed) {
                        m = fixed_mean[c];
                        s = 0.5;
                    }
                    for (extent i = 0; i < size; ++i)
                        if (i / in_of % c_of == c)
                            total += dy[i] * gamma[c] * (v[static_cast<std::size_t>(i)] - m) /
                                     std::sqrt(s + epsilon);
                }
                return total;
            };
            kernels::channel_moments(outer, channels, inner, x.data(), mean.data(), variance.data());
            if (!computed) mean = fixed_mean;
            for (extent c = 0; c < channels; ++c)
                inverse[c] = 1 / std::sqrt((computed ? variance[c] : 0.5) + epsilon);
            array<double> dx(size, 9, 1), dgamma(channels, 10), dbeta(channels, 11);
            const array<double> held = dx, held_gamma = dgamma, held_beta = dbeta;
            if (computed)
                kernels::batch_normalization_backward_computed(outer, channels, inner, x.data(), dy.data(),
                                                               mean.data(), inverse.data(), gamma.data(),
                                                               dx.data(), sums.data());
            else
                kernels::batch_normalization_backward_fixed(outer, channels, inner, dy.data(), inverse.data(),
                                                            gamma.data(), dx.data());
            kernels::batch_normalization_backward_parameters(outer, channels, inner, x.data(), dy.data(),
                                                             mean.data(), inverse.data(), dgamma.data(),
                                                             dbeta.data());
            REQUIRE(dx.intact());
            REQUIRE(dgamma.intact());
            REQUIRE(dbeta.intact());
            const std::vector<double> point(x.data(), x.data() + size);
            for (extent i = 0; i < size; ++i)
                REQUIRE(dx[i] - held[i] ==
                        Approx(slope(value, point, static_cast<std::size_t>(i))).margin(1e-7));
            for (extent c = 0; c < channels; ++c) {
                double products = 0, total = 0;
                for (extent i = 0; i < size; ++i)
                    if (i / inner % channels == c) {
                        products += dy[i] * (x[i] - mean[c]) * inverse[c];
                        total += dy[i];
                    }
                REQUIRE(dgamma[c] - held_gamma[c] == Approx(products).margin(1e-10));
                REQUIRE(dbeta[c] - held_beta[c] == Approx(total).margin(1e-10));
            }
        }
    }
}

TEMPLATE_TEST_CASE("normalization: threads do not change a bit", "[normalization]", float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const extent inner : {1, 203}) {
        const extent outer = inner == 1 ? 90 : 7, channels = inner == 1 ? 403 : 33,
                     size = outer * channels * inner;
        const array<T> x(size, 1), dy(size, 2), scale(channels, 3), shift(channels, 4);
        const auto all = [&](thread_pool* threads) {
            array<T> y(size, 5), moments(4 * channels, 6), dx(size, 7), grad(2 * channels, 8);
            T *mean = moments.data(), *variance = mean + channels;
            kernels::channel_affine(outer, channels, inner, x.data(), scale.data(), shift.data(), y.data(),
                                    threads);
            kernels::channel_moments(outer, channels, inner, x.data(), mean, variance, threads);
            kernels::batch_normalization_backward_computed(outer, channels, inner, x.data(), dy.data(), mean,
                                                           variance, scale.data(), dx.data(),
                                                           variance + channels, threads);
            kernels::batch_normalization_backward_fixed(outer, channels, inner, dy.data(), variance,
                                                        scale.data(), dx.data(), threads);
            kernels::batch_normalization_backward_parameters(outer, channels, inner, x.data(), dy.data(),
                                                             mean, variance, grad.data(),
                                                             grad.data() + channels, threads);
            std::vector<T> result(y.data(), y.data() + size);
            result.insert(result.end(), dx.data(), dx.data() + size);
            result.insert(result.end(), mean, mean + 4 * channels);
            result.insert(result.end(), grad.data(), grad.data() + 2 * channels);
            return result;
        };
        const auto one = all(nullptr);
        CHECK(check::same_bits(one.data(), all(&two).data(), static_cast<extent>(one.size())));
        CHECK(check::same_bits(one.data(), all(&five).data(), static_cast<extent>(one.size())));
    }
}

TEST_CASE("normalization: NaN stays in its channel", "[normalization]") {
    array<float> x(3 * 4 * 20, 1), mean(4, 3), variance(4, 4);
    x[1 * 20 + 7] = check::nan<float>;
    kernels::channel_moments(3, 4, 20, x.data(), mean.data(), variance.data());
    for (extent c = 0; c < 4; ++c) {
        CHECK(std::isnan(mean[c]) == (c == 1));
        CHECK(std::isnan(variance[c]) == (c == 1));
    }
}
