#pragma once

#include "combination.hpp"

namespace bespoke {

/// y = (x1 + x2 + ... + xn) / n.
/// Shapes: see `broadcast_shape`. Core ML specification, AverageLayerParams.
struct average {
    static constexpr auto key = "average";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{1, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::averaging> equivalent(const shape&) const { return {}; }
    friend bool operator==(const average&, const average&) = default;
};

/// y = the largest of x1, x2, ..., NaN where one of them is. The gradient goes to the one that is taken, the first
/// where several are equal.
/// Shapes: see `broadcast_shape`. Core ML specification, MaxLayerParams.
struct max {
    static constexpr auto key = "max";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{1, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::larger> equivalent(const shape&) const { return {}; }
    friend bool operator==(const max&, const max&) = default;
};

/// y = the smallest of x1, x2, ..., NaN where one of them is. The gradient goes to the one that is taken, the first
/// where several are equal.
/// Shapes: see `broadcast_shape`. Core ML specification, MinLayerParams.
struct min {
    static constexpr auto key = "min";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{1, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::smaller> equivalent(const shape&) const { return {}; }
    friend bool operator==(const min&, const min&) = default;
};

}  // namespace bespoke
