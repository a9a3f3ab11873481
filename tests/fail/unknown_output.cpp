// expect: network_error<.*output "probabilities": no layer writes a blob of this name[^ a-z]
#include <bespoke.hpp>

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
