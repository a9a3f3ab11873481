// expect: network_error<.*layers/0 [(]branch[)]: one number wanted in "x", its shape is \[4\][^ a-z]
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, branch{compose(relu{} | to("y")), compose(linear{} | to("y"))}, output{"y"});
#else
inline constexpr auto d = compose(input{"x", {1}}, branch{compose(relu{} | to("y")), compose(linear{} | to("y"))}, output{"y"});
#endif

int main() {
    network<d> net;
    (void)net;
}
