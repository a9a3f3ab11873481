#pragma once

#include "../kernels/indexing.hpp"
#include "axis.hpp"
#include "slice.hpp"

namespace bespoke {

/// y = x[.., begin:begin + size, ..] along `axis` (negative: from the end), where begin is the one number of a second
/// input: its nearest integer, which counts from the end where it is negative. One with which y would not lie in x is
/// brought to the nearest with which it does; NaN means 0.
///
/// x [.., n, ..] and begin of one element -> y [.., size, ..], 0 <= size <= n. No gradient passes to begin.
/// Core ML specification, SliceBySizeLayerParams.
struct slice_by_size {
    extent size = 0;
    extent axis = 0;

    static constexpr auto key = "sliceBySize";
    constexpr void fields(auto& field) {
        field("size", size);
        field("axis", axis);
    }
    static constexpr input_count inputs{2, 2};
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (const auto wrong = detail::check_axis(axis, x)) return *wrong;
        const std::size_t along = detail::axis_among(axis, x.rank());
        if (size < 0 || size > x[along])
            return value_fault("a size from 0 to ", x[along], " wanted, the extent of axis ", along,
                               " in the shape ", x, ", ", size, " given");
        for (extent e : xs[1])
            if (e != 1) return shape_fault("one number wanted where the slice begins, its shape is ", xs[1]);
        shape y = x;
        y[along] = size;
        return y;
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        box(xs[0].dimensions, ys[0].dimensions, *xs[1].data).forward(xs[0].data, ys[0].data, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (dxs[0])
            box(dxs[0].dimensions, dys[0].dimensions, *xs[1].data)
                .backward(dys[0].data, dxs[0].data, w.threads);
    }
    friend bool operator==(const slice_by_size&, const slice_by_size&) = default;

private:
    template <class T>
    detail::sliced_box box(const shape& x, const shape& y, T number) const {
        const std::size_t along = detail::axis_among(axis, x.rank());
        const extent named = kernels::is_nan(number) ? 0 : kernels::nearest_integer(number);
        const extent begin = std::clamp<extent>(named < 0 ? named + x[along] : named, 0, x[along] - size);
        detail::sliced_box b(x, y, 1);
        for (std::size_t i = 0; i < x.rank(); ++i)
            b.add(x[i], i == along ? detail::axis_slice{begin, size, 1} : detail::axis_slice{0, x[i], 1});
        return b;
    }
};

}  // namespace bespoke
