// expect: only a layer takes a name, blobs or `updatable`: say it of the layers inside
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, residual(relu{}) | named("block"));
#else
inline constexpr auto d = compose(input{"x", {4}}, residual(relu{} | named("block")));
#endif

int main() {
    network<d> net;
    (void)net;
}
