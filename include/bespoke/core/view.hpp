#pragma once

#include "shape.hpp"

#include <type_traits>

namespace bespoke {

/// What a layer sees of a blob: one example's shape, and how many examples lie behind it.
///
/// `Shape` is `shape` (known at run time) or `static_shape<...>`; `Count` is `extent` or `constant<1>`.
/// Example i begins at `example(i)`. A blob that does not depend on an input is stored once and has
/// stride 0; every other blob is contiguous over the examples.
template <class T, class Shape = shape, class Count = extent>
struct view {
    using value_type = std::remove_const_t<T>;

    T* data = nullptr;
    [[no_unique_address]] Shape dimensions{};
    [[no_unique_address]] Count examples{};
    extent stride = 0;

    constexpr explicit operator bool() const { return data != nullptr; }
    constexpr T* example(extent i) const { return data + i * stride; }
    constexpr std::size_t rank() const { return dimensions.rank(); }
    constexpr extent operator[](std::size_t axis) const { return dimensions[axis]; }
    /// Elements of one example.
    constexpr auto size() const {
        if constexpr (std::is_same_v<Shape, shape>)
            return dimensions.size();
        else
            return constant<Shape::size()>{};
    }
    /// Elements of all examples of a contiguous blob.
    constexpr auto total() const {
        if constexpr (std::is_same_v<Count, extent>)
            return static_cast<extent>(size()) * examples;
        else
            return size();
    }
    /// Product of the extents of axes [first, last), in the type where the shape is.
    template <std::size_t First, std::size_t Back>
    constexpr auto extents() const {
        if constexpr (std::is_same_v<Shape, shape>)
            return dimensions.product(First, dimensions.rank() - Back);
        else
            return constant<Shape::product(First, Shape::rank() - Back)>{};
    }
};

template <class T>
using dynamic_view = view<T, shape, extent>;

/// The same blob without what the compiler knows of it, as one type for all shapes.
template <class T, class Shape, class Count>
constexpr dynamic_view<T> erased(const view<T, Shape, Count>& v) {
    return {v.data, v.dimensions, v.examples, v.stride};
}

}  // namespace bespoke
