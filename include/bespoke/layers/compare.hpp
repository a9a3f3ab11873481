#pragma once

#include "combination.hpp"

/// Comparisons and logic, whose results are 1 for true and 0 for false. Shapes: see `broadcast_shape`.
/// No gradient passes them.
namespace bespoke {

/// y = a == b; of a single input, y = x == alpha. NaN is not equal to anything.
/// Core ML specification, EqualLayerParams.
struct equal {
    float alpha = 0;

    static constexpr auto key = "equal";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::equality, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const equal&, const equal&) = default;
};

/// y = a != b; of a single input, y = x != alpha.
/// Core ML specification, NotEqualLayerParams.
struct not_equal {
    float alpha = 0;

    static constexpr auto key = "notEqual";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::inequality, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const not_equal&, const not_equal&) = default;
};

/// y = a < b; of a single input, y = x < alpha.
/// Core ML specification, LessThanLayerParams.
struct less_than {
    float alpha = 0;

    static constexpr auto key = "lessThan";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::below, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const less_than&, const less_than&) = default;
};

/// y = a <= b; of a single input, y = x <= alpha.
/// Core ML specification, LessEqualLayerParams.
struct less_equal {
    float alpha = 0;

    static constexpr auto key = "lessEqual";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::not_above, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const less_equal&, const less_equal&) = default;
};

/// y = a > b; of a single input, y = x > alpha.
/// Core ML specification, GreaterThanLayerParams.
struct greater_than {
    float alpha = 0;

    static constexpr auto key = "greaterThan";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::above, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const greater_than&, const greater_than&) = default;
};

/// y = a >= b; of a single input, y = x >= alpha.
/// Core ML specification, GreaterEqualLayerParams.
struct greater_equal {
    float alpha = 0;

    static constexpr auto key = "greaterEqual";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, 2};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::not_below, true> equivalent(const shape&) const { return {alpha}; }
    friend bool operator==(const greater_equal&, const greater_equal&) = default;
};

/// y = a and b, where 0 is false and all else is true, NaN too.
/// Core ML specification, LogicalAndLayerParams.
struct logical_and : detail::broadcastable<detail::conjunction> {
    static constexpr auto key = "logicalAnd";
    friend bool operator==(const logical_and&, const logical_and&) = default;
};

/// y = a or b, where 0 is false and all else is true, NaN too.
/// Core ML specification, LogicalOrLayerParams.
struct logical_or : detail::broadcastable<detail::disjunction> {
    static constexpr auto key = "logicalOr";
    friend bool operator==(const logical_or&, const logical_or&) = default;
};

/// y = a or b, but not both, where 0 is false and all else is true, NaN too.
/// Core ML specification, LogicalXorLayerParams.
struct logical_xor : detail::broadcastable<detail::exclusive_disjunction> {
    static constexpr auto key = "logicalXor";
    friend bool operator==(const logical_xor&, const logical_xor&) = default;
};

}  // namespace bespoke
