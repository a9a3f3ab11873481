#pragma once

#include "shape.hpp"

#include <cstdint>

namespace bespoke {

/// What of a shape is left open until the network runs: one that follows from the values of blobs. The shape beside it
/// is one that may come.
struct open_shape {
    bool any = false;          ///< it is decided in the run, as is all that is made of it
    bool rank = false;         ///< even how many axes it has
    std::uint8_t extents = 0;  ///< bit i: the extent of axis i

    /// All of it.
    static constexpr open_shape all() { return {true, true, 0}; }

    constexpr bool has(std::size_t axis) const { return (extents >> axis & 1U) != 0; }
    constexpr void open(std::size_t axis) {
        any = true;
        extents = static_cast<std::uint8_t>(extents | 1U << axis);
    }
    constexpr void open(const open_shape& other) {
        any |= other.any;
        rank |= other.rank;
        extents = static_cast<std::uint8_t>(extents | other.extents);
    }
    friend constexpr bool operator==(const open_shape&, const open_shape&) = default;
};
static_assert(max_rank <= 8, "a bit for each axis");

/// What is open of a shape that may be `a` and may be `b`.
constexpr open_shape difference(const shape& a, const shape& b) {
    if (a.rank() != b.rank()) return open_shape::all();
    open_shape between;
    for (std::size_t axis = 0; axis < a.rank(); ++axis)
        if (a[axis] != b[axis]) between.open(axis);
    return between;
}

/// `s` with `e` along each axis whose extent is open.
constexpr shape closed(shape s, const open_shape& open, extent e) {
    for (std::size_t axis = 0; axis < s.rank(); ++axis)
        if (open.has(axis)) s[axis] = e;
    return s;
}

}  // namespace bespoke
