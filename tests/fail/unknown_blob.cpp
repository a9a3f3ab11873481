// expect: network_error<.*layers/1 "sum" [(]add[)]: no layer before it writes its input "hidden"[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("h"), add{} | from("x", "hidden") | named("sum"));
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{} | named("h"), add{} | from("x", "h") | named("sum"));
#endif

int main() {
    network<d> net;
    (void)net;
}
