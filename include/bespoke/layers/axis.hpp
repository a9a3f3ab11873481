#pragma once

#include "../core/concepts.hpp"

#include <optional>

/// An axis that a hyper-parameter names: negative ones count from the end.
namespace bespoke::detail {

/// The fault of one that x has not.
constexpr std::optional<fault> check_axis(extent axis, const shape& x) {
    const auto rank = static_cast<extent>(x.rank());
    if (axis >= -rank && axis < rank) return {};
    return value_fault("an axis of its input wanted, ", axis, " given for the shape ", x);
}

/// Its number from the front.
constexpr std::size_t axis_among(extent axis, std::size_t rank) {
    return static_cast<std::size_t>(axis < 0 ? axis + static_cast<extent>(rank) : axis);
}

}  // namespace bespoke::detail
