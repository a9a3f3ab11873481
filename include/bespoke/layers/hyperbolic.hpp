#pragma once

#include "../kernels/hyperbolic.hpp"
#include "activation.hpp"

/// Hyperbolic functions and their inverses. NaN gives NaN, and so does what is outside the range of an inverse.
namespace bespoke {

/// y = (e^x - e^-x) / 2. Core ML specification, SinhLayerParams.
struct sinh {
    static constexpr auto key = "sinh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::sinh(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::cosh(x);
    }
    friend bool operator==(const sinh&, const sinh&) = default;
};

/// y = (e^x + e^-x) / 2. Core ML specification, CoshLayerParams.
struct cosh {
    static constexpr auto key = "cosh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::cosh(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::sinh(x);
    }
    friend bool operator==(const cosh&, const cosh&) = default;
};

/// y = tanh x: the specification has it as a layer of its own beside the activation `tanh`.
/// Core ML specification, TanhLayerParams.
struct tanh_layer {
    static constexpr auto key = "tanh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return tanh{}(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return tanh{}.derivative(y, y);
    }
    friend bool operator==(const tanh_layer&, const tanh_layer&) = default;
};

/// y = log(x + sqrt(x² + 1)). Core ML specification, AsinhLayerParams.
struct asinh {
    static constexpr auto key = "asinh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::asinh(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(1) / kernels::sqrt(kernels::fma(x, x, V(1)));
    }
    friend bool operator==(const asinh&, const asinh&) = default;
};

/// y = log(x + sqrt(x² - 1)), for x from 1 up. Core ML specification, AcoshLayerParams.
struct acosh {
    static constexpr auto key = "acosh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::acosh(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(1) / kernels::sqrt((x - V(1)) * (x + V(1)));
    }
    friend bool operator==(const acosh&, const acosh&) = default;
};

/// y = log((1 + x) / (1 - x)) / 2, for x from -1 to 1, at which it is infinite.
/// Core ML specification, AtanhLayerParams.
struct atanh {
    static constexpr auto key = "atanh";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::atanh(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return V(1) / ((V(1) - x) * (V(1) + x));
    }
    friend bool operator==(const atanh&, const atanh&) = default;
};

}  // namespace bespoke
