#pragma once

#include "../core/concepts.hpp"
#include "../kernels/power.hpp"

#include <array>
#include <numbers>

namespace bespoke {

enum class unary_operation { sqrt, rsqrt, inverse, power, exp, log, abs, threshold };
constexpr std::array<std::string_view, 8> enumerators(unary_operation) {
    return {"SQRT", "RSQRT", "INVERSE", "POWER", "EXP", "LOG", "ABS", "THRESHOLD"};
}

/// y = f(u) of u = scale x + shift.
///
/// | type      | f(u)                  |
/// |-----------|-----------------------|
/// | sqrt      | sqrt(u)               |
/// | rsqrt     | 1 / sqrt(u + epsilon) |
/// | inverse   | 1 / (u + epsilon)     |
/// | power     | u^alpha               |
/// | exp       | e^u                   |
/// | log       | log(u + epsilon)      |
/// | abs       | |u|                   |
/// | threshold | max(alpha, u)         |
///
/// The specification has log u and no epsilon there; models that give one, and what is expected of them, have the sum,
/// so an epsilon that is not given adds nothing to it.
///
/// A power of a negative u is NaN but for whole alpha. NaN gives NaN, but u^0 is 1. At the kinks the slope is 0.
/// Core ML specification, UnaryFunctionLayerParams.
struct unary {
    unary_operation type = unary_operation::sqrt;
    float alpha = 0;
    float epsilon = 0;  ///< 0: 1e-6, and none for log
    float shift = 0;
    float scale = 0;  ///< 0: 1

    static constexpr auto key = "unary";
    constexpr void fields(auto& field) {
        field("type", type);
        field("alpha", alpha);
        field("epsilon", epsilon);
        field("shift", shift);
        field("scale", scale);
    }

    template <class V>
    V operator()(const V& x) const noexcept {
        V y = x;
        chosen([&](const auto& f) { y = f(x); });
        return y;
    }
    /// Calls body(f) with a function that need not look at `type`.
    template <class Body>
    void chosen(const Body& body) const noexcept {
        using enum unary_operation;
        const auto of_argument = [this](const auto& g) {
            return [layer = *this, g](const auto& x) { return g(layer, layer.argument(x)); };
        };
        switch (type) {
            case sqrt:
                return body(of_argument([](const unary&, const auto& u) { return kernels::sqrt(u); }));
            case rsqrt:
                return body(of_argument([]<class V>(const unary& f, const V& u) {
                    return kernels::rsqrt(u + f.small<V>());
                }));
            case inverse:
                return body(of_argument([]<class V>(const unary& f, const V& u) { return V(1) / (u + f.small<V>()); }));
            case power:
                return body(
                    of_argument([]<class V>(const unary& f, const V& u) { return kernels::pow(u, V(f.alpha)); }));
            case exp:
                return body(of_argument([](const unary&, const auto& u) { return kernels::exp(u); }));
            case log:
                return body(of_argument([]<class V>(const unary& f, const V& u) {
                    return kernels::log(f.epsilon == 0 ? u : u + V(f.epsilon));
                }));
            case abs:
                return body(of_argument([](const unary&, const auto& u) { return kernels::abs(u); }));
            default:
                return body(
                    of_argument([]<class V>(const unary& f, const V& u) { return kernels::max(V(f.alpha), u); }));
        }
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return V(scale == 0 ? 1 : scale) * slope(argument(x), y);
    }
    friend bool operator==(const unary&, const unary&) = default;

private:
    template <class V>
    V argument(const V& x) const noexcept {
        if (shift == 0 && (scale == 0 || scale == 1)) return x;  // also where it is -0
        return kernels::fma(V(scale == 0 ? 1 : scale), x, V(shift));
    }
    template <class V>
    V small() const noexcept {
        return epsilon == 0 ? kernels::number<V>(1e-6) : V(epsilon);
    }
    template <class V>
    V slope(const V& u, const V& y) const noexcept {
        switch (type) {
            case unary_operation::sqrt:
                return V(0.5f) / y;
            case unary_operation::rsqrt:
                return V(-0.5f) * y * y * y;
            case unary_operation::inverse:
                return -(y * y);
            case unary_operation::power:  // of u^0 it is 0 where u^-1 is infinite, too
                return alpha == 0 ? V(0) : V(alpha) * kernels::pow(u, V(alpha) - V(1));
            case unary_operation::exp:
                return y;
            case unary_operation::log:
                return V(1) / (epsilon == 0 ? u : u + V(epsilon));
            case unary_operation::abs:
                return kernels::select(u > V(0), V(1), kernels::select(u < V(0), V(-1), V(0)));
            default:
                return kernels::select(u > V(alpha), V(1), V(0));
        }
    }
};

/// y = 2^x. Core ML specification, Exp2LayerParams.
struct exp2 {
    static constexpr auto key = "exp2";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::exp2(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::number<V>(std::numbers::ln2) * y;
    }
    friend bool operator==(const exp2&, const exp2&) = default;
};

/// y = 2 / sqrt(pi) times the integral of e^(-t²) from 0 to x: the Gauss error function.
/// Core ML specification, ErfLayerParams.
struct erf {
    static constexpr auto key = "erf";
    constexpr void fields(auto&) {}
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::erf(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::number<V>(2 * std::numbers::inv_sqrtpi) * kernels::exp(-(x * x));
    }
    friend bool operator==(const erf&, const erf&) = default;
};

}  // namespace bespoke
