// expect: network_error<.*layers/1 [(]activation[.]sigmoid[)]: its output "y" is written already[^ a-z]
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | to("y"), sigmoid{} | to("y"));
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{} | to("y"), sigmoid{} | to("z"));
#endif

int main() {
    network<d> net;
    (void)net;
}
