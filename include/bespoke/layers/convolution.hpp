#pragma once

#include "../core/planes.hpp"
#include "../kernels/convolution_backward.hpp"
#include "padding.hpp"

#include <variant>

namespace bespoke {

/// Two-dimensional convolution (a correlation, as everywhere in this field) or deconvolution.
///
/// Convolution: y[o, i, j] = bias[o] + sum over c, u, v of
///     weights[o, c, u, v] x[c, i stride + u dilation - top, j stride + v dilation - left], x zero outside.
/// Deconvolution: the transposed map, plus bias: x[c, i, j] weights[c, o, u, v] is added to
///     y[o, i stride + u dilation - top, j stride + v dilation - left] where that lies inside.
/// With groups, each n_groups-th of the output channels sees the same part of the input channels only.
///
/// x [.., C, H, W], leading axes are rows -> y [.., output_channels, H', W']
/// weights [output_channels, C / n_groups, kernel height, kernel width],
///     of a deconvolution [C, output_channels / n_groups, kernel height, kernel width]
/// bias [output_channels]
/// A second input, if there is one, is the weights of a convolution; then only the bias is a parameter.
///
/// With kernel = (kernel_size - 1) dilation + 1, H' of a convolution is as in padding.hpp,
/// H' of a deconvolution: (H - 1) stride + kernel - start - end with valid padding, H stride with `same`,
/// output_size where that is given (the padding is ignored then). What it crops for `same` and output_size is
/// split as `same` splits padding; what lies behind the last window is the bias.
///
/// Core ML specification, ConvolutionLayerParams (output_size is its outputShape). It says that a deconvolution ignores
/// its dilationFactor; coremltools converts dilated ones all the same, and tests what they give, so it counts here.
struct convolution {
    extent output_channels = unset;
    extent kernel_channels = unset;  ///< extent 1 of the weights; of a deconvolution extent 0
    extent n_groups = 1;             ///< 0 means 1
    std::array<extent, 2> kernel_size{3, 3};
    std::array<extent, 2> stride{1, 1};
    std::array<extent, 2> dilation_factor{1, 1};
    std::variant<valid_padding, same_padding> padding{};  ///< valid, same or padded(top, bottom, left, right)
    bool is_deconvolution = false;
    bool has_bias = true;
    shape output_size{};  ///< [H', W'] of a deconvolution; empty: from the padding

