// expect: network_error<.*input "x": 1 times the shape \[4\] wanted [(]4 elements[)], 5 came
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, relu{});

#ifndef FIXED
using argument = std::array<float, 5>;
#else
using argument = std::array<float, 4>;
#endif

int main() {
    network<d> net;
    const argument x{};
    net(x);
}
