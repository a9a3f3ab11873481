// expect: one argument for each input of the network
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, input{"z", {4}}, add{} | from("x", "z"));

#ifndef FIXED
#define ARGUMENTS x
#else
#define ARGUMENTS x, z
#endif

int main() {
    network<d> net;
    const std::array<float, 4> x{}, z{};
    (void)z;
    net(ARGUMENTS);
}
