#pragma once

#include "../core/concepts.hpp"
#include "../kernels/broadcast.hpp"
#include "../kernels/map.hpp"

#include <algorithm>

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

/// Whether a layer of these inputs can finish one of the shape of y (see `finishes`): the other, if there is one, has
/// that shape too, or is repeated.
constexpr bool can_finish_binary(std::span<const shape> xs) {
    if (xs.size() != 2) return xs.size() == 1;
    const shape y = broadcast_shape(xs).shapes()[0];
    return xs[0] == y || xs[1] == y;
}

/// v = f(v, other) in the block; f(v, alpha) where there is no other.
template <class T, class F>
void finish_binary(const output_block<T>& block, const finishing<T>& with, T alpha, const F& f) noexcept {
    using kernels::batch;
    const bool alone = with.other == nullptr, alike = alone || *with.other_dimensions == *with.dimensions;
    const extent size = with.dimensions->size(), other_size = alone ? 0 : with.other_dimensions->size();
    kernels::detail::broadcast_plan<1> plan;
    if (!alike) plan = kernels::detail::plan_broadcast<1>(*with.dimensions, {*with.other_dimensions});
    for (extent i = 0; i < block.rows; ++i) {
        T* const row = block.data + i * block.stride;
        const extent at = with.offset + i * block.stride;
        if (alone)
            kernels::map(block.columns, [&](const batch<T>& v) { return f(v, batch<T>(alpha)); }, row, row);
        for (extent j = 0; j < block.columns && !alone;) {
            extent some = block.columns - j, step = 1;
            const T* other = with.other + at + j;
            if (!alike) {
                extent rest = (at + j) % size;
                other = with.other + (at + j) / size * other_size;
                for (std::size_t axis = plan.rank; axis-- > 0; rest /= plan.extents[axis]) {
                    const extent index = rest % plan.extents[axis];
                    other += index * plan.steps[0][axis];
                    if (axis + 1 == plan.rank) some = std::min(some, plan.extents[axis] - index);
                }
                step = plan.steps[0][plan.rank - 1];
            }
            if (step == 0)
                kernels::map(some, [&, v = batch<T>(*other)](const batch<T>& u) { return f(u, v); }, row + j, row + j);
            else
                kernels::for_each_batch<T>(some, [&](extent k, auto in, auto out) {
                    out(row + j + k, f(in(row + j + k), in(other + k)));
                });
            j += some;
        }
    }
}

}  // namespace detail

}  // namespace bespoke
