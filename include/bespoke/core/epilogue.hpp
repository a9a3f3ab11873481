#pragma once

#include "shape.hpp"

#include <limits>

namespace bespoke {

/// A block of a result: element (i, j) is data[i * stride + j].
template <class T>
struct output_block {
    T* data;
    extent rows, columns, stride;
};

/// y = min(high, max(low, scale[c] x + shift[c])) for the elements x of channel c, a product and a sum that round once.
template <class T>
struct channel_map {
    const T* scale = nullptr;  ///< null: y = min(high, max(low, x))
    const T* shift = nullptr;
    T low = -std::numeric_limits<T>::infinity(), high = std::numeric_limits<T>::infinity();

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

}  // namespace bespoke
