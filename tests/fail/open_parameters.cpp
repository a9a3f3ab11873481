// expect: layers/1 .innerProduct.: the shape of its weights follows from that of an input, which is decided in the run
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {1}}, range_dynamic{}, inner_product{.output_channels = 3});
#else
inline constexpr auto d = compose(input{"x", {4}}, where_non_zero{}, inner_product{.output_channels = 3});
#endif

int main() {
    network<d> net;
    (void)net;
}
