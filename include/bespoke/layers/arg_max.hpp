#pragma once

#include "axis.hpp"
#include "reduce.hpp"

namespace bespoke {

/// y = the place, from 0 up, of the largest (smallest) element of x along `axis`: of the first of equal ones, of the
/// first NaN where there is one. A negative axis counts from the end. y has 1 in its place, or lacks it with
/// `remove_dim`; [1] where none is left. No gradient passes. T holds places up to 2^24 (float) exactly.
template <class Kind>
struct arg_along {
    extent axis = 0;
    bool remove_dim = false;

    static constexpr auto key = Kind::key;
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("removeDim", remove_dim);
    }
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        if (x[detail::axis_among(axis, x.rank())] < 1)
            return shape_fault("an element or more along axis ", axis, " wanted, its shape is ", x);
        return detail::reduced_shape(x, detail::named_axes({axis}, x.rank()).named, !remove_dim);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        const detail::named_axes gone({axis}, x.rank());
        kernels::reduce_to_number(typename Kind::reducer{},
                                  kernels::reduction_walk(x.examples, x.dimensions, gone.named), x.data, y.data,
                                  w.threads);
    }
    friend bool operator==(const arg_along&, const arg_along&) = default;
};

namespace detail {

struct arg_max_kind {
    using reducer = kernels::max_of;
    static constexpr auto key = "argMax";
};
struct arg_min_kind {
    using reducer = kernels::min_of;
    static constexpr auto key = "argMin";
};

}  // namespace detail

/// Core ML specification, ArgMaxLayerParams.
using arg_max = arg_along<detail::arg_max_kind>;
/// Core ML specification, ArgMinLayerParams.
using arg_min = arg_along<detail::arg_min_kind>;

}  // namespace bespoke
