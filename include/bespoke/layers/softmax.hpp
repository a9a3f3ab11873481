#pragma once

#include "../core/entries.hpp"
#include "../kernels/softmax.hpp"
#include "axis.hpp"

namespace bespoke {

namespace detail {

/// y = e^x / (sum of e^x along one axis).
template <class X, class Y, class W>
void softmax_along(std::size_t axis, X x, Y y, W& w) noexcept {
    const shape s = x.dimensions;
    kernels::softmax(s.product(0, axis) * x.examples, s[axis], s.product(axis + 1, s.rank()), x.data, y.data,
                     w.threads);
}
template <class Y, class Dy, class Dx, class W>
void softmax_along_backward(std::size_t axis, Y y, Dy dy, Dx dx, W& w) noexcept {
    const shape s = y.dimensions;
    if (dx)
        kernels::softmax_backward(s.product(0, axis) * y.examples, s[axis], s.product(axis + 1, s.rank()),
                                  y.data, dy.data, dx.data, w.threads);
}

}  // namespace detail

/// y_c = e^(x_c) / sum of e^(x_c) over the channels c, axis -3. x [..., C, H, W].
/// A row with NaN or +infinity is NaN. Core ML specification, SoftmaxLayerParams.
struct softmax {
    static constexpr auto key = "softmax";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3)
            return shape_fault("an input of rank 3 or more wanted, its shape is ", x,
                               "; softmax_nd takes any rank");
        return x;
    }
    /// Where C is the whole example.
    constexpr bool probabilities(const shape& x) const { return x.size() == x.from_end(3); }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::softmax_along(x.rank() - 3, x, y, w);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::softmax_along_backward(y.rank() - 3, y, dy, dx, w);
    }
    friend bool operator==(const softmax&, const softmax&) = default;
};

/// y = e^x / (sum of e^x along `axis`), which counts from the end where it is negative.
/// A row with NaN or +infinity is NaN. Core ML specification, SoftmaxNDLayerParams.
struct softmax_nd {
    extent axis = -1;

    static constexpr auto key = "softmaxND";
    constexpr void fields(auto& field) { field("axis", axis); }
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        return x;
    }
    /// Where the axis is the whole example.
    constexpr bool probabilities(const shape& x) const { return x.size() == x[detail::axis_among(axis, x.rank())]; }
    constexpr std::size_t entries_from(std::span<const shape> xs, std::size_t back) const {
        return back + detail::axis_among(axis, xs[0].rank()) == xs[0].rank() ? 0 : back;
    }
    constexpr bool finishes_rows(std::span<const shape> xs) const {
        return detail::axis_among(axis, xs[0].rank()) + 1 == xs[0].rank();
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::softmax_along(detail::axis_among(axis, x.rank()), x, y, w);
    }
    template <class T>
    void finish(const output_block<T>& rows, const finishing<T>&) const noexcept {
        kernels::softmax(rows.rows, rows.columns, extent{1}, rows.data, rows.data);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::softmax_along_backward(detail::axis_among(axis, y.rank()), y, dy, dx, w);
    }
    friend bool operator==(const softmax_nd&, const softmax_nd&) = default;
};

}  // namespace bespoke
