#pragma once

#include "transpose.hpp"

#include <limits>

namespace bespoke {

enum class flatten_order { channel_first, channel_last };
constexpr std::array<std::string_view, 2> enumerators(flatten_order) {
    return {"CHANNEL_FIRST", "CHANNEL_LAST"};
}

/// x [..., C, H, W] -> y [..., C H W, 1, 1], in the order C, H, W (`channel_first`) or H, W, C
/// (`channel_last`).
/// Core ML specification, FlattenLayerParams.
struct flatten {
    flatten_order mode = flatten_order::channel_first;

    static constexpr auto key = "flatten";
    constexpr void fields(auto& field) { field("mode", mode); }

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        const extent columns =
            checked_size({x.from_end(3), x.from_end(2), x.from_end(1)}, std::numeric_limits<extent>::max());
        if (columns < 0) return shape_fault("an input of fewer elements wanted, its shape is ", x);
        shape y = x;
        y.from_end(3) = columns;
        y.from_end(2) = y.from_end(1) = 1;
        return y;
    }

    constexpr bool same_elements() const { return mode == flatten_order::channel_first; }
    constexpr transpose equivalent(const shape& x) const {
        shape axes;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) axes.push_back(static_cast<extent>(axis));
        if (!same_elements()) {
            axes.from_end(3) += 1;
            axes.from_end(2) += 1;
            axes.from_end(1) -= 2;
        }
        return {axes};
    }
    friend bool operator==(const flatten&, const flatten&) = default;
};

/// The elements of x in their order as a matrix: a row for each index of the axes before `axis`, which may be negative
/// (from the end) and also the rank of x. x [2, 3, 4] with axis 1 -> y [2, 12].
/// Core ML specification, FlattenTo2DLayerParams.
struct flatten_to_2d {
    extent axis = 0;

    static constexpr auto key = "flattenTo2D";
    constexpr void fields(auto& field) { field("axis", axis); }
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        const auto rank = static_cast<extent>(x.rank());
        if (axis < -rank || axis > rank)
            return value_fault("an axis from ", -rank, " to ", rank, " wanted for the shape ", x, ", ", axis, " given");
        if (checked_size(x, std::numeric_limits<extent>::max()) < 0)
            return shape_fault("an input of fewer elements wanted, its shape is ", x);
        const auto first = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
        return shape{x.product(0, first), x.product(first, x.rank())};
    }
    friend bool operator==(const flatten_to_2d&, const flatten_to_2d&) = default;
};

}  // namespace bespoke
