#pragma once

#include "../core/concepts.hpp"

#include <limits>

namespace bespoke {

/// The same elements in the same order under the shape `target_shape`, in which one extent may be -1: it is
/// what remains. Core ML specification, ReshapeStaticLayerParams.
struct reshape_static {
    shape target_shape;

    static constexpr auto key = "reshapeStatic";
    constexpr void fields(auto& field) { field("targetShape", target_shape); }
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        constexpr extent largest = std::numeric_limits<extent>::max();
        const extent size = checked_size(x, largest);
        if (size < 0) return shape_fault("an input of fewer elements wanted, its shape is ", x);
        shape y = target_shape, known;
        std::size_t open = y.rank();
        for (std::size_t axis = 0; axis < y.rank(); ++axis) {
            if (y[axis] == -1 && open == y.rank())
                open = axis;
            else if (y[axis] < 0)
                return value_fault("a targetShape of extents from 0 up and one -1 at most wanted, ", y,
                                   " given");
            else
                known.push_back(y[axis]);
        }
        const extent elements = checked_size(known, largest);
        if (open < y.rank() && elements > 0 && size % elements == 0)
            y[open] = size / elements;
        else if (open < y.rank() || elements != size)
            return shape_fault("targetShape ", y, " does not fit its input of shape ", x, ", which has ",
                               size, size == 1 ? " element" : " elements");
        return y;
    }
    friend bool operator==(const reshape_static&, const reshape_static&) = default;
};

}  // namespace bespoke
