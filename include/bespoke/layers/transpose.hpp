#pragma once

#include "../core/concepts.hpp"
#include "../kernels/strided.hpp"

namespace bespoke {
namespace detail {

/// Whether `axes` holds each of 0 to rank - 1 once.
constexpr bool is_permutation(const shape& axes, std::size_t rank) {
    bool met[max_rank]{};
    for (extent axis : axes) {
        if (axis < 0 || axis >= static_cast<extent>(rank) || met[axis]) return false;
        met[axis] = true;
    }
    return axes.rank() == rank;
}

/// From x to y, whose axis i is axis axes[i] of x, for all examples.
constexpr kernels::strided_walk transposition(const shape& x, const shape& axes, extent examples) {
    kernels::strided_walk w;
    w.add(examples, x.size(), x.size());
    extent behind = x.size();
    for (extent a : axes) {
        const auto axis = static_cast<std::size_t>(a);
        if (x[axis] > 0) behind /= x[axis];
        w.add(x[axis], x.product(axis + 1, x.rank()), behind);
    }
    return w;
}

}  // namespace detail

/// y of which axis i is axis axes[i] of x: x [6, 7, 8, 9] with axes [3, 1, 2, 0] -> y [9, 7, 8, 6]. Axes of extent 1
/// that come before as many as `axes` counts stay: x [1, 7, 8, 9] with axes [1, 2, 0] -> y [1, 8, 9, 7].
/// Core ML specification, TransposeLayerParams, which does not know the latter; its tools write it for images, whose
/// blob has a batch.
struct transpose {
    shape axes;

    static constexpr auto key = "transpose";
    constexpr void fields(auto& field) { field("axes", axes); }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        const std::size_t before = leading(x);
        if (!detail::is_permutation(axes, x.rank() - before))
            return value_fault("a permutation of the axes of its input wanted, axes ", axes, " given for the shape ",
                               x);
        shape y;
        for (std::size_t i = 0; i < before; ++i) y.push_back(1);
        for (extent axis : axes) y.push_back(x[before + static_cast<std::size_t>(axis)]);
        return y;
    }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const {
        return back > axes.rank() ? back : axes.rank() - static_cast<std::size_t>(axes.from_end(back));
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::copy_strided(walk(x.dimensions, x.examples), x.data, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx) kernels::accumulate_strided(walk(dx.dimensions, dx.examples).reversed(), dy.data, dx.data, w.threads);
    }
    friend bool operator==(const transpose&, const transpose&) = default;

private:
    /// How many axes of x stay before those that `axes` counts.
    constexpr std::size_t leading(const shape& x) const {
        std::size_t count = 0;
        while (axes.rank() > 0 && count + axes.rank() < x.rank() && x[count] == 1) ++count;
        return count;
    }
    kernels::strided_walk walk(const shape& x, extent examples) const {
        return detail::transposition(shape(std::span<const extent>(x.begin() + leading(x), x.end())), axes, examples);
    }
};

/// `transpose` in the older words of the specification: `axis` is a permutation of 0 to 3, which count the axes of
/// x [sequence, B, C, H, W] but for B, which stays. Not given: y = x.
/// x without B is [sequence, C, H, W]; x [C, H, W] has no sequence either, and axis begins with 0.
/// Core ML specification, PermuteLayerParams; the ranks 3 and 4 go beyond it.
struct permute {
    shape axis;

    static constexpr auto key = "permute";
    constexpr void fields(auto& field) { field("axis", axis); }

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3 || x.rank() > 5)
            return shape_fault("an input [sequence, batch, channels, height, width] wanted, its shape is ", x);
        if (axis.rank() > 0 && !detail::is_permutation(axis, 4))
            return value_fault("a permutation of 0 to 3 wanted, axis ", axis, " given");
        if (x.rank() == 3 && axis.rank() > 0 && axis[0] != 0)
            return value_fault("an axis that begins with 0 wanted for an input without a sequence, ", axis,
                               " given for the shape ", x);
        return equivalent(x).output_shape(x);
    }
    constexpr transpose equivalent(const shape& x) const {
        const extent missing = x.rank() == 3 ? 1 : 0, batch = x.rank() == 5 ? 1 : 0;
        shape axes;
        for (extent i = missing; i < 4; ++i) {
            const extent a = axis.rank() > 0 ? axis[static_cast<std::size_t>(i)] : i;
            axes.push_back(a > 0 ? a + batch - missing : a);
            if (i == 0 && batch == 1) axes.push_back(1);
        }
        return {axes};
    }
    friend bool operator==(const permute&, const permute&) = default;
};

}  // namespace bespoke
