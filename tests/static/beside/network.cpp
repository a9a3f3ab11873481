// A file that composes, predicts and learns, beside one that says BESPOKE_IMPLEMENTATION.
#include <bespoke.hpp>

using namespace bespoke;

// Small enough that its layers unroll: what they call is then seen where this is compiled.
inline constexpr auto digits =
    compose(input{"image", {1, 8, 8}}, convolution{.output_channels = 16, .padding = same}, relu{},
            pooling{.kernel_size = {2, 2}, .stride = {2, 2}}, flatten{},
            inner_product{.output_channels = 10} | updatable, softmax{});

float learned() {
    network<digits> net;
    const std::vector<float> images(32 * 64), labels(32);
    auto copy = update(net, training_setup<float>{.examples = 32,
                                                  .inputs = {images},
                                                  .losses = {categorical_cross_entropy{}},
                                                  .targets = {labels},
                                                  .with = adam{}});
    return copy(std::vector<float>(64)).flat(0);
}
