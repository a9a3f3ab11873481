#pragma once

#include "../core/concepts.hpp"
#include "../kernels/scan.hpp"
#include "axis.hpp"

namespace bespoke {

/// y = the running sums of x along `axis` (negative: from the end): y_i = x_0 + ... + x_i; with exclude_final_sum
/// y_i = x_0 + ... + x_(i-1), which begins with 0; with `reverse` the same from the last element to the first.
/// An axis that is given as a second input is refused: it would be known only when the network runs.
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
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs.size() == 2)
            return fault{errc::unsupported,
                         sentence("one input and the field axis wanted, an axis is given as a second "
                                  "input")};
        if (const auto wrong = detail::check_axis(axis, xs[0])) return *wrong;
        return xs[0];
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& x = xs[0];
        const auto& y = ys[0];
        const bool once = x.stride == 0 && y.stride != 0;
        for (extent e = 0; e < (once ? y.examples : 1); ++e)
            sums(x.dimensions, once ? 1 : y.examples, x.data, y.example(e), reverse, false, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        const auto& dx = dxs[0];
        if (!dx) return;
        const bool once = dx.stride == 0 && dy.stride != 0;
        for (extent e = 0; e < (once ? dy.examples : 1); ++e)
            sums(dx.dimensions, once ? 1 : dy.examples, dy.example(e), dx.data, !reverse, true, w.threads);
    }
    friend bool operator==(const cum_sum&, const cum_sum&) = default;

private:
    template <class T>
    void sums(const shape& x, extent examples, const T* from, T* to, bool descending, bool added,
              thread_pool* threads) const noexcept {
        const std::size_t along = detail::axis_among(axis, x.rank());
        kernels::running_sums(examples * x.product(0, along), x[along], x.product(along + 1, x.rank()), from,
                              to, {.exclusive = exclude_final_sum, .descending = descending}, added, threads);
    }
};

}  // namespace bespoke
