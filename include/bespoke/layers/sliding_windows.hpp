#pragma once

#include "../core/concepts.hpp"
#include "../kernels/strided.hpp"
#include "axis.hpp"

#include <algorithm>

namespace bespoke {

/// The windows of window_size elements along `axis` (negative: from the end), each `step` behind the one before:
/// y[i.., m, j, k..] = x[i.., m step + j, k..].
///
/// x [.., n, ..] -> y [.., (n - window_size) / step + 1, window_size, ..]; window_size is at most n.
/// Core ML specification, SlidingWindowsLayerParams.
struct sliding_windows {
    extent axis = 0;
    extent window_size = 0;
    extent step = 1;

    static constexpr auto key = "slidingWindows";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("windowSize", window_size);
        field("step", step);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        if (x.rank() == max_rank)
            return shape_fault("an input of rank ", max_rank - 1, " or less wanted, its shape is ", x);
        const std::size_t along = detail::axis_among(axis, x.rank());
        if (window_size < 1 || window_size > x[along])
            return value_fault("a windowSize from 1 to ", x[along], " wanted, the extent of axis ", along,
                               " in the shape ", x, ", ", window_size, " given");
        if (step < 1) return value_fault("a step from 1 up wanted, ", step, " given");
        shape y;
        for (std::size_t i = 0; i < x.rank(); ++i) {
            y.push_back(i == along ? (x[i] - window_size) / step + 1 : x[i]);
            if (i == along) y.push_back(window_size);
        }
        return y;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        const geometry g(*this, x.dimensions, x.examples);
        kernels::copy_strided(g.walk(0, 1), x.data, y.data, w.threads);
    }
    /// Windows that overlap are added one set of apart ones after the other.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        const geometry g(*this, dx.dimensions, dx.examples);
        const extent sets = std::min((window_size - 1) / step + 1, g.windows);
        for (extent set = 0; set < sets; ++set)
            kernels::accumulate_strided(g.walk(set, sets).reversed(), dy.data + set * g.window,
                                        dx.data + set * g.hop, w.threads);
    }
    friend bool operator==(const sliding_windows&, const sliding_windows&) = default;

private:
    /// x [outer, line], y [outer, windows, window]; `hop` from one window to the next in x.
    struct geometry {
        extent outer, line, windows, window, hop;

        geometry(const sliding_windows& layer, const shape& x, extent examples) {
            const std::size_t along = detail::axis_among(layer.axis, x.rank());
            const extent inner = x.product(along + 1, x.rank());
            outer = x.product(0, along) * examples;
            line = x[along] * inner;
            windows = (x[along] - layer.window_size) / layer.step + 1;
            window = layer.window_size * inner;
            hop = std::min(layer.step, x[along]) * inner;
        }
        /// From x to y: every `apart`-th window from the one numbered `first` on.
        kernels::strided_walk walk(extent first, extent apart) const {
            kernels::strided_walk w;
            w.add(outer, line, windows * window);
            w.add((windows - first - 1) / apart + 1, apart * hop, apart * window);
            w.add(window, 1, 1);
            return w;
        }
    };
};

}  // namespace bespoke
