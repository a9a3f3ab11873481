// expect: each argument is all numbers of an input, in what has begin[(][)], end[(][)] and size[(][)]
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, relu{});

#ifndef FIXED
#define ARGUMENT x
#else
#define ARGUMENT std::span(x)
#endif

int main() {
    network<d> net;
    const float x[4] = {};
    net(ARGUMENT);
}
