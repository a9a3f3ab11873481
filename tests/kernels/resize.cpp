#include <bespoke/kernels/resize.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;
using check::array;

namespace {

/// Points inside and outside, between elements and on them.
std::vector<double> points_to_read(extent inputs, extent outputs, std::uint64_t seed) {
    check::numbers next(seed);
    std::vector<double> at;
    for (extent i = 0; i < outputs; ++i) {
        const double point = (next() + 1) / 2 * static_cast<double>(inputs + 1) - 1;
        at.push_back(i % 3 == 0 ? std::floor(point) : point);
    }
    return at;
}

template <class T>
struct axis {
    std::vector<T> memory;
    kernels::sample_axis<T> samples;

    axis(extent inputs, const std::vector<double>& at)
        : memory(static_cast<std::size_t>(kernels::sample_axis<T>::size(static_cast<extent>(at.size())))),
          samples{inputs, static_cast<extent>(at.size()), memory.data()} {
        for (std::size_t i = 0; i < at.size(); ++i) samples.place(static_cast<extent>(i), at[i]);
    }
};

/// How much element k counts for a sample at a point: 1 less its distance, which nothing beyond the edges has.
double share(double at, extent inputs, extent k) {
    const double inside = std::fmin(std::fmax(at, 0), static_cast<double>(inputs - 1));
    return std::fmax(0, 1 - std::abs(inside - static_cast<double>(k)));
}

template <class T>
void compare(extent planes, extent h, extent w, extent to_h, extent to_w) {
    CAPTURE(planes, h, w, to_h, to_w);
    const auto rows = points_to_read(h, to_h, 1), columns = points_to_read(w, to_w, 2);
    axis<T> down(h, rows), along(w, columns);
    const array<T> x(planes * h * w, 3, 1), dy(planes * to_h * to_w, 4, 2);
    array<T> y(planes * to_h * to_w, 5, 3), dx(planes * h * w, 6, 1);
    const array<T> before = dx;
    for (std::size_t count : {std::size_t{0}, std::size_t{2}, std::size_t{5}}) {
        thread_pool pool(count == 0 ? 1 : count);
        thread_pool* threads = count == 0 ? nullptr : &pool;
        array<T> scratch(kernels::resize_scratch(to_w, static_cast<extent>(pool.size())), 7);
        array<T> again = y, dagain = before;
        kernels::resize(planes, down.samples, along.samples, x.data(), again.data(), scratch.data(), threads);
        kernels::resize_backward(planes, down.samples, along.samples, dy.data(), dagain.data(), scratch.data(),
                                 threads);
        REQUIRE((again.intact() && dagain.intact() && scratch.intact()));
        if (count > 0) REQUIRE((check::same_bits(y, again) && check::same_bits(dx, dagain)));
        y = again;
        dx = dagain;
    }
    double worst = 0, worst_slope = 0;
    for (extent p = 0; p < planes; ++p) {
        std::vector<double> slope(static_cast<std::size_t>(h * w));
        for (extent i = 0; i < to_h; ++i)
            for (extent j = 0; j < to_w; ++j) {
                const extent out = (p * to_h + i) * to_w + j;
                double sum = 0;
                for (extent k = 0; k < h; ++k)
                    for (extent l = 0; l < w; ++l) {
                        const double part = share(rows[static_cast<std::size_t>(i)], h, k) *
                                            share(columns[static_cast<std::size_t>(j)], w, l);
                        sum += part * static_cast<double>(x[(p * h + k) * w + l]);
                        slope[static_cast<std::size_t>(k * w + l)] += part * static_cast<double>(dy[out]);
                    }
                worst = std::max(worst, std::abs(static_cast<double>(y[out]) - sum));
            }
        for (extent k = 0; k < h * w; ++k)
            worst_slope =
                std::max(worst_slope, std::abs(static_cast<double>(dx[p * h * w + k] - before[p * h * w + k]) -
                                               slope[static_cast<std::size_t>(k)]));
    }
    REQUIRE(worst <= 8 * check::epsilon<T>);
    REQUIRE(worst_slope <= 8 * check::epsilon<T> * static_cast<double>(to_h * to_w));
}

}  // namespace

TEMPLATE_TEST_CASE("resize and its transposed map against the sum of shares", "", float, double) {
    for (extent width : check::sizes<TestType>())
        if (width > 0) {
            compare<TestType>(2, 3, width, 5, 7);
            compare<TestType>(2, 5, 7, 3, width);
        }
    compare<TestType>(0, 3, 4, 5, 6);
    compare<TestType>(3, 1, 1, 1, 1);
    compare<TestType>(1, 1, 9, 6, 1);
    compare<TestType>(1, 9, 1, 1, 6);
    compare<TestType>(7, 4, 5, 50, 61);  // enough for threads
}

TEST_CASE("what a sample has no share in does not reach it") {
    const float infinite = check::infinity<float>;
    axis<float> one(2, {0.0, 1.0, 0.5, check::nan<double>, -7.0, 9.0});
    const std::vector<float> x{1, infinite, infinite, 3};
    std::vector<float> y(36), scratch(12);
    kernels::resize<float>(1, one.samples, one.samples, x.data(), y.data(), scratch.data(), nullptr);
    REQUIRE(y[0] == 1.0f);
    REQUIRE(y[1] == infinite);
    REQUIRE(y[2] == infinite);
    REQUIRE(y[3] == 1.0f);  // NaN is 0
    REQUIRE(y[4] == 1.0f);  // drawn to the edge
    REQUIRE(y[7] == 3.0f);
    REQUIRE(y[35] == 3.0f);
    std::vector<float> dx(4), dy(36);
    dy[0] = infinite;
    kernels::resize_backward<float>(1, one.samples, one.samples, dy.data(), dx.data(), scratch.data(), nullptr);
    REQUIRE(dx == std::vector<float>{infinite, 0, 0, 0});
}

TEST_CASE("the largest side") {
    axis<float> wide(kernels::largest_side, {16777214.5, 16777215.0, 16777213.25});
    REQUIRE(wide.samples.first(0) == 16777214);
    REQUIRE(wide.samples.weight(0) == 0.5f);
    REQUIRE(wide.samples.first(1) == 16777215);
    REQUIRE(wide.samples.weight(1) == 0.0f);
    REQUIRE(wide.samples.first(2) == 16777213);
    REQUIRE(wide.samples.weight(2) == 0.25f);
}
