#include <bespoke/kernels/math.hpp>

#include "math_test.hpp"

namespace kernels = bespoke::kernels;

namespace {

using check::inf;
using check::points;

FUNCTION(exp, std::exp(x), 1.1, points{{0, 1}, {-0.0, 1}, {inf, inf}, {-inf, 0}, {1000, inf}, {-1000, 0}});
FUNCTION(log, std::log(x), 1.0, points{{1, 0}, {0, -inf}, {-0.0, -inf}, {inf, inf}, {-1, NAN}, {-inf, NAN}});
FUNCTION(log1p, std::log1p(x), 1.0,
         points{{0, 0}, {-0.0, -0.0}, {-1, -inf}, {inf, inf}, {-2, NAN}, {-inf, NAN}, {1e-30, 1e-30}});
FUNCTION(tanh, std::tanh(x), 2.5, points{{0, 0}, {-0.0, -0.0}, {inf, 1}, {-inf, -1}, {100, 1}, {-100, -1}});
FUNCTION(sigmoid, 1 / (1 + std::exp(-x)), 2.5, points{{0, 0.5}, {inf, 1}, {-inf, 0}, {200, 1}, {-1000, 0}});
FUNCTION(erf, std::erf(x), 3.0, points{{0, 0}, {-0.0, -0.0}, {inf, 1}, {-inf, -1}, {10, 1}, {-10, -1}});
FUNCTION(sqrt, std::sqrt(x), 0.501, points{{0, 0}, {-0.0, -0.0}, {4, 2}, {inf, inf}, {-1, NAN}});

}  // namespace

TEMPLATE_TEST_CASE("math: accuracy, special values, scalars and lanes", "[math]", exp_facts, log_facts, log1p_facts,
                   tanh_facts, sigmoid_facts, erf_facts, sqrt_facts) {
    check::check_function<TestType>();
}

TEMPLATE_TEST_CASE("math: arithmetic means the same for scalars and batches", "[math]", float, double) {
    using T = TestType;
    using B = kernels::batch<T>;
    const T values[] = {T(-2), T(-0.0), T(0), T(1.5), check::infinity<T>, -check::infinity<T>, check::nan<T>};
    const auto same = [](T a, T b) {
        return a == b ? std::signbit(a) == std::signbit(b) || a == 0 : a != a && b != b;
    };
    for (T a : values)
        for (T b : values) {
            CAPTURE(a, b);
            CHECK(same(kernels::first_lane<T>(kernels::max<T>(B(a), B(b))), kernels::max(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::min<T>(B(a), B(b))), kernels::min(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::select<T>(B(a) < B(b), B(a), B(b))),
                       kernels::select(a < b, a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::copysign<T>(B(a), B(b))), kernels::copysign(a, b)));
            CHECK(same(kernels::first_lane<T>(kernels::abs<T>(B(a))), kernels::abs(a)));
        }
    for (T a : values)
        for (T b : values) {
            const T expected = std::isnan(a) || std::isnan(b) ? check::nan<T> : std::max(a, b);
            CHECK(same(kernels::running_max(a, b), expected));
            CHECK(same(kernels::first_lane<T>(kernels::running_max<T>(B(a), B(b))), expected));
            const T smaller = std::isnan(a) || std::isnan(b) ? check::nan<T> : std::min(a, b);
            CHECK(same(kernels::running_min(a, b), smaller));
            CHECK(same(kernels::first_lane<T>(kernels::running_min<T>(B(a), B(b))), smaller));
            CHECK(kernels::is_nan(a) == std::isnan(a));
            CHECK(kernels::simd::all(kernels::is_nan<T>(B(a))) == std::isnan(a));
        }
    CHECK(std::isnan(kernels::max(T(0), check::nan<T>)));
    CHECK(kernels::max(check::nan<T>, T(0)) == T(0));
    CHECK(std::isnan(kernels::min(T(0), check::nan<T>)));
}
