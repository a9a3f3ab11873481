#pragma once

#include "padding.hpp"
#include "slice.hpp"

namespace bespoke {

/// A rectangle of x [.., C, H, W], all of the other axes: `crop_amounts` less at each edge, or, with a second input, as
/// many rows and columns as that one has, from `offset` on, [H, W]. `crop_amounts` counts without a second input only,
/// `offset` with one only.
///
/// x of rank 3 or more and, if it comes, an input of the same rank, of which only the shape matters -> y [.., H', W'].
/// Core ML specification, CropLayerParams.
struct crop {
    border_amounts crop_amounts{};
    std::array<extent, 2> offset{};

    static constexpr auto key = "crop";
    constexpr void fields(auto& field) {
        field("cropAmounts", crop_amounts);
        field("offset", offset);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        shape y = x;
        if (xs.size() == 1) {
            if (const auto wrong = check_edges("cropAmounts", crop_amounts)) return *wrong;
            for (std::size_t i = 0; i < 2; ++i) {
                const auto [start, end] = crop_amounts.edges[i];
                if (start + end > x.from_end(2 - i))
                    return value_fault("cropAmounts that leave something of the shape ", x, " wanted, ",
                                       start, " and ", end, " given along axis -", 2 - i);
                y.from_end(2 - i) -= start + end;
            }
            return y;
        }
        if (const auto wrong = check_window("an offset", offset, 0)) return *wrong;
        if (xs[1].rank() != x.rank())
            return shape_fault("inputs of one rank wanted, their shapes are ", x, " and ", xs[1]);
        for (std::size_t i = 0; i < 2; ++i) {
            y.from_end(2 - i) = xs[1].from_end(2 - i);
            if (y.from_end(2 - i) > x.from_end(2 - i) - offset[i])
                return shape_fault("rows and columns wanted that the shape ", x, " has from the offset ",
                                   shape{offset[0], offset[1]}, " on, input 1 has the shape ", xs[1]);
        }
        return y;
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        box(xs, ys[0]).forward(xs[0].data, ys[0].data, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (dxs[0]) box(xs, dys[0]).backward(dys[0].data, dxs[0].data, w.threads);
    }
    friend bool operator==(const crop&, const crop&) = default;

private:
    template <class Xs, class Y>
    detail::sliced_box box(const Xs& xs, const Y& y) const {
        const shape& s = xs[0].dimensions;
        detail::sliced_box b(s, y.dimensions, 1);
        for (std::size_t axis = 0; axis < s.rank(); ++axis) {
            extent begin = 0;
            if (const std::size_t back = s.rank() - axis; back <= 2)
                begin = xs.size() == 1 ? crop_amounts.edges[2 - back].start_edge_size : offset[2 - back];
            b.add(s[axis], {begin, y.dimensions[axis], 1});
        }
        return b;
    }
};

}  // namespace bespoke
