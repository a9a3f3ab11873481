// expect: a loop_break or loop_continue belongs into a loop, not into repeat
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
inline constexpr auto d = compose(input{"x", {4}}, linear{}, repeat<3>(compose(relu{}, loop_break{})));
#else
inline constexpr auto d = compose(input{"x", {4}}, repeat<3>(compose(relu{})));
#endif

int main() {
    network<d> net;
    (void)net;
}
