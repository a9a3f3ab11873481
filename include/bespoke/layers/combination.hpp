#pragma once

#include "binary_functions.hpp"
#include "broadcast.hpp"

#include <algorithm>

/// What the layers are made of that combine blobs element by element with a function of two numbers.
namespace bespoke::detail {

template <class T>
dynamic_view<const T> read_only(const dynamic_view<T>& v) {
    return {v.data, v.dimensions, v.examples, v.stride};
}

/// to = to + dy times the slope of F for its input number `Input`.
template <class F, std::size_t Input, class T>
void reduce_gradient(const void*, const kernels::broadcast_plan<4>& plan, const std::array<const T*, 3>& xs,
                     T* to) noexcept {
    using kernels::batch;
    const auto add = [](const batch<T>& sum, const batch<T>& d, const batch<T>& a, const batch<T>& b) {
        return F{}.template gradient<Input>(sum, d, a, b);
    };
    kernels::erased_reduce<decltype(add), T, 3>(&add, plan, xs, to);
}
/// y = dy times the slope for the first input.
template <class F, class T>
void map_gradient(const void*, const kernels::broadcast_plan<3>& plan, const std::array<const T*, 3>& xs, T* y,
                  extent begin, extent end) noexcept {
    using kernels::batch;
    const auto slope = [](const batch<T>& d, const batch<T>& a, const batch<T>& b) {
        return F{}.template gradient<0>(batch<T>(T(0)), d, a, b);
    };
    kernels::broadcast_map(slope, plan, xs, y, begin, end);
}

/// f(f(a, b), c)
template <class F>
struct two_steps {
    F first, second;
    template <class V>
    V operator()(const V& a, const V& b, const V& c) const noexcept {
        return second(first(a, b), c);
    }
};

/// A function of binary_functions.hpp and its gradient over arrays. What combines blobs with it is compiled once.
template <class T>
struct binary_kernels {
    kernels::map_function<T, 2>* map = nullptr;
    kernels::map_function<T, 3>* map_two_steps = nullptr;  ///< of `two_steps`; null where no layer combines so many
    bool averages = false;
    // Of a differentiable one:
    std::array<int, 2> slope{};  ///< 1 or -1 where it does not depend on a and b, else 0, and what follows is needed
    kernels::reduce_function<T, 3>* add[2]{};  ///< null for b: as for a, with a and b changed round
    kernels::map_function<T, 3>* map_gradient = nullptr;
};
template <class F, class T>
inline constexpr binary_kernels<T> binary_kernels_of = [] {
    binary_kernels<T> k{.map = &kernels::erased_map<F, T, 2>, .averages = F::averages};
    if constexpr (F::takes_many) k.map_two_steps = &kernels::erased_map<two_steps<F>, T, 3>;
    if constexpr (F::differentiable && F::independent) {
        k.slope = F::slope;
    } else if constexpr (F::differentiable) {
        k.add[0] = &reduce_gradient<F, 0, T>;
        if constexpr (!F::commutative) k.add[1] = &reduce_gradient<F, 1, T>;
        if constexpr (F::takes_many) k.map_gradient = &map_gradient<F, T>;
    }
    return k;
}();

/// The functions of `combine`: two steps at a time, the last two, and the last one of an odd number.
struct combining_steps {
    const void *two, *last_two, *last_one;
};

/// y = f(f(x0, x1), x2) and so on; of one blob, y is that.
template <class T>
[[gnu::noinline]] void combine(const binary_kernels<T>& with, const combining_steps& f,
                               std::span<const dynamic_view<const T>> xs, const dynamic_view<T>& y,
                               thread_pool* threads) noexcept {
    const std::size_t n = xs.size();
    if (n == 1) return repeat_to(xs[0], y, threads);
    const extent block = n <= 3 ? y.total() : 4096;  // of several, what is there is still near
    parallel_for(threads, y.total(), 4096, [&](extent begin, extent end) {
        for (; begin < end; begin += block) {
            const extent stop = std::min(begin + block, end);
            dynamic_view<const T> before = xs[0];
            for (std::size_t k = 1; k < n; k += 2, before = read_only(y)) {
                if (k + 1 < n) {
                    const std::array blobs{before, xs[k], xs[k + 1]};
                    with.map_two_steps(k + 2 < n ? f.two : f.last_two, plan_blobs(y.dimensions, y.examples, blobs),
                                       data_of(blobs), y.data, begin, stop);
                } else {
                    const std::array blobs{before, xs[k]};
                    with.map(f.last_one, plan_blobs(y.dimensions, y.examples, blobs), data_of(blobs), y.data, begin,
                             stop);
                }
            }
        }
    });
}
template <class F, class T>
void combine(const F& f, std::span<const dynamic_view<const T>> xs, const dynamic_view<T>& y,
             thread_pool* threads) noexcept {
    F last = f;
    if constexpr (F::averages) last.share = 1 / static_cast<double>(xs.size());
    const two_steps<F> two{f, f}, last_two{f, last};
    combine<T>(binary_kernels_of<F, T>, {&two, &last_two, &last}, xs, y, threads);
}

/// Adds to da and db, where they are wanted, the gradient of y = f(a, b). y has `examples` of the shape of dy.
template <class T>
[[gnu::noinline]] void combine_backward(const binary_kernels<T>& with, const dynamic_view<const T>& a,
                                        const dynamic_view<const T>& b, const dynamic_view<const T>& dy,
                                        const dynamic_view<T>& da, const dynamic_view<T>& db,
                                        thread_pool* threads) noexcept {
    using kernels::batch;
    for (std::size_t input = 0; input < 2; ++input) {
        const dynamic_view<T>& to = input == 0 ? da : db;
        if (!to) continue;
        const auto add = [&](auto f) { reduce_blobs(f, dy.dimensions, dy.examples, std::array{dy}, to, threads); };
        if (with.slope[input] == 1)
            add([](const batch<T>& sum, const batch<T>& d) { return sum + d; });
        else if (with.slope[input] == -1)
            add([](const batch<T>& sum, const batch<T>& d) { return sum - d; });
        else if (with.add[input] == nullptr)
            reduce_blobs<T, 3>(with.add[0], nullptr, dy.dimensions, dy.examples, {dy, b, a}, to, threads);
        else
            reduce_blobs<T, 3>(with.add[input], nullptr, dy.dimensions, dy.examples, {dy, a, b}, to, threads);
    }
}
template <class F, class T>
void combine_backward(const dynamic_view<const T>& a, const dynamic_view<const T>& b, const dynamic_view<const T>& dy,
                      const dynamic_view<T>& da, const dynamic_view<T>& db, thread_pool* threads) noexcept {
    combine_backward<T>(binary_kernels_of<F, T>, a, b, dy, da, db, threads);
}

/// The same for `combine` of any number of blobs. Of more than two, whose slopes depend on them: `scratch` has one
/// array of the size of y less than there are blobs, for the results on the way and their gradient.
template <class T>
[[gnu::noinline]] void combine_all_backward(const binary_kernels<T>& with, const void* f,
                                            std::span<const dynamic_view<const T>> xs,
                                            const dynamic_view<const T>& dy, std::span<const dynamic_view<T>> dxs,
                                            T* scratch, thread_pool* threads) noexcept {
    using kernels::batch;
    const dynamic_view<T> unwanted{};
    const std::size_t n = xs.size();
    if (n == 2 && !with.averages) return combine_backward<T>(with, xs[0], xs[1], dy, dxs[0], dxs[1], threads);
    if (with.slope[0] != 0) {
        const batch<T> count(static_cast<T>(with.averages ? n : 1));
        for (const auto& dx : dxs)
            if (dx)
                reduce_blobs([&](const batch<T>& sum, const batch<T>& d) { return sum + d / count; },
                             dy.dimensions, dy.examples, std::array{dy}, dx, threads);
    } else if (n == 1) {
        combine_backward<addition, T>(xs[0], xs[0], dy, dxs[0], unwanted, threads);
    } else {
        const extent size = dy.total();
        const auto at = [&](std::size_t i) {
            return dynamic_view<T>{scratch + static_cast<extent>(i) * size, dy.dimensions, dy.examples,
                                   dy.size()};
        };
        for (std::size_t k = 1; k + 1 < n; ++k)
            map_blobs<T, 2>(with.map, f, {k == 1 ? xs[0] : read_only(at(k - 2)), xs[k]}, at(k - 1), threads);
        dynamic_view<const T> g = dy;
        for (std::size_t k = n; --k > 1;) {
            const dynamic_view<const T> before = read_only(at(k - 2));
            combine_backward<T>(with, before, xs[k], g, unwanted, dxs[k], threads);
            map_blobs<T, 3>(with.map_gradient, nullptr, {g, before, xs[k]}, at(n - 2), threads);
            g = read_only(at(n - 2));
        }
        combine_backward<T>(with, xs[0], xs[1], g, dxs[0], dxs[1], threads);
    }
}

template <class F, class T>
void combine_all_backward(std::span<const dynamic_view<const T>> xs, const dynamic_view<const T>& dy,
                          std::span<const dynamic_view<T>> dxs, T* scratch, thread_pool* threads) noexcept {
    const F f{};
    combine_all_backward<T>(binary_kernels_of<F, T>, &f, xs, dy, dxs, scratch, threads);
}

/// Whether a layer of these inputs can finish one of the shape of y (see `finishes`): the other, if there is one, has
/// that shape too, or is repeated.
[[gnu::noinline]] constexpr bool can_finish_binary(std::span<const shape> xs) {
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

    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back; }

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
            return combine_all_backward<F, T>(xs, dy, dxs, w.scratch, w.threads);
        const T second = static_cast<T>(alpha);
        combine_backward<F, T>(xs[0], {&second, {}, dy.examples, 0}, dy, dxs[0], {}, w.threads);
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

}  // namespace bespoke::detail
