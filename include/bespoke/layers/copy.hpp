#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"

namespace bespoke {

/// y = x. The only layer that may write a blob which exists already; so loops carry values on.
/// Core ML specification, CopyLayerParams.
struct copy {
    static constexpr auto key = "copy";
    static constexpr auto fields = std::tuple{};
    static constexpr bool batched = true;
    static constexpr bool overwrites = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const { return x; }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W&) const noexcept {
        kernels::copy(x.total(), x.data, y.data);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W&) const noexcept {
        if (dx) kernels::accumulate(dy.total(), dy.data, dx.data);
    }
    friend bool operator==(const copy&, const copy&) = default;
};

}  // namespace bespoke
