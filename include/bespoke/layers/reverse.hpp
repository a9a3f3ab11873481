#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"
#include "../kernels/strided.hpp"

namespace bespoke {

/// x with the order of the elements turned round along each axis whose reverse_dim is true: one value an axis.
/// Core ML specification, ReverseLayerParams.
struct reverse {
    list<bool, max_rank> reverse_dim{};

    static constexpr auto key = "reverse";
    constexpr void fields(auto& field) { field("reverseDim", reverse_dim); }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (reverse_dim.size() != x.rank())
            return value_fault("a value of reverseDim for each axis wanted, ", reverse_dim.size(),
                               " given for the shape ", x);
        return x;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        const route r(*this, x.dimensions, x.examples);
        kernels::copy_strided(r.walk, x.data + r.first, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        const route r(*this, dx.dimensions, dx.examples);
        kernels::accumulate_strided(r.walk.reversed(), dy.data, dx.data + r.first, w.threads);
    }
    friend bool operator==(const reverse&, const reverse&) = default;

private:
    /// From x to y; y begins with the element `first` of x.
    struct route {
        kernels::strided_walk walk;
        extent first = 0;

        route(const reverse& layer, const shape& x, extent examples) {
            walk.add(x.size() == 0 ? 0 : examples, x.size(), x.size());
            for (std::size_t axis = 0; axis < x.rank(); ++axis) {
                const extent behind = x.product(axis + 1, x.rank());
                const bool turned = layer.reverse_dim[axis];
                if (turned && x.size() > 0) first += (x[axis] - 1) * behind;
                walk.add(x[axis], turned ? -behind : behind, behind);
            }
        }
    };
};

}  // namespace bespoke
