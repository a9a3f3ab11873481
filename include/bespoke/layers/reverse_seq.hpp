#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "../kernels/strided.hpp"
#include "axis.hpp"

#include <algorithm>

namespace bespoke {

/// The beginnings of sequences reversed: y[b, t] = x[b, lengths[b] - 1 - t] for t < lengths[b], x[b, t] behind.
///
/// x has the axes batch_axis and, behind it, sequence_axis (negative: from the end); lengths [extent of batch_axis]. A
/// length is the nearest integer, at most the extent of sequence_axis; a negative one or NaN means 0. y has x's shape.
/// No gradient passes to the lengths. Core ML specification, ReverseSeqLayerParams.
struct reverse_seq {
    extent batch_axis = 0, sequence_axis = 0;

    static constexpr auto key = "reverseSeq";
    constexpr void fields(auto& field) {
        field("batchAxis", batch_axis);
        field("sequenceAxis", sequence_axis);
    }
    static constexpr input_count inputs{2, 2};
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        for (extent axis : {batch_axis, sequence_axis})
            if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        const std::size_t batch = detail::axis_among(batch_axis, x.rank());
        if (batch >= detail::axis_among(sequence_axis, x.rank()))
            return value_fault("a batchAxis before the sequenceAxis wanted, ", batch_axis, " and ",
                               sequence_axis, " given for the shape ", x);
        if (!(xs[1] == shape{x[batch]}))
            return shape_fault("lengths of the shape ", shape{x[batch]}, " wanted for the shape ", x,
                               ", theirs is ", xs[1]);
        return x;
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        each_walk(xs[0].dimensions, xs[1].data, w.threads,
                  [&](const kernels::strided_walk& walk, extent a, extent b) {
                      kernels::copy_strided(walk, xs[0].data + a, ys[0].data + b);
                  });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (!dxs[0]) return;
        each_walk(dxs[0].dimensions, xs[1].data, w.threads,
                  [&](const kernels::strided_walk& walk, extent a, extent b) {
                      kernels::accumulate_strided(walk, dys[0].data + a, dxs[0].data + b);
                  });
    }
    friend bool operator==(const reverse_seq&, const reverse_seq&) = default;

private:
    /// Calls body(walk, offset, offset) for pieces of x and where they come to lie in y, which are also those of y and
    /// where they come to lie in x.
    template <class T, class Body>
    void each_walk(const shape& x, const T* lengths, thread_pool* threads, const Body& body) const noexcept {
        const std::size_t batch = detail::axis_among(batch_axis, x.rank());
        const std::size_t along = detail::axis_among(sequence_axis, x.rank());
        const extent between = x.product(batch + 1, along), steps = x[along],
                     n = x.product(along + 1, x.rank());
        if (x.size() < (1 << 14)) threads = nullptr;
        parallel_for(threads, x.product(0, along), 1, [&](extent first, extent last) {
            for (extent sequence = first; sequence < last; ++sequence) {
                const extent at = sequence * steps * n;
                const extent length = std::clamp<extent>(
                    kernels::nearest_integer(lengths[sequence / between % x[batch]]), 0, steps);
                kernels::strided_walk reversed, rest;
                reversed.add(length, -n, n);
                reversed.add(n, 1, 1);
                rest.add((steps - length) * n, 1, 1);
                body(reversed, at + std::max<extent>(length - 1, 0) * n, at);
                body(rest, at + length * n, at + length * n);
            }
        });
    }
};

}  // namespace bespoke
