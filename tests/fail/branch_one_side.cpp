// expect: network_error<.*layers/1 "z" [(]activation[.]sigmoid[)]: its input "y" is written on one side of a branch only[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d =
    compose(input{"c", {1}}, branch{compose(relu{} | to("y"))}, sigmoid{} | from("y") | named("z"));
#else
inline constexpr auto d = compose(input{"c", {1}}, branch{compose(relu{} | to("y")), compose(linear{} | to("y"))},
    sigmoid{} | from("y") | named("z"));
#endif

int main() {
    network<d> net;
    (void)net;
}
