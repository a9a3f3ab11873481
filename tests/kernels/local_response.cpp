#include <bespoke/kernels/local_response.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
using check::real;
namespace kernels = bespoke::kernels;

namespace {

/// y of one example's element, in double.
double wanted(const kernels::local_response& g, const std::vector<double>& x, extent i) {
    const extent c = i / g.inner % g.channels;
    double s = real(g.k);
    for (extent j = std::max<extent>(0, c - g.before); j <= std::min(g.channels - 1, c + g.after); ++j) {
        const double v = x[static_cast<std::size_t>(i + (j - c) * g.inner)];
        s += real(g.share) * v * v;
    }
    return x[static_cast<std::size_t>(i)] * std::pow(s, -real(g.beta));
}

}  // namespace

TEMPLATE_TEST_CASE("local_response: the sum over the window, its gradient, any number of threads", "", float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const kernels::local_response& g :
         {kernels::local_response{2, 5, 3, 1, 1, 1, 0.5f, 0.75f},
          {1, 40, 1, 2, 2, 2, 0.25f, 1},
          {3, 2, 7, 2, 1, 1, 1, 0.5f},
          {1, 4, 17, 0, 0, 1, 1, 2},
          {2, 3, 5, 3, 3, 1, 1, 1},
          {1, 30, 600, 1, 0, 1, 1, 0.75f},
          {0, 3, 5, 1, 1, 1, 1, 1}}) {
        const extent n = g.outer * g.channels * g.inner;
        const array<T> x(n, 1, 1), dy(n, 2, 1);
        array<T> y(n, 3, 1), dx(n, 4, 1), scratch(n, 5, 1);
        const array<T> before = dx, y_before = y;
        kernels::local_response_normalization(g, x.data(), y.data());
        kernels::local_response_backward(g, x.data(), dy.data(), dx.data(), scratch.data());
        REQUIRE((y.intact() && dx.intact() && scratch.intact()));
        for (thread_pool* pool : {&two, &five}) {
            array<T> again = y_before, gradient = before;
            kernels::local_response_normalization(g, x.data(), again.data(), pool);
            kernels::local_response_backward(g, x.data(), dy.data(), gradient.data(), scratch.data(), pool);
            REQUIRE(check::same_bits(y, again));
            REQUIRE(check::same_bits(dx, gradient));
        }
        std::vector<double> values;
        for (extent i = 0; i < n; ++i) values.push_back(real(x[i]));
        for (extent i = 0; i < n; ++i)
            REQUIRE(std::abs(real(y[i]) - wanted(g, values, i)) <= 20 * check::epsilon<T>);
        for (extent i = 0; i < n; i += 1 + n / 40) {
            const double at = values[static_cast<std::size_t>(i)], h = 1e-5;
            double slope = 0;
            for (double sign : {1.0, -1.0}) {
                values[static_cast<std::size_t>(i)] = at + sign * h;
                for (extent c = 0; c < g.channels; ++c) {
                    const extent other = i + (c - i / g.inner % g.channels) * g.inner;
                    slope += sign * real(dy[other]) * wanted(g, values, other) / (2 * h);
                }
            }
            values[static_cast<std::size_t>(i)] = at;
            REQUIRE(std::abs(real(dx[i]) - (real(before[i]) + slope)) <= std::max(1e-8, 50 * check::epsilon<T>));
        }
    }
}
