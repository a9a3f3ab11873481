// expect: network_error<.*no output: the last layer writes nothing of its own, so name the blob that is the output of the network[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d =
    compose(input{"x", {8}}, relu{} | named("y"), loop{compose(sigmoid{} | from("y") | to("t"), copy{} | to("y")), 3});
#else
inline constexpr auto d = compose(input{"x", {8}}, relu{} | named("y"),
                                  loop{compose(sigmoid{} | from("y") | to("t"), copy{} | to("y")), 3}, output{"y"});
#endif

int main() {
    network<d> net;
    (void)net;
}
