#pragma once

#include "../core/list.hpp"
#include "number_input.hpp"
#include "padding.hpp"
#include "slice.hpp"

/// Layers that put something around a blob.
namespace bespoke {

/// x with `value` around it: pad_amounts[2 i] elements before and pad_amounts[2 i + 1] behind along axis i. With
/// pad_to_given_output_size_mode a positive amount is the extent that y shall have at least, and says on which side the
/// missing elements stand; one of the two is 0, and where both are the axis stays as it is.
///
/// pad_amounts holds two numbers for each axis of x. A second input, a vector, holds them in the place of the field; it
/// decides the shape of y, and no gradient passes to it. Core ML specification, ConstantPaddingLayerParams.
struct constant_pad {
    float value = 0;
    list<extent, 2 * max_rank> pad_amounts{};
    bool pad_to_given_output_size_mode = false;

    static constexpr auto key = "constantPad";
    constexpr void fields(auto& field) {
        field("value", value, field_floats::any);
        field("padAmounts", pad_amounts);
        field("padToGivenOutputSizeMode", pad_to_given_output_size_mode);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr std::size_t values_from = 1;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape& x = xs[0];
        if (xs.size() > 1) {
            const known_values values = known_input(known, 1);
            if (const auto wrong = detail::check_numbers("padAmounts", xs[1], 2 * x.rank(), 2 * x.rank(), values))
                return *wrong;
            if (values) return with(detail::numbers_of(*values)).output_shape(xs.first(1));
            shape y;
            for (std::size_t axis = 0; axis < x.rank(); ++axis) y.push_back(unset);
            return y;
        }
        if (pad_amounts.size() != 2 * x.rank())
            return value_fault("two padAmounts for each axis wanted, ", pad_amounts.size(),
                               " given for the shape ", x);
        shape y;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            const extent before = pad_amounts[2 * axis], behind = pad_amounts[2 * axis + 1];
            if (const auto wrong = check_window("padAmounts", {before, behind}, 0)) return *wrong;
            if (pad_to_given_output_size_mode && before > 0 && behind > 0)
                return value_fault("a size on one side of axis ", axis, " wanted, ", before, " and ", behind,
                                   " given");
            const edge_sizes edges = added(axis, x[axis]);
            y.push_back(edges.start_edge_size + x[axis] + edges.end_edge_size);
        }
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        if (ys[0].size() > xs[0].size())
            parallel_for(ys[0].size() < (1 << 14) ? nullptr : w.threads, ys[0].size(), 4096,
                         [&](extent first, extent last) {
                             kernels::fill(last - first, static_cast<T>(value), ys[0].data + first);
                         });
        meant(xs).box(xs[0].dimensions, ys[0].dimensions).put(xs[0].data, ys[0].data, w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        if (dxs[0])
            meant(xs).box(dxs[0].dimensions, dys[0].dimensions).put_backward(dys[0].data, dxs[0].data, w.threads);
    }
    friend bool operator==(const constant_pad&, const constant_pad&) = default;

private:
    constexpr constant_pad with(const detail::number_list& amounts) const {
        return {value, amounts, pad_to_given_output_size_mode};
    }
    template <class Xs>
    constant_pad meant(const Xs& xs) const noexcept {
        return xs.size() > 1 ? with(detail::numbers_of(xs[1])) : *this;
    }
    /// What stands before and behind an axis of `size` elements.
    constexpr edge_sizes added(std::size_t axis, extent size) const {
        edge_sizes edges{pad_amounts[2 * axis], pad_amounts[2 * axis + 1]};
        if (pad_to_given_output_size_mode)
            for (extent* amount : {&edges.start_edge_size, &edges.end_edge_size})
                *amount = std::max<extent>(*amount - size, 0);
        return edges;
    }
    detail::sliced_box box(const shape& x, const shape& y) const {
        detail::sliced_box b(y, x, 1);
        for (std::size_t axis = 0; axis < x.rank(); ++axis)
            b.add(y[axis], {added(axis, x[axis]).start_edge_size, x[axis], 1});
        return b;
    }
};

/// The edges of an image hold a value.
struct padding_constant {
    float value = 0;

    static constexpr auto key = "constant";
    constexpr void fields(auto& field) { field("value", value, field_floats::any); }
    friend bool operator==(const padding_constant&, const padding_constant&) = default;
};
/// The edges are the image reflected in its outermost row or column, which is not repeated: 3 2 | 1 2 3 4.
struct padding_reflection {
    static constexpr auto key = "reflection";
    constexpr void fields(auto&) {}
    friend bool operator==(const padding_reflection&, const padding_reflection&) = default;
};
/// The edges repeat the outermost row or column: 1 1 | 1 2 3 4.
struct padding_replication {
    static constexpr auto key = "replication";
    constexpr void fields(auto&) {}
    friend bool operator==(const padding_replication&, const padding_replication&) = default;
};

/// x [.., H, W] with `padding_amounts` more rows and columns, which hold what `padding_type` says -> y [.., H', W'].
///
/// A reflection adds less than there is: at most H - 1 rows and W - 1 columns at an edge; a replication needs one row
/// and column. Core ML specification, PaddingLayerParams.
struct padding {
    using kinds = std::variant<padding_constant, padding_reflection, padding_replication>;

