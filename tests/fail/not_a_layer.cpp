// expect: not a layer, nor a part made of layers
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{}, 10);
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{});
#endif

int main() {
    network<d> net;
    (void)net;
}
