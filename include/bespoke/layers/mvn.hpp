#pragma once

#include "../core/concepts.hpp"
#include "../kernels/row_normalization.hpp"

namespace bespoke {

/// y = (x - mean) / sqrt(variance + epsilon), or x - mean without normalize_variance. Mean and (biased) variance are
/// those of each channel [H, W], or of each image [C, H, W] with across_channels. epsilon = 0 means 1e-6.
/// x [.., C, H, W] of rank 3 or more; what is outside the last three axes is a batch.
/// Core ML specification, MeanVarianceNormalizeLayerParams.
struct mvn {
    bool across_channels = false;
    bool normalize_variance = false;
    float epsilon = 0;

    static constexpr auto key = "mvn";
    constexpr void fields(auto& field) {
        field("acrossChannels", across_channels);
        field("normalizeVariance", normalize_variance);
        field("epsilon", epsilon);
    }
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
        const extent n = row(x.dimensions);
        if (n == 0) return;
        if (normalize_variance)
            kernels::layer_normalization<T>(x.total() / n, n, x.data, nullptr, nullptr, used<T>(), y.data, w.threads);
        else
            kernels::centre_rows(x.total() / n, n, x.data, y.data, false, w.threads);
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return x.size() == 0 ? 0 : 2 * (x.size() / row(x)) * examples;
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        using T = typename X::value_type;
        const extent n = row(x.dimensions);
        if (n == 0 || !dx) return;
        if (normalize_variance)
            kernels::layer_normalization_backward<T>(x.total() / n, n, x.data, nullptr, used<T>(), dy.data, dx.data,
                                                     nullptr, nullptr, w.scratch, w.threads);
        else
            kernels::centre_rows<T>(x.total() / n, n, dy.data, dx.data, true, w.threads);
    }
    friend bool operator==(const mvn&, const mvn&) = default;

private:
    constexpr extent row(const shape& x) const { return x.product(x.rank() - (across_channels ? 3 : 2), x.rank()); }
    template <class T>
    T used() const {
        return static_cast<T>(epsilon == 0 ? 1e-6F : epsilon);
    }
};

}  // namespace bespoke
