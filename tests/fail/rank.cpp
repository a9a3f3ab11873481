// expect: network_error<.*layers/0 "conv" [(]convolution[)]: an input \[[.][.], channels, height, width\] wanted, its shape is \[8, 8\][^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"image", {8, 8}}, convolution{.output_channels = 4} | named("conv"));
#else
inline constexpr auto d = compose(input{"image", {1, 8, 8}}, convolution{.output_channels = 4} | named("conv"));
#endif

int main() {
    network<d> net;
    (void)net;
}
