#pragma once

#include "../core/concepts.hpp"
#include "../kernels/gelu.hpp"

#include <array>
#include <limits>
#include <numbers>

namespace bespoke {

enum class gelu_mode { exact, tanh_approximation, sigmoid_approximation };
constexpr std::array<std::string_view, 3> enumerators(gelu_mode) {
    return {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"};
}

/// Gaussian error linear unit: y = x P(X <= x) for a standard normal X, or an approximation of it.
///
/// | mode                  | y                                                |
/// |-----------------------|--------------------------------------------------|
/// | exact                 | x / 2 (1 + erf(x / sqrt 2))                      |
/// | tanh_approximation    | x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) |
/// | sigmoid_approximation | x sigmoid(1.702 x)                               |
///
/// Infinity gives infinity, -infinity gives 0. Below about -5 (float) the first two are correct to one unit
/// in the last place of 1, not of y.
/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Core ML specification, GeluLayerParams.
struct gelu {
    gelu_mode mode = gelu_mode::exact;

    static constexpr auto key = "gelu";
    constexpr void fields(auto& field) { field("mode", mode); }

    template <class V>
    V operator()(const V& x) const noexcept {
        V y = x;
        chosen([&](const auto& f) { y = f(x); });
        return y;
    }
    /// Calls body(f) with a function that need not look at `mode`.
    template <class Body>
    void chosen(const Body& body) const noexcept {
        switch (mode) {
            case gelu_mode::sigmoid_approximation:
                return body([]<class V>(const V& x) {
                    const V a = finite(x);
                    return a * kernels::sigmoid(kernels::number<V>(1.702) * a);
                });
            case gelu_mode::tanh_approximation:
                return body([]<class V>(const V& x) {
                    const V a = finite(x);
                    return V(0.5f) * a * (V(1) + kernels::tanh(bent(a)));
                });
            default:
                return body([]<class V>(const V& x) { return kernels::gelu(x); });
        }
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        const V a = kernels::min(V(100), kernels::max(V(-100), x));  // the slope is 0 or 1 long before
        if (mode == gelu_mode::sigmoid_approximation) {
            const V s = kernels::sigmoid(kernels::number<V>(1.702) * a);
            return kernels::fma(kernels::number<V>(1.702) * a, kernels::fma(-s, s, s), s);
        }
        if (mode == gelu_mode::exact) {
            const V density = kernels::exp(a * a * V(-0.5f)) * kernels::number<V>(scale / 2);
            return kernels::fma(a, density,
                                kernels::fma(V(0.5f), kernels::erf(a * kernels::number<V>(root_half)), V(0.5f)));
        }
        const V t = kernels::tanh(bent(a));
        const V slope = kernels::number<V>(scale) * kernels::fma(kernels::number<V>(3 * cubic) * a, a, V(1));
        return V(0.5f) * kernels::fma(a * slope, kernels::fma(-t, t, V(1)), V(1) + t);
    }
    friend bool operator==(const gelu&, const gelu&) = default;

private:
    static constexpr double scale = std::numbers::inv_sqrtpi * std::numbers::sqrt2, cubic = 0.044715;
    static constexpr double root_half = std::numbers::sqrt2 / 2;
    /// x, or it would be -infinity times 0.
    template <class V>
    static V finite(const V& x) noexcept {
        return kernels::max(V(std::numeric_limits<float>::lowest()), x);
    }
    template <class V>
    static V bent(const V& x) noexcept {
        return kernels::number<V>(scale) * x * kernels::fma(kernels::number<V>(cubic) * x, x, V(1));
    }
};

}  // namespace bespoke
