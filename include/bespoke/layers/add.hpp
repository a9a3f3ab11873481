#pragma once

#include "../kernels/broadcast.hpp"
#include "../kernels/map.hpp"
#include "broadcast.hpp"

namespace bespoke {

/// y = x1 + x2 + ..., from the left; of a single input, y = x + alpha.
/// Shapes: see `broadcast_shape`. Core ML specification, AddLayerParams.
struct add {
    float alpha = 0;

    static constexpr auto key = "add";
    static constexpr auto fields = std::tuple{field{"alpha", &add::alpha}};
    static constexpr input_count inputs{1, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

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
                    batch<T> sum = in(xs[0].data + begin + i);
                    if (xs.size() == 1) sum = sum + batch<T>(alpha);
                    for (std::size_t k = 1; k < xs.size(); ++k) sum = sum + in(xs[k].data + begin + i);
                    out(y.data + begin + i, sum);
                });
            });
            return;
        }
        const auto plus = [](const auto& a, const auto& b) { return a + b; };
        detail::each_example(y, true, w.threads, [&](extent e) {
            kernels::binary(plus, y.dimensions, xs[0].example(e), xs[0].dimensions, xs[1].example(e),
                            xs[1].dimensions, y.example(e));
            for (std::size_t k = 2; k < xs.size(); ++k)
                kernels::binary(plus, y.dimensions, static_cast<const T*>(y.example(e)), y.dimensions,
                                xs[k].example(e), xs[k].dimensions, y.example(e));
        });
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        detail::finish_binary(block, with, static_cast<T>(alpha),
                              [](const auto& a, const auto& b) { return a + b; });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        for (const auto& dx : dxs) {
            if (!dx) continue;
            if (detail::walk_together(std::span(&dx, 1), dy))
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    kernels::accumulate(end - begin, dy.data + begin, dx.data + begin);
                });
            else
                detail::each_example(dy, dx.stride != 0, w.threads, [&](extent e) {
                    kernels::reduce_to(dy.dimensions, dy.example(e), dx.dimensions, dx.example(e));
                });
        }
    }
    friend bool operator==(const add&, const add&) = default;
};

}  // namespace bespoke
