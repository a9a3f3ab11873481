#include <bespoke/kernels/reduction_backward.hpp>

#include "check.hpp"
#include "reduction_test.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
using check::real;
namespace kernels = bespoke::kernels;

namespace {

/// `slope(places that meet, place, result)` is dy/dx.
template <class F, class T, class Slope>
void compare(const F& f, const array<T>& values, const check::reduction_case& c, const Slope& slope) {
    thread_pool five(5);
    const kernels::reduction_walk walk = c.walk(2);
    array<T> x(2 * c.x.size(), 1, 1), y(walk.outputs, 2, 1), dx(x.size(), 4, 1), scratch = y;
    for (extent i = 0; i < x.size(); ++i) x[i] = values[i % values.size()];
    const array<T> dy(walk.outputs, 3, 1), before = dx;
    array<T> again = dx;
    kernels::reduce(f, walk, x.data(), y.data());
    kernels::reduce_backward(f, walk, x.data(), y.data(), dy.data(), dx.data(), scratch.data());
    kernels::reduce_backward(f, walk, x.data(), y.data(), dy.data(), again.data(), scratch.data(), &five);
    INFO(sentence(c.x).view());
    REQUIRE((dx.intact() && scratch.intact()));
    REQUIRE(check::same_bits(dx, again));
    const auto places = check::meeting(c, 2);
    for (extent o = 0; o < walk.outputs; ++o)
        for (extent at : places[static_cast<std::size_t>(o)]) {
            const double wanted = real(before[at]) + real(dy[o]) * slope(x, places[static_cast<std::size_t>(o)], at);
            REQUIRE(std::abs(real(dx[at]) - wanted) <= 50 * check::epsilon<T> * std::max(1.0, std::abs(wanted)));
        }
}

}  // namespace

TEMPLATE_TEST_CASE("reduction_backward: sums, products and the largest", "[reduction]", float, double) {
    using T = TestType;
    using places = std::vector<extent>;
    array<T> values(211, 5), ties = values, zeros = values;
    for (extent i = 0; i < values.size(); ++i) {
        ties[i] = std::round(4 * values[i]);
        zeros[i] = i % 23 == 7 ? T(0) : T(1) + values[i] / T(64);
    }
    for (const check::reduction_case& c : check::reduction_cases()) {
        compare(kernels::sum_square_of{}, values, c,
                [](const array<T>& x, const places&, extent at) { return 2 * real(x[at]); });
        compare(kernels::mean_of{}, values, c,
                [](const array<T>&, const places& all, extent) { return 1 / static_cast<double>(all.size()); });
        compare(kernels::product_of{}, zeros, c, [](const array<T>& x, const places& all, extent at) {
            double product = 1;
            for (extent other : all) product *= other == at ? 1 : real(x[other]);
            return product;
        });
        compare(kernels::max_of{}, ties, c, [](const array<T>& x, const places& all, extent at) {
            extent first = all[0];
            for (extent other : all)
                if (x[other] > x[first]) first = other;
            return at == first ? 1.0 : 0.0;
        });
    }
}
