#pragma once

#include <bespoke.hpp>

namespace bespoke::benchmarks {

/// ReLU6.
inline constexpr clip relu6{.min_val = 0, .max_val = 6};

/// What a unit reads and writes where that is not what stands before and behind it.
struct wires {
    std::string_view source{}, result{};
};

/// A convolution without bias, padded so that stride 1 keeps the size, and batch normalisation.
constexpr auto convolved(extent channels, extent kernel, extent stride = 1, extent groups = 1, wires names = {}) {
    const extent edge = kernel / 2;
    auto first = as_node(convolution{.output_channels = channels,
                                     .n_groups = groups,
                                     .kernel_size = {kernel, kernel},
                                     .stride = {stride, stride},
                                     .padding = padded(edge, edge, edge, edge),
                                     .has_bias = false});
    auto second = as_node(batchnorm{});
    if (!names.source.empty()) first.inputs = name_list(names.source);
    if (!names.result.empty()) second.outputs = name_list(names.result);
    return compose(first, second);
}

/// [channels, height, width] -> 1000 logits
inline constexpr auto image_head = compose(pooling{.type = pooling_type::average, .global_pooling = true}, flatten{},
                                           inner_product{.output_channels = 1000});

/// A stage of ResNet: blocks of convolutions 1x1, 3x3 and 1x1 beside a shortcut. The first block reads `source` and
/// changes the shape, so that its shortcut is a convolution, which stands before the other three.
/// What the stage gives is called "<name>.<Blocks - 2>.out".
template <std::size_t Blocks>
constexpr auto resnet_stage(extent channels, extent stride, std::string_view source, std::string_view name) {
    const auto inner = [&](extent step, wires names) {
        return compose(convolved(channels, 1, 1, 1, {names.source, {}}), relu{}, convolved(channels, 3, step), relu{},
                       convolved(4 * channels, 1, 1, 1, {{}, names.result}));
    };
    const auto first = compose(convolved(4 * channels, 1, stride, 1, {source, "shortcut"}),
                               inner(stride, {source, "main"}), add{} | from("main", "shortcut"), relu{});
    return compose(repeat<1>(first, name),
                   repeat<Blocks - 1>(compose(residual(inner(1, {})), relu{} | to("out")), name));
}

inline constexpr auto resnet50 =
    compose(bespoke::input{"image", {3, 224, 224}}, convolved(64, 7, 2), relu{},
            pooling{.stride = {2, 2}, .padding = padded(1, 1, 1, 1)} | to("stem"),
            resnet_stage<3>(64, 1, "stem", "a"), resnet_stage<4>(128, 2, "a.1.out", "b"),
            resnet_stage<6>(256, 2, "b.2.out", "c"), resnet_stage<3>(512, 2, "c.4.out", "d"), image_head);

/// An inverted residual block: 1x1 to `wide` channels, depthwise 3x3, 1x1 to `channels`.
constexpr auto inverted(extent wide, extent channels, extent stride = 1) {
    return compose(convolved(wide, 1), relu6, convolved(wide, 3, stride, wide), relu6, convolved(channels, 1));
}
/// Blocks of MobileNetV2 behind one of `inputs` channels; all but the first have a shortcut.
template <std::size_t Blocks>
constexpr auto mobilenet_stage(extent inputs, extent channels, extent stride) {
    return compose(inverted(6 * inputs, channels, stride),
                   repeat<Blocks - 1>(residual(inverted(6 * channels, channels))));
}

inline constexpr auto mobilenetv2 =
    compose(bespoke::input{"image", {3, 224, 224}}, convolved(32, 3, 2), relu6, convolved(32, 3, 1, 32), relu6,
            convolved(16, 1), mobilenet_stage<2>(16, 24, 2), mobilenet_stage<3>(24, 32, 2),
            mobilenet_stage<4>(32, 64, 2), mobilenet_stage<3>(64, 96, 1), mobilenet_stage<3>(96, 160, 2),
            inverted(6 * 160, 320), convolved(1280, 1), relu6, image_head);

}  // namespace bespoke::benchmarks
