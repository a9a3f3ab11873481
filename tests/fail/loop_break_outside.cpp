// expect: network_error<.*layers/1 [(]loopBreak[)]: it belongs into the bodyNetwork of a loop[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("y"), loop_break{}, output{"y"});
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("y"), loop{compose(loop_break{}), 3}, output{"y"});
#endif

int main() {
    network<d> net;
    (void)net;
}
