#pragma once

#include "../core/concepts.hpp"
#include "../kernels/strided.hpp"
#include "axis.hpp"

#include <limits>

/// Layers that put blobs side by side.
namespace bespoke {
namespace detail {

/// The shape of blobs that are joined along `axis`, alike in all others. `name`: of the axis, for the fault.
constexpr outcome joined_shape(std::span<const shape> xs, std::size_t axis, extent name) {
    shape y = xs[0];
    for (std::size_t i = 1; i < xs.size(); ++i) {
        shape rest = xs[i];
        bool fits = rest.rank() == y.rank();
        if (fits) {
            const extent more = rest[axis];
            if (more > std::numeric_limits<extent>::max() - y[axis])
                return shape_fault("its output would be too large");
            rest[axis] = y[axis];
            fits = rest == y;
            y[axis] += more;
        }
        if (!fits)
            return shape_fault("shapes wanted that differ in axis ", name, " only, the first is ", xs[0],
                               ", input ", i, " has ", xs[i]);
    }
    return y;
}

/// The values of the first `count` inputs one after the other, where all are known.
constexpr std::vector<double> joined_values(std::size_t count, std::span<const known_values> known) {
    std::vector<double> all;
    for (std::size_t i = 0; i < count; ++i) {
        const known_values x = known_input(known, i);
        if (!x) return {};
        for (const double value : *x) all.push_back(value);
    }
    return all;
}

/// The walk from x to its place in y, which the blobs fill in turn: `outer` times a piece of each.
template <class X, class Y>
kernels::strided_walk joining_walk(const X& x, const Y& y, extent outer, extent examples) {
    const extent piece = x.dimensions.size() / outer;
    kernels::strided_walk w;
    w.add(examples, x.stride, y.dimensions.size());
    w.add(outer, piece, y.dimensions.size() / outer);
    w.add(piece, 1, 1);
    return w;
}

template <class Xs, class Y>
void join(const Xs& xs, const Y& y, extent outer, thread_pool* threads) noexcept {
    if (y.total() == 0) return;
    auto* to = y.data;
    for (const auto& x : xs) {
        // What lies there already was placed so by the planner.
        if (x.data != to) kernels::copy_strided(joining_walk(x, y, outer, y.examples), x.data, to, threads);
        to += x.dimensions.size() / outer;
    }
}
template <class Dy, class Dxs>
void join_backward(const Dy& dy, const Dxs& dxs, extent outer, thread_pool* threads) noexcept {
    if (dy.total() == 0) return;
    const auto* from = dy.data;
    for (const auto& dx : dxs) {
        const bool once = dx.stride == 0;  // the examples meet in one place
        const auto walk = joining_walk(dx, dy, outer, once ? 1 : dy.examples).reversed();
        for (extent i = 0; dx && i < (once ? dy.examples : 1); ++i)
            kernels::accumulate_strided(walk, from + i * dy.dimensions.size(), dx.data, threads);
        from += dx.dimensions.size() / outer;
    }
}

}  // namespace detail

/// Joins blobs along axis -3 (channels), or -5 (sequence) with `sequence_concat`. All other extents are
/// equal.
/// Core ML specification, ConcatLayerParams.
struct concat {
    bool sequence_concat = false;

    static constexpr auto key = "concat";
    constexpr void fields(auto& field) { field("sequenceConcat", sequence_concat); }
    static constexpr input_count inputs{2, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs[0].rank() < back())
            return shape_fault("inputs of rank ", back(), " or more wanted, the first has the shape ", xs[0]);
        return detail::joined_shape(xs, xs[0].rank() - back(), -static_cast<extent>(back()));
    }

    constexpr bool concatenates(std::span<const shape> xs) const { return outer(xs[0]) == 1; }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        detail::join(xs, ys[0], outer(ys[0].dimensions), w.threads);
    }
    template <class... X, class Y, class P, class W>
    [[gnu::always_inline]] void forward_unrolled(const std::tuple<X...>& xs, const std::tuple<Y>& ys,
                                                 const P&, W&) const noexcept {
        constexpr std::size_t rank = decltype(Y::dimensions)::rank();
        const auto join = [&]<std::size_t Axis>(std::integral_constant<std::size_t, Axis>)
            __attribute__((always_inline)) {
            constexpr extent outer = decltype(Y::dimensions)::product(0, Axis);
            auto* at = std::get<0>(ys).data;
            const auto part = [&]<class One>(const One& x, extent r) __attribute__((always_inline)) {
                constexpr extent n = decltype(One::dimensions)::product(Axis, rank);
                if (x.data + r * n != at) kernels::copy(n, x.data + r * n, at);
                at += n;
            };
            for (extent r = 0; r < outer; ++r) std::apply([&](const X&... x) { (part(x, r), ...); }, xs);
        };
        if (!sequence_concat)
            join(std::integral_constant<std::size_t, rank - 3>{});
        else if constexpr (rank >= 5)
            join(std::integral_constant<std::size_t, rank - 5>{});
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        detail::join_backward(dys[0], dxs, outer(dys[0].dimensions), w.threads);
    }
    friend bool operator==(const concat&, const concat&) = default;

