// expect: network_error<.*layers/1 [(]loopBreak[)]: it belongs into the bodyNetwork of a loop[^ a-z]
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("y"), loop_break{}, output{"y"});
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("y"), loop{compose(loop_break{}), 3}, output{"y"});
#endif

int main() {
    network<d> net;
    (void)net;
}
