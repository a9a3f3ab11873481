#pragma once

#include "../kernels/broadcast.hpp"
#include "../kernels/map.hpp"
#include "broadcast.hpp"

namespace bespoke {

/// y = x1 x2 ..., element by element, from the left; of a single input, y = alpha x.
/// Shapes: see `broadcast_shape`. Core ML specification, MultiplyLayerParams.
struct multiply {
    float alpha = 1;

    static constexpr auto key = "multiply";
    static constexpr auto fields = std::tuple{field{"alpha", &multiply::alpha}};
    static constexpr input_count inputs{1, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr bool finishes(std::span<const shape> xs) const { return detail::can_finish_binary(xs); }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& y = ys[0];
        using T = typename Ys::value_type::value_type;
        using kernels::batch;
        if (detail::walk_together(xs, y)) {
            parallel_for(w.threads, y.total(), 4096, [&](extent begin, extent end) {
                kernels::for_each_batch<T>(end - begin, [&](extent i, auto in, auto out) {
                    batch<T> product = in(xs[0].data + begin + i);
                    if (xs.size() == 1) product = product * batch<T>(alpha);
                    for (std::size_t k = 1; k < xs.size(); ++k)
                        product = product * in(xs[k].data + begin + i);
                    out(y.data + begin + i, product);
                });
            });
            return;
        }
        detail::each_example(y, true, w.threads, [&](extent e) {
            product_without(xs.size(), xs, e, y.dimensions, y.example(e));
        });
    }

    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        detail::finish_binary(block, with, static_cast<T>(alpha),
                              [](const auto& a, const auto& b) { return a * b; });
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        return xs.size() > 2 ? output_shape(xs).shapes()[0].size() * examples : 0;
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        using T = typename Dxs::value_type::value_type;
        for (std::size_t k = 0; k < xs.size(); ++k) {
            const auto& dx = dxs[k];
            if (!dx) continue;
            if (xs.size() == 1) {
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    kernels::accumulate_scaled(end - begin, T(alpha), dy.data + begin, dx.data + begin);
                });
            } else if (xs.size() == 2 && detail::walk_together(xs, dy)) {
                const T* other = xs[1 - k].data;
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    const shape part{end - begin};
                    kernels::multiply_reduce_to(part, dy.data + begin, other + begin, part, part,
                                                dx.data + begin);
                });
            } else {
                detail::each_example(dy, dx.stride != 0, w.threads, [&](extent e) {
                    const auto& other = xs[k == 0 ? 1 : 0];
                    const T* others = other.example(e);
                    shape others_shape = other.dimensions;
                    if (xs.size() > 2) {
                        T* product = w.scratch + e * dy.dimensions.size();
                        product_without(k, xs, e, dy.dimensions, product);
                        others = product;
                        others_shape = dy.dimensions;
                    }
                    kernels::multiply_reduce_to(dy.dimensions, dy.example(e), others, others_shape,
                                                dx.dimensions, dx.example(e));
                });
            }
        }
    }
    friend bool operator==(const multiply&, const multiply&) = default;

private:
    /// y = the product of all inputs but `left_out`, of which at least two remain, in example e.
    template <class Xs, class T>
    static void product_without(std::size_t left_out, const Xs& xs, extent e, const shape& y_shape,
                                T* y) noexcept {
        const auto times = [](const auto& a, const auto& b) { return a * b; };
        const std::size_t first = left_out == 0 ? 1 : 0, second = left_out == 1 ? 2 : first + 1;
        kernels::binary(times, y_shape, xs[first].example(e), xs[first].dimensions, xs[second].example(e),
                        xs[second].dimensions, y);
        for (std::size_t k = second + 1; k < xs.size(); ++k)
            if (k != left_out)
                kernels::binary(times, y_shape, static_cast<const T*>(y), y_shape, xs[k].example(e),
                                xs[k].dimensions, y);
    }
};

}  // namespace bespoke