private:
    constexpr std::size_t back() const { return sequence_concat ? 5 : 3; }
    constexpr extent outer(const shape& y) const { return y.product(0, y.rank() - back()); }
};

/// Joins blobs along `axis`, which counts from the end where it is negative; all other extents are equal. With
/// `interleave` the blobs have one shape, and of n of them element i along the axis goes to n i + k from the k-th.
/// A scalar counts as a vector of one.
/// Core ML specification, ConcatNDLayerParams.
struct concat_nd {
    extent axis = 0;
    bool interleave = false;

    static constexpr auto key = "concatND";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("interleave", interleave);
    }
    static constexpr input_count inputs{2, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> given) const {
        std::vector<shape> xs(given.begin(), given.end());
        for (shape& x : xs)
            if (x.rank() == 0) x = {1};
        if (const auto wrong = detail::check_axis(axis, xs[0])) return *wrong;
        for (std::size_t i = 1; interleave && i < xs.size(); ++i)
            if (!(xs[i] == xs[0]))
                return shape_fault("inputs of one shape wanted to interleave, the first is ", xs[0],
                                   ", input ", i, " has ", xs[i]);
        return detail::joined_shape(xs, detail::axis_among(axis, xs[0].rank()), axis);
    }
    /// Of vectors, one behind the other.
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::joined_values(xs[0].rank() <= 1 && !interleave ? xs.size() : 0, known);
    }

    constexpr bool concatenates(std::span<const shape> xs) const { return outer(xs[0]) == 1; }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        detail::join(xs, ys[0], outer(xs[0].dimensions), w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        detail::join_backward(dys[0], dxs, outer(xs[0].dimensions), w.threads);
    }
    friend bool operator==(const concat_nd&, const concat_nd&) = default;

private:
    /// Pieces of each blob.
    constexpr extent outer(const shape& x) const {
        return x.rank() == 0 ? 1 : x.product(0, detail::axis_among(axis, x.rank()) + (interleave ? 1 : 0));
    }
};

/// Puts blobs of one shape side by side along a new axis, `axis` of the output, which counts from the end where it is
/// negative.
/// Core ML specification, StackLayerParams.
struct stack {
    extent axis = 0;

    static constexpr auto key = "stack";
    constexpr void fields(auto& field) { field("axis", axis); }
    static constexpr input_count inputs{2, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        const auto rank = static_cast<extent>(x.rank()) + 1;
        if (x.rank() == max_rank)
            return shape_fault("inputs of rank ", max_rank - 1, " or less wanted, the first is ", x);
        if (axis < -rank || axis >= rank)
            return value_fault("an axis from ", -rank, " to ", rank - 1, " wanted for the shape ", x, ", ",
                               axis, " given");
        for (std::size_t i = 1; i < xs.size(); ++i)
            if (!(xs[i] == x))
                return shape_fault("inputs of one shape wanted, the first is ", x, ", input ", i, " has ",
                                   xs[i]);
        shape y;
        for (std::size_t a = 0; a <= x.rank(); ++a) {
            if (a == detail::axis_among(axis, x.rank() + 1)) y.push_back(static_cast<extent>(xs.size()));
            if (a < x.rank()) y.push_back(x[a]);
        }
        return y;
    }
    /// Of single numbers without an axis.
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::joined_values(xs[0].rank() == 0 ? xs.size() : 0, known);
    }
    /// The pieces are what lies behind the new axis in each blob.
    constexpr concat_nd equivalent(const shape& x) const {
        return {.axis = static_cast<extent>(detail::axis_among(axis, x.rank() + 1))};
    }
    friend bool operator==(const stack&, const stack&) = default;
};

}  // namespace bespoke
