// expect: one argument for each input of the network
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, relu{});

#ifndef FIXED
#define MANY x, x
#else
#define MANY x
#endif

int main() {
    network<d> net;
    const std::array<float, 4> x{};
    auto y = net.predict_batch(MANY);
    return y.size() == 4;
}
