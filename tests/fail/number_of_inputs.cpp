// expect: network_error<.*layers/0 "y" [(]activation[.]ReLU[)]: 1 input wanted, 2 named[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, input{"z", {4}}, relu{} | from("x", "z") | named("y"));
#else
inline constexpr auto d = compose(input{"x", {4}}, input{"z", {4}}, add{} | from("x", "z") | named("y"));
#endif

int main() {
    network<d> net;
    (void)net;
}
