// A composed network of 64 layers, no two of them alike.
#include <bespoke.hpp>

using namespace bespoke;

template <extent First>
constexpr auto block() {
    return compose(inner_product{.output_channels = First}, relu{}, inner_product{.output_channels = First + 1},
                   bespoke::tanh{}, inner_product{.output_channels = First + 2}, sigmoid{}, linear{.alpha = 2}, elu{});
}

inline constexpr auto deep =
    compose(input{"x", {16}}, block<16>(), block<20>(), block<24>(), block<28>(), block<32>(), block<36>(), block<40>(),
            block<44>());

int main() {
    network<deep> net;
    return net(std::vector<float>(16))[0] > 0.5F;
}
