#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"
#include "../kernels/strided.hpp"
#include "axis.hpp"

#include <vector>

namespace bespoke {

/// No split has more outputs.
inline constexpr std::size_t most_splits = 128;

namespace detail {

/// x in pieces along `axis`, one for each of `sizes`.
template <class Sizes>
constexpr std::vector<shape> split_shapes(const shape& x, std::size_t axis, const Sizes& sizes) {
    std::vector<shape> pieces;
    for (extent size : sizes) {
        pieces.push_back(x);
        pieces.back()[axis] = size;
    }
    return pieces;
}

/// The walk from `whole` to one of its pieces. `stride`: from one example of the whole to the next.
template <class Piece>
kernels::strided_walk piece_walk(const shape& whole, extent stride, const Piece& piece, std::size_t axis) {
    const extent row = whole.product(axis, whole.rank()), part = piece.dimensions.product(axis, whole.rank());
    kernels::strided_walk w;
    w.add(piece.examples, stride, piece.size());
    w.add(whole.product(0, axis), row, part);
    w.add(part, 1, 1);
    return w;
}

}  // namespace detail

/// x in pieces along `axis` (negative: from the end): `num_splits` equal ones, or, where num_splits does not divide the
/// extent, the first ones longer by one; or one for each of `split_sizes`, with which num_splits means nothing. One
/// output for each, in order.
/// Core ML specification, SplitNDLayerParams.
struct split_nd {
    extent axis = 0;
    extent num_splits = 0;
    list<extent, most_splits> split_sizes{};

    static constexpr auto key = "splitND";
    constexpr void fields(auto& field) {
        field("axis", axis);
        field("numSplits", num_splits);
        field("splitSizes", split_sizes);
    }
    static constexpr input_count inputs{1, 1};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        const std::size_t along = detail::axis_among(axis, x.rank());
        if (!split_sizes.empty()) {
            extent rest = x[along];
            for (extent size : split_sizes) {
                if (size < 0) return value_fault("splitSizes from 0 up wanted, ", size, " given");
                if (size > rest) rest = -1;
                if (rest < 0) break;
                rest -= size;
            }
            if (rest != 0 || split_sizes.size() < 2)
                return shape_fault("two or more splitSizes that make ", x[along], " wanted, the extent of axis ",
                                   along, " in the shape ", x);
            return detail::split_shapes(x, along, split_sizes);
        }
        if (num_splits < 2 || num_splits > static_cast<extent>(most_splits))
            return value_fault("numSplits from 2 to ", most_splits, " wanted, ", num_splits, " given");
        std::vector<extent> sizes(static_cast<std::size_t>(num_splits), x[along] / num_splits);
        for (extent i = 0; i < x[along] % num_splits; ++i) ++sizes[static_cast<std::size_t>(i)];
        return detail::split_shapes(x, along, sizes);
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& x = xs[0];
        if (x.size() == 0) return;
        const std::size_t along = detail::axis_among(axis, x.rank());
        const auto* from = x.data;
        for (const auto& y : ys) {
            kernels::copy_strided(detail::piece_walk(x.dimensions, x.stride, y, along), from, y.data, w.threads);
            from += y.dimensions.product(along, y.rank());
        }
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dx = dxs[0];
        if (!dx || dx.size() == 0) return;
        const std::size_t along = detail::axis_among(axis, dx.rank());
        auto* to = dx.data;
        for (const auto& whole : dys) {
            auto dy = whole;
            const extent runs = dx.stride == 0 ? whole.examples : 1;  // stored once: the examples meet in one place
            if (runs != 1) dy.examples = 1;
            for (extent i = 0; dy && i < runs; ++i) {
                const auto walk = detail::piece_walk(dx.dimensions, dx.stride, dy, along);
                kernels::accumulate_strided(walk.reversed(), dy.data + i * dy.size(), to, w.threads);
            }
            to += whole.dimensions.product(along, whole.rank());
        }
    }
    friend bool operator==(const split_nd&, const split_nd&) = default;
};

/// x [.., C, H, W] in n_outputs equal pieces along the channels. One output for each, in order.
/// Core ML specification, SplitLayerParams.
struct split {
    extent n_outputs = 0;

    static constexpr auto key = "split";
    constexpr void fields(auto& field) { field("nOutputs", n_outputs); }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        if (n_outputs < 2 || n_outputs > static_cast<extent>(most_splits))
            return value_fault("nOutputs from 2 to ", most_splits, " wanted, ", n_outputs, " given");
        if (x.from_end(3) % n_outputs != 0)
            return shape_fault("channels wanted that ", n_outputs, " divides, the shape of its input is ", x);
        return equivalent(x).output_shape(xs);
    }
    constexpr split_nd equivalent(const shape&) const { return {.axis = -3, .num_splits = n_outputs}; }
    friend bool operator==(const split&, const split&) = default;
};

}  // namespace bespoke
