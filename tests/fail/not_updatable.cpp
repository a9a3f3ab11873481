// expect: only a layer with parameters can be updatable
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | updatable);
#else
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);
#endif

int main() {
    network<d> net;
    (void)net;
}
