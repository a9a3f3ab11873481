// A file that composes, predicts and learns, beside one that says BESPOKE_IMPLEMENTATION.
#include <bespoke.hpp>

using namespace bespoke;

inline constexpr auto digits =
    compose(input{"image", {1, 8, 8}}, convolution{.output_channels = 16, .padding = same}, relu{}, flatten{},
            inner_product{.output_channels = 600} | updatable, relu{}, inner_product{.output_channels = 10} | updatable,
            softmax{});

float learned() {
    network<digits> net;
    net.use_low_precision(low_precision::bfloat16);
    const std::vector<float> images(32 * 64), labels(32);
    auto copy = update(net, training_setup<float>{.examples = 32,
                                                  .inputs = {images},
                                                  .losses = {categorical_cross_entropy{}},
                                                  .targets = {labels},
                                                  .with = adam{}});
    return copy(std::vector<float>(64))[0];
}
