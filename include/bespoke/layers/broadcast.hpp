#pragma once

#include "../core/concepts.hpp"
#include "../kernels/broadcast.hpp"
#include "../kernels/map.hpp"
#include "binary_functions.hpp"

#include <algorithm>

/// What all layers share that take several blobs element by element.
namespace bespoke {

/// The shape of an element-wise function of several blobs, as numpy has it: the ranks may differ, the last axes are
/// aligned, and those that are missing are repeated. Along each axis the extents are equal, or 1 and repeated:
/// [C, H, W] goes with [C, 1, 1], [1, H, W], [H, W] and [1]. The specification allows AddLayerParams,
/// MultiplyLayerParams and the like only some of these shapes, and names them by examples of one rank; the networks of
/// its converters mix ranks.
constexpr outcome broadcast_shape(std::span<const shape> xs) {
    shape y = xs[0];
    for (std::size_t i = 1; i < xs.size(); ++i) {
        const shape& longer = xs[i].rank() > y.rank() ? xs[i] : y;
        shape both = longer;
        for (std::size_t back = 1; back <= std::min(xs[i].rank(), y.rank()); ++back) {
            const extent a = y.from_end(back), b = xs[i].from_end(back);
            if (a != b && a != 1 && b != 1)
                return shape_fault("inputs wanted whose extents from the last axis on are equal or 1, input ",
                                   i, " has the shape ", xs[i], ", those before it have ", y);
            both.from_end(back) = a == 1 ? b : a;
        }
        y = both;
    }
    return y;
}

namespace detail {

/// Calls body(example) for all examples, on several threads if `apart`: they write to different places.
template <class Y, class Body>
void each_example(const Y& y, bool apart, thread_pool* threads, const Body& body) noexcept {
    if (y.total() < (1 << 14)) apart = false;
    parallel_for(apart ? threads : nullptr, y.examples, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) body(i);
    });
}

/// The plan of some blobs as they meet `examples` results of the shape y.
template <class T, std::size_t Count>
kernels::broadcast_plan<Count> plan_blobs(const shape& y, extent examples,
                                          const std::array<dynamic_view<T>, Count>& blobs) noexcept {
    kernels::broadcast_plan<Count> plan;
    std::array<extent, Count> strides{};
    std::array<shape, Count> shapes{};
    for (std::size_t i = 0; i < Count; ++i) {
        strides[i] = blobs[i].stride;
        shapes[i] = blobs[i].dimensions;
    }
    plan.add(examples, strides);
    plan.add(y, shapes);
    return plan;
}

/// Calls map(f, plan, places of the arrays, place of y, first, last) for blocks of up to `block` elements of y, on
/// several threads.
template <class T, std::size_t Count, class Finish>
[[gnu::noinline]] void map_blocks(void (*map)(const void* f, const kernels::broadcast_plan<Count>& plan,
                                              const std::array<const T*, Count>& xs, T* y, extent first, extent last),
                                  const void* f, const std::array<dynamic_view<const T>, Count>& xs,
                                  const dynamic_view<T>& y, thread_pool* threads, extent block,
                                  const Finish& finish) noexcept {
    constexpr extent grain = 4096;
    const auto plan = plan_blobs(y.dimensions, y.examples, xs);
    std::array<const T*, Count> data{};
    for (std::size_t i = 0; i < Count; ++i) data[i] = xs[i].data;
    parallel_for(threads, y.total(), grain, [&](extent begin, extent end) {
        for (; begin < end; begin += block) {
            const extent last = std::min(begin + block, end);
            map(f, plan, data, y.data, begin, last);
            finish(begin, last);
        }
    });
}

struct nothing_more {
    void operator()(extent, extent) const noexcept {}
};

