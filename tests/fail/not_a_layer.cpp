// expect: not a layer, nor a part made of layers
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{}, 10);
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{});
#endif

int main() {
    network<d> net;
    (void)net;
}
