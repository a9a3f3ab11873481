#pragma once

#include "../core/concepts.hpp"
#include "../kernels/math.hpp"

/// The activations of the Core ML specification, ActivationParams. Each is a layer and a function: f(v) for
/// a float, a double or a SIMD batch. PReLU and parametric softplus, which have parameters, are in
/// parametric_activation.hpp.
namespace bespoke {

/// y = alpha x + beta
struct linear {
    float alpha = 1, beta = 0;

    static constexpr auto key = "activation", nested_key = "linear";
    static constexpr auto fields = std::tuple{field{"alpha", &linear::alpha}, field{"beta", &linear::beta}};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::fma(V(alpha), x, V(beta));
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(alpha);
    }
    friend bool operator==(const linear&, const linear&) = default;
};

/// y = max(0, x); the slope at 0 is 0.
struct relu {
    static constexpr auto key = "activation", nested_key = "ReLU";
    static constexpr auto fields = std::tuple{};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::max(x, V(0));
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x > V(0), V(1), V(0));
    }
    friend bool operator==(const relu&, const relu&) = default;
};

/// y = tanh x
struct tanh {
    static constexpr auto key = "activation", nested_key = "tanh";
    static constexpr auto fields = std::tuple{};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::tanh(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(-y, y, V(1));
    }
    friend bool operator==(const tanh&, const tanh&) = default;
};

}  // namespace bespoke
