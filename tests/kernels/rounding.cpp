#include <bespoke/kernels/rounding.hpp>

#include "math_test.hpp"

namespace {

using check::inf;
using check::points;

FUNCTION(floor, std::floor(x), 0.0,
         points{{0, 0}, {-0.0, -0.0}, {0.5, 0}, {-0.5, -1}, {inf, inf}, {-inf, -inf}});
FUNCTION(ceil, std::ceil(x), 0.0,
         points{{0, 0}, {-0.0, -0.0}, {0.5, 1}, {-0.5, -0.0}, {inf, inf}, {-inf, -inf}});
FUNCTION(round, std::nearbyint(x), 0.0,
         points{{0, 0},
                {-0.0, -0.0},
                {0.5, 0},
                {-0.5, -0.0},
                {1.5, 2},
                {2.5, 2},
                {-2.5, -2},
                {-3.5, -4},
                {8388609, 8388609},
                {inf, inf},
                {-inf, -inf}});

}  // namespace

TEMPLATE_TEST_CASE("rounding: exact, special values, scalars and lanes", "[math]", floor_facts, ceil_facts,
                   round_facts) {
    check::check_function<TestType>();
}