/// y = f(x0, x1, ...), element by element; `f` maps batches to one. `finish(first, last)` is called for each `block`
/// of elements when they are there, while they are near.
template <class F, class T, std::size_t Count, class Finish>
void map_blobs(const F& f, const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& y,
               thread_pool* threads, extent block, const Finish& finish) noexcept {
    map_blocks<T, Count>(
        [](const void* erased, const kernels::broadcast_plan<Count>& plan, const std::array<const T*, Count>& from,
           T* to, extent first,
           extent last) { kernels::broadcast_map(*static_cast<const F*>(erased), plan, from, to, first, last); },
        &f, xs, y, threads, block, finish);
}
template <class F, class T, std::size_t Count>
void map_blobs(const F& f, const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& y,
               thread_pool* threads) noexcept {
    map_blobs(f, xs, y, threads, y.total(), nothing_more{});
}

/// to = f(to, x0, x1, ...) for each element of `examples` results of the shape y; see kernels::reduce_to.
template <class F, class T, std::size_t Count>
void reduce_blobs(const F& f, const shape& y, extent examples,
                  const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& to,
                  thread_pool* threads) noexcept {
    std::array<dynamic_view<const T>, Count + 1> all{};
    std::array<const T*, Count> data{};
    for (std::size_t i = 0; i < Count; ++i) {
        all[i] = xs[i];
        data[i] = xs[i].data;
    }
    all[Count] = {to.data, to.dimensions, to.examples, to.stride};
    kernels::reduce_to(f, plan_blobs(y, examples, all), data, to.data, threads);
}

template <class T>
dynamic_view<const T> read_only(const dynamic_view<T>& v) {
    return {v.data, v.dimensions, v.examples, v.stride};
}

struct same_value {
    template <class V>
    V operator()(const V& v) const noexcept {
        return v;
    }
};

/// y = f(f(x0, x1), x2) and so on; of one blob, y is that.
template <class F, class T>
[[gnu::noinline]] void combine(const F& f, std::span<const dynamic_view<const T>> xs,
                               const dynamic_view<T>& y, thread_pool* threads) noexcept {
    using kernels::batch;
    if (xs.size() == 1) return map_blobs(same_value{}, std::array{xs[0]}, y, threads);
    F last_one = f;
    if constexpr (F::averages) last_one.share = 1 / static_cast<double>(xs.size());
    const auto of = [&](std::size_t k) -> const F& { return k + 1 == xs.size() ? last_one : f; };
    const extent block = xs.size() == 2 ? y.total() : 4096;
    map_blobs(of(1), std::array{xs[0], xs[1]}, y, threads, block, [&](extent first, extent last) {
        for (std::size_t k = 2; k < xs.size(); ++k) {
            const std::array both{read_only(y), xs[k]};
            kernels::broadcast_map(of(k), plan_blobs(y.dimensions, y.examples, both),
                                   {both[0].data, both[1].data}, y.data, first, last);
        }
    });
}

/// Adds to da and db, where they are wanted, the gradient of y = f(a, b). y has `examples` of the shape of dy.
template <class F, class T>
[[gnu::noinline]] void combine_backward(const F& f, const dynamic_view<const T>& a,
                                        const dynamic_view<const T>& b, const dynamic_view<const T>& dy,
                                        const dynamic_view<T>& da, const dynamic_view<T>& db,
                                        thread_pool* threads) noexcept {
    using kernels::batch;
    const auto add = [&]<std::size_t Input>(std::integral_constant<std::size_t, Input>,
                                            const dynamic_view<T>& to) {
        if (!to) return;
        if constexpr (F::independent)
            reduce_blobs([&](const batch<T>& sum,
                             const batch<T>& d) { return f.template gradient<Input>(sum, d, d, d); },
                         dy.dimensions, dy.examples, std::array{dy}, to, threads);
        else
            reduce_blobs([&](const batch<T>& sum, const batch<T>& d, const batch<T>& v,
                             const batch<T>& w) { return f.template gradient<Input>(sum, d, v, w); },
                         dy.dimensions, dy.examples, std::array{dy, a, b}, to, threads);
    };
    add(std::integral_constant<std::size_t, 0>{}, da);
    add(std::integral_constant<std::size_t, 1>{}, db);
}

