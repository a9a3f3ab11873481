#pragma once

#include "../core/concepts.hpp"
#include "../kernels/row_normalization.hpp"

namespace bespoke {

/// y = x / sqrt(sum of x^2 + epsilon), the sum over each image [C, H, W]. epsilon = 0 means 1e-6.
/// x [.., C, H, W] of rank 3 or more; what is outside the last three axes is a batch.
/// Core ML specification, L2NormalizeLayerParams.
struct l2normalize {
    float epsilon = 0;

    static constexpr auto key = "l2normalize";
    constexpr void fields(auto& field) { field("epsilon", epsilon); }
    static constexpr bool batched = true, in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        if (const auto wrong = unless_from_zero_up("epsilon", epsilon)) return *wrong;
        return x;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        using T = typename X::value_type;
        if (const extent n = row(x.dimensions); n > 0)
            kernels::l2_normalization<T>(x.total() / n, n, x.data, used<T>(), y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        using T = typename X::value_type;
        if (const extent n = row(x.dimensions); n > 0 && dx)
            kernels::l2_normalization_backward<T>(x.total() / n, n, x.data, used<T>(), dy.data, dx.data, w.threads);
    }
    friend bool operator==(const l2normalize&, const l2normalize&) = default;

private:
    static constexpr extent row(const shape& x) { return x.product(x.rank() - 3, x.rank()); }
    template <class T>
    T used() const {
        return static_cast<T>(epsilon == 0 ? 1e-6F : epsilon);
    }
};

}  // namespace bespoke
