// expect: shapes that are decided in the run differ between examples: run them one by one
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, where_non_zero{});

int main() {
    network<d> net;
    const std::array<float, 4> x{};
#ifndef FIXED
    net.predict_batch(x);
#else
    net(x);
#endif
}
