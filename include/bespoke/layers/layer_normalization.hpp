#pragma once

#include "../core/entries.hpp"
#include "../kernels/row_normalization.hpp"

namespace bespoke {

/// Layer normalisation: y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and (biased) variance over
/// the last axes, whose extents are normalized_shape; the axes before them are rows.
/// x [.., normalized_shape] -> y of the same shape; gamma, beta [normalized_shape].
/// Ba, Kiros and Hinton, 2016 (arXiv 1607.06450); Core ML specification, LayerNormalizationLayerParams.
struct layer_normalization {
    shape normalized_shape{};
    float eps = 1e-5F;

    static constexpr auto key = "layerNormalization";
    constexpr void fields(auto& field) {
        field("normalizedShape", normalized_shape);
        field("eps", eps);
    }
    static constexpr bool batched = true, in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T gamma, beta;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"gamma", &parameters<T>::gamma, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::zero}};

    constexpr outcome output_shape(const shape& x) const {
        const std::size_t rank = normalized_shape.rank();
        if (rank < 1) return value_fault("normalizedShape of one extent or more wanted, [] given");
        bool fits = rank <= x.rank();
        for (std::size_t i = 1; fits && i <= rank; ++i) fits = x.from_end(i) == normalized_shape.from_end(i);
        if (!fits)
            return shape_fault("an input whose last extents are ", normalized_shape, " wanted, its shape is ",
                               x);
        for (extent e : x)
            if (e < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (const auto wrong = unless_from_zero_up("eps", eps)) return *wrong;
        return x;
    }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const {
        return back > normalized_shape.rank() ? back : 0;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.gamma = normalized_shape, .beta = normalized_shape};
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const extent n = normalized_shape.size(), rows = x.total() / n;
        kernels::layer_normalization(rows, n, x.data, p.gamma.data, p.beta.data, static_cast<T>(eps), y.data,
                                     w.threads);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return 2 * (x.size() / normalized_shape.size()) * examples;
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const extent n = normalized_shape.size(), rows = x.total() / n;
        kernels::layer_normalization_backward(rows, n, x.data, p.gamma.data, static_cast<T>(eps), dy.data,
                                              dx.data, dp.gamma.data, dp.beta.data, w.scratch, w.threads);
    }
    friend bool operator==(const layer_normalization&, const layer_normalization&) = default;
};

}  // namespace bespoke
