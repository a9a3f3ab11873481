#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "axis.hpp"

#include <algorithm>

namespace bespoke {

/// For each index of x a vector of off_value with on_value at the index, along a new axis of y: `axis`, which counts
/// the axes of y (negative: from the end). The nearest integer counts; an index outside, a negative one among them, or
/// NaN gives off_value alone. A second input holds the size of the vectors instead of one_hot_vector_size.
///
/// x [i.., k..] -> y [i.., one_hot_vector_size, k..]. No gradient passes.
/// Core ML specification, OneHotLayerParams, which says nothing of indices outside.
struct one_hot {
    extent one_hot_vector_size = 0;
    extent axis = -1;
    float on_value = 1, off_value = 0;

    static constexpr auto key = "oneHot";
    static constexpr auto fields =
        std::tuple{field{"oneHotVectorSize", &one_hot::one_hot_vector_size}, field{"axis", &one_hot::axis},
                   field{"onValue", &one_hot::on_value}, field{"offValue", &one_hot::off_value}};
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape& x = xs[0];
        if (x.rank() == max_rank)
            return shape_fault("an input of rank ", max_rank - 1, " or less wanted, its shape is ", x);
        const auto rank = static_cast<extent>(x.rank()) + 1;
        if (axis < -rank || axis >= rank)
            return value_fault("an axis of its output, of rank ", rank, ", wanted, ", axis,
                               " given for the shape ", x);
        extent size = one_hot_vector_size;
        if (xs.size() > 1) {
            if (xs[1].rank() > 1 || xs[1].size() != 1)
                return shape_fault("a second input of one number wanted, its shape is ", xs[1]);
            const known_values given = known_input(known, 1);
            if (!given)
                return fault{errc::unsupported,
                             sentence("a second input wanted that is known before the network runs, as that of "
                                      "getShape, fillStatic or rangeStatic")};
            size = (*given)[0] >= 1 && (*given)[0] <= 0x1p53 ? static_cast<extent>((*given)[0]) : 0;
        }
        if (size < 1) return value_fault("oneHotVectorSize from 1 up wanted, ", size, " given");
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
        const std::size_t made = detail::axis_among(axis, x.dimensions.rank() + 1);
        const extent outer = x.dimensions.product(0, made), inner = x.size() / std::max<extent>(outer, 1);
        const extent indices = y.dimensions[made], size = indices * inner, rows = outer * y.examples;
        parallel_for(rows * size < (1 << 14) ? nullptr : w.threads, rows, 1, [&](extent first, extent last) {
            kernels::fill((last - first) * size, static_cast<T>(off_value), y.data + first * size);
            for (extent row = first; row < last; ++row) {
                const T* const from = x.example(row / outer) + row % outer * inner;
                for (extent i = 0; i < inner; ++i) {
                    const extent at = kernels::nearest_integer(from[i]);
                    if (at >= 0 && at < indices) y.data[row * size + at * inner + i] = static_cast<T>(on_value);
                }
            }
        });
    }
    friend bool operator==(const one_hot&, const one_hot&) = default;
};

}  // namespace bespoke
