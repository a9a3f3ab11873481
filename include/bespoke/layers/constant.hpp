#pragma once

#include "../kernels/reduction.hpp"
#include "fill.hpp"

namespace bespoke {

/// y = its parameter `data`, of the shape `shape`, which may hold infinities: masks do. No input; y is stored once for
/// all examples. Begins with zeros, and learns where it is updatable.
/// Core ML specification, LoadConstantNDLayerParams.
struct load_constant_nd {
    bespoke::shape shape{};

    static constexpr auto key = "loadConstantND";
    constexpr void fields(auto& field) { field("shape", shape); }
    static constexpr input_count inputs{0, 0};
    static constexpr bool may_be_infinite = true;
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    template <class T>
    struct parameters {
        T data;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{parameter_field{"data", &parameters<T>::data}};

    constexpr outcome output_shape(std::span<const bespoke::shape>) const {
        return detail::given_shape("a shape", shape);
    }
    constexpr parameters<bespoke::shape> parameter_shapes(std::span<const bespoke::shape>) const { return {shape}; }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs, Ys ys, const P& p, W& w) const noexcept {
        parallel_for(w.threads, ys[0].size(), 1 << 16, [&](extent first, extent last) {
            kernels::copy(last - first, p.data.data + first, ys[0].data + first);
        });
        detail::repeat_first_example(ys[0]);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs, const P&, const Dp& dp, W& w) const noexcept {
        const extent size = dys[0].size();
        if (dp.data) kernels::column_sums(dys[0].examples, size, dys[0].data, size, dp.data.data, w.threads);
    }
    friend bool operator==(const load_constant_nd&, const load_constant_nd&) = default;
};

namespace detail {

/// What runs for `load_constant`: its parameter has the last three axes of y alone.
struct loading_constant : load_constant_nd {
    constexpr outcome output_shape(std::span<const bespoke::shape>) const {
        return bespoke::shape{1, 1, shape[0], shape[1], shape[2]};
    }
    friend bool operator==(const loading_constant&, const loading_constant&) = default;
};

}  // namespace detail

/// `load_constant_nd` of five axes: data [C, H, W], y [1, 1, C, H, W].
/// Core ML specification, LoadConstantLayerParams.
struct load_constant {
    bespoke::shape shape{};

    static constexpr auto key = "loadConstant";
    constexpr void fields(auto& field) { field("shape", shape); }
    static constexpr input_count inputs{0, 0};
    static constexpr bool may_be_infinite = true;

    constexpr outcome output_shape(std::span<const bespoke::shape> none) const {
        if (shape.rank() != 3) return value_fault("a shape [channels, height, width] wanted, ", shape, " given");
        const outcome data = load_constant_nd{shape}.output_shape(none);
        return data ? equivalent({}).output_shape(none) : data;
    }
    constexpr detail::loading_constant equivalent(const bespoke::shape&) const { return {{shape}}; }
    friend bool operator==(const load_constant&, const load_constant&) = default;
};

}  // namespace bespoke
