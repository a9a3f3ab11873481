#pragma once

#include "../kernels/reduction_backward.hpp"
#include "squeeze.hpp"

/// Layers that make one number of the elements along some axes. What they give where there is NaN or no element:
/// kernels/reducers.hpp. Sums are pairwise, see kernels/reduction.hpp.
namespace bespoke {
namespace detail {

/// x with the axes that are gone made 1 (`keep`) or left out; [1] where none would be left.
constexpr shape reduced_shape(const shape& x, const bool (&gone)[max_rank], bool keep) {
    shape y;
    for (std::size_t axis = 0; axis < x.rank(); ++axis)
        if (keep || !gone[axis]) y.push_back(gone[axis] ? 1 : x[axis]);
    if (y.rank() == 0 && x.rank() > 0) y.push_back(1);
    return y;
}

/// The axes that a layer of this kind is to reduce, and its shape rule. Compiled once, not once a layer type.
[[gnu::noinline]] constexpr named_axes axes_gone(const shape& axes, bool all, std::size_t rank) {
    named_axes named(all ? shape{} : axes, rank);
    for (std::size_t axis = 0; all && axis < rank; ++axis) named.named[axis] = true;
    return named;
}
[[gnu::noinline]] constexpr outcome reduced_output(const shape& axes, bool all, bool keep, const shape& x) {
    if (axes.rank() == 0 && !all) return value_fault("axes or reduceAll wanted");
    const named_axes gone = axes_gone(axes, all, x.rank());
    if (!gone.good) return value_fault("different axes of its input wanted, ", axes, " given for the shape ", x);
    return reduced_shape(x, gone.named, keep);
}

template <class Reducer>
constexpr backward_needs needs_of_reducer{.input = Reducer::reads.x, .output = Reducer::reads.y};

template <class Reducer, class X, class Y, class W>
void reduce_forward(const Reducer& f, const bool (&gone)[max_rank], X x, Y y, W& w) noexcept {
    kernels::reduce(f, kernels::reduction_walk(x.examples, x.dimensions, gone), x.data, y.data, w.threads);
}
template <class Reducer, class X, class Y, class Dy, class Dx, class W>
void reduce_backward(const Reducer& f, const bool (&gone)[max_rank], X x, Y y, Dy dy, Dx dx, W& w) noexcept {
    if (dx)
        kernels::reduce_backward(f, kernels::reduction_walk(x.examples, x.dimensions, gone), x.data, y.data, dy.data,
                                 dx.data, w.scratch, w.threads);
}

}  // namespace detail

/// y = what Kind makes of the elements of x along `axes`, or along all axes with `reduce_all`, whatever `axes` says.
/// Negative axes count from the end. y has 1 in their place with `keep_dims`, else it lacks them; [1] where none is
/// left.
template <class Kind>
struct reduce_along {
    using reducer = typename Kind::reducer;

    shape axes{};
    bool keep_dims = false;
    bool reduce_all = false;

    static constexpr auto key = Kind::key;
    constexpr void fields(auto& field) {
        field("axes", axes);
        field("keepDims", keep_dims);
        field("reduceAll", reduce_all);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs = detail::needs_of_reducer<reducer>;

    constexpr outcome output_shape(const shape& x) const {
        return detail::reduced_output(axes, reduce_all, keep_dims, x);
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        if constexpr (std::is_same_v<reducer, kernels::product_of>)
            return kernels::reduction_walk(examples, x, gone(x).named).outputs;
        else
            return 0;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::reduce_forward(reducer{}, gone(x.dimensions).named, x, y, w);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::reduce_backward(reducer{}, gone(x.dimensions).named, x, y, dy, dx, w);
    }
    friend bool operator==(const reduce_along&, const reduce_along&) = default;

private:
    constexpr detail::named_axes gone(const shape& x) const { return detail::axes_gone(axes, reduce_all, x.rank()); }
};

namespace detail {

struct sum_kind {
    using reducer = kernels::sum_of;
    static constexpr auto key = "reduceSum";
};
struct mean_kind {
    using reducer = kernels::mean_of;
    static constexpr auto key = "reduceMean";
};
struct sum_square_kind {
    using reducer = kernels::sum_square_of;
    static constexpr auto key = "reduceSumSquare";
};
struct l1_kind {
    using reducer = kernels::l1_of;
    static constexpr auto key = "reduceL1";
};
struct l2_kind {
    using reducer = kernels::l2_of;
    static constexpr auto key = "reduceL2";
};
struct log_sum_kind {
    using reducer = kernels::log_sum_of;
    static constexpr auto key = "reduceLogSum";
};
struct log_sum_exp_kind {
    using reducer = kernels::log_sum_exp_of;
    static constexpr auto key = "reduceLogSumExp";
};
struct prod_kind {
    using reducer = kernels::product_of;
    static constexpr auto key = "reduceProd";
};
struct max_kind {
    using reducer = kernels::max_of;
    static constexpr auto key = "reduceMax";
};
struct min_kind {
    using reducer = kernels::min_of;
    static constexpr auto key = "reduceMin";
};

}  // namespace detail

/// y = sum of x. Core ML specification, ReduceSumLayerParams.
using reduce_sum = reduce_along<detail::sum_kind>;
/// y = mean of x. Core ML specification, ReduceMeanLayerParams.
using reduce_mean = reduce_along<detail::mean_kind>;
/// y = sum of x^2. Core ML specification, ReduceSumSquareLayerParams.
using reduce_sum_square = reduce_along<detail::sum_square_kind>;
/// y = sum of |x|; the slope at 0 is 0. Core ML specification, ReduceL1LayerParams.
using reduce_l1 = reduce_along<detail::l1_kind>;
/// y = sqrt(sum of x^2); no gradient where y = 0. Core ML specification, ReduceL2LayerParams.
using reduce_l2 = reduce_along<detail::l2_kind>;
/// y = log(sum of x). Core ML specification, ReduceLogSumLayerParams.
using reduce_log_sum = reduce_along<detail::log_sum_kind>;
/// y = log(sum of e^x), without overflow. Core ML specification, ReduceLogSumExpLayerParams.
using reduce_log_sum_exp = reduce_along<detail::log_sum_exp_kind>;
/// y = product of x. The gradient is right where elements are 0: y / x, and for a zero the product of the others. NaN
/// where an element is infinite. Core ML specification, ReduceProdLayerParams.
using reduce_prod = reduce_along<detail::prod_kind>;
/// y = the largest x; the first of equal ones takes the gradient. Core ML specification, ReduceMaxLayerParams.
using reduce_max = reduce_along<detail::max_kind>;
/// y = the smallest x; the first of equal ones takes the gradient. Core ML specification, ReduceMinLayerParams.
using reduce_min = reduce_along<detail::min_kind>;

enum class reduce_operation { sum, avg, prod, log_sum, sum_square, l1, l2, max, min, arg_max };
constexpr std::array<std::string_view, 10> enumerators(reduce_operation) {
    return {"SUM", "AVG", "PROD", "LOGSUM", "SUMSQUARE", "L1", "L2", "MAX", "MIN", "ARGMAX"};
}

/// The last axes of an image: of [.., C, H, W].
enum class reduce_axis { chw, hw, c, h, w };
constexpr std::array<std::string_view, 5> enumerators(reduce_axis) { return {"CHW", "HW", "C", "H", "W"}; }

/// The reductions above along some of the last three axes, which are 1 in y. Two are its own:
///
/// LOGSUM   sum of log(x + epsilon); epsilon 0 means 1e-6
/// ARGMAX   the place of the first of the largest elements along one axis, see arg_max; its gradient is 0
///
/// Core ML specification, ReduceLayerParams.
struct reduce {
    reduce_operation mode = reduce_operation::sum;
    float epsilon = 0;
    reduce_axis axis = reduce_axis::chw;

