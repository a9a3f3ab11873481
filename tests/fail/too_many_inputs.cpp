// expect: network_error<.*layers/0 [(]add[)]: at most 8 blobs wanted in composed code, 9 named; join them in steps[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, add{} | from("x", "x", "x", "x", "x", "x", "x", "x", "x"));
#else
inline constexpr auto d = compose(input{"x", {4}}, add{} | from("x", "x", "x", "x", "x", "x", "x", "x"));
#endif

int main() {
    network<d> net;
    (void)net;
}
