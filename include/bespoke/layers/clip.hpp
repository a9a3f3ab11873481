#pragma once

#include "../core/concepts.hpp"
#include "../kernels/math.hpp"

namespace bespoke {

/// y = min(max(x, min_val), max_val): ReLU6 with 0 and 6. min_val <= max_val, either may be infinite. NaN gives NaN;
/// the slope is 0 at both ends.
/// Core ML specification, ClipLayerParams.
struct clip {
    float min_val = 0, max_val = 1;

    static constexpr auto key = "clip";
    constexpr void fields(auto& field) {
        field("minVal", min_val, field_floats::any);
        field("maxVal", max_val, field_floats::any);
    }
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome output_shape(const shape& x) const {
        if (!(min_val <= max_val))
            return value_fault("a minVal up to maxVal wanted, ", min_val, " and ", max_val, " given");
        return x;
    }
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::min(V(max_val), kernels::max(V(min_val), x));
    }
    template <class T>
    bool joins(channel_map<T>& map, const finishing<T>&) const noexcept {
        if (map.is_bounded()) return false;
        map.low = T(min_val);
        map.high = T(max_val);
        return true;
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(min_val), kernels::select(y < V(max_val), V(1), V(0)), V(0));
    }
    friend bool operator==(const clip&, const clip&) = default;
};

/// y = min(beta, x) for x >= 0, else min(beta, alpha x). NaN gives NaN; the slope is 0 from beta up, at 0 that on its
/// left.
/// Core ML specification, ClampedReLULayerParams.
struct clamped_relu {
    float alpha = 0, beta = 6;

    static constexpr auto key = "clampedReLU";
    constexpr void fields(auto& field) {
        field("alpha", alpha);
        field("beta", beta);
    }

    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::min(V(beta), kernels::select(x >= V(0), x, V(alpha) * x));
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return kernels::select(y < V(beta), kernels::select(x > V(0), V(1), V(alpha)), V(0));
    }
    friend bool operator==(const clamped_relu&, const clamped_relu&) = default;
};

}  // namespace bespoke