/// The same for `combine` of any number of blobs. Of more than two, whose slopes depend on them: `scratch` has one
/// array of the size of y less than there are blobs, for the results on the way and their gradient.
template <class F, class T>
void combine_all_backward(const F& f, std::span<const dynamic_view<const T>> xs,
                          const dynamic_view<const T>& dy, std::span<const dynamic_view<T>> dxs, T* scratch,
                          thread_pool* threads) noexcept {
    using kernels::batch;
    const dynamic_view<T> unwanted{};
    const std::size_t n = xs.size();
    if (n == 2 && !F::averages) return combine_backward(f, xs[0], xs[1], dy, dxs[0], dxs[1], threads);
    if constexpr (F::independent) {
        const batch<T> count(static_cast<T>(F::averages ? n : 1));
        for (const auto& dx : dxs)
            if (dx)
                reduce_blobs([&](const batch<T>& sum, const batch<T>& d) { return sum + d / count; },
                             dy.dimensions, dy.examples, std::array{dy}, dx, threads);
    } else if (n == 1) {
        combine_backward(addition{}, xs[0], xs[0], dy, dxs[0], unwanted, threads);
    } else {
        const extent size = dy.total();
        const auto at = [&](std::size_t i) {
            return dynamic_view<T>{scratch + static_cast<extent>(i) * size, dy.dimensions, dy.examples,
                                   dy.size()};
        };
        for (std::size_t k = 1; k + 1 < n; ++k)
            map_blobs(f, std::array{k == 1 ? xs[0] : read_only(at(k - 2)), xs[k]}, at(k - 1), threads);
        dynamic_view<const T> g = dy;
        for (std::size_t k = n; --k > 1;) {
            const dynamic_view<const T> before = read_only(at(k - 2));
            combine_backward(f, before, xs[k], g, unwanted, dxs[k], threads);
            map_blobs([&](const batch<T>& d, const batch<T>& a,
                          const batch<T>& b) { return f.template gradient<0>(batch<T>(T(0)), d, a, b); },
                      std::array{g, before, xs[k]}, at(n - 2), threads);
            g = read_only(at(n - 2));
        }
        combine_backward(f, xs[0], xs[1], g, dxs[0], dxs[1], threads);
    }
}

/// Whether a layer of these inputs can finish one of the shape of y (see `finishes`): the other, if there is one, has
/// that shape too, or is repeated.
constexpr bool can_finish_binary(std::span<const shape> xs) {
    if (xs.size() != 2) return xs.size() == 1;
    const shape y = broadcast_shape(xs).shapes()[0];
    return xs[0] == y || xs[1] == y;
}

/// Whether `map` has room for a sum with the other input, of the shape of y; then it adds that.
template <class T>
bool joins_sum(channel_map<T>& map, const finishing<T>& with) noexcept {
    if (with.other == nullptr || map.added != nullptr || map.is_bounded() ||
        with.other_dimensions->size() != with.dimensions->size())
        return false;
    map.added = with.other;
    map.result = with.result;
    return true;
}

