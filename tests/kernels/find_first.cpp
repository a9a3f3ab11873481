#include <bespoke/kernels/find_first.hpp>

#include "check.hpp"
#include "reduction_test.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

TEMPLATE_TEST_CASE("find_first: the number of the first largest and smallest", "[reduction]", float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const check::reduction_case& c : check::reduction_cases())
        for (bool nan : {false, true}) {
            const kernels::reduction_walk walk = c.walk(2);
            if (walk.elements == 0) continue;
            array<T> x(2 * c.x.size(), 1, 1);
            for (extent i = 0; i < x.size(); ++i) x[i] = nan && i % 11 == 3 ? check::nan<T> : std::round(4 * x[i]);
            array<T> most(walk.outputs, 2, 1), least = most;
            INFO(sentence(c.x).view());
            for (thread_pool* pool : {static_cast<thread_pool*>(nullptr), &two, &five}) {
                kernels::reduce_to_number(kernels::max_of{}, walk, x.data(), most.data(), pool);
                kernels::reduce_to_number(kernels::min_of{}, walk, x.data(), least.data(), pool);
                REQUIRE((most.intact() && least.intact()));
                const auto places = check::meeting(c, 2);
                for (extent o = 0; o < walk.outputs; ++o) {
                    const auto& at = places[static_cast<std::size_t>(o)];
                    std::size_t high = 0, low = 0;
                    for (std::size_t k = 1; k < at.size(); ++k) {
                        const T v = x[at[k]];
                        if (!std::isnan(x[at[high]]) && (std::isnan(v) || v > x[at[high]])) high = k;
                        if (!std::isnan(x[at[low]]) && (std::isnan(v) || v < x[at[low]])) low = k;
                    }
                    REQUIRE(most[o] == static_cast<T>(high));
                    REQUIRE(least[o] == static_cast<T>(low));
                }
            }
        }
}
