#pragma once

#include "../core/concepts.hpp"
#include "../kernels/gate.hpp"
#include "../kernels/hyperbolic.hpp"

#include <limits>

/// The activations of the Core ML specification, ActivationParams. Each is a layer and a function: f(v) for
/// a float, a double or a SIMD batch. PReLU and parametric softplus, which have parameters, are in
/// parametric_activation.hpp.
///
/// NaN gives NaN. Where f has a kink, `derivative` is the slope on its left.
namespace bespoke {

/// y = alpha x + beta
struct linear {
    float alpha = 1, beta = 0;

    static constexpr auto key = "activation", nested_key = "linear";
    constexpr void fields(auto& field) {
        field("alpha", alpha);
        field("beta", beta);
    }
    static constexpr backward_needs needs{.input = false, .output = false};
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

/// y = max(0, x)
struct relu {
    static constexpr auto key = "activation", nested_key = "ReLU";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::max(V(0), x);
    }
    template <class T>
    bool joins(channel_map<T>& map, const finishing<T>&) const noexcept {
        if (map.is_bounded()) return false;
        map.low = 0;
        return true;
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(0), V(1), V(0));
    }
    friend bool operator==(const relu&, const relu&) = default;
};

/// y = x for x >= 0, else alpha x
struct leaky_relu {
    float alpha = 0.01f;

    static constexpr auto key = "activation", nested_key = "leakyReLU";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x >= V(0), x, V(alpha) * x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x > V(0), V(1), V(alpha));
    }
    friend bool operator==(const leaky_relu&, const leaky_relu&) = default;
};

/// y = x for x >= alpha, else 0. A jump, not a kink: at alpha the slope is that on its right, 1.
struct thresholded_relu {
    float alpha = 1;

    static constexpr auto key = "activation", nested_key = "thresholdedReLU";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x < V(alpha), V(0), x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x < V(alpha), V(0), V(1));
    }
    friend bool operator==(const thresholded_relu&, const thresholded_relu&) = default;
};

/// y = tanh x
struct tanh {
    static constexpr auto key = "activation", nested_key = "tanh";
    static constexpr float saturation = 20;  ///< to the last bit
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
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

/// y = alpha tanh(beta x). The defaults are those of LeCun et al., "Efficient BackProp", 1998.
struct scaled_tanh {
    float alpha = 1.7159f, beta = 2.0f / 3.0f;

    static constexpr auto key = "activation", nested_key = "scaledTanh";
    constexpr void fields(auto& field) {
        field("alpha", alpha);
        field("beta", beta);
    }
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return V(alpha) * kernels::tanh(V(beta) * x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        const V t = alpha == 0 ? V(0) : y / V(alpha);
        return V(alpha) * V(beta) * kernels::fma(-t, t, V(1));
    }
    friend bool operator==(const scaled_tanh&, const scaled_tanh&) = default;
};

/// y = 1 / (1 + e^-x)
struct sigmoid {
    static constexpr auto key = "activation", nested_key = "sigmoid";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::sigmoid(x);
    }
    template <class T>
    [[gnu::always_inline]] kernels::batch<T> of_gate(const kernels::batch<T>& x) const noexcept {
        return kernels::clipped_sigmoid<T>(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(-y, y, y);
    }
    friend bool operator==(const sigmoid&, const sigmoid&) = default;
};

/// y = min(max(alpha x + beta, 0), 1); flat at both ends.
struct sigmoid_hard {
    float alpha = 0.2f, beta = 0.5f;

    static constexpr auto key = "activation", nested_key = "sigmoidHard";
    constexpr void fields(auto& field) {
        field("alpha", alpha);
        field("beta", beta);
    }
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::min(V(1), kernels::max(V(0), kernels::fma(V(alpha), x, V(beta))));
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(0), kernels::select(y < V(1), V(alpha), V(0)), V(0));
    }
    friend bool operator==(const sigmoid_hard&, const sigmoid_hard&) = default;
};

/// y = x for x >= 0, else alpha (e^x - 1). Clevert et al., ICLR 2016.
struct elu {
    float alpha = 1;

    static constexpr auto key = "activation", nested_key = "ELU";
    constexpr void fields(auto& field) { field("alpha", alpha); }
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x >= V(0), x, V(alpha) * kernels::expm1_below(x));
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return kernels::select(x > V(0), V(1), y + V(alpha));
    }
    friend bool operator==(const elu&, const elu&) = default;
};

/// y = x / (1 + |x|)
struct softsign {
    static constexpr auto key = "activation", nested_key = "softsign";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        const V size = kernels::abs(x);
        const V infinite(std::numeric_limits<float>::infinity());
        return kernels::select(size < infinite, x / (V(1) + size),
                               kernels::min(V(1), kernels::max(V(-1), x)));
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        const V d = V(1) / (V(1) + kernels::abs(x));
        return d * d;
    }
    friend bool operator==(const softsign&, const softsign&) = default;
};

/// y = log(1 + e^x), as max(0, x) + log(1 + e^-|x|), which neither overflows nor cancels.
struct softplus {
    static constexpr auto key = "activation", nested_key = "softplus";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::max(V(0), x) + kernels::log1p(kernels::exp(-kernels::abs(x)));
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::sigmoid(x);
    }
    friend bool operator==(const softplus&, const softplus&) = default;
};

}  // namespace bespoke
