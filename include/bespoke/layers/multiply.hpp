#pragma once

#include "combination.hpp"

namespace bespoke {

/// y = x1 x2 ..., element by element, from the left; of a single input, y = alpha x.
/// Shapes: see `broadcast_shape`. Core ML specification, MultiplyLayerParams.
struct multiply {
    float alpha = 1;

    static constexpr auto key = "multiply";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::product, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const multiply&, const multiply&) = default;
};

}  // namespace bespoke
