#pragma once

#include "../kernels/pooling.hpp"
#include "padding.hpp"

namespace bespoke {

enum class pooling_type3d { max, average };
constexpr std::array<std::string_view, 2> enumerators(pooling_type3d) { return {"MAX", "AVERAGE"}; }

/// What is added around the image: what the layer says (custom), nothing (valid), or as much as gives
/// ceil(extent / stride) windows, of an odd number one more at the end (same).
enum class pooling3d_padding_type { custom, valid, same };
constexpr std::array<std::string_view, 3> enumerators(pooling3d_padding_type) { return {"CUSTOM", "VALID", "SAME"}; }

/// Pooling over three axes: each window of each channel gives one number.
///
/// MAX      the largest element inside the image (a window wholly outside gives -infinity)
/// AVERAGE  the sum / elements of the window, or / those inside the image with count_exclude_padding
///
/// x [.., D, H, W] of rank 4 or more -> y [.., D', H', W']: floor((extent + padding - kernel) / stride) + 1, see
/// padding.hpp; a rest that takes no window is left out.
/// Gradient: MAX to the first largest element.
/// Core ML specification, Pooling3DLayerParams.
struct pooling3d {
    pooling_type3d type = pooling_type3d::max;
    std::int32_t kernel_depth = 3, kernel_height = 3, kernel_width = 3;
    std::int32_t stride_depth = 1, stride_height = 1, stride_width = 1;
    pooling3d_padding_type padding_type = pooling3d_padding_type::custom;
    std::int32_t custom_padding_front = 0, custom_padding_back = 0;
    std::int32_t custom_padding_top = 0, custom_padding_bottom = 0;
    std::int32_t custom_padding_left = 0, custom_padding_right = 0;
    bool count_exclude_padding = false;

    static constexpr auto key = "pooling3d";
    constexpr void fields(auto& field) {
        field("type", type);
        field("kernelDepth", kernel_depth);
        field("kernelHeight", kernel_height);
        field("kernelWidth", kernel_width);
        field("strideDepth", stride_depth);
        field("strideHeight", stride_height);
        field("strideWidth", stride_width);
        field("paddingType", padding_type);
        field("customPaddingFront", custom_padding_front);
        field("customPaddingBack", custom_padding_back);
        field("customPaddingTop", custom_padding_top);
        field("customPaddingBottom", custom_padding_bottom);
        field("customPaddingLeft", custom_padding_left);
        field("customPaddingRight", custom_padding_right);
        field("countExcludePadding", count_exclude_padding);
    }
    static constexpr bool batched = true;
    static constexpr bool begins_gradient = true;

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_windowed(x, 3)) return *wrong;
        if (static_cast<int>(type) < 0 || static_cast<int>(type) > 1)
            return value_fault("type 0 or 1 wanted, ", static_cast<int>(type), " given");
        if (static_cast<int>(padding_type) < 0 || static_cast<int>(padding_type) > 2)
            return value_fault("paddingType 0 to 2 wanted, ", static_cast<int>(padding_type), " given");
        for (std::size_t a = 0; a < 3; ++a) {
            const axis_facts axis = facts(a);
            if (axis.kernel < 1)
                return value_fault("kernel", axis.name, " from 1 up wanted, ", axis.kernel, " given");
            if (axis.stride < 1)
                return value_fault("stride", axis.name, " from 1 up wanted, ", axis.stride, " given");
            if (axis.edges.start_edge_size < 0 || axis.edges.end_edge_size < 0)
                return value_fault("paddings from 0 up wanted, ",
                                   shape{axis.edges.start_edge_size, axis.edges.end_edge_size}, " given for the ",
                                   axis.word);
        }
        if (const shape kernel{kernel_depth, kernel_height, kernel_width}; checked_size(kernel, largest_image) < 0)
            return value_fault("a kernel of up to ", largest_image, " elements wanted, ", kernel, " given");
        shape y = x;
        for (std::size_t a = 0; a < 3; ++a) {
            const axis_facts axis = facts(a);
            y.from_end(3 - a) = windows(x, a).outputs;
            if (y.from_end(3 - a) < 1)
                return shape_fault("the kernel covers a ", axis.word, " of ", axis.kernel, ", the padded input has ",
                                   x.from_end(3 - a) + axis.edges.start_edge_size + axis.edges.end_edge_size,
                                   " (shape ", x, ")");
        }
        return y;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::pooling_forward(kind(), geometry(x), 1, x.data, 0, y.data, 0, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx)
            kernels::pooling_backward(kind(), geometry(x), 1, x.data, 0, y.data, 0, dy.data, 0, dx.data, 0, !w.begins,
                                      w.threads);
    }
    friend bool operator==(const pooling3d&, const pooling3d&) = default;

