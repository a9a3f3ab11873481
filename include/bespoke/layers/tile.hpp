#pragma once

#include "combination.hpp"
#include "number_input.hpp"

#include <limits>

/// Layers that repeat a blob.
namespace bespoke {
namespace detail {

/// The shape rule that `broadcast_to_static` and `broadcast_to_like` share.
constexpr outcome broadcast_to(const shape& x, const shape& target) {
    bool fits = x.rank() <= target.rank();
    for (std::size_t back = 1; fits && back <= x.rank(); ++back)
        fits = x.from_end(back) == 1 || x.from_end(back) == target.from_end(back);
    if (!fits)
        return shape_fault("an input wanted that can be repeated to the shape ", target, ", its shape is ",
                           x);
    return target;
}

template <class T>
void repeat_to_backward(const dynamic_view<const T>& dy, const dynamic_view<T>& dx,
                        thread_pool* threads) noexcept {
    if (dx) combine_backward<addition, T>(dy, dy, dy, dx, {}, threads);
}

}  // namespace detail

/// y = x, repeated along axes of extent 1 and along those that it does not have, to `target_shape`.
/// Core ML specification, BroadcastToStaticLayerParams.
struct broadcast_to_static {
    shape target_shape{};

    static constexpr auto key = "broadcastToStatic";
    constexpr void fields(auto& field) { field("targetShape", target_shape); }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        for (extent e : target_shape)
            if (e < 0) return value_fault("a targetShape from 0 up wanted, ", target_shape, " given");
        return detail::broadcast_to(x, target_shape);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::repeat_to(erased(x), erased(y), w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::repeat_to_backward(dy, dx, w.threads);
    }
    friend bool operator==(const broadcast_to_static&, const broadcast_to_static&) = default;
};

/// y = the first input, repeated to the shape of the second one, whose values do not matter.
/// Core ML specification, BroadcastToLikeLayerParams.
struct broadcast_to_like {
    static constexpr auto key = "broadcastToLike";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        return detail::broadcast_to(xs[0], xs[1]);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        detail::repeat_to(xs[0], ys[0], w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        detail::repeat_to_backward<T>(dys[0], dxs[0], w.threads);
    }
    friend bool operator==(const broadcast_to_like&, const broadcast_to_like&) = default;
};

/// y = x, `reps` times along its axes: y[i, ...] = x[i mod extent, ...]. Of fewer reps than axes, the last of them are
/// meant.
/// A second input, a vector, holds the reps in the place of the field; they decide the shape of y, and no gradient
/// passes to them. Core ML specification, TileLayerParams.
struct tile {
    shape reps{};

    static constexpr auto key = "tile";
    constexpr void fields(auto& field) { field("reps", reps); }
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr std::size_t values_from = 1;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape& x = xs[0];
        if (xs.size() == 2) {
            const known_values values = known_input(known, 1);
            if (const auto wrong = detail::check_numbers("reps", xs[1], 1, x.rank(), values)) return *wrong;
            if (values) return tile{detail::as_shape(detail::numbers_of(*values))}.output_shape(xs.first(1));
            shape y = x;
            for (std::size_t back = 1; back <= static_cast<std::size_t>(xs[1].size()); ++back) y.from_end(back) = unset;
            return y;
        }
        if (reps.rank() < 1 || reps.rank() > x.rank())
            return value_fault("1 to ", x.rank(), " reps wanted for the shape ", x, ", ", reps.rank(),
                               " given");
        shape y = x;
        for (std::size_t back = 1; back <= reps.rank(); ++back) {
            if (reps.from_end(back) < 1) return value_fault("reps from 1 up wanted, ", reps, " given");
            extent& e = y.from_end(back);
            e = checked_product(e, reps.from_end(back), std::numeric_limits<extent>::max());
            if (e < 0) return shape_fault("its output would be too large");
        }
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        const auto& y = ys[0];
        const auto plan = plan_of<1>(xs[0].dimensions, y.dimensions, y.examples, {{{xs[0].stride, true}}});
        parallel_for(w.threads, y.total(), 4096, [&](extent begin, extent end) {
            kernels::broadcast_map([](const kernels::batch<T>& v) { return v; }, plan, std::array{xs[0].data},
                                   y.data, begin, end);
        });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using batch = kernels::batch<typename Dxs::value_type::value_type>;
        const auto& dy = dys[0];
        const auto& dx = dxs[0];
        const extent size = dy.dimensions.size();
        if (!dx) return;
        const auto plan =
            plan_of<2>(dx.dimensions, dy.dimensions, dy.examples, {{{size, false}, {dx.stride, true}}});
        kernels::reduce_to([](const batch& sum, const batch& d) { return sum + d; }, plan,
                           std::array{decltype(dys[0].data)(dy.data)}, dx.data, w.threads);
    }
    friend bool operator==(const tile&, const tile&) = default;

private:
    /// How an array lies: its step from example to example, and whether it is x (1) or y (0).
    struct layout {
        extent stride;
        bool is_x;
    };
    /// Each axis of y is two: which repetition, and the place in it.
    template <std::size_t Count>
    static kernels::broadcast_plan<Count> plan_of(const shape& x, const shape& y, extent examples,
                                                  const std::array<layout, Count>& arrays) noexcept {
        kernels::broadcast_plan<Count> plan;
        std::array<extent, Count> step{};
        for (std::size_t i = 0; i < Count; ++i) step[i] = arrays[i].stride;
        plan.add(examples, step);
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            const extent inner_x = x.product(axis + 1, x.rank()), inner_y = y.product(axis + 1, y.rank());
            for (std::size_t i = 0; i < Count; ++i) step[i] = arrays[i].is_x ? 0 : x[axis] * inner_y;
            plan.add(x[axis] == 0 ? 1 : y[axis] / x[axis], step);
            for (std::size_t i = 0; i < Count; ++i) step[i] = arrays[i].is_x ? inner_x : inner_y;
            plan.add(x[axis], step);
        }
        return plan;
    }
};

/// `tile` of axis -5, the sequence, n_repetitions times; 0 means 1. x [.., S, B, C, H, W].
/// Core ML specification, SequenceRepeatLayerParams.
struct sequence_repeat {
    extent n_repetitions = 0;

    static constexpr auto key = "sequenceRepeat";
    constexpr void fields(auto& field) { field("nRepetitions", n_repetitions); }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs[0].rank() < 5) return shape_fault("an input of rank 5 or more wanted, its shape is ", xs[0]);
        if (n_repetitions < 0) return value_fault("nRepetitions from 0 up wanted, ", n_repetitions, " given");
        return equivalent(xs[0]).output_shape(xs);
    }
    constexpr tile equivalent(const shape&) const {
        return {.reps = {n_repetitions == 0 ? 1 : n_repetitions, 1, 1, 1, 1}};
    }
    friend bool operator==(const sequence_repeat&, const sequence_repeat&) = default;
};

}  // namespace bespoke
