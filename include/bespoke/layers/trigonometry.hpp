#pragma once

#include "../core/concepts.hpp"
#include "../kernels/trigonometry.hpp"

/// Trigonometric functions of angles in radians and their inverses, as precise for large angles as for small ones. NaN
/// gives NaN, and so do infinite angles and what is outside the range of an inverse.
namespace bespoke {

/// y = sin x. Core ML specification, SinLayerParams.
struct sin {
    static constexpr auto key = "sin";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::sin(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::cos(x);
    }
    friend bool operator==(const sin&, const sin&) = default;
};

/// y = cos x. Core ML specification, CosLayerParams.
struct cos {
    static constexpr auto key = "cos";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::cos(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return -kernels::sin(x);
    }
    friend bool operator==(const cos&, const cos&) = default;
};

/// y = tan x. Core ML specification, TanLayerParams.
struct tan {
    static constexpr auto key = "tan";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::tan(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(y, y, V(1));
    }
    friend bool operator==(const tan&, const tan&) = default;
};

/// y = arcsin x, from -pi / 2 to pi / 2, for x from -1 to 1. Core ML specification, AsinLayerParams.
struct asin {
    static constexpr auto key = "asin";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::asin(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(1) / kernels::sqrt((V(1) - x) * (V(1) + x));
    }
    friend bool operator==(const asin&, const asin&) = default;
};

/// y = arccos x, from 0 to pi, for x from -1 to 1. Core ML specification, AcosLayerParams.
struct acos {
    static constexpr auto key = "acos";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::acos(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(-1) / kernels::sqrt((V(1) - x) * (V(1) + x));
    }
    friend bool operator==(const acos&, const acos&) = default;
};

/// y = arctan x, from -pi / 2 to pi / 2. Core ML specification, AtanLayerParams.
struct atan {
    static constexpr auto key = "atan";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::atan(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(1) / kernels::fma(x, x, V(1));
    }
    friend bool operator==(const atan&, const atan&) = default;
};

}  // namespace bespoke
