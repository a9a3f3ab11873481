// expect: network_error<.*layers/1 [(]activation[.]sigmoid[)]: its output "y" is written already[^ a-z]
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, relu{} | to("y"), sigmoid{} | to("y"));
#else
inline constexpr auto d = compose(input{"x", {4}}, relu{} | to("y"), sigmoid{} | to("z"));
#endif

int main() {
    network<d> net;
    (void)net;
}
