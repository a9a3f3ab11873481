// expect: behind the | of a layer named[(]"fc"[)], from[(]"x"[)], to[(]"y"[)] or updatable wanted
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 2} | "fc");
#else
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 2} | named("fc"));
#endif

int main() {
    network<d> net;
    (void)net;
}
