#include <bespoke/kernels/reducers.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

/// What a reducer makes of x, one by one; and that batches do the same.
template <class F>
double made_of(const F& f, const std::vector<double>& x) {
    using B = kernels::batch<double>;
    double pivot = 0, most = kernels::max_of{}.start<double>();
    for (double v : x) most = kernels::max_of{}.combine(most, v, pivot);
    if constexpr (requires { F::pivots; }) pivot = f.pivot(most);
    const auto count = static_cast<double>(x.size());
    auto result = f.template start<double>(), first = result, second = result;
    auto lanes = f.template start<B>();
    for (std::size_t i = 0; i < x.size(); ++i) {
        result = f.combine(result, x[i], pivot);
        (i < x.size() / 2 ? first : second) = f.combine(i < x.size() / 2 ? first : second, x[i], pivot);
        lanes = f.combine(lanes, B(x[i]), B(pivot));
    }
    const double y = f.finish(result, pivot, count);
    CHECK(f.finish(f.merge(first, second), pivot, count) == Approx(y).epsilon(1e-14));
    CHECK(check::ulp(kernels::first_lane<double>(f.finish(lanes, B(pivot), B(count))), y) < 2);
    return y;
}

/// The slopes at x by central differences; `extra` is given to the reducer.
template <class F>
void check_slopes(const F& f, std::vector<double> x, double extra = 0) {
    using B = kernels::batch<double>;
    const auto count = static_cast<double>(x.size());
    const double y = made_of(f, x);
    for (double& v : x) {
        const double at = v, h = 1e-6, slope = f.slope(v, y, extra, count);
        v = at + h;
        const double up = made_of(f, x);
        v = at - h;
        CHECK(slope == Approx((up - made_of(f, x)) / (2 * h)).epsilon(1e-7));
        v = at;
        CHECK(check::ulp(kernels::first_lane<double>(f.slope(B(v), B(y), B(extra), B(count))), slope) < 2);
    }
}

}  // namespace

TEST_CASE("reducers: what they make, and their slopes", "[reduction]") {
    const std::vector<double> x{0.5, 3, 1.25, 2};
    CHECK(made_of(kernels::sum_of{}, x) == 6.75);
    CHECK(made_of(kernels::mean_of{}, x) == 1.6875);
    CHECK(made_of(kernels::sum_square_of{}, x) == 0.25 + 9 + 1.5625 + 4);
    CHECK(made_of(kernels::l2_of{}, {3, -4}) == 5);
    CHECK(made_of(kernels::l1_of{}, {3, -4}) == 7);
    CHECK(made_of(kernels::log_sum_of{}, x) == Approx(std::log(6.75)).epsilon(1e-15));
    CHECK(made_of(kernels::sum_log_of{}, x) == Approx(std::log(0.5 * 3 * 1.25 * 2)).epsilon(1e-5));
    CHECK(made_of(kernels::log_sum_exp_of{}, {700, 710}) == Approx(710 + std::log1p(std::exp(-10))).epsilon(1e-15));
    CHECK(made_of(kernels::product_of{}, x) == 3.75);
    CHECK(made_of(kernels::max_of{}, x) == 3);
    CHECK(made_of(kernels::min_of{}, x) == 0.5);
    check_slopes(kernels::sum_of{}, x);
    check_slopes(kernels::mean_of{}, x);
    check_slopes(kernels::sum_square_of{}, x);
    check_slopes(kernels::l2_of{}, x);
    check_slopes(kernels::l1_of{}, {3, -4});
    check_slopes(kernels::log_sum_of{}, x);
    check_slopes(kernels::sum_log_of{}, x);
    check_slopes(kernels::log_sum_exp_of{}, x);
    check_slopes(kernels::product_of{}, x);
    CHECK(kernels::product_of{}.slope(0.0, 0.0, 7.0, 2.0) == 7);
    CHECK(kernels::l1_of{}.slope(0.0, 0.0, 0.0, 1.0) == 0);
    CHECK(kernels::l2_of{}.slope(0.0, 0.0, 0.0, 1.0) == 0);
}