/// v = f(v, other) in the block; f(v, alpha) where there is no other.
template <class T, class F>
void finish_binary(const output_block<T>& block, const finishing<T>& with, T alpha, const F& f) noexcept {
    using kernels::batch;
    const auto with_number = [&](extent size, T number, T* row) {
        kernels::map(size, [&, v = batch<T>(number)](const batch<T>& u) { return f(u, v); }, row, row);
    };
    if (with.other == nullptr) {
        for (extent i = 0; i < block.rows; ++i) with_number(block.columns, alpha, block.data + i * block.stride);
        return;
    }
    if constexpr (F::commutative) {
        const auto with_row = [&](extent size, const T* other, T* row) {
            kernels::for_each_batch<T>(size, [&](extent k, auto in, auto out) {
                out(row + k, f(in(row + k), in(other + k)));
            });
        };
        kernels::broadcast_plan<1> plan;
        const bool alike = with.other_dimensions->size() == with.dimensions->size();
        if (!alike) {
            const extent end = with.offset + (block.rows - 1) * block.stride + block.columns;
            const extent size = with.dimensions->size();
            plan.add((end + size - 1) / size, {with.other_dimensions->size()});
            plan.add(*with.dimensions, {*with.other_dimensions});
        }
        for (extent i = 0; i < block.rows; ++i) {
            T* const row = block.data + i * block.stride;
            const extent first = with.offset + i * block.stride;
            if (alike) {
                with_row(block.columns, with.other + first, row);
                continue;
            }
            kernels::detail::each_run(plan, first, first + block.columns,
                                      [&](extent at, extent some, const auto& offset) {
                                          const T* const other = with.other + offset[0];
                                          if (plan.moves(0))
                                              with_row(some, other, row + (at - first));
                                          else
                                              with_number(some, *other, row + (at - first));
                                      });
        }
    }
}

/// What runs for every layer that is a binary function of its inputs, from the left: such a layer has names, fields and
/// a shape rule of its own, and is put in terms of this one. With `HasAlpha`, a single input meets alpha.
template <class F, bool HasAlpha = false>
struct combination {
    float alpha = 0;

    static constexpr auto key = "combination";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{1, any_number};
    static constexpr bool batched = true;
    static constexpr bool differentiable = F::differentiable;
    static constexpr backward_needs needs{.input = !F::independent, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr bool finishes(std::span<const shape> xs) const
        requires(HasAlpha || F::commutative)
    {
        return xs.size() == 1 ? HasAlpha : F::commutative && can_finish_binary(xs);
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        if (!HasAlpha || xs.size() > 1) return combine<F, T>(F{}, xs, ys[0], w.threads);
        const T second = static_cast<T>(alpha);
        const std::array both{xs[0], dynamic_view<const T>{&second, {}, xs[0].examples, 0}};
        combine<F, T>(F{}, both, ys[0], w.threads);
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept
        requires(HasAlpha || F::commutative)
    {
        finish_binary(block, with, static_cast<T>(alpha), F{});
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        if (xs.size() < 3 || F::independent || !F::differentiable) return 0;
        return output_shape(xs).shapes()[0].size() * examples * static_cast<extent>(xs.size() - 1);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        const dynamic_view<const T> dy = dys[0];
        if (!HasAlpha || xs.size() > 1)
            return combine_all_backward<F, T>(F{}, xs, dy, dxs, w.scratch, w.threads);
        const T second = static_cast<T>(alpha);
        combine_backward<F, T>(F{}, xs[0], {&second, {}, dy.examples, 0}, dy, dxs[0], {}, w.threads);
    }
    friend bool operator==(const combination&, const combination&) = default;
};

/// A layer of two inputs without hyper-parameters, whose shapes are broadcast as numpy does it.
template <class F>
struct broadcastable {
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    /// Of vectors and single numbers.
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const
        requires(F::folds)
    {
        std::vector<double> y;
        const known_values a = known_input(known, 0), b = known_input(known, 1);
        if (!a || !b || xs[0].rank() > 1 || xs[1].rank() > 1) return y;
        const std::size_t na = a->size(), nb = b->size();
        for (std::size_t i = 0; i < (na == 1 ? nb : na); ++i)
            y.push_back(F{}((*a)[na == 1 ? 0 : i], (*b)[nb == 1 ? 0 : i]));
        return y;
    }
    constexpr combination<F> equivalent(const shape&) const { return {}; }
    friend bool operator==(const broadcastable&, const broadcastable&) = default;
};

}  // namespace detail

}  // namespace bespoke
