// expect: only a layer with parameters can be updatable
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | updatable);
#else
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);
#endif

int main() {
    network<d> net;
    (void)net;
}