    static constexpr auto key = "convolution";
    constexpr void fields(auto& field) {
        field("outputChannels", output_channels);
        field("kernelChannels", kernel_channels);
        field("nGroups", n_groups);
        field("kernelSize", kernel_size);
        field("stride", stride);
        field("dilationFactor", dilation_factor);
        field(padding);
        field("isDeconvolution", is_deconvolution);
        field("hasBias", has_bias);
        field("outputShape", output_size);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (const auto wrong = detail::check_windowed(x, 2)) return *wrong;
        if (output_channels < 1)
            return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        if (n_groups < 0) return value_fault("nGroups from 0 up wanted, ", n_groups, " given");
        if (const auto wrong = check_window("kernelSize", kernel_size, 1)) return *wrong;
        if (const auto wrong = check_window("stride", stride, 1)) return *wrong;
        if (const auto wrong = check_window("dilationFactor", dilation_factor, 1)) return *wrong;
        if (const auto valid_edges = alternative<valid_padding>(padding))
            if (const auto wrong = check_padding(*valid_edges)) return *wrong;

        const extent channels = x.from_end(3);
        if (channels % groups() != 0 || output_channels % groups() != 0)
            return shape_fault("channels that ", groups(), " groups divide wanted, the input has ", channels,
                               " (shape ", x, "), the output ", output_channels);
        if (kernel_channels != unset && kernel_channels != wanted_kernel_channels(x))
            return shape_fault(kernel_channels, " kernel channels declared, ", wanted_kernel_channels(x),
                               " wanted for an input of the shape ", x, is_deconvolution ? " in " : " and ",
                               groups(), groups() == 1 ? " group" : " groups");
        if (xs.size() == 2) {
            if (is_deconvolution) return value_fault("a deconvolution takes one input, 2 given");
            if (!(xs[1] == weights_shape(x)))
                return shape_fault("weights of the shape ", weights_shape(x),
                                   " wanted as second input, their shape is ", xs[1]);
        }
        for (std::size_t axis : {std::size_t{0}, std::size_t{1}})
            if (const auto wrong = check_axis(x, axis)) return *wrong;
        if (padded_elements(x) < 0)
            return shape_fault(is_deconvolution ? "an output" : "a padded input", " of up to ", largest_image,
                               is_deconvolution ? " elements before cropping wanted, the input's shape is "
                                                : " elements wanted, its shape is ",
                               x);

        shape y = x;
        y.from_end(3) = output_channels;
        y.from_end(2) = axis_of(x, 0).outputs;
        y.from_end(1) = axis_of(x, 1).outputs;
        return y;
    }
    constexpr convolution resolved(std::span<const shape> xs) const {
        convolution result = *this;
        if (kernel_channels == unset) result.kernel_channels = wanted_kernel_channels(xs[0]);
        result.n_groups = groups();
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        return {.weights = xs.size() == 2 ? absent : weights_shape(xs[0]),
                .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    extent scratch_size(std::span<const shape> xs, extent, extent threads) const {
        return std::max(kernels::convolution_scratch<T>(geometry(xs[0], {.winograd = true}), threads),
                        kernels::convolution_scratch<T>(geometry(xs[0], {.winograd = false}), threads));
    }

    template <class T>
    extent prepared_size(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() == 2) return 0;  // the weights come with each example
        const auto g = geometry(xs[0], how);
        return is_deconvolution ? kernels::convolution_backward_packed_size<T>(g)
                                : kernels::convolution_packed_size<T>(g);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        if (!p.weights) return;
        kernels::convolution_geometry g{};
        g.groups = groups();
        g.output_channels = p.weights[0];
        g.channels = p.weights[1] * groups();
        g.kernel_height = kernel_size[0];
        g.kernel_width = kernel_size[1];
        set_steps(g, how);
        if (is_deconvolution)
            kernels::convolution_backward_pack<T>(g, p.weights.data, prepared);
        else
            kernels::convolution_pack<T>(g, p.weights.data, prepared);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P& p, W& w) const noexcept {
        const X& x = xs[0];
        const Y& y = ys[0];
        const auto g = geometry(x.dimensions, w.how);
        if (is_deconvolution) {
            const extent plane = g.height * g.width;
            each_call(xs, y.examples, [&](extent example, extent examples) {
                const extent rows = examples * rows_of(x.dimensions), size = x.size() / rows_of(x.dimensions);
                auto* out = y.example(example);
                for (extent i = 0; i < rows * output_channels; ++i)
                    kernels::fill(plane, p.bias ? p.bias.data[i % output_channels] : value_of<X>(0),
                                  out + i * plane);
                kernels::convolution_backward_input(g, rows, x.example(example), size, p.weights.data, out,
                                                    output_channels * plane, w.scratch, w.threads, w.prepared);
                if (w.after != nullptr) (*w.after)({out, rows * output_channels, plane, plane});
            });
            return;
        }
        each_call(xs, y.examples, [&](extent example, extent examples) {
            const extent rows = rows_of(x.dimensions);
            const auto* weights = xs.size() == 2 ? xs[1].example(example) : p.weights.data;
            kernels::convolution_forward(g, examples * rows, x.example(example), x.size() / rows, weights,
                                         p.bias.data, y.example(example), y.size() / rows, false, w.scratch,
                                         w.threads, xs.size() == 2 ? nullptr : w.prepared, w.after);
        });
    }

    /// Of large results, some channels: only of kernels whose panels of weights stand for themselves.
    constexpr bool gives_planes(std::span<const shape> xs) const {
        const shape &x = xs[0], y{output_channels, axis_of(x, 0).outputs, axis_of(x, 1).outputs};
        return x.rank() == 3 && xs.size() == 1 && !is_deconvolution && groups() == 1 &&
               (checked_size(y, near_elements) >= 0 || (kernel_size[0] == 1 && kernel_size[1] == 1));
    }
    constexpr bool takes_planes(std::span<const shape> xs) const {
        return xs[0].rank() == 3 && !is_deconvolution && groups() > 1 && groups() == xs[0][0] &&
               output_channels == groups();
    }
    template <class T, class P, class W>
    void forward_planes(const plane_block<T>& b, const P& p, W& w) const noexcept {
        auto g = geometry(*b.dimensions, w.how);
        const extent size = g.group_channels() * g.taps();
        T* prepared = w.prepared;
        g.output_channels = b.channels;
        if (g.groups > 1)
            g.channels = g.groups = b.channels;
        else if (b.channel > 0)
            prepared += kernels::packed_size<T>(size, b.channel);
        kernels::convolution_forward<T>(g, b.examples, b.x, b.x_stride, p.weights.data + b.channel * size,
                                        p.bias ? p.bias.data + b.channel : nullptr, b.y, b.y_stride, false, w.scratch,
                                        w.threads, prepared, w.after);
    }

    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs,
                  const P& p, const Dp& dp, W& w) const noexcept {
        const X &x = xs[0], &dy = dys[0];
        const Dx& dx = dxs[0];
        const auto g = geometry(x.dimensions, w.how);
        const extent x_size = x.size() / rows_of(x.dimensions), y_size = dy.size() / rows_of(x.dimensions);
        if (dp.bias) {
            const extent rows = dy.examples * rows_of(x.dimensions);
            kernels::channel_sums(rows, output_channels, y_size / output_channels, dy.data, y_size,
                                  dp.bias.data, w.threads);
        }
        each_call(xs, dy.examples, [&](extent example, extent examples) {
            const extent rows = examples * rows_of(x.dimensions);
            const auto *from = x.example(example), *slope = dy.example(example);
            const auto* weights = xs.size() == 2 ? xs[1].example(example) : p.weights.data;
            auto* dweights = xs.size() == 1 ? dp.weights.data : dxs[1] ? dxs[1].example(example) : nullptr;
            if (dweights != nullptr) {
                if (is_deconvolution)
                    kernels::convolution_backward_weights(g, rows, slope, y_size, from, x_size, dweights,
                                                          w.scratch, w.threads);
                else
                    kernels::convolution_backward_weights(g, rows, from, x_size, slope, y_size, dweights,
                                                          w.scratch, w.threads);
            }
            if (!dx) return;
            if (is_deconvolution)
                kernels::convolution_forward(g, rows, slope, y_size, weights, no_bias<X>, dx.example(example),
                                             x_size, true, w.scratch, w.threads);
            else
                kernels::convolution_backward_input(g, rows, slope, y_size, weights, dx.example(example),
                                                    x_size, w.scratch, w.threads);
        });
    }
    friend bool operator==(const convolution&, const convolution&) = default;

private:
    template <class View>
    using value_of = typename View::value_type;
    template <class View>
    static constexpr const value_of<View>* no_bias = nullptr;

