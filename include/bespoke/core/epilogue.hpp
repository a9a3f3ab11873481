#pragma once

#include "shape.hpp"

#include <limits>

namespace bespoke {

/// A block of a result: element (i, j) is data[i * stride + j].
template <class T>
struct output_block {
    T* data;
    extent rows, columns, stride;
    extent offset = -1;  ///< of element (0, 0) in the result, all examples, where that is not in memory; else negative
};

/// y = min(high, max(low, scale[c] x + shift[c] + a)) for the elements x of channel c, a product and a sum that round
/// once, and then a sum with the element a of another array of the shape of the result.
template <class T>
struct channel_map {
    const T* scale = nullptr;  ///< null: y = min(high, max(low, x + a))
    const T* shift = nullptr;
    T low = -std::numeric_limits<T>::infinity(), high = std::numeric_limits<T>::infinity();
    const T* added = nullptr;   ///< the array of the elements a; null: y = min(high, max(low, scale[c] x + shift[c]))
    const T* result = nullptr;  ///< where the result begins, which `added` is laid out like

    /// The elements of `added` that meet those of the result from `y` on.
    constexpr const T* added_to(const T* y) const { return added + (y - result); }
    constexpr bool is_bounded() const {
        return low != -std::numeric_limits<T>::infinity() || high != std::numeric_limits<T>::infinity();
    }
};

/// What is done to a result while it is near: a kernel calls it once for each block that it has finished. The blocks
/// cover the result, none twice; threads call it at the same time.
template <class T>
struct epilogue {
    void (*run)(const void* context, const output_block<T>& block) noexcept;
    const void* context;
    /// What it begins with, or null. A kernel that knows the channels of what it stores may do that itself, and then
    /// calls `rest` (null: nothing is left) in place of the whole.
    const channel_map<T>* map = nullptr;
    const epilogue* rest = nullptr;

    void operator()(const output_block<T>& block) const noexcept { run(context, block); }
};

/// A matrix product that takes its left-hand side a few rows at a time:
/// y[i * y_row + j] = sum over p of x(i, p) * b[p * b_row + j * b_column], j in [0, columns).
template <class T>
struct row_product {
    const T* b;
    extent b_row, b_column, columns;
    T* y;
    extent y_row;
};

/// What becomes of the rows of a result that is never whole in memory: `of` gives the product that takes those of
/// matrix number `index`, counted over the leading axes and all examples. Threads call it at the same time.
template <class T>
struct row_products {
    row_product<T> (*of)(const void* context, extent index) noexcept;
    const void* context;

    row_product<T> operator()(extent index) const noexcept { return of(context, index); }
};

}  // namespace bespoke
