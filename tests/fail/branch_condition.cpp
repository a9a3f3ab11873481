// expect: network_error<.*layers/0 [(]branch[)]: one number wanted in "x", its shape is \[4\][^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d =
    compose(input{"x", {4}}, branch{compose(relu{} | to("y")), compose(linear{} | to("y"))}, output{"y"});
#else
inline constexpr auto d =
    compose(input{"x", {1}}, branch{compose(relu{} | to("y")), compose(linear{} | to("y"))}, output{"y"});
#endif

int main() {
    network<d> net;
    (void)net;
}
