// expect: no match for .operator=. [(]operand types are .const std::span<float
// expect-clang: no viable overloaded '='
#include <bespoke.hpp>

using namespace bespoke;

// To assign to the view would write no parameter.
inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | named("fc"));

int main() {
    network<d> net;
    const std::vector<float> values(16);
#ifndef FIXED
    net.parameter("fc", "weights") = values;
#else
    std::ranges::copy(values, net.parameter("fc", "weights").begin());
#endif
}
