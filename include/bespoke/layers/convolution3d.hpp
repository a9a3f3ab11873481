#pragma once

#include "../kernels/volume_convolution.hpp"
#include "padding.hpp"

#include <cstdint>

namespace bespoke {

/// How the windows of a `convolution3d` lie on its input.
enum class padding_type_3d {
    custom,  ///< as `valid_padding` with the amounts that the layer gives
    valid,
    same,  ///< as `same_padding`, the odd one at the end
};
constexpr std::array<std::string_view, 3> enumerators(padding_type_3d) { return {"CUSTOM", "VALID", "SAME"}; }

/// Three-dimensional convolution or deconvolution: `convolution` with a depth before height and width.
///
/// x [.., C, D, H, W], leading axes are rows -> y [.., output_channels, D', H', W']
/// weights [output_channels, C / n_groups, kernel depth, height, width],
///     of a deconvolution [C, output_channels / n_groups, kernel depth, height, width]
/// bias [output_channels]
///
/// D' of a convolution as in padding.hpp, with kernel = (kernel_depth - 1) dilation + 1.
/// D' of a deconvolution: (D - 1) stride + kernel - front - back, D stride with padding_type `same`, and
/// output_size where that is given; of it the first `front` slices are left out, with `same` half of what is too much.
/// What lies behind the last window is the bias.
///
/// Core ML specification, Convolution3DLayerParams (output_size is its outputShape; its text puts the channels of the
/// weights of a deconvolution in the other order, which no file has).
struct convolution3d {
    std::int32_t output_channels = unset;
    std::int32_t input_channels = unset;
    std::int32_t n_groups = 1;  ///< 0 means 1
    std::int32_t kernel_depth = 3, kernel_height = 3, kernel_width = 3;
    std::int32_t stride_depth = 1, stride_height = 1, stride_width = 1;        ///< 0 means 1
    std::int32_t dilation_depth = 1, dilation_height = 1, dilation_width = 1;  ///< 0 means 1
    bool has_bias = true;
    padding_type_3d padding_type = padding_type_3d::custom;
    std::int32_t custom_padding_front = 0, custom_padding_back = 0;
    std::int32_t custom_padding_top = 0, custom_padding_bottom = 0;
    std::int32_t custom_padding_left = 0, custom_padding_right = 0;
    bool is_deconvolution = false;
    shape output_size{};  ///< [D', H', W'] of a deconvolution, else ignored; empty: from the padding