private:
    struct axis_facts {
        std::string_view name, word;
        extent kernel = 1, stride = 1;
        edge_sizes edges{};  ///< none but with custom padding
    };
    constexpr axis_facts facts(std::size_t axis) const {
        axis_facts all[]{
            {"Depth", "depth", kernel_depth, stride_depth, {custom_padding_front, custom_padding_back}},
            {"Height", "height", kernel_height, stride_height, {custom_padding_top, custom_padding_bottom}},
            {"Width", "width", kernel_width, stride_width, {custom_padding_left, custom_padding_right}}};
        if (padding_type != pooling3d_padding_type::custom) all[axis].edges = {};
        return all[axis];
    }
    constexpr window_axis windows(const shape& x, std::size_t a) const {
        const extent size = x.from_end(3 - a);
        const axis_facts axis = facts(a);
        return padding_type == pooling3d_padding_type::same
                   ? same_windows(size, same_padding_mode::bottom_right_heavy, axis.kernel, axis.stride)
                   : valid_windows(size, axis.edges, axis.kernel, axis.stride);
    }
    /// All leading axes and examples are channels.
    template <class View>
    constexpr kernels::pooling_geometry geometry(const View& view) const {
        const shape x = view.dimensions;
        const window_axis z_axis = windows(x, 0), y_axis = windows(x, 1), x_axis = windows(x, 2);
        kernels::pooling_geometry g{};
        g.depth = x.from_end(3);
        g.height = x.from_end(2);
        g.width = x.from_end(1);
        g.channels = static_cast<extent>(view.total()) / g.size();
        g.output_depth = z_axis.outputs;
        g.output_height = y_axis.outputs;
        g.output_width = x_axis.outputs;
        g.kernel_depth = kernel_depth;
        g.kernel_height = kernel_height;
        g.kernel_width = kernel_width;
        g.stride_z = stride_depth;
        g.stride_y = stride_height;
        g.stride_x = stride_width;
        g.pad_front = z_axis.before;
        g.pad_top = y_axis.before;
        g.pad_left = x_axis.before;
        g.exclude_padding = count_exclude_padding;
        return g;
    }
    constexpr kernels::pooling_kind kind() const {
        return type == pooling_type3d::max ? kernels::pooling_kind::max : kernels::pooling_kind::average;
    }
};

/// The largest element, or the mean, of each channel: pooling3d whose window is the image.
/// x [.., D, H, W] of rank 4 or more -> y [.., 1, 1, 1].
/// Core ML specification, GlobalPooling3DLayerParams.
struct global_pooling3d {
    pooling_type3d type = pooling_type3d::max;

    static constexpr auto key = "globalPooling3d";
    constexpr void fields(auto& field) { field("type", type); }

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() >= 4)
            for (std::size_t back = 1; back <= 3; ++back)
                if (x.from_end(back) > largest_window)
                    return shape_fault("extents up to ", largest_window, " wanted, its shape is ", x);
        return equivalent(x).output_shape(x);
    }
    constexpr pooling3d equivalent(const shape& x) const {
        pooling3d layer{.type = type};
        if (x.rank() < 4) return layer;
        layer.kernel_depth = static_cast<std::int32_t>(x.from_end(3));
        layer.kernel_height = static_cast<std::int32_t>(x.from_end(2));
        layer.kernel_width = static_cast<std::int32_t>(x.from_end(1));
        return layer;
    }
    friend bool operator==(const global_pooling3d&, const global_pooling3d&) = default;
};

}  // namespace bespoke
