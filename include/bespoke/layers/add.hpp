#pragma once

#include "combination.hpp"

namespace bespoke {

/// y = x1 + x2 + ..., from the left; of a single input, y = x + alpha.
/// Shapes: see `broadcast_shape`. Core ML specification, AddLayerParams.
struct add {
    float alpha = 0;

    static constexpr auto key = "add";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr input_count inputs{1, any_number};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr detail::combination<detail::addition, true> equivalent(const shape&) const { return {alpha}; }
    template <class T>
    bool joins(channel_map<T>& map, const finishing<T>& with) const noexcept {
        return detail::joins_sum(map, with);
    }
    friend bool operator==(const add&, const add&) = default;
};

}  // namespace bespoke
