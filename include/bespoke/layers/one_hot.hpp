#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "axis.hpp"
#include "number_input.hpp"

namespace bespoke {

/// For each index of x a vector of off_value with on_value at the index, along a new axis of y: `axis`, which counts
/// the axes of y (negative: from the end). The nearest integer counts; an index outside, a negative one among them, or
/// NaN gives off_value alone.
///
/// x [i.., k..] -> y [i.., one_hot_vector_size, k..]. A second input of one number is the size in the place of the
/// field; it decides the shape. No gradient passes.
/// Core ML specification, OneHotLayerParams, which says nothing of indices outside.
struct one_hot {
    extent one_hot_vector_size = 0;
    extent axis = -1;
    float on_value = 1, off_value = 0;

    static constexpr auto key = "oneHot";
    constexpr void fields(auto& field) {
        field("oneHotVectorSize", one_hot_vector_size);
        field("axis", axis);
        field("onValue", on_value, field_floats::any);
        field("offValue", off_value, field_floats::any);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr std::size_t values_from = 1;
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape& x = xs[0];
        extent size = one_hot_vector_size;
        const known_values value = known_input(known, 1);
        if (xs.size() > 1) {
            if (const auto wrong = detail::check_numbers("oneHotVectorSize", xs[1], 1, 1, value)) return *wrong;
            size = value ? detail::numbers_of(*value)[0] : unset;
        }
        if (x.rank() == max_rank)
            return shape_fault("an input of rank ", max_rank - 1, " or less wanted, its shape is ", x);
        const auto rank = static_cast<extent>(x.rank()) + 1;
        if (axis < -rank || axis >= rank)
            return value_fault("an axis of its output, of rank ", rank, ", wanted, ", axis,
                               " given for the shape ", x);
        if (size < 1 && (xs.size() < 2 || value))
            return value_fault("oneHotVectorSize from 1 up wanted, ", size, " given");
        const std::size_t made = detail::axis_among(axis, x.rank() + 1);
        shape y;
        for (std::size_t i = 0; i <= x.rank(); ++i)
            y.push_back(i == made ? size : x[i > made ? i - 1 : i]);
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        const auto& x = xs[0];
        const auto& y = ys[0];
        const shape& s = x.dimensions;
        const std::size_t made = detail::axis_among(axis, s.rank() + 1);
        const extent each = s.product(0, made), outer = each * y.examples, inner = s.product(made, s.rank());
        const extent count = y.dimensions[made], size = count * inner;
        parallel_for(
            outer * size < (1 << 14) ? nullptr : w.threads, outer, 1, [&](extent first, extent last) {
                kernels::fill((last - first) * size, static_cast<T>(off_value), y.data + first * size);
                for (extent o = first; o < last; ++o)
                    for (extent i = 0; i < inner; ++i) {
                        const extent at = kernels::nearest_integer(x.example(o / each)[o % each * inner + i]);
                        if (at >= 0 && at < count)
                            y.data[o * size + at * inner + i] = static_cast<T>(on_value);
                    }
            });
    }
    friend bool operator==(const one_hot&, const one_hot&) = default;
};

}  // namespace bespoke
