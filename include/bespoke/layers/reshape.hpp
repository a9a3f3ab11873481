#pragma once

#include "../kernels/strided.hpp"
#include "reshape_static.hpp"
#include "tile.hpp"

namespace bespoke {

enum class reshape_order { channel_first, channel_last };
constexpr std::array<std::string_view, 2> enumerators(reshape_order) { return {"CHANNEL_FIRST", "CHANNEL_LAST"}; }

/// x [.., C, H, W] -> y [.., C', H', W'] for a `target_shape` [C', H', W'], which holds as many elements as C H W.
///
/// A target_shape [S', C', H', W'] shares the elements of the whole sequence out anew: x [S, 1, C, H, W] -> y
/// [S', 1, C', H', W']. As in `permute`, x without the axis of the batch is [S, C, H, W], and x [C, H, W] has no
/// sequence either; then y has one where S' is not 1.
///
/// The elements keep the order C, H, W (`channel_first`), or the order H, W, C, in which they are read and written
/// (`channel_last`).
/// Core ML specification, ReshapeLayerParams; other ranks than 5 go beyond it.
struct reshape {
    shape target_shape{};
    reshape_order mode = reshape_order::channel_first;

    static constexpr auto key = "reshape";
    constexpr void fields(auto& field) {
        field("targetShape", target_shape);
        field("mode", mode);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        const shape& t = target_shape;
        if (t.rank() != 3 && t.rank() != 4)
            return value_fault("a targetShape [channels, height, width], or with a sequence before them, wanted, ", t,
                               " given");
        for (extent e : t)
            if (e < 0) return value_fault("a targetShape from 0 up wanted, ", t, " given");
        if (x.rank() < 3 || (t.rank() == 4 && (x.rank() > 5 || (x.rank() == 5 && x[1] != 1))))
            return shape_fault(t.rank() == 3 ? "an input of rank 3 or more wanted, its shape is "
                                             : "an input [sequence, 1, channels, height, width] wanted, its shape is ",
                               x);
        shape y;
        if (t.rank() == 3)
            for (std::size_t axis = 0; axis + 3 < x.rank(); ++axis) y.push_back(x[axis]);
        else if (x.rank() > 3 || t[0] != 1)
            y.push_back(t[0]);
        if (t.rank() == 4 && x.rank() == 5) y.push_back(1);
        for (std::size_t back = 3; back > 0; --back) y.push_back(t.from_end(back));
        // Of three numbers, an empty sequence tells nothing of what fits one element of it.
        const std::size_t shared = t.rank() == 3 ? 3 : x.rank();
        shape from;
        for (std::size_t back = shared; back > 0; --back) from.push_back(x.from_end(back));
        constexpr extent largest = std::numeric_limits<extent>::max();
        const extent wanted = checked_size(from, largest);
        if (wanted < 0 || checked_size(t, largest) != wanted)
            return shape_fault("targetShape ", t, " does not fit its input of shape ", x);
        return y;
    }
    constexpr bool same_elements() const { return mode == reshape_order::channel_first; }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return same_elements() ? 0 : x.size() * examples;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        if (same_elements()) return kernels::copy(x.total(), x.data, y.data);
        kernels::copy_strided(to_channel_last(x), x.data, w.scratch, w.threads);
        kernels::copy_strided(to_channel_last(y).reversed(), w.scratch, y.data, w.threads);
    }
    /// Only of `channel_last`: else dx is dy.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        kernels::copy_strided(to_channel_last(dy), dy.data, w.scratch, w.threads);
        kernels::accumulate_strided(to_channel_last(dx).reversed(), w.scratch, dx.data, w.threads);
    }
    friend bool operator==(const reshape&, const reshape&) = default;

private:
    /// From [.., C, H, W] to [.., H, W, C], all examples.
    template <class V>
    static kernels::strided_walk to_channel_last(const V& v) noexcept {
        const extent channels = v.dimensions.from_end(3);
        const extent pixels = v.dimensions.from_end(2) * v.dimensions.from_end(1);
        const extent size = channels * pixels;
        kernels::strided_walk walk;
        walk.add(size == 0 ? 0 : v.total() / size, size, size);
        walk.add(pixels, 1, channels);
        walk.add(channels, pixels, 1);
        return walk;
    }
};

/// The elements of the first input in their order, in the shape of the second one, whose values do not matter.
/// Core ML specification, ReshapeLikeLayerParams.
struct reshape_like {
    static constexpr auto key = "reshapeLike";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        constexpr extent largest = std::numeric_limits<extent>::max();
        const extent size = checked_size(xs[0], largest);
        if (size < 0 || size != checked_size(xs[1], largest))
            return shape_fault("an input of as many elements as the shape ", xs[1], " wanted, its shape is ", xs[0]);
        return xs[1];
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        auto x = xs[0];
        if (x.data == ys[0].data) return;
        x.dimensions = ys[0].dimensions;
        detail::repeat_to(x, ys[0], w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        auto dx = dxs[0];
        dx.dimensions = dys[0].dimensions;
        detail::repeat_to_backward<T>(dys[0], dx, w.threads);
    }
    friend bool operator==(const reshape_like&, const reshape_like&) = default;
};

/// `reshape_static` that keeps the rank: a 0 in `target_shape` stands for the extent of x along that axis, and one -1
/// for what remains. x [10, 3, 5] with [25, 0, -1] -> y [25, 3, 2].
/// Core ML specification, RankPreservingReshapeLayerParams.
struct rank_preserving_reshape {
    shape target_shape{};

    static constexpr auto key = "rankPreservingReshape";
    constexpr void fields(auto& field) { field("targetShape", target_shape); }
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        if (target_shape.rank() != x.rank())
            return value_fault("a targetShape of rank ", x.rank(), " wanted for the shape ", x, ", ", target_shape,
                               " given");
        reshape_static whole{target_shape};
        for (std::size_t axis = 0; axis < x.rank(); ++axis)
            if (target_shape[axis] == 0) whole.target_shape[axis] = x[axis];
        return whole.output_shape(x);
    }
    friend bool operator==(const rank_preserving_reshape&, const rank_preserving_reshape&) = default;
};

}  // namespace bespoke
