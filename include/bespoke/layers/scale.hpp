#pragma once

#include "batchnorm.hpp"
#include "combination.hpp"

namespace bespoke {
namespace detail {

/// The fault in the shape of numbers that x [.., C, H, W] meets; its sentence is empty where there is none.
constexpr fault wrong_channel_shape(std::string_view name, const shape& given, const shape& x) {
    const shape image{x.from_end(3), x.from_end(2), x.from_end(1)}, each{1, x.from_end(2), x.from_end(1)};
    if (given == shape{1} || given == shape{image[0]} || given == image || given == each) return {};
    return shape_fault("a ", name,
                       " [1], [C], [1, H, W] or [C, H, W] wanted that meets an input of the shape ", x, ", ",
                       given, " given");
}

/// A parameter as it meets x: its one axis is that of the channels.
template <class P>
P channel_view(const P& p, extent examples) {
    P v = p;
    v.examples = examples;
    v.stride = 0;
    if (p.rank() == 1) v.dimensions = {p[0], 1, 1};
    return v;
}

}  // namespace detail

/// y = scale x + bias, element by element, where scale and bias are repeated: [1] for all, [C] one a channel, [1, H, W]
/// one for each place of all channels, or [C, H, W]. x [.., C, H, W].
/// Core ML specification, ScaleLayerParams.
struct scale {
    shape shape_scale{1};
    bool has_bias = false;
    shape shape_bias{1};

    static constexpr auto key = "scale";
    constexpr void fields(auto& field) {
        field("shapeScale", shape_scale);
        field("hasBias", has_bias);
        field("shapeBias", shape_bias);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T scale, bias;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"scale", &parameters<T>::scale, initial::one},
                   parameter_field{"bias", &parameters<T>::bias, initial::zero}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        const fault wrong = detail::wrong_channel_shape("shapeScale", shape_scale, x);
        if (!wrong.what.view().empty()) return wrong;
        const fault wrong_too = detail::wrong_channel_shape("shapeBias", shape_bias, x);
        if (has_bias && !wrong_too.what.view().empty()) return wrong_too;
        return x;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.scale = shape_scale, .bias = has_bias ? shape_bias : absent};
    }

    /// One a channel: as batch normalisation, it finishes the layer before it.
    constexpr bool finishes(std::span<const shape> xs) const {
        return one_a_channel() && shape_scale[0] == xs[0].from_end(3);
    }
    template <class T>
    extent prepared_size(const shape&) const {
        return one_a_channel() ? 2 * shape_scale[0] : 0;
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        if (!one_a_channel()) return;
        const extent channels = shape_scale[0];
        kernels::copy(channels, p.scale.data, prepared);
        if (has_bias)
            kernels::copy(channels, p.bias.data, prepared + channels);
        else
            kernels::fill(channels, T(-0.0), prepared + channels);
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        batchnorm{}.finish(block, with);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using batch = kernels::batch<typename X::value_type>;
        const auto factor = detail::channel_view(p.scale, x.examples);
        if (has_bias)
            detail::map_blobs(
                [](const batch& v, const batch& a, const batch& b) { return kernels::fma(v, a, b); },
                std::array{erased(x), factor, detail::channel_view(p.bias, x.examples)}, erased(y),
                w.threads);
        else
            detail::map_blobs(detail::product{}, std::array{erased(x), factor}, erased(y), w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename Dx::value_type;
        const dynamic_view<const T> g = dy;
        auto factor = dp.scale;
        if (factor) factor = detail::channel_view(factor, x.examples);
        detail::combine_backward<detail::product, T>(x, detail::channel_view(p.scale, x.examples), g, dx,
                                                     factor, w.threads);
        if (dp.bias)
            detail::combine_backward<detail::addition, T>(
                g, g, g, {}, detail::channel_view(dp.bias, x.examples), w.threads);
    }
    friend bool operator==(const scale&, const scale&) = default;

private:
    constexpr bool one_a_channel() const {
        return shape_scale.rank() == 1 && (!has_bias || shape_bias == shape_scale);
    }
};

/// y = x + bias, element by element, where the bias is repeated: [1] for all, [C] one a channel, [1, H, W] one for each
/// place of all channels, or [C, H, W]. x [.., C, H, W].
/// Core ML specification, BiasLayerParams.
struct bias {
    bespoke::shape shape{1};

    static constexpr auto key = "bias";
    constexpr void fields(auto& field) { field("shape", shape); }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    template <class T>
    struct parameters {
        T bias;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"bias", &parameters<T>::bias, initial::zero}};

    constexpr outcome output_shape(const bespoke::shape& x) const {
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        const fault wrong = detail::wrong_channel_shape("shape", shape, x);
        if (!wrong.what.view().empty()) return wrong;
        return x;
    }
    constexpr parameters<bespoke::shape> parameter_shapes(const bespoke::shape&) const {
        return {.bias = shape};
    }

    /// One a channel: as batch normalisation, it finishes the layer before it.
    constexpr bool finishes(std::span<const bespoke::shape> xs) const {
        return shape == bespoke::shape{xs[0].from_end(3)};
    }
    template <class T>
    extent prepared_size(const bespoke::shape&) const {
        return shape.rank() == 1 ? 2 * shape[0] : 0;
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        if (shape.rank() != 1) return;
        kernels::fill(shape[0], T(1), prepared);
        kernels::copy(shape[0], p.bias.data, prepared + shape[0]);
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        batchnorm{}.finish(block, with);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        detail::map_blobs(detail::addition{}, std::array{erased(x), detail::channel_view(p.bias, x.examples)},
                          erased(y), w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp& dp, W& w) const noexcept {
        using T = typename Dx::value_type;
        auto sums = dp.bias;
        if (sums) sums = detail::channel_view(sums, dy.examples);
        detail::combine_backward<detail::addition, T>(dy, dy, dy, dx, sums, w.threads);
    }
    friend bool operator==(const bias&, const bias&) = default;
};

}  // namespace bespoke
