#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "../kernels/selection.hpp"
#include "axis.hpp"
#include "number_input.hpp"

/// Layers that put numbers in order. NaN is larger than all numbers, 0 and -0 are equal, and of equal numbers the one
/// that stands first comes first. Indices are exact up to 2^24 in float.
namespace bespoke {
namespace detail {

constexpr std::optional<fault> check_line(const shape& x, std::size_t axis) {
    if (x[axis] <= kernels::longest_line) return {};
    return shape_fault("an axis of at most ", kernels::longest_line,
                       " elements wanted, the shape of its input is ", x);
}

}  // namespace detail

/// The k largest numbers along `axis` (negative: from the end), the largest first, and their indices; with use_bottom_k
/// the k smallest, the smallest first. See sort.hpp for NaN and equal numbers.
///
/// x [.., n, ..] -> values and indices [.., k, ..], 1 <= k <= n. The gradient of the values goes to the numbers that
/// they are; the indices have none. A second input of one number is k in the place of the field; it decides the shapes.
/// Core ML specification, TopKLayerParams.
struct top_k {
    extent axis = 0;
    extent k = 0;
    bool use_bottom_k = false;

    static constexpr auto key = "topK";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("K", k);
        field("useBottomK", use_bottom_k);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr std::size_t values_from = 1;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape& x = xs[0];
        if (xs.size() > 1) {
            const known_values value = known_input(known, 1);
            if (const auto wrong = detail::check_numbers("K", xs[1], 1, 1, value)) return *wrong;
            if (value) return top_k{axis, detail::numbers_of(*value)[0], use_bottom_k}.output_shape(xs.first(1));
        }
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        const std::size_t along = detail::axis_among(axis, x.rank());
        if (const auto wrong = detail::check_line(x, along)) return *wrong;
        const bool open = xs.size() > 1;
        if (!open && (k < 1 || k > x[along]))
            return value_fault("K from 1 to ", x[along], " wanted, the extent of axis ", along,
                               " in the shape ", x, ", ", k, " given");
        shape y = x;
        y[along] = open ? unset : k;
        return std::vector<shape>{y, y};
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent, extent threads) const {
        const std::size_t along = detail::axis_among(axis, xs[0].rank());
        return kernels::ranking_scratch<T>(xs[0].product(along + 1, xs[0].rank()), xs[0][along],
                                           xs.size() > 1 ? xs[0][along] : k, threads);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const shape& x = xs[0].dimensions;
        const std::size_t along = detail::axis_among(axis, x.rank());
        kernels::rank_lines(x.product(0, along), x[along], x.product(along + 1, x.rank()), ys[0].dimensions[along],
                            use_bottom_k ? kernels::ranking::smallest : kernels::ranking::largest, xs[0].data,
                            ys[0].data, ys[1].data, w.scratch, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (!dxs[0] || !dys[0]) return;
        const shape& x = dxs[0].dimensions;
        const std::size_t along = detail::axis_among(axis, x.rank());
        const kernels::indexing how{.outer = x.product(0, along),
                                    .count = dys[0].dimensions[along],
                                    .lanes = x.product(along + 1, x.rank()),
                                    .rows = {x[along]},
                                    .own = true};
        kernels::scatter(how, kernels::scatter_mode::add, dxs[0].data, dys[0].data, ys[1].data, dxs[0].data, w.threads);
    }
    friend bool operator==(const top_k&, const top_k&) = default;
};

/// The indices that sort x along `axis` (negative: from the end, which goes beyond the specification), from the
/// smallest number to the largest or, `descending`, from the largest to the smallest. See sort.hpp for NaN and equal
/// numbers.
///
/// y has x's shape; no gradient passes.
/// Core ML specification, ArgSortLayerParams.
struct arg_sort {
    extent axis = 0;
    bool descending = false;

    static constexpr auto key = "argSort";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("descending", descending);
    }
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        if (const auto wrong = detail::check_line(x, detail::axis_among(axis, x.rank()))) return *wrong;
        return x;
    }
    template <class T>
    extent scratch_size(const shape& x, extent, extent threads) const {
        const std::size_t along = detail::axis_among(axis, x.rank());
        return kernels::ranking_scratch<T>(x.product(along + 1, x.rank()), x[along], x[along], threads);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        using T = typename X::value_type;
        const shape s = x.dimensions;
        const std::size_t along = detail::axis_among(axis, s.rank());
        kernels::rank_lines<T>(s.product(0, along) * x.examples, s[along], s.product(along + 1, s.rank()),
                               s[along], descending ? kernels::ranking::largest : kernels::ranking::smallest,
                               x.data, nullptr, y.data, w.scratch, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy, Dx, const P&, const Dp&, W&) const noexcept {}
    friend bool operator==(const arg_sort&, const arg_sort&) = default;
};

}  // namespace bespoke
