#pragma once

#include "concepts.hpp"

namespace bespoke {

// Three layers meet where a result is too large to be written: one gives its rows, the runs along its last axis, one
// or more finish them, and the last one multiplies them by a matrix of its own. A prediction computes such a chain,
// an attention, a few rows at a time. All inputs but the result must be there when the first one runs. A result with a
// single row is made whole. Where graph/live_entries.hpp shortens a result, the layers are asked before: what they say
// holds for any number of rows from 2 up.

/// `bool finishes_rows(std::span<const shape> xs) const`: whether the layer, of one input of the shape of y, can be
/// part of an epilogue whose blocks hold whole rows, one behind the other: by `finish`, as in concepts.hpp. Its forward
/// may write y over x.
template <class L>
constexpr bool can_finish_rows(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.finishes_rows(inputs); })
        return is_in_place<L> && layer.finishes_rows(inputs);
    else
        return false;
}

/// `bool gives_rows(std::span<const shape> xs) const`: whether forward, where it finds `w.then`, calls `w.after` on
/// blocks of whole rows in memory of its own, with their `offset`, and `w.then` with what became of them; the output
/// that forward sees is then that of the product. `rows_scratch_size<T>(xs, columns, threads)` is what it works with.
template <class L>
constexpr bool can_give_rows(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.gives_rows(inputs); })
        return is_batched<L> && layer.gives_rows(inputs);
    else
        return false;
}

/// `bool takes_rows(std::span<const shape> xs) const`: whether y is a product of the matrices of the first input, in
/// their order, with others: `row_product_of(x, y, index)`, of the views of the second input and of y.
template <class L>
constexpr bool can_take_rows(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.takes_rows(inputs); })
        return layer.takes_rows(inputs);
    else
        return false;
}

/// What a layer says of rows.
struct row_answers {
    bool finishes = false, gives = false, takes = false;
};

/// A layer of which one of these may be true: most say nothing of it, and need not be asked.
template <class L>
concept row_layer = requires(const L& layer, std::span<const shape> inputs) {
    requires requires { layer.finishes_rows(inputs); } || requires { layer.gives_rows(inputs); } ||
                 requires { layer.takes_rows(inputs); };
};

}  // namespace bespoke
