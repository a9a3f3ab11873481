// expect: network_error<.*layers/1 "fc" [(]innerProduct[)]: another layer has this name[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | named("fc"),
    inner_product{.output_channels = 4} | named("fc"));
#else
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | named("fc1"),
    inner_product{.output_channels = 4} | named("fc2"));
#endif

int main() {
    network<d> net;
    (void)net;
}
