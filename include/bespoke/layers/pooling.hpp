#pragma once

#include "../core/planes.hpp"
#include "../kernels/pooling.hpp"
#include "padding.hpp"

#include <variant>

namespace bespoke {

enum class pooling_type { max, average, l2 };
constexpr std::array<std::string_view, 3> enumerators(pooling_type) { return {"MAX", "AVERAGE", "L2"}; }

/// As `valid` with as much padding at the end as at the start, but the last window may reach beyond the
/// padded image, so that no rest is left out: outputs = ceil((size + 2 padding - kernel) / stride) + 1.
/// Where any padding is given, a last window that would begin at size + padding or later is dropped; without
/// padding it stays, empty.
/// Core ML specification, PoolingLayerParams.ValidCompletePadding.
struct valid_complete_padding {
    std::array<extent, 2> padding_amounts{0, 0};

    static constexpr auto key = "includeLastPixel";
    constexpr void fields(auto& field) { field("paddingAmounts", padding_amounts); }
    friend bool operator==(const valid_complete_padding&, const valid_complete_padding&) = default;
};
inline constexpr valid_complete_padding include_last_pixel{};

/// Spatial pooling: each window of each channel gives one number.
///
/// MAX      the largest element inside the image (a window wholly outside gives -infinity)
/// AVERAGE  the sum / elements of the window, or / those inside the image with avg_pool_exclude_padding
/// L2       the square root of the sum of squares
///
/// x [.., H, W] of rank 3 or more -> y [.., H', W'], see padding.hpp; [.., 1, 1] with global_pooling, whose
/// only window is the image, whatever kernel, stride and padding say.
/// Gradient: MAX to the first largest element, L2 none where y = 0.
/// Core ML specification, PoolingLayerParams.
struct pooling {
    pooling_type type = pooling_type::max;
    std::array<extent, 2> kernel_size{3, 3};
    std::array<extent, 2> stride{1, 1};
    std::variant<valid_padding, same_padding, valid_complete_padding> padding{};
    bool avg_pool_exclude_padding = false;
    bool global_pooling = false;

    static constexpr auto key = "pooling";
    constexpr void fields(auto& field) {
        field("type", type);
        field("kernelSize", kernel_size);
        field("stride", stride);
        field(padding);
        field("avgPoolExcludePadding", avg_pool_exclude_padding);
        field("globalPooling", global_pooling);
    }
    static constexpr bool batched = true;
    static constexpr bool begins_gradient = true;

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_windowed(x, 2)) return *wrong;
        if (static_cast<int>(type) < 0 || static_cast<int>(type) > 2)
            return value_fault("type 0 to 2 wanted, ", static_cast<int>(type), " given");
        if (!global_pooling) {
            if (const auto wrong = check_window("kernelSize", kernel_size, 1)) return *wrong;
            if (const auto wrong = check_window("stride", stride, 1)) return *wrong;
            if (const auto edges = alternative<valid_padding>(padding))
                if (const auto wrong = check_padding(*edges)) return *wrong;
            if (const auto complete = alternative<valid_complete_padding>(padding))
                if (const auto wrong = check_window("paddingAmounts", complete->padding_amounts, 0))
                    return *wrong;
        }
        shape y = x;
        for (std::size_t axis : {std::size_t{0}, std::size_t{1}}) {
            y.from_end(2 - axis) = axis_of(x, axis).outputs;
            if (y.from_end(2 - axis) < 1)
                return shape_fault("the kernel covers a ", axis == 0 ? "height" : "width", " of ",
                                   kernel_size[axis], ", the padded input has ", padded_extent(x, axis),
                                   " (shape ", x, ")");
        }
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::pooling_forward(kind(), geometry(x), 1, x.data, 0, y.data, 0, w.threads);
    }
    constexpr bool takes_planes(std::span<const shape> xs) const { return xs[0].rank() == 3; }
    template <class T, class P, class W>
    void forward_planes(const plane_block<T>& b, const P&, W& w) const noexcept {
        kernels::pooling_forward(kind(), geometry(*b.dimensions, b.channels), b.examples, b.x, b.x_stride, b.y,
                                 b.y_stride, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx)
            kernels::pooling_backward(kind(), geometry(x), 1, x.data, 0, y.data, 0, dy.data, 0, dx.data, 0, !w.begins,
                                      w.threads);
    }
    friend bool operator==(const pooling&, const pooling&) = default;

private:
    constexpr extent padded_extent(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        if (const auto edges = alternative<valid_padding>(padding)) {
            const edge_sizes& e = edges->padding_amounts.edges[axis];
            return size + e.start_edge_size + e.end_edge_size;
        }
        if (const auto complete = alternative<valid_complete_padding>(padding))
            return size + 2 * complete->padding_amounts[axis];
        return size;
    }
    constexpr window_axis axis_of(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        if (global_pooling) return {1, 0};
        if (const auto edges = alternative<valid_padding>(padding))
            return valid_windows(size, edges->padding_amounts.edges[axis], kernel_size[axis], stride[axis]);
        if (const auto mode = alternative<same_padding>(padding))
            return same_windows(size, mode->asymmetry_mode, kernel_size[axis], stride[axis]);
        const auto& amounts = std::get<valid_complete_padding>(padding).padding_amounts;
        const extent before = amounts[axis], room = size + 2 * before - kernel_size[axis];
        if (room < 0) return {0, before};
        extent outputs = room / stride[axis] + (room % stride[axis] != 0) + 1;
        if ((amounts[0] > 0 || amounts[1] > 0) && (outputs - 1) * stride[axis] >= size + before) --outputs;
        return {outputs, before};
    }
    /// All leading axes and examples are channels.
    template <class View>
    constexpr kernels::pooling_geometry geometry(const View& view) const {
        const shape x = view.dimensions;
        return geometry(x, static_cast<extent>(view.total()) / (x.from_end(2) * x.from_end(1)));
    }
    constexpr kernels::pooling_geometry geometry(const shape& x, extent channels) const {
        const window_axis y_axis = axis_of(x, 0), x_axis = axis_of(x, 1);
        kernels::pooling_geometry g{};
        g.height = x.from_end(2);
        g.width = x.from_end(1);
        g.channels = channels;
        g.output_height = y_axis.outputs;
        g.output_width = x_axis.outputs;
        g.kernel_height = global_pooling ? g.height : kernel_size[0];
        g.kernel_width = global_pooling ? g.width : kernel_size[1];
        g.stride_y = global_pooling ? 1 : stride[0];
        g.stride_x = global_pooling ? 1 : stride[1];
        g.pad_top = y_axis.before;
        g.pad_left = x_axis.before;
        g.exclude_padding = avg_pool_exclude_padding;
        return g;
    }
    constexpr kernels::pooling_kind kind() const {
        return type == pooling_type::max       ? kernels::pooling_kind::max
               : type == pooling_type::average ? kernels::pooling_kind::average
                                               : kernels::pooling_kind::l2;
    }
};

}  // namespace bespoke
