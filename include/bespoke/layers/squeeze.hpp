#pragma once

#include "../core/concepts.hpp"

namespace bespoke {
namespace detail {

/// Which of `rank` axes `axes` names, negative ones from the end. False: one is not there, or twice.
struct named_axes {
    bool named[max_rank]{};
    bool good = true;

    [[gnu::noinline]] constexpr named_axes(const shape& axes, std::size_t rank) {
        const auto count = static_cast<extent>(rank);
        for (extent axis : axes) {
            good = good && axis >= -count && axis < count;
            if (!good) return;
            bool& one = named[axis < 0 ? axis + count : axis];
            good = !one;
            one = true;
        }
    }
};

}  // namespace detail

/// x without the axes named, which have one element; with `squeeze_all` without all that have. Negative axes count
/// from the end. Where no axis would be left, y is [1].
/// Core ML specification, SqueezeLayerParams.
struct squeeze {
    shape axes{};
    bool squeeze_all = false;

    static constexpr auto key = "squeeze";
    constexpr void fields(auto& field) {
        field("axes", axes);
        field("squeezeAll", squeeze_all);
    }
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        if (axes.rank() == 0 && !squeeze_all) return value_fault("axes or squeezeAll wanted");
        const detail::named_axes gone(squeeze_all ? shape{} : axes, x.rank());
        if (!gone.good)
            return value_fault("different axes of its input wanted, ", axes, " given for the shape ", x);
        shape y;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            if (gone.named[axis] && x[axis] != 1)
                return shape_fault("an input of one element along axis ", axis, " wanted, its shape is ", x);
            if (!gone.named[axis] && !(squeeze_all && x[axis] == 1)) y.push_back(x[axis]);
        }
        if (y.rank() == 0 && x.rank() > 0) y.push_back(1);
        return y;
    }
    friend bool operator==(const squeeze&, const squeeze&) = default;
};

/// x with axes of one element more: those of y that `axes` names. Negative axes count from the end of y.
/// Core ML specification, ExpandDimsLayerParams.
struct expand_dims {
    shape axes{};

    static constexpr auto key = "expandDims";
    constexpr void fields(auto& field) { field("axes", axes); }
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        if (axes.rank() == 0) return value_fault("axes wanted");
        const std::size_t rank = x.rank() + axes.rank();
        if (rank > max_rank)
            return shape_fault("an output of rank ", max_rank, " or less wanted, its rank would be ", rank);
        const detail::named_axes made(axes, rank);
        if (!made.good)
            return value_fault("different axes of an output of rank ", rank, " wanted, ", axes, " given");
        shape y;
        std::size_t from = 0;
        for (std::size_t axis = 0; axis < rank; ++axis) y.push_back(made.named[axis] ? 1 : x[from++]);
        return y;
    }
    friend bool operator==(const expand_dims&, const expand_dims&) = default;
};

}  // namespace bespoke