    kinds padding_type{};
    border_amounts padding_amounts{};

    static constexpr auto key = "padding";
    constexpr void fields(auto& field) {
        field(padding_type);
        field("paddingAmounts", padding_amounts);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 2) return shape_fault("an input of rank 2 or more wanted, its shape is ", x);
        if (const auto wrong = check_edges("paddingAmounts", padding_amounts)) return *wrong;
        shape y = x;
        for (std::size_t i = 0; i < 2; ++i) {
            const auto [start, end] = padding_amounts.edges[i];
            const extent size = x.from_end(2 - i);
            if (std::holds_alternative<padding_reflection>(padding_type) && std::max(start, end) > 0 &&
                std::max(start, end) >= size)
                return value_fault("paddingAmounts below ", size, " wanted, the extent of axis -", 2 - i,
                                   " in the shape ", x, ", which is reflected; ", start, " and ", end,
                                   " given");
            if (std::holds_alternative<padding_replication>(padding_type) && start + end > 0 && size == 0)
                return shape_fault("an element along axis -", 2 - i,
                                   " to replicate wanted, the shape of its input is ", x);
            y.from_end(2 - i) += start + end;
        }
        return y;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        using T = typename X::value_type;
        const shape from = x.dimensions, to = y.dimensions;
        const extent rows = to.from_end(2), columns = to.from_end(1), width = from.from_end(1);
        const extent height = from.from_end(2), left = padding_amounts.edges[1].start_edge_size;
        const auto* constant = std::get_if<padding_constant>(&padding_type);
        parallel_for(y.total() < (1 << 14) ? nullptr : w.threads, planes(from, x.examples) * rows, 1,
                     [&](extent first, extent last) {
                         extent plane = first / rows, at = first % rows;
                         for (T* row = y.data + first * columns; row != y.data + last * columns; row += columns) {
                             const extent source = place(at - padding_amounts.edges[0].start_edge_size, height);
                             const T* const line = x.data + (plane * height + source) * width;
                             if (++at == rows) at = 0, ++plane;
                             if (constant != nullptr) kernels::fill(columns, static_cast<T>(constant->value), row);
                             if (source < 0) continue;
                             kernels::copy(width, line, row + left);
                             if (constant != nullptr) continue;
                             for (extent c = 0; c < left; ++c) row[c] = line[place(c - left, width)];
                             for (extent c = left + width; c < columns; ++c) row[c] = line[place(c - left, width)];
                         }
                     });
    }
    /// Threads split the images: the rows of y that meet in one row of x come in their order.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        const shape from = dx.dimensions, to = dy.dimensions;
        const extent rows = to.from_end(2), columns = to.from_end(1), width = from.from_end(1);
        const extent left = padding_amounts.edges[1].start_edge_size;
        const bool constant = std::holds_alternative<padding_constant>(padding_type);
        parallel_for(dy.total() < (1 << 14) ? nullptr : w.threads, planes(from, dx.examples), 1,
                     [&](extent first, extent last) {
                         for (extent r = first * rows; r < last * rows; ++r) {
                             const extent target =
                                 place(r % rows - padding_amounts.edges[0].start_edge_size, from.from_end(2));
                             if (target < 0) continue;
                             const auto* const row = dy.data + r * columns;
                             auto* const line = dx.data + (r / rows * from.from_end(2) + target) * width;
                             kernels::accumulate(width, row + left, line);
                             for (const auto& [begin, end] :
                                  {std::pair<extent, extent>{0, left}, {left + width, columns}})
                                 for (extent c = begin; c < end && !constant; ++c)
                                     line[place(c - left, width)] += row[c];
                         }
                     });
    }
    friend bool operator==(const padding&, const padding&) = default;

private:
    static extent planes(const shape& x, extent examples) { return examples * x.product(0, x.rank() - 2); }
    /// Which element stands at i, counted from the first of an axis of `size`; -1: none.
    extent place(extent i, extent size) const {
        if (i >= 0 && i < size) return i;
        if (std::holds_alternative<padding_constant>(padding_type)) return -1;
        if (std::holds_alternative<padding_replication>(padding_type)) return i < 0 ? 0 : size - 1;
        return i < 0 ? -i : 2 * (size - 1) - i;
    }
};

}  // namespace bespoke
