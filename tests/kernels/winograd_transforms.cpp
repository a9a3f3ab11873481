#include <bespoke/kernels/winograd_transforms.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <random>

using namespace bespoke;

namespace {

/// Outputs of one tile by the transformations, and by the sums over the taps that they stand for.
template <class T, extent Tile>
double largest_error() {
    using axis = kernels::detail::winograd_axis<Tile>;
    using batch = kernels::batch<T>;
    constexpr auto window = static_cast<std::size_t>(Tile) + 2;
    constexpr auto count = static_cast<std::size_t>(kernels::lanes<T>);
    std::mt19937 random(5);
    std::uniform_real_distribution<T> values(-1, 1);
    const auto fill = [&](auto& array) {
        for (auto& row : array)
            for (T& v : row) v = values(random);
    };
    double error = 0;
    for (int turn = 0; turn < 20; ++turn) {
        alignas(64) T x[window][count], w[3][count], y[static_cast<std::size_t>(Tile)][count];
        fill(x);
        fill(w);
        batch d[window], v[window], kernel[3], u[window], m[window], result[static_cast<std::size_t>(Tile)];
        for (std::size_t i = 0; i < window; ++i) d[i] = kernels::load(x[i]);
        for (std::size_t i = 0; i < 3; ++i) kernel[i] = kernels::load(w[i]);
        axis::template input<T>(d, v);
        axis::template weights<T>(kernel, u);
        for (std::size_t i = 0; i < window; ++i) m[i] = u[i] * v[i];
        axis::template output<T>(m, result);
        for (std::size_t i = 0; i < static_cast<std::size_t>(Tile); ++i) {
            kernels::store<T>(y[i], result[i]);
            for (std::size_t lane = 0; lane < count; ++lane) {
                double wanted = 0;
                for (std::size_t tap = 0; tap < 3; ++tap)
                    wanted += static_cast<double>(w[tap][lane]) * static_cast<double>(x[i + tap][lane]);
                error = std::max(error, std::abs(static_cast<double>(y[i][lane]) - wanted));
            }
        }
    }
    return error;
}

}  // namespace

TEST_CASE("winograd_transforms: a tile is the sums over the taps", "[convolution]") {
    CHECK(largest_error<double, 2>() < 2e-15);
    CHECK(largest_error<double, 4>() < 5e-15);
    CHECK(largest_error<float, 2>() < 1e-6);
    CHECK(largest_error<float, 4>() < 2.5e-6);
}

TEST_CASE("winograd_transforms: whole numbers and points that halves hold are exact", "[convolution]") {
    using batch = kernels::batch<float>;
    const batch d[4] = {batch(3.f), batch(-5.f), batch(7.f), batch(2.f)}, w[3] = {batch(2.f), batch(4.f), batch(-6.f)};
    batch v[4], u[4], m[4], y[2];
    kernels::detail::winograd_axis<2>::input<float>(d, v);
    kernels::detail::winograd_axis<2>::weights<float>(w, u);
    for (std::size_t i = 0; i < 4; ++i) m[i] = u[i] * v[i];
    kernels::detail::winograd_axis<2>::output<float>(m, y);
    CHECK(y[0].get(0) == 2 * 3 + 4 * -5 + -6 * 7);
    CHECK(y[1].get(0) == 2 * -5 + 4 * 7 + -6 * 2);
}
