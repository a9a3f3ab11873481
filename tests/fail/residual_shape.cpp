// expect: network_error<.*layers/0 "fc" [(]innerProduct[)]: the residual around it wants an output of the shape of its input, \[8\], its shape is \[4\][^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {8}}, residual(inner_product{.output_channels = 4} | named("fc")));
#else
inline constexpr auto d = compose(input{"x", {8}}, residual(inner_product{.output_channels = 8} | named("fc")));
#endif

int main() {
    network<d> net;
    (void)net;
}
