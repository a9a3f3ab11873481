#pragma once

#include "../core/concepts.hpp"
#include "../kernels/rounding.hpp"

/// To whole numbers. All are constant but for jumps: the gradient is 0, at the jumps too, so that what is before them
/// in a network can be trained through other paths only. NaN gives NaN, infinities stay.
namespace bespoke {

/// y = the smallest whole number that is not below x. Core ML specification, CeilLayerParams.
struct ceil {
    static constexpr auto key = "ceil";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::ceil(x);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(0);
    }
    friend bool operator==(const ceil&, const ceil&) = default;
};

/// y = the largest whole number that is not above x. Core ML specification, FloorLayerParams.
struct floor {
    static constexpr auto key = "floor";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::floor(x);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(0);
    }
    friend bool operator==(const floor&, const floor&) = default;
};

/// y = the whole number nearest to x. Of two that are equally near the even one, which the specification leaves open:
/// so numpy and PyTorch do. Core ML specification, RoundLayerParams.
struct round {
    static constexpr auto key = "round";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::round(x);
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(0);
    }
    friend bool operator==(const round&, const round&) = default;
};

/// y = 1 for x > 0, -1 for x < 0, 0 for 0 and -0. Core ML specification, SignLayerParams.
struct sign {
    static constexpr auto key = "sign";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x > V(0), V(1), kernels::select(x < V(0), V(-1), x - x));  // NaN - NaN, 0 - 0
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(0);
    }
    friend bool operator==(const sign&, const sign&) = default;
};

}  // namespace bespoke
