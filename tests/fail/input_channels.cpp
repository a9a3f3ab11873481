// expect: network_error<.*layers/1 "fc" [(]innerProduct[)]: 784 input channels declared, its input has 64 [(]shape \[64, 1, 1\][)][^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"image", {1, 8, 8}}, flatten{},
    inner_product{.input_channels = 784, .output_channels = 10} | named("fc"));
#else
inline constexpr auto d = compose(input{"image", {1, 8, 8}}, flatten{},
    inner_product{.input_channels = 64, .output_channels = 10} | named("fc"));
#endif

int main() {
    network<d> net;
    (void)net;
}
