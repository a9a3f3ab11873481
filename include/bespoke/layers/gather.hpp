#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "axis.hpp"

/// Elements and blocks looked up by indices that come as numbers in a blob of their own. An index is the nearest
/// integer of its number; a negative one counts from the end. One that is outside all the same, or NaN, names nothing:
/// a gather gives 0 there, a scatter leaves the update out. No gradient passes to indices.
namespace bespoke {
namespace detail {

/// a with the axes [first, last) replaced by those of b but for its last `left_out`.
constexpr outcome spliced(const shape& a, std::size_t first, std::size_t last, const shape& b,
                          std::size_t left_out = 0) {
    const std::size_t rank = a.rank() - (last - first) + b.rank() - left_out;
    if (rank > max_rank)
        return shape_fault("shapes wanted that give at most ", max_rank, " axes, ", a, " and the indices' ",
                           b, " would give ", rank);
    shape y;
    for (std::size_t i = 0; i < first; ++i) y.push_back(a[i]);
    for (std::size_t i = 0; i + left_out < b.rank(); ++i) y.push_back(b[i]);
    for (std::size_t i = last; i < a.rank(); ++i) y.push_back(a[i]);
    return y;
}

// Three ways to index. Each has the shape of the part for the shapes of whole and indices, and how the one lies in the
// other.

/// Along an axis, one list of indices for all.
struct axis_indexing {
    extent axis = 0;

    constexpr outcome part(const shape& whole, const shape& indices) const {
        if (const auto wrong = check_axis(axis, whole)) return *wrong;
        const std::size_t along = axis_among(axis, whole.rank());
        return spliced(whole, along, along + 1, indices);
    }
    kernels::indexing how(const shape& whole, const shape& indices) const {
        const std::size_t along = axis_among(axis, whole.rank());
        return {.outer = whole.product(0, along),
                .count = indices.size(),
                .block = whole.product(along + 1, whole.rank()),
                .rows = {whole[along]}};
    }
    friend bool operator==(const axis_indexing&, const axis_indexing&) = default;
};

/// By points: the last axis of the indices is one index for each of as many axes.
struct point_indexing {
    constexpr outcome part(const shape& whole, const shape& indices) const {
        if (indices.rank() == 0 || indices.from_end(1) > static_cast<extent>(whole.rank()))
            return shape_fault("indices [.., k] wanted, k at most ", whole.rank(), " for the shape ", whole,
                               ", theirs is ", indices);
        return spliced(whole, 0, static_cast<std::size_t>(indices.from_end(1)), indices, 1);
    }
    kernels::indexing how(const shape& whole, const shape& indices) const {
        const auto depth = static_cast<std::size_t>(indices.from_end(1));
        return {.count = indices.product(0, indices.rank() - 1),
                .block = whole.product(depth, whole.rank()),
                .rows = shape(std::span<const extent>(whole.begin(), depth))};
    }
    friend bool operator==(const point_indexing&, const point_indexing&) = default;
};

/// Along an axis, indices of its own for each element.
struct own_indexing {
    extent axis = 0;

    constexpr outcome part(const shape& whole, const shape& indices) const {
        if (const auto wrong = check_axis(axis, whole)) return *wrong;
        const std::size_t along = axis_among(axis, whole.rank());
        bool fits = indices.rank() == whole.rank();
        for (std::size_t i = 0; fits && i < whole.rank(); ++i) fits = i == along || indices[i] == whole[i];
        if (!fits)
            return shape_fault("indices wanted whose shape differs from ", whole, " along axis ", along,
                               " only, theirs is ", indices);
        return indices;
    }
    kernels::indexing how(const shape& whole, const shape& indices) const {
        const std::size_t along = axis_among(axis, whole.rank());
        return {.outer = whole.product(0, along),
                .count = indices[along],
                .lanes = whole.product(along + 1, whole.rank()),
                .rows = {whole[along]},
                .own = true};
    }
    friend bool operator==(const own_indexing&, const own_indexing&) = default;
};

/// What runs for the gathers: x and indices -> y.
template <class Way>
struct gathering {
    Way way{};

    static constexpr auto key = "gathering";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return way.part(xs[0], xs[1]); }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        kernels::gather(way.how(xs[0].dimensions, xs[1].dimensions), xs[0].data, xs[1].data, ys[0].data, w.threads);
    }
    /// What several indices name is summed up in their order.
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (dxs[0])
            kernels::scatter(way.how(dxs[0].dimensions, xs[1].dimensions), kernels::scatter_mode::add, dxs[0].data,
                             dys[0].data, xs[1].data, dxs[0].data, w.threads);
    }
    friend bool operator==(const gathering&, const gathering&) = default;
};

}  // namespace detail

/// y[i.., j.., k..] = x[i.., indices[j..], k..], the index standing at `axis` (negative: from the end): the parts of x
/// that the indices name, which may be named more than once.
///
/// x [.., n, ..] and indices of any shape -> y, x's shape with that of the indices in the place of n. See gather.hpp
/// for indices outside.
/// Core ML specification, GatherLayerParams.
struct gather {
    extent axis = 0;

    static constexpr auto key = "gather";
    constexpr void fields(auto& field) { field("axis", axis); }
    static constexpr input_count inputs{2, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::gathering<detail::axis_indexing> equivalent(const shape&) const { return {{axis}}; }
    friend bool operator==(const gather&, const gather&) = default;
};

/// y[i.., k..] = x[indices[i.., 0], indices[i.., 1], .., k..]: a point of x, or the part of x behind it, for each row
/// of the indices [.., d].
///
/// x of rank d or more and indices [i.., d] -> y [i..] and the axes of x behind the first d. See gather.hpp for indices
/// outside.
/// Core ML specification, GatherNDLayerParams.
struct gather_nd {
    static constexpr auto key = "gatherND";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::gathering<detail::point_indexing> equivalent(const shape&) const { return {}; }
    friend bool operator==(const gather_nd&, const gather_nd&) = default;
};

/// y[i.., j, k..] = x[i.., indices[i.., j, k..], k..], the index standing at `axis` (negative: from the end): numpy's
/// take_along_axis.
///
/// x and indices have the same shape but for `axis`; y has that of the indices. See gather.hpp for indices outside.
/// Core ML specification, GatherAlongAxisLayerParams.
struct gather_along_axis {
    extent axis = 0;

    static constexpr auto key = "gatherAlongAxis";
    constexpr void fields(auto& field) { field("axis", axis); }
    static constexpr input_count inputs{2, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::gathering<detail::own_indexing> equivalent(const shape&) const { return {{axis}}; }
    friend bool operator==(const gather_along_axis&, const gather_along_axis&) = default;
};

}  // namespace bespoke
