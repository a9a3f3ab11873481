#pragma once

#include "../core/concepts.hpp"
#include "../kernels/local_response.hpp"

#include <limits>

namespace bespoke {

/// Local response normalization across channels: y = x / (k + alpha / local_size * sum of x_j^2)^beta, j going over
/// the local_size channels around that of x, as far as there are any: from local_size / 2 below to (local_size - 1) / 2
/// above. k = 0 means 1.
/// x [.., C, H, W] of rank 3 or more; what is outside the last three axes is a batch.
/// Krizhevsky, Sutskever and Hinton, NIPS 2012; Core ML specification, LRNLayerParams.
struct lrn {
    float alpha = 1e-4f, beta = 0.75f;
    extent local_size = 5;
    float k = 0;

    static constexpr auto key = "lrn";
    constexpr void fields(auto& field) {
        field("alpha", alpha);
        field("beta", beta);
        field("localSize", local_size);
        field("k", k);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        if (local_size < 1) return value_fault("localSize from 1 up wanted, ", local_size, " given");
        constexpr float most = std::numeric_limits<float>::max();
        if (const auto wrong = unless_from_zero_up("k", k)) return *wrong;
        if (const auto wrong = unless_from_zero_up("alpha", alpha)) return *wrong;
        if (!(beta >= -most && beta <= most)) return value_fault("a finite beta wanted, ", beta, " given");
        return x;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::local_response_normalization(geometry(x), x.data, y.data, w.threads);
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return x.size() * examples;
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx) kernels::local_response_backward(geometry(x), x.data, dy.data, dx.data, w.scratch, w.threads);
    }
    friend bool operator==(const lrn&, const lrn&) = default;

private:
    template <class View>
    constexpr kernels::local_response geometry(const View& view) const {
        const shape x = view.dimensions;
        const extent channels = x.from_end(3), inner = x.from_end(2) * x.from_end(1);
        const extent outer = x.product(0, x.rank() - 3) * view.examples;
        // beyond the last channel there is nothing
        return {.outer = outer,
                .channels = channels,
                .inner = inner,
                .before = std::min(local_size / 2, channels),
                .after = std::min((local_size - 1) / 2, channels),
                .k = k == 0 ? 1 : k,
                .share = alpha / static_cast<float>(local_size),
                .beta = beta};
    }
};

}  // namespace bespoke
