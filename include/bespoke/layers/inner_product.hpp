#pragma once

#include "../core/entries.hpp"
#include "../kernels/reduction.hpp"
#include "../kernels/weighted_gemm.hpp"

namespace bespoke {

/// Fully connected layer: y = x Wᵀ + b.
///
/// W [output_channels, input_channels], b [output_channels]. x is a matrix of rows of input_channels:
///
/// | x                | y                        |
/// |------------------|--------------------------|
/// | [C]              | [output_channels]        |
/// | [n, C]           | [n, output_channels]     |
/// | [m, n, C]        | [m, n, output_channels]  |
/// | [C, 1, 1]        | [output_channels, 1, 1], what `flatten` gives of one [C, H, W]; not where input_channels is 1 |
/// | [n, C, H, W]     | [n, output_channels, 1, 1]; C H W = input_channels |
/// | [m, n, C, H, W]  | [m, n, output_channels, 1, 1] |
///
/// Core ML specification, InnerProductLayerParams; [C, 1, 1] goes beyond it.
struct inner_product {
    extent input_channels = unset;
    extent output_channels = unset;
    bool has_bias = true;
    /// Lets who runs it round the input to int8; here it stays exact. The specification wants int8 weights then; a
    /// layer that learned keeps the flag, and is saved in floats.
    bool int8_dynamic_quantize = false;

    static constexpr auto key = "innerProduct";
    constexpr void fields(auto& field) {
        field("inputChannels", input_channels);
        field("outputChannels", output_channels);
        field("hasBias", has_bias);
        field("int8DynamicQuantize", int8_dynamic_quantize);
    }
    static constexpr bool batched = true;
    static constexpr bool begins_gradient = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 1 || x.rank() > 5)
            return shape_fault("an input of rank 1 to 5 wanted, its shape is ", x);
        if (output_channels < 1) return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        const extent channels = columns(x);
        if (channels < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (input_channels != unset && input_channels != channels)
            return shape_fault(input_channels, " input channels declared, its input has ", channels, " (shape ", x,
                               ")");
        shape y;
        for (std::size_t axis = 0; axis < leading(x); ++axis) y.push_back(x[axis]);
        y.push_back(output_channels);
        while (y.rank() < x.rank()) y.push_back(1);
        return y;
    }
    /// Of one axis: which axes are channels depends on the others.
    constexpr std::size_t entries_from(std::span<const shape> xs, std::size_t back) const {
        const std::size_t axis = entry_axis(xs[0]);
        return axis < usual_leading(xs[0]) && axis + back == xs[0].rank() ? back : 0;
    }
    constexpr inner_product resolved(const shape& x) const {
        inner_product known = *this;
        if (input_channels == unset) known.input_channels = columns(x);
        return known;
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.weights = {output_channels, columns(x)}, .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    low_precision precision(const shape& x, const arithmetic& how) const {
        return kernels::weighted_precision<T>(how, columns(x), output_channels);
    }
    template <class T>
    extent prepared_size(const shape& x, const arithmetic& how) const {
        return kernels::weights_size<T>(how, columns(x), output_channels);
    }
    template <class T>
    unprepared can_wait(const shape& x, const arithmetic& how) const {
        return kernels::can_wait<T>(how, x.size() / columns(x), columns(x), output_channels);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        kernels::pack_weights(how, p.weights.data, p.weights[1], output_channels, prepared);
    }

    template <class X, class Y, class P, class W>
    void forward(const X& x, const Y& y, const P& p, W& w) const noexcept {
        const auto k = columns_of(x, x);
        const auto n = columns_of(x, y);  // not as y alone looks: that of one channel may be [m, 1, 1]
        const auto rows = rows_of(x, k);
        if (k != p.weights[1])  // of [m, 1, 1] as a matrix the views do not know
            return kernels::weighted_gemm(extent{x.total()}, output_channels, extent{1}, x.data, p.weights.data, y.data,
                                          p.bias.data, w);
        kernels::weighted_gemm(rows, n, k, x.data, p.weights.data, y.data, p.bias.data, w);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        const extent k = columns(x), rows = x.size() / k * examples;
        return std::max({kernels::packed_size<T>(output_channels, k), kernels::packed_size<T>(rows, k),
                         kernels::packed_size<T>(k, output_channels), kernels::packed_size<T>(k, rows)});
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const extent k = p.weights[1], n = output_channels, rows = dy.total() / n;
        T* packed = w.scratch;
        if (dp.weights) {
            kernels::pack(x.data, k, extent{1}, rows, k, packed, w.threads);
            kernels::gemm(n, k, rows, dy.data, extent{1}, n, packed, dp.weights.data, k,
                          static_cast<const T*>(nullptr), true, w.threads);
        }
        if (dp.bias) kernels::column_sums(rows, n, dy.data, n, dp.bias.data, w.threads);
        if (dx) {
            kernels::pack(p.weights.data, k, extent{1}, n, k, packed, w.threads);
            kernels::gemm(rows, k, n, dy.data, n, extent{1}, packed, dx.data, k, static_cast<const T*>(nullptr),
                          !w.begins, w.threads);
        }
    }
    friend bool operator==(const inner_product&, const inner_product&) = default;

private:
    template <class S>
    static constexpr bool one_example(const S& x) {
        return x.rank() == 3 && x[1] == 1 && x[2] == 1;
    }
    /// Number of leading axes that count rows, whatever input_channels says.
    template <class S>
    static constexpr std::size_t usual_leading(const S& x) {
        return x.rank() > 3 ? x.rank() - 3 : one_example(x) ? 0 : x.rank() - 1;
    }
    constexpr std::size_t leading(const shape& x) const {
        return input_channels == 1 && one_example(x) && x[0] != 1 ? 2 : usual_leading(x);
    }
    constexpr extent columns(const shape& x) const { return x.product(leading(x), x.rank()); }

    /// Of x, or of its y.
    template <class X, class View>
    static constexpr auto columns_of(const X& x, const View& of) {
        using S = std::remove_cvref_t<decltype(x.dimensions)>;
        if constexpr (std::is_same_v<S, shape>)
            return of.dimensions.product(usual_leading(x.dimensions), of.rank());
        else
            return constant<shape(decltype(of.dimensions)::value).product(usual_leading(S::value), S::value.rank())>{};
    }
    template <class View, class K>
    static constexpr auto rows_of(const View& x, K k) {
        if constexpr (std::is_same_v<K, extent> || std::is_same_v<std::remove_cvref_t<decltype(x.total())>, extent>)
            return static_cast<extent>(x.total()) / extent{k};
        else
            return constant<decltype(x.total())::value / K::value>{};
    }
};

}  // namespace bespoke
