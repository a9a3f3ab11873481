#pragma once

#include "../core/concepts.hpp"

/// What `add` and `multiply` share.
namespace bespoke {

/// The shape of an element-wise function of several blobs. All have the same rank; along each axis the
/// extents are equal, or 1 and repeated: [C, H, W] goes with [C, 1, 1], [1, H, W] and [1, 1, 1].
/// Core ML specification, AddLayerParams and MultiplyLayerParams.
constexpr outcome broadcast_shape(std::span<const shape> xs) {
    shape y = xs[0];
    for (std::size_t i = 1; i < xs.size(); ++i) {
        if (xs[i].rank() != y.rank())
            return shape_fault("inputs of one rank wanted, their shapes are ", xs[0], " and ", xs[i]);
        for (std::size_t axis = 0; axis < y.rank(); ++axis) {
            if (y[axis] == xs[i][axis] || xs[i][axis] == 1) continue;
            if (y[axis] != 1)
                return shape_fault("inputs wanted whose extents are equal or 1, input ", i, " has the shape ",
                                   xs[i], ", those before it have ", y);
            y[axis] = xs[i][axis];
        }
    }
    return y;
}

namespace detail {

/// Whether all blobs have y's shape and lie example after example, so that they are rows of numbers.
template <class Xs, class Y>
bool walk_together(const Xs& xs, const Y& y) noexcept {
    for (const auto& x : xs)
        if (!(x.dimensions == y.dimensions) || (x.stride != y.stride && y.examples > 1)) return false;
    return true;
}

/// Calls body(example) for all examples, on several threads if `apart`: they write to different places.
template <class Y, class Body>
void each_example(const Y& y, bool apart, thread_pool* threads, const Body& body) noexcept {
    if (y.total() < (1 << 14)) apart = false;
    parallel_for(apart ? threads : nullptr, y.examples, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) body(i);
    });
}

}  // namespace detail

}  // namespace bespoke
