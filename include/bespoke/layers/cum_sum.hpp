#pragma once

#include "../core/concepts.hpp"
#include "../kernels/scan.hpp"
#include "axis.hpp"
#include "number_input.hpp"

#include <algorithm>

namespace bespoke {

/// y = the running sums of x along `axis` (negative: from the end): y_i = x_0 + ... + x_i; with exclude_final_sum
/// y_i = x_0 + ... + x_(i-1), which begins with 0; with `reverse` the same from the last element to the first.
/// A second input of one number is the axis in the place of the field: its nearest integer, and where x has no such
/// axis the nearest that it has; NaN means 0. No gradient passes to it.
/// Core ML specification, CumSumLayerParams.
struct cum_sum {
    extent axis = 0;
    bool exclude_final_sum = false;
    bool reverse = false;

    static constexpr auto key = "cumSum";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("excludeFinalSum", exclude_final_sum);
        field("reverse", reverse);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs.size() == 2) {
            if (xs[0].rank() == 0) return shape_fault("an input of rank 1 or more wanted, its shape is []");
            if (const auto wrong = detail::check_numbers("axis", xs[1], 1, 1, {})) return *wrong;
            return xs[0];
        }
        if (const auto wrong = detail::check_axis(axis, xs[0])) return *wrong;
        return xs[0];
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& x = xs[0];
        const auto& y = ys[0];
        const bool apart = xs.size() > 1 || (x.stride == 0 && y.stride != 0);
        for (extent e = 0; e < (apart ? y.examples : 1); ++e)
            sums(x.dimensions, along(xs, e), apart ? 1 : y.examples, x.example(e), y.example(e), reverse, false,
                 w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        const auto& dx = dxs[0];
        if (!dx) return;
        const bool apart = xs.size() > 1 || (dx.stride == 0 && dy.stride != 0);
        for (extent e = 0; e < (apart ? dy.examples : 1); ++e)
            sums(dx.dimensions, along(xs, e), apart ? 1 : dy.examples, dy.example(e), dx.example(e), !reverse, true,
                 w.threads);
    }
    friend bool operator==(const cum_sum&, const cum_sum&) = default;

private:
    /// The axis of one example.
    template <class Xs>
    std::size_t along(const Xs& xs, extent example) const noexcept {
        const auto rank = static_cast<extent>(xs[0].rank());
        if (xs.size() == 1) return detail::axis_among(axis, xs[0].rank());
        return detail::axis_among(std::clamp(kernels::nearest_integer(*xs[1].example(example)), -rank, rank - 1),
                                  xs[0].rank());
    }
    template <class T>
    void sums(const shape& x, std::size_t along, extent examples, const T* from, T* to, bool descending, bool added,
              thread_pool* threads) const noexcept {
        kernels::running_sums(examples * x.product(0, along), x[along], x.product(along + 1, x.rank()), from,
                              to, {.exclusive = exclude_final_sum, .descending = descending}, added, threads);
    }
};

}  // namespace bespoke
