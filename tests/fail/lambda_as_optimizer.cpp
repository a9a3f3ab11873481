// expect: an optimizer has moments[(][)] and apply[(]slots, state, total, step[)]
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);

int main() {
    network<d> net;
#ifdef FIXED
    trainer training(net, {mean_squared_error{}}, sgd{});
#else
    trainer training(net, {mean_squared_error{}}, [](auto gradient) { return gradient; });
#endif
}
