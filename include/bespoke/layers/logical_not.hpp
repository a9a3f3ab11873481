#pragma once

#include "../core/concepts.hpp"
#include "../kernels/math.hpp"

namespace bespoke {

/// y = 1 for x = 0 (false), else 0: also for NaN. No gradient passes.
/// Core ML specification, LogicalNotLayerParams.
struct logical_not {
    static constexpr auto key = "logicalNot";
    constexpr void fields(auto&) {}
    static constexpr bool differentiable = false;
    static constexpr backward_needs needs{.input = false, .output = false};

    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x == V(0), V(1), V(0));
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(0);
    }
    friend bool operator==(const logical_not&, const logical_not&) = default;
};

}  // namespace bespoke
