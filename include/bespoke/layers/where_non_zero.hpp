#pragma once

#include "../core/concepts.hpp"

namespace bespoke {

/// Where x is not 0: the indices of these elements along the axes of x, one row each, in the order in which the
/// elements stand. NaN is not 0, -0 is.
///
/// x of rank r, 1 or more -> y [n, r]: how many rows there are is decided in the run. No gradient passes. Indices are
/// exact up to 2^24 in float. Core ML specification, WhereNonZeroLayerParams.
struct where_non_zero {
    static constexpr auto key = "whereNonZero";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{1, 1};
    static constexpr bool differentiable = false;

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const auto rank = static_cast<extent>(xs[0].rank());
        if (rank < 1) return shape_fault("an input of rank 1 or more wanted, its shape is ", xs[0]);
        const known_values x = known_input(known, 0);
        if (!x) return shape{unset, rank};
        extent rows = 0;
        for (double v : *x) rows += v != 0 ? 1 : 0;
        return shape{rows, rank};
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W&) const noexcept {
        using T = typename Ys::value_type::value_type;
        const shape& x = xs[0].dimensions;
        T* y = ys[0].data;
        shape at = x;
        for (extent& i : at) i = 0;
        for (extent i = 0; i < x.size(); ++i) {
            if (xs[0].data[i] != T(0))
                for (extent index : at) *y++ = static_cast<T>(index);
            for (std::size_t back = 1; back <= x.rank() && ++at.from_end(back) == x.from_end(back); ++back)
                at.from_end(back) = 0;
        }
    }
    friend bool operator==(const where_non_zero&, const where_non_zero&) = default;
};

}  // namespace bespoke
