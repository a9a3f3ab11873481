// A small network that predicts and learns.
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto digits =
    compose(input{"image", {1, 8, 8}}, convolution{.output_channels = 16, .padding = same} | named("conv"), relu{},
            pooling{.kernel_size = {2, 2}, .stride = {2, 2}}, flatten{},
            inner_product{.output_channels = 10} | named("fc") | updatable, softmax{});

int main() {
    network<digits> net;
    const std::vector<float> images(32 * 64), labels(32);
    const auto learned = update(net, training_setup<float>{.examples = 32,
                                                           .inputs = {images},
                                                           .losses = {categorical_cross_entropy{}},
                                                           .targets = {labels},
                                                           .with = adam{}});
    network<digits> copy = learned;
    return copy(std::vector<float>(64)).flat(0) > 0.5F;
}
