// expect: each argument is all numbers of an input, in what has begin[(][)], end[(][)] and size[(][)]
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, relu{});

#ifndef FIXED
using examples = std::vector<std::array<float, 4>>;
#else
using examples = std::vector<float>;
#endif

int main() {
    network<d> net;
    net.predict_batch(examples(8));
}
