#pragma once

#include "shape.hpp"

namespace bespoke {

/// A block of a result: element (i, j) is data[i * stride + j].
template <class T>
struct output_block {
    T* data;
    extent rows, columns, stride;
};

/// What is done to a result while it is near: a kernel calls it once for each block that it has finished. The blocks
/// cover the result, none twice; threads call it at the same time.
template <class T>
struct epilogue {
    void (*run)(const void* context, const output_block<T>& block) noexcept;
    const void* context;

    void operator()(const output_block<T>& block) const noexcept { run(context, block); }
};

}  // namespace bespoke
