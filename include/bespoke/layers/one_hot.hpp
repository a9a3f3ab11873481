#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "axis.hpp"

namespace bespoke {

/// For each index of x a vector of off_value with on_value at the index, along a new axis of y: `axis`, which counts
/// the axes of y (negative: from the end). The nearest integer counts; an index outside, a negative one among them, or
/// NaN gives off_value alone.
///
/// x [i.., k..] -> y [i.., one_hot_vector_size, k..]. No gradient passes.
/// Core ML specification, OneHotLayerParams, which says nothing of indices outside.
struct one_hot {
    extent one_hot_vector_size = 0;
    extent axis = -1;
    float on_value = 1, off_value = 0;

    static constexpr auto key = "oneHot";
    constexpr void fields(auto& field) {
        field("oneHotVectorSize", one_hot_vector_size);
        field("axis", axis);
        field("onValue", on_value);
        field("offValue", off_value);
    }
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() == max_rank)
            return shape_fault("an input of rank ", max_rank - 1, " or less wanted, its shape is ", x);
        const auto rank = static_cast<extent>(x.rank()) + 1;
        if (axis < -rank || axis >= rank)
            return value_fault("an axis of its output, of rank ", rank, ", wanted, ", axis,
                               " given for the shape ", x);
        if (one_hot_vector_size < 1)
            return value_fault("oneHotVectorSize from 1 up wanted, ", one_hot_vector_size, " given");
        const std::size_t made = detail::axis_among(axis, x.rank() + 1);
        shape y;
        for (std::size_t i = 0; i <= x.rank(); ++i)
            y.push_back(i == made ? one_hot_vector_size : x[i > made ? i - 1 : i]);
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        using T = typename X::value_type;
        const shape s = x.dimensions;
        const std::size_t made = detail::axis_among(axis, s.rank() + 1);
        const extent outer = s.product(0, made) * x.examples, inner = s.product(made, s.rank());
        const extent size = one_hot_vector_size * inner;
        parallel_for(
            outer * size < (1 << 14) ? nullptr : w.threads, outer, 1, [&](extent first, extent last) {
                kernels::fill((last - first) * size, static_cast<T>(off_value), y.data + first * size);
                for (extent o = first; o < last; ++o)
                    for (extent i = 0; i < inner; ++i) {
                        const extent at = kernels::nearest_integer(x.data[o * inner + i]);
                        if (at >= 0 && at < one_hot_vector_size)
                            y.data[o * size + at * inner + i] = static_cast<T>(on_value);
                    }
            });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy, Dx, const P&, const Dp&, W&) const noexcept {}
    friend bool operator==(const one_hot&, const one_hot&) = default;
};

}  // namespace bespoke
