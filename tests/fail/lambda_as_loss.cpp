// expect: a loss has input, from_softmax, target_size[(]shape[)], check_target[(]shape, target[)] and operator[(][)]
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);

int main() {
    network<d> net;
#ifdef FIXED
    trainer training(net, {mean_squared_error{}}, adam{});
#else
    trainer training(net, {[](auto x, auto target) { return x - target; }}, adam{});
#endif
}
