#pragma once

#include "gather.hpp"

namespace bespoke {

using kernels::scatter_mode;

namespace kernels {
constexpr std::array<std::string_view, 7> enumerators(scatter_mode) {
    return {"SCATTER_UPDATE", "SCATTER_ADD", "SCATTER_SUB", "SCATTER_MUL",
            "SCATTER_DIV",    "SCATTER_MAX", "SCATTER_MIN"};
}
}  // namespace kernels

namespace detail {

/// What runs for the scatters: container, indices and updates -> y, the container with the updates in it.
///
/// Every mode has a gradient, for the container and for the updates: it goes back through the updates one by one, so an
/// update that a later one replaces has none. Of equal numbers under a maximum or minimum the earlier one has it.
template <class Way>
struct scattering {
    Way way{};
    scatter_mode mode = scatter_mode::update;

    static constexpr auto key = "scattering";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{3, 3};
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const outcome part = way.part(xs[0], xs[1]);
        if (!part) return part.problem();
        if (const shape& wanted = part.shapes()[0]; !(wanted == xs[2]))
            return shape_fault("updates of the shape ", wanted, " wanted, theirs is ", xs[2]);
        return xs[0];
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent, extent) const {
        return kernels::scatter_scratch(way.how(xs[0], xs[1]), mode);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        kernels::scatter(way.how(xs[0].dimensions, xs[1].dimensions), mode, xs[0].data, xs[2].data, xs[1].data,
                         ys[0].data, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        kernels::scatter_backward(way.how(xs[0].dimensions, xs[1].dimensions), mode, xs[0].data, xs[2].data, xs[1].data,
                                  dys[0].data, dxs[0].data, dxs[2].data, w.scratch, w.threads);
    }
    friend bool operator==(const scattering&, const scattering&) = default;
};

}  // namespace detail

/// y = container, then for each index in order y[i.., indices[j..], k..] = updates[i.., j.., k..], the index standing
/// at `axis` (negative: from the end): what `gather` with the same indices would read. With another mode the value
/// there and its update are added, subtracted, multiplied, divided, or the larger or smaller one stays; NaN stays.
///
/// container [.., n, ..], indices of any shape, updates with the shape that `gather` would give -> y like the
/// container. An update whose index is outside is left out, see gather.hpp. Core ML specification, ScatterLayerParams.
struct scatter {
    extent axis = 0;
    scatter_mode mode = scatter_mode::update;

    static constexpr auto key = "scatter";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("mode", mode);
    }
    static constexpr input_count inputs{3, 3};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::scattering<detail::axis_indexing> equivalent(const shape&) const { return {{axis}, mode}; }
    friend bool operator==(const scatter&, const scatter&) = default;
};

/// `scatter` to points: y[indices[i.., 0], indices[i.., 1], .., k..] = updates[i.., k..], in order, see `gather_nd`.
/// Core ML specification, ScatterNDLayerParams.
struct scatter_nd {
    scatter_mode mode = scatter_mode::update;

    static constexpr auto key = "scatterND";
    constexpr void fields(auto& field) { field("mode", mode); }
    static constexpr input_count inputs{3, 3};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::scattering<detail::point_indexing> equivalent(const shape&) const { return {{}, mode}; }
    friend bool operator==(const scatter_nd&, const scatter_nd&) = default;
};

/// `scatter` with an index for each element: y[i.., indices[i.., j, k..], k..] = updates[i.., j, k..], in order, see
/// `gather_along_axis`; numpy's put_along_axis.
/// Core ML specification, ScatterAlongAxisLayerParams.
struct scatter_along_axis {
    extent axis = 0;
    scatter_mode mode = scatter_mode::update;

    static constexpr auto key = "scatterAlongAxis";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("mode", mode);
    }
    static constexpr input_count inputs{3, 3};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::scattering<detail::own_indexing> equivalent(const shape&) const { return {{axis}, mode}; }
    friend bool operator==(const scatter_along_axis&, const scatter_along_axis&) = default;
};

}  // namespace bespoke
