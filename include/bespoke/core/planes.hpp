#pragma once

#include "concepts.hpp"

#include <algorithm>

namespace bespoke {

// Two layers meet where a result [channels, H, W] would go far through the caches: one gives its planes, the other one
// takes them, each channel by itself. A prediction computes both for a few planes at a time, with the epilogue of
// each, and what lies between is never whole in memory.

/// The output channels [channel, channel + channels) of neighbouring examples.
template <class T>
struct plane_block {
    const shape* dimensions;  ///< of the layer's input
    extent examples, channel, channels;
    const T* x;       ///< of a layer that gives planes: all of its input; of one that takes them: these channels
    extent x_stride;  ///< elements between examples, as is y_stride
    T* y;
    extent y_stride;
};

/// Planes of so many elements stay in a cache of the second level until they are read.
inline constexpr extent near_elements = extent{1} << 17;

/// How many are computed at a time, of results [channels, H, W] of `examples` examples: many small ones, or of one some
/// channels, as many as whole panels of packed weights have.
struct planes_together {
    extent examples, channels;

    constexpr planes_together(const shape& result, extent all_examples)
        : examples(1), channels(result[0]) {
        constexpr extent panel = 32;
        const extent plane = std::max<extent>(result[1] * result[2], 1);
        if (result.size() <= near_elements)
            examples = std::clamp<extent>(near_elements / (channels * plane), 1, std::max<extent>(all_examples, 1));
        else
            channels = std::min(std::max<extent>(near_elements / plane / panel, 1) * panel, channels);
    }
    constexpr extent elements(const shape& result) const { return examples * channels * result[1] * result[2]; }
};

/// `bool gives_planes(std::span<const shape> xs) const`: whether `forward_planes(block, p, w)` computes what of y
/// [channels, H, W] is in the block, where this has all channels or y is more than `near_elements` and the block begins
/// where `planes_together` says. It calls `w.after`, whose channels are those of the block.
template <class L>
constexpr bool can_give_planes(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.gives_planes(inputs); })
        return is_batched<L> && runs_epilogue<L> && layer.gives_planes(inputs);
    else
        return false;
}
/// `bool takes_planes(std::span<const shape> xs) const`: whether each channel of y [channels, H', W'] is made of that
/// of the one input, by `forward_planes` likewise.
template <class L>
constexpr bool can_take_planes(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.takes_planes(inputs); })
        return is_batched<L> && inputs.size() == 1 && layer.takes_planes(inputs);
    else
        return false;
}

/// What a layer says of planes.
struct plane_answers {
    bool gives = false, takes = false;
};

/// A layer of which one of these may be true.
template <class L>
concept plane_layer = requires(const L& layer, std::span<const shape> inputs) {
    requires requires { layer.gives_planes(inputs); } || requires { layer.takes_planes(inputs); };
};

}  // namespace bespoke
