#include <bespoke/kernels/hyperbolic.hpp>

#include "math_test.hpp"

namespace {

using check::inf;
using check::points;

FUNCTION(expm1_below, std::expm1(x > 0 ? 0 : x), 2.0,
         points{{0, 0}, {-0.0, 0}, {-1e-30, -1e-30}, {-50, -1}, {-1000, -1}, {-inf, -1}, {NAN, NAN}});
FUNCTION(sinh, std::sinh(x), 2.0,
         points{{0, 0}, {-0.0, -0.0}, {1e-30, 1e-30}, {inf, inf}, {-inf, -inf}, {-1000, -inf}});
FUNCTION(cosh, std::cosh(x), 2.0, points{{0, 1}, {-0.0, 1}, {inf, inf}, {-inf, inf}, {-1000, inf}});
FUNCTION(asinh, std::asinh(x), 3.0, points{{0, 0}, {-0.0, -0.0}, {-1e-30, -1e-30}, {inf, inf}, {-inf, -inf}});
FUNCTION(acosh, std::acosh(x), 3.0,
         points{{1, 0}, {0.5, NAN}, {0, NAN}, {-1, NAN}, {-1e10, NAN}, {inf, inf}, {-inf, NAN}});
FUNCTION(atanh, std::atanh(x), 3.0,
         points{{0, 0},
                {-0.0, -0.0},
                {1e-30, 1e-30},
                {1, inf},
                {-1, -inf},
                {1.5, NAN},
                {-1e30, NAN},
                {inf, NAN},
                {-inf, NAN}});

}  // namespace

TEMPLATE_TEST_CASE("hyperbolic: accuracy, special values, scalars and lanes", "[math]", expm1_below_facts, sinh_facts,
                   cosh_facts, asinh_facts, acosh_facts, atanh_facts) {
    check::check_function<TestType>();
}
