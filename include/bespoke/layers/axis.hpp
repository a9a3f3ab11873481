#pragma once

#include "../core/concepts.hpp"

#include <optional>

/// An axis that a hyper-parameter names: negative ones count from the end.
namespace bespoke::detail {

/// The fault of one that is not among `rank` axes; `x` is what the sentence shows.
constexpr std::optional<fault> check_axis(extent axis, std::size_t rank, const shape& x) {
    const auto count = static_cast<extent>(rank);
    if (axis >= -count && axis < count) return {};
    return value_fault("an axis of its input wanted, ", axis, " given for the shape ", x);
}
constexpr std::optional<fault> check_axis(extent axis, const shape& x) { return check_axis(axis, x.rank(), x); }

/// Its number from the front.
constexpr std::size_t axis_among(extent axis, std::size_t rank) {
    return static_cast<std::size_t>(axis < 0 ? axis + static_cast<extent>(rank) : axis);
}

}  // namespace bespoke::detail
