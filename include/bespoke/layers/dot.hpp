#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"
#include "../kernels/reduction.hpp"
#include "broadcast.hpp"

namespace bespoke {

/// y = the sum of a_c b_c over the channels c; with `cosine_similarity` divided by the lengths of both vectors, 0 where
/// one of them is 0. a, b [.., C, 1, 1] -> y [.., 1, 1, 1].
/// Core ML specification, DotProductLayerParams, which does not say what the similarity of a vector of zeros is.
struct dot {
    bool cosine_similarity = false;

    static constexpr auto key = "dot";
    constexpr void fields(auto& field) { field("cosineSimilarity", cosine_similarity); }
    static constexpr input_count inputs{2, 2};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (x.rank() < 3 || x.from_end(2) != 1 || x.from_end(1) != 1)
            return shape_fault("inputs [.., C, 1, 1] wanted, the first has the shape ", x);
        if (!(xs[1] == x))
            return shape_fault("inputs of one shape wanted, their shapes are ", x, " and ", xs[1]);
        shape y = x;
        y.from_end(3) = 1;
        return y;
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        const auto& y = ys[0];
        const extent rows = y.size(), n = xs[0].dimensions.from_end(3);
        thread_pool* threads = rows * y.examples * n < (1 << 14) ? nullptr : w.threads;
        parallel_for(threads, rows * y.examples, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i) {
                const T *a = xs[0].example(i / rows) + i % rows * n,
                        *b = xs[1].example(i / rows) + i % rows * n;
                y.data[i] = kernels::dot(n, a, b) * inverse_lengths(n, a, b);
            }
        });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        const extent rows = dys[0].size(), n = xs[0].dimensions.from_end(3);
        const bool apart = xs[0].total() >= (1 << 14);
        for (std::size_t k = 0; k < 2; ++k) {
            const auto& dx = dxs[k];
            if (!dx) continue;
            // The rows of one example in turn: examples may meet in one place.
            parallel_for(apart ? w.threads : nullptr, rows, 1, [&](extent first, extent last) {
                for (extent e = 0; e < dys[0].examples; ++e)
                    for (extent row = first; row < last; ++row) {
                        const T *x = xs[k].example(e) + row * n, *other = xs[1 - k].example(e) + row * n;
                        const T dy = dys[0].data[e * rows + row], inverse = inverse_lengths(n, x, other);
                        T* to = dx.example(e) + row * n;
                        kernels::accumulate_scaled(n, dy * inverse, other, to);
                        if (const T square = kernels::dot(n, x, x); cosine_similarity && inverse != 0)
                            kernels::accumulate_scaled(
                                n, -(dy * inverse * kernels::dot(n, x, other)) / square, x, to);
                    }
            });
        }
    }
    friend bool operator==(const dot&, const dot&) = default;

private:
    /// 1 / (|a| |b|), 0 where that is 1 / 0; 1 without `cosine_similarity`.
    template <class T>
    T inverse_lengths(extent n, const T* a, const T* b) const noexcept {
        if (!cosine_similarity) return T(1);
        const T lengths = kernels::sqrt(kernels::dot(n, a, a)) * kernels::sqrt(kernels::dot(n, b, b));
        return lengths == 0 ? T(0) : T(1) / lengths;
    }
};

}  // namespace bespoke