    static constexpr auto key = "reduce";
    constexpr void fields(auto& field) {
        field("mode", mode);
        field("epsilon", epsilon);
        field("axis", axis);
    }
    static constexpr bool batched = true;

    constexpr outcome output_shape(const shape& x) const {
        if (static_cast<int>(mode) < 0 || static_cast<int>(mode) > 9)
            return value_fault("mode 0 to 9 wanted, ", static_cast<int>(mode), " given");
        if (static_cast<int>(axis) < 0 || static_cast<int>(axis) > 4)
            return value_fault("axis 0 to 4 wanted, ", static_cast<int>(axis), " given");
        if (!(epsilon >= 0)) return value_fault("an epsilon from 0 up wanted, ", epsilon, " given");
        if (x.rank() < outermost())
            return shape_fault("an input of rank ", outermost(), " or more wanted for the axis ",
                               enumerators(axis)[static_cast<std::size_t>(axis)], ", its shape is ", x);
        if (mode == reduce_operation::arg_max) {
            if (axis == reduce_axis::chw || axis == reduce_axis::hw)
                return value_fault("ARGMAX along C, H or W wanted, the axis is ",
                                   enumerators(axis)[static_cast<std::size_t>(axis)]);
            if (x.from_end(outermost()) < 1)
                return shape_fault("an element or more along the axis wanted, its shape is ", x);
        }
        return detail::reduced_shape(x, gone(x).named, true);
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return mode == reduce_operation::prod ? kernels::reduction_walk(examples, x, gone(x).named).outputs : 0;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        if (mode == reduce_operation::arg_max)
            return kernels::reduce_to_number(
                kernels::max_of{}, kernels::reduction_walk(x.examples, x.dimensions, gone(x.dimensions).named), x.data,
                y.data, w.threads);
        with_reducer([&](const auto& f) { detail::reduce_forward(f, gone(x.dimensions).named, x, y, w); });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        with_reducer([&](const auto& f) { detail::reduce_backward(f, gone(x.dimensions).named, x, y, dy, dx, w); });
    }
    friend bool operator==(const reduce&, const reduce&) = default;

private:
    /// Counted from the end.
    constexpr std::size_t outermost() const {
        return axis == reduce_axis::chw || axis == reduce_axis::c    ? 3
               : axis == reduce_axis::hw || axis == reduce_axis::h ? 2
                                                                   : 1;
    }
    constexpr detail::named_axes gone(const shape& x) const {
        shape axes{-static_cast<extent>(outermost())};
        if (axis == reduce_axis::chw) axes = {-3, -2, -1};
        if (axis == reduce_axis::hw) axes = {-2, -1};
        return {axes, x.rank()};
    }
    template <class Body>
    void with_reducer(const Body& body) const noexcept {
        kernels::sum_log_of logarithms;
        if (epsilon > 0) logarithms.epsilon = epsilon;
        switch (mode) {
            case reduce_operation::sum: return body(kernels::sum_of{});
            case reduce_operation::avg: return body(kernels::mean_of{});
            case reduce_operation::prod: return body(kernels::product_of{});
            case reduce_operation::log_sum: return body(logarithms);
            case reduce_operation::sum_square: return body(kernels::sum_square_of{});
            case reduce_operation::l1: return body(kernels::l1_of{});
            case reduce_operation::l2: return body(kernels::l2_of{});
            case reduce_operation::max: return body(kernels::max_of{});
            case reduce_operation::min: return body(kernels::min_of{});
            case reduce_operation::arg_max: return;
        }
    }
};

}  // namespace bespoke
