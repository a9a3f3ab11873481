#include <bespoke/kernels/trigonometry.hpp>

#include "math_test.hpp"

namespace {

using check::inf;
using check::points;

constexpr double quarter = 0.78539816339744830962, half = 2 * quarter, pi = 4 * quarter;

FUNCTION(sin, std::sin(x), 1.0,
         points{{0, 0}, {-0.0, -0.0}, {1e-30, 1e-30}, {-1e-30, -1e-30}, {inf, NAN}, {-inf, NAN}});
FUNCTION(cos, std::cos(x), 1.0, points{{0, 1}, {-0.0, 1}, {1e-30, 1}, {inf, NAN}, {-inf, NAN}});
FUNCTION(tan, std::tan(x), 2.5, points{{0, 0}, {-0.0, -0.0}, {1e-30, 1e-30}, {inf, NAN}, {-inf, NAN}});
FUNCTION(
    asin, std::asin(x), 2.0,
    points{
        {0, 0}, {-0.0, -0.0}, {1e-30, 1e-30}, {1, half}, {-1, -half}, {1.5, NAN}, {-inf, NAN}, {inf, NAN}});
FUNCTION(acos, std::acos(x), 2.0,
         points{{0, half}, {-0.0, half}, {1, 0}, {-1, pi}, {-1.5, NAN}, {inf, NAN}, {-inf, NAN}});
FUNCTION(atan, std::atan(x), 2.0,
         points{
             {0, 0}, {-0.0, -0.0}, {1e-30, 1e-30}, {inf, half}, {-inf, -half}, {1, quarter}, {-1, -quarter}});

}  // namespace

TEMPLATE_TEST_CASE("trigonometry: accuracy, special values, scalars and lanes", "[math]", sin_facts,
                   cos_facts, tan_facts, asin_facts, acos_facts, atan_facts) {
    check::check_function<TestType>();
}