    static constexpr auto key = "convolution3d";
    constexpr void fields(auto& field) {
        field("outputChannels", output_channels);
        field("inputChannels", input_channels);
        field("nGroups", n_groups);
        field("kernelDepth", kernel_depth);
        field("kernelHeight", kernel_height);
        field("kernelWidth", kernel_width);
        field("strideDepth", stride_depth);
        field("strideHeight", stride_height);
        field("strideWidth", stride_width);
        field("dilationDepth", dilation_depth);
        field("dilationHeight", dilation_height);
        field("dilationWidth", dilation_width);
        field("hasBias", has_bias);
        field("paddingType", padding_type);
        field("customPaddingFront", custom_padding_front);
        field("customPaddingBack", custom_padding_back);
        field("customPaddingTop", custom_padding_top);
        field("customPaddingBottom", custom_padding_bottom);
        field("customPaddingLeft", custom_padding_left);
        field("customPaddingRight", custom_padding_right);
        field("isDeconvolution", is_deconvolution);
        field("outputShape", output_size);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_windowed(x, 3)) return *wrong;
        if (output_channels < 1) return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        if (n_groups < 0) return value_fault("nGroups from 0 up wanted, ", n_groups, " given");
        const extent channels = x.from_end(4);
        if (channels > largest_window)
            return shape_fault("up to ", largest_window, " input channels wanted, the shape of its input is ", x);
        if (input_channels != unset && input_channels != channels)
            return shape_fault(input_channels, " input channels declared, its input has ", channels, " (shape ", x,
                               ")");
        if (channels % groups() != 0 || output_channels % groups() != 0)
            return shape_fault("channels that ", groups(), " groups divide wanted, the input has ", channels,
                               " (shape ", x, "), the output ", output_channels);
        if (is_deconvolution && output_size.rank() != 0 && output_size.rank() != 3)
            return value_fault("outputShape [D, H, W] wanted, ", output_size, " given");
        for (std::size_t i = 0; i < 3; ++i)
            if (const auto wrong = check_axis(x, axis(i))) return *wrong;
        shape y = x;
        y.from_end(4) = output_channels;
        for (std::size_t i = 0; i < 3; ++i) y.from_end(3 - i) = windows(x, axis(i)).outputs;
        if (checked_size(y, largest_image) < 0 ||
            padded_elements(is_deconvolution ? y : x, is_deconvolution ? x : y) < 0)
            return shape_fault("a padded input of up to ", largest_image, " elements wanted, its shape is ", x);
        return y;
    }
    constexpr convolution3d resolved(const shape& x) const {
        convolution3d result = *this;
        if (input_channels == unset) result.input_channels = static_cast<std::int32_t>(x.from_end(4));
        result.n_groups = n_groups == 0 ? 1 : n_groups;
        return result;
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        const extent inputs = x.from_end(4);
        return {.weights = {is_deconvolution ? inputs : output_channels,
                            (is_deconvolution ? output_channels : inputs) / groups(), kernel_depth, kernel_height,
                            kernel_width},
                .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent threads) const {
        const extent rows = examples * rows_of(x);
        return std::max(kernels::volume_scratch<T>(geometry(x, {.winograd = true}), rows, threads),
                        kernels::volume_scratch<T>(geometry(x, {.winograd = false}), rows, threads));
    }
    template <class T>
    extent prepared_size(const shape& x, const arithmetic& how) const {
        const auto g = geometry(x, how).slice;
        return is_deconvolution ? kernels::convolution_backward_packed_size<T>(g)
                                : kernels::convolution_packed_size<T>(g);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        kernels::convolution_geometry g{};
        g.groups = groups();
        g.output_channels = p.weights[0];
        g.channels = p.weights[1] * groups() * kernel_depth;
        set_steps(g, how);
        if (is_deconvolution)
            kernels::convolution_backward_pack<T>(g, p.weights.data, prepared);
        else
            kernels::convolution_pack<T>(g, p.weights.data, prepared);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const shape from = x.dimensions, to = y.dimensions;
        const auto g = geometry(from, w.how);
        const extent rows = static_cast<extent>(x.examples) * rows_of(from);
        if (!is_deconvolution)
            return kernels::volume_forward<T>(g, rows, x.data, p.weights.data, p.bias.data, y.data, false, w.scratch,
                                              w.threads, w.prepared);
        const extent volume = to.product(to.rank() - 3, to.rank());
        for (extent i = 0; i < rows * output_channels; ++i)
            kernels::fill(volume, p.bias ? p.bias.data[i % output_channels] : T(0), y.data + i * volume);
        kernels::volume_backward_input<T>(g, rows, x.data, p.weights.data, y.data, w.scratch, w.threads, w.prepared);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const shape from = x.dimensions, to = dy.dimensions;
        const auto g = geometry(from, w.how);
        const extent rows = static_cast<extent>(dy.examples) * rows_of(from);
        const extent volume = to.product(to.rank() - 3, to.rank());
        if (dp.bias)
            kernels::channel_sums<T>(rows, output_channels, volume, dy.data, output_channels * volume, dp.bias.data,
                                     w.threads);
        // of a deconvolution, x and y change places
        const T *image = is_deconvolution ? dy.data : x.data, *result = is_deconvolution ? x.data : dy.data;
        if (dp.weights)
            kernels::volume_backward_weights<T>(g, rows, image, result, dp.weights.data, w.scratch, w.threads);
        if (!dx) return;
        if (is_deconvolution)
            kernels::volume_forward<T>(g, rows, dy.data, p.weights.data, nullptr, dx.data, true, w.scratch, w.threads);
        else
            kernels::volume_backward_input<T>(g, rows, dy.data, p.weights.data, dx.data, w.scratch, w.threads);
    }
    friend bool operator==(const convolution3d&, const convolution3d&) = default;

private:
    /// The hyper-parameters of one axis.
    struct axis_parameters {
        std::string_view name;  ///< "Depth"
        std::size_t number;     ///< 0: depth
        extent kernel, stride, dilation, start, end;

        constexpr extent reach() const { return (kernel - 1) * dilation + 1; }
    };
    static constexpr extent or_one(std::int32_t v) { return v == 0 ? 1 : v; }
    constexpr axis_parameters axis(std::size_t number) const {
        const bool custom = padding_type == padding_type_3d::custom;
        const auto edge = [&](std::int32_t amount) -> extent { return custom ? amount : 0; };
        if (number == 0)
            return {"Depth",
                    0,
                    kernel_depth,
                    or_one(stride_depth),
                    or_one(dilation_depth),
                    edge(custom_padding_front),
                    edge(custom_padding_back)};
        if (number == 1)
            return {"Height",
                    1,
                    kernel_height,
                    or_one(stride_height),
                    or_one(dilation_height),
                    edge(custom_padding_top),
                    edge(custom_padding_bottom)};
        return {"Width",
                2,
                kernel_width,
                or_one(stride_width),
                or_one(dilation_width),
                edge(custom_padding_left),
                edge(custom_padding_right)};
    }
    constexpr extent groups() const { return n_groups == 0 ? 1 : n_groups; }
    /// Number of volumes in one example.
    static constexpr extent rows_of(const shape& x) { return x.product(0, x.rank() - 4); }
    /// Extent of a deconvolution before anything is cropped.
    static constexpr extent uncropped(const shape& x, const axis_parameters& a) {
        return (x.from_end(3 - a.number) - 1) * a.stride + a.reach();
    }

    constexpr std::optional<fault> check_axis(const shape& x, const axis_parameters& a) const {
        const auto check = [&](std::string_view what, extent value) -> std::optional<fault> {
            if (value >= 1) return {};
            return value_fault(what, a.name, " from 1 up wanted, ", value, " given");
        };
        if (const auto wrong = check("kernel", a.kernel)) return wrong;
        if (const auto wrong = check("stride", a.stride)) return wrong;
        if (const auto wrong = check("dilation", a.dilation)) return wrong;
        if (std::min(a.start, a.end) < 0)
            return value_fault("custom padding from 0 up wanted, ", shape{a.start, a.end}, " given for the axis ",
                               a.name);
        const extent size = x.from_end(3 - a.number);
        if (is_deconvolution && checked_product(size, a.stride, largest_image) < 0)
            return shape_fault("a stride of ", a.stride, " is too much for an input of the shape ", x);
        if (is_deconvolution && output_size.rank() == 3) {
            const extent most = uncropped(x, a) + a.stride - 1 - a.start;
            if (most < 1)
                return shape_fault("nothing is left of the output", a.name, " of ", uncropped(x, a),
                                   " after cropping ", a.start);
            if (output_size[a.number] < 1 || output_size[a.number] > most)
                return value_fault("an output", a.name, " from 1 to ", most, " wanted, outputShape is ", output_size);
        } else if (windows(x, a).outputs < 1) {
            if (is_deconvolution)
                return shape_fault("nothing is left of the output", a.name, " of ", uncropped(x, a), " after cropping ",
                                   a.start, " and ", a.end);
            return shape_fault("the kernel", a.name, " covers ", a.reach(), ", the padded input has ",
                               size + a.start + a.end, " (shape ", x, ")");
        }
        return {};
    }
    /// Outputs and padding (cropping) along an axis whose hyper-parameters are checked.
    constexpr window_axis windows(const shape& x, const axis_parameters& a) const {
        constexpr auto heavy = same_padding_mode::bottom_right_heavy;
        const bool is_same = padding_type == padding_type_3d::same;
        const extent size = x.from_end(3 - a.number);
        if (!is_deconvolution)
            return is_same ? same_windows(size, heavy, a.reach(), a.stride)
                           : valid_windows(size, {a.start, a.end}, a.reach(), a.stride);
        const extent whole = uncropped(x, a);
        const extent outputs = output_size.rank() == 3 ? output_size[a.number]
                               : is_same               ? size * a.stride
                                                       : whole - a.start - a.end;
        return {outputs, is_same ? padding_before(std::max<extent>(0, whole - outputs), heavy) : a.start};
    }
    /// Elements of the padded image that the kernels work on, from `image` to `result`, or -1 where there are too many.
    constexpr extent padded_elements(const shape& image, const shape& result) const {
        const auto covered = [&](std::size_t i) {
            const auto a = axis(i);
            return std::max((result.from_end(3 - i) - 1) * a.stride + a.reach(), image.from_end(3 - i));
        };
        const extent slices = checked_product(image.from_end(4), kernel_depth, largest_image);
        return slices < 0 ? -1 : checked_size({slices, covered(1), covered(2)}, largest_image);
    }

    /// What does not depend on the input, and how the weights are prepared.
    constexpr void set_steps(kernels::convolution_geometry& g, const arithmetic& how) const {
        const auto vertical = axis(1), horizontal = axis(2);
        g.kernel_height = vertical.kernel;
        g.kernel_width = horizontal.kernel;
        g.stride_y = vertical.stride;
        g.stride_x = horizontal.stride;
        g.dilation_y = vertical.dilation;
        g.dilation_x = horizontal.dilation;
        g.winograd = how.winograd && !is_deconvolution && g.stride_y == 1 && g.stride_x == 1;
    }
    /// What the kernels are told: of a deconvolution, the convolution whose transpose it is.
    constexpr kernels::volume_geometry geometry(const shape& x, const arithmetic& how) const {
        const auto along = axis(0);
        const window_axis windows_z = windows(x, along), windows_y = windows(x, axis(1)),
                          windows_x = windows(x, axis(2));
        const shape inner{x.from_end(4), x.from_end(3), x.from_end(2), x.from_end(1)};
        const shape outer{output_channels, windows_z.outputs, windows_y.outputs, windows_x.outputs};
        const shape &image = is_deconvolution ? outer : inner, &result = is_deconvolution ? inner : outer;
        kernels::volume_geometry g{};
        g.slice.channels = image[0] * kernel_depth;
        g.slice.height = image[2];
        g.slice.width = image[3];
        g.slice.output_channels = result[0];
        g.slice.output_height = result[2];
        g.slice.output_width = result[3];
        set_steps(g.slice, how);
        // a single window makes no step: a large stride would only cost the kernel memory
        if (g.slice.output_height == 1) g.slice.stride_y = 1;
        if (g.slice.output_width == 1) g.slice.stride_x = 1;
        g.slice.pad_top = windows_y.before;
        g.slice.pad_left = windows_x.before;
        g.slice.groups = groups();
        g.depth = image[1];
        g.output_depth = result[1];
        g.kernel_depth = kernel_depth;
        g.stride = along.stride;
        g.dilation = along.dilation;
        g.pad_front = windows_z.before;
        return g;
    }
};

}  // namespace bespoke