    constexpr extent groups() const { return n_groups == 0 ? 1 : n_groups; }
    constexpr extent wanted_kernel_channels(const shape& x) const {
        return is_deconvolution ? x.from_end(3) : x.from_end(3) / groups();
    }
    constexpr shape weights_shape(const shape& x) const {
        if (is_deconvolution)
            return {x.from_end(3), output_channels / groups(), kernel_size[0], kernel_size[1]};
        return {output_channels, x.from_end(3) / groups(), kernel_size[0], kernel_size[1]};
    }
    /// Number of images in one example.
    static constexpr extent rows_of(const shape& x) { return x.product(0, x.rank() - 3); }

    /// The kernel with its holes.
    constexpr extent reach(std::size_t axis) const { return (kernel_size[axis] - 1) * dilation_factor[axis] + 1; }
    /// Extent of a deconvolution before anything is cropped.
    constexpr extent uncropped(const shape& x, std::size_t axis) const {
        return (x.from_end(2 - axis) - 1) * stride[axis] + reach(axis);
    }
    constexpr const edge_sizes& edges(std::size_t axis) const {
        return std::get<valid_padding>(padding).padding_amounts.edges[axis];
    }

    constexpr std::optional<fault> check_axis(const shape& x, std::size_t axis) const {
        const std::string_view side = axis == 0 ? "height" : "width";
        if (is_deconvolution) {
            if (checked_product(x.from_end(2 - axis), stride[axis], largest_image) < 0)
                return shape_fault("a stride of ", stride[axis], " is too much for an input of the shape ",
                                   x);
            if (output_size.rank() != 0) {
                if (output_size.rank() != 2)
                    return value_fault("outputShape [H, W] wanted, ", output_size, " given");
                const extent most = uncropped(x, axis) + stride[axis] - 1;
                if (output_size[axis] < 1 || output_size[axis] > most)
                    return value_fault("an output ", side, " from 1 to ", most, " wanted, outputShape is ",
                                       output_size);
                return {};
            }
        }
        if (axis_of(x, axis).outputs < 1) {
            if (is_deconvolution)
                return shape_fault("nothing is left of the output ", side, " of ", uncropped(x, axis),
                                   " after cropping ", edges(axis).start_edge_size, " and ",
                                   edges(axis).end_edge_size);
            return shape_fault("the kernel covers a ", side, " of ", reach(axis), ", the padded input has ",
                               x.from_end(2 - axis) + edges(axis).start_edge_size + edges(axis).end_edge_size,
                               " (shape ", x, ")");
        }
        return {};
    }
    /// Outputs and padding (cropping) along an axis of an input whose hyper-parameters are checked.
    constexpr window_axis axis_of(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        const auto mode = alternative<same_padding>(padding);
        if (!is_deconvolution)
            return mode ? same_windows(size, mode->asymmetry_mode, reach(axis), stride[axis])
                        : valid_windows(size, edges(axis), reach(axis), stride[axis]);
        const extent whole = uncropped(x, axis);
        const auto crop_to = [&](extent outputs, same_padding_mode heavy) -> window_axis {
            return {outputs, padding_before(std::max<extent>(0, whole - outputs), heavy)};
        };
        if (output_size.rank() == 2) return crop_to(output_size[axis], same_padding_mode::bottom_right_heavy);
        if (mode) return crop_to(size * stride[axis], mode->asymmetry_mode);
        return {whole - edges(axis).start_edge_size - edges(axis).end_edge_size, edges(axis).start_edge_size};
    }
    /// Elements of the padded (of a deconvolution: uncropped) image that the kernel works on, or -1 where there are too
    /// many.
    constexpr extent padded_elements(const shape& x) const {
        const auto covered = [&](std::size_t axis) {
            const extent outputs = axis_of(x, axis).outputs;
            if (is_deconvolution) return std::max(uncropped(x, axis), outputs);
            return std::max((outputs - 1) * stride[axis] + reach(axis), x.from_end(2 - axis));
        };
        const extent channels = is_deconvolution ? output_channels : x.from_end(3);
        return checked_size({channels, covered(0), covered(1)}, largest_image);
    }

