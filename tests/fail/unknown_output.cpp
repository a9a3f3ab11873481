// expect: network_error<.*output "probabilities": no layer writes a blob of this name[^ a-z]
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {8}}, softmax_nd{} | named("softmax"), output{"probabilities"});
#else
inline constexpr auto d = compose(input{"x", {8}}, softmax_nd{} | named("probabilities"), output{"probabilities"});
#endif

int main() {
    network<d> net;
    (void)net;
}