    /// What does not depend on the input, and how the weights are prepared.
    constexpr void set_steps(kernels::convolution_geometry& g, const arithmetic& how) const {
        g.stride_y = stride[0];
        g.stride_x = stride[1];
        g.dilation_y = dilation_factor[0];
        g.dilation_x = dilation_factor[1];
        g.winograd = how.winograd && !is_deconvolution && stride[0] == 1 && stride[1] == 1;
    }
    /// What the kernels are told: of a deconvolution, the convolution whose transpose it is.
    constexpr kernels::convolution_geometry geometry(const shape& x, const arithmetic& how) const {
        const window_axis y_axis = axis_of(x, 0), x_axis = axis_of(x, 1);
        const extent channels = x.from_end(3), height = x.from_end(2), width = x.from_end(1);
        kernels::convolution_geometry g{};
        g.channels = is_deconvolution ? output_channels : channels;
        g.height = is_deconvolution ? y_axis.outputs : height;
        g.width = is_deconvolution ? x_axis.outputs : width;
        g.output_channels = is_deconvolution ? channels : output_channels;
        g.output_height = is_deconvolution ? height : y_axis.outputs;
        g.output_width = is_deconvolution ? width : x_axis.outputs;
        g.kernel_height = kernel_size[0];
        g.kernel_width = kernel_size[1];
        set_steps(g, how);
        // a single window makes no step: a large stride would only cost the kernel memory
        if (g.output_height == 1) g.stride_y = 1;
        if (g.output_width == 1) g.stride_x = 1;
        g.pad_top = y_axis.before;
        g.pad_left = x_axis.before;
        g.groups = groups();
        return g;
    }

    /// Calls body(first example, examples): once where all examples lie side by side and share their weights.
    template <class X, class Body>
    static void each_call(std::span<const X> xs, extent examples, const Body& body) {
        const bool side_by_side = xs[0].stride == xs[0].size() && (xs.size() == 1 || xs[1].stride == 0);
        if (side_by_side || examples == 1) return body(0, examples);
        for (extent i = 0; i < examples; ++i) body(i, 1);
    }
};

}  // namespace bespoke
