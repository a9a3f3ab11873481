#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"
#include "../kernels/resize.hpp"

#include <array>
#include <optional>
#include <string_view>

/// Images of another size: `resize_bilinear`, `upsample`, `crop_resize`.
namespace bespoke {

/// Which points of an axis of X elements the N samples are taken at, see `sample_point`.
enum class sampling_method { strict_align_endpoints_mode, align_endpoints_mode, upsample_mode, roi_align_mode };
constexpr std::array<std::string_view, 4> enumerators(sampling_method) {
    return {"STRICT_ALIGN_ENDPOINTS_MODE", "ALIGN_ENDPOINTS_MODE", "UPSAMPLE_MODE", "ROI_ALIGN_MODE"};
}
/// Core ML specification, SamplingMode.
struct sampling_mode {
    sampling_method method = sampling_method::strict_align_endpoints_mode;

    constexpr void fields(auto& field) { field("samplingMethod", method); }
    friend bool operator==(const sampling_mode&, const sampling_mode&) = default;
};

namespace detail {

/// Every rule by which samples are placed; the first four are those of `sampling_method`.
enum class point_rule { endpoints, endpoints_or_centre, spread, regions, nearest, half_pixels };

/// Point i of N = `count` samples, on an axis from 0 to `length` = X - 1.
inline double sample_point(point_rule rule, double length, extent count, extent i) {
    const double n = static_cast<double>(count), at = static_cast<double>(i);
    switch (rule) {
        case point_rule::spread:
            return at * (length + 1) / n;
        case point_rule::regions:
            return (at + 0.5) * std::max(1.0, length) / n;
        case point_rule::nearest:
            return std::floor(at * (length + 1) / n);
        case point_rule::half_pixels:
            return (at + 0.5) * (length + 1) / n - 0.5;
        case point_rule::endpoints_or_centre:
            if (count == 1) return length / 2;
            [[fallthrough]];
        default:
            return count == 1 ? 0 : at * length / (n - 1);
    }
}
constexpr point_rule rule_of(sampling_method method) { return static_cast<point_rule>(method); }

/// The fault of images [.., H, W] that cannot be resized.
constexpr std::optional<fault> check_image(const shape& x) {
    if (x.rank() < 3) return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
    for (std::size_t back : {std::size_t{2}, std::size_t{1}})
        if (x.from_end(back) < 1 || x.from_end(back) > kernels::largest_side)
            return shape_fault("a height and a width from 1 to ", kernels::largest_side,
                               " wanted, the shape of its input is ", x);
    return {};
}
/// The pair [H, W] that `given` says: [1, 1] where it is empty.
constexpr std::array<extent, 2> pair_of(const list<extent, 2>& given) {
    if (given.size() < 2) return {1, 1};
    return {given[0], given[1]};
}
constexpr std::optional<fault> check_target(const list<extent, 2>& size) {
    const auto [height, width] = pair_of(size);
    if (size.size() == 1) return value_fault("targetSize [H, W] wanted, [", size[0], "] given");
    if (std::min(height, width) >= 1 && std::max(height, width) <= kernels::largest_side) return {};
    return value_fault("targetSize from 1 to ", kernels::largest_side, " wanted, ", shape{height, width}, " given");
}

/// Where a layer keeps its two axes in its scratch memory, and the rest of that.
template <class T>
struct image_axes {
    kernels::sample_axis<T> rows, columns;
    T* scratch;

    image_axes(const shape& x, extent height, extent width, T* memory)
        : rows{x.from_end(2), height, memory}, columns{x.from_end(1), width, memory + rows.size(height)},
          scratch(memory + rows.size(height) + columns.size(width)) {}
    static extent size(extent height, extent width, extent threads) {
        return kernels::sample_axis<T>::size(height + width) + kernels::resize_scratch(width, threads);
    }
};

/// What `resize_bilinear` and `upsample` are: images [.., H, W] -> [.., height, width].
struct resized_images {
    extent height = 1, width = 1;
    point_rule rule = point_rule::endpoints;

    static constexpr auto key = "resizedImages";  // in no file
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    template <class T>
    extent scratch_size(const shape&, extent, extent threads) const {
        return image_axes<T>::size(height, width, threads);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        const auto axes = placed<typename X::value_type>(x.dimensions, w.scratch);
        kernels::resize(planes(x), axes.rows, axes.columns, x.data, y.data, axes.scratch, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        const auto axes = placed<typename Dy::value_type>(dx.dimensions, w.scratch);
        kernels::resize_backward(planes(dx), axes.rows, axes.columns, dy.data, dx.data, axes.scratch, w.threads);
    }
    friend bool operator==(const resized_images&, const resized_images&) = default;

private:
    template <class View>
    static extent planes(const View& x) {
        const shape s = x.dimensions;
        return s.product(0, s.rank() - 2) * static_cast<extent>(x.examples);
    }
    template <class T>
    image_axes<T> placed(const shape& x, T* memory) const {
        const image_axes<T> axes(x, height, width, memory);
        for (const auto& axis : {axes.rows, axes.columns})
            for (extent i = 0; i < axis.outputs; ++i)
                axis.place(i, sample_point(rule, static_cast<double>(axis.inputs - 1), axis.outputs, i));
        return axes;
    }
};

}  // namespace detail

/// Bilinear interpolation to a given size: x [.., C, H, W] -> y [.., C, target_size].
///
/// Sample i of N lies on an axis of X elements at
///
/// | sampling_method             | point                                           |
/// |-----------------------------|-------------------------------------------------|
/// | strict_align_endpoints_mode | i (X - 1) / (N - 1); 0 where N is 1             |
/// | align_endpoints_mode        | i (X - 1) / (N - 1); (X - 1) / 2 where N is 1   |
/// | upsample_mode               | i X / N                                         |
/// | roi_align_mode              | (i + 1/2) max(1, X - 1) / N                     |
///
/// and what lies beyond the image is drawn to its edge.
/// Core ML specification, ResizeBilinearLayerParams.
struct resize_bilinear {
    list<extent, 2> target_size{};  ///< [H, W]; empty: [1, 1]
    sampling_mode mode{};

    static constexpr auto key = "resizeBilinear";
    constexpr void fields(auto& field) {
        field("targetSize", target_size);
        field("mode", mode);
    }

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_image(x)) return *wrong;
        if (const auto wrong = detail::check_target(target_size)) return *wrong;
        shape y = x;
        y.from_end(2) = detail::pair_of(target_size)[0];
        y.from_end(1) = detail::pair_of(target_size)[1];
        return y;
    }
    constexpr detail::resized_images equivalent(const shape&) const {
        const auto [height, width] = detail::pair_of(target_size);
        return {height, width, detail::rule_of(mode.method)};
    }
    friend bool operator==(const resize_bilinear&, const resize_bilinear&) = default;
};

enum class interpolation_mode { nearest_neighbour, bilinear };
constexpr std::array<std::string_view, 2> enumerators(interpolation_mode) { return {"NN", "BILINEAR"}; }
/// Which points `upsample` takes its samples at.
enum class linear_points { default_mode, align_corners_true, align_corners_false };
constexpr std::array<std::string_view, 3> enumerators(linear_points) {
    return {"DEFAULT", "ALIGN_CORNERS_TRUE", "ALIGN_CORNERS_FALSE"};
}

/// A larger image, or a smaller one where a fractional factor is less than 1: x [.., C, H, W] -> y [.., C, H', W'].
///
/// H' = H scaling_factor[0], or floor(H fractional_scaling_factor[0]) where that is given; W' likewise.
/// Sample i of N lies on an axis of X elements at
///
/// | mode              | linear_upsample_mode | point                               |
/// |-------------------|----------------------|-------------------------------------|
/// | nearest_neighbour | default_mode         | floor(i X / N)                      |
/// | bilinear          | default_mode         | i X / N                             |
/// | bilinear          | align_corners_true   | i (X - 1) / (N - 1); 0 where N is 1 |
/// | bilinear          | align_corners_false  | (i + 1/2) X / N - 1/2               |
///
/// and what lies beyond the image is drawn to its edge.
/// Core ML specification, UpsampleLayerParams.
struct upsample {
    list<extent, 2> scaling_factor{};                  ///< [H, W]; empty: [1, 1]
    std::array<float, 2> fractional_scaling_factor{};  ///< [H, W]; zeros: not given
    interpolation_mode mode = interpolation_mode::nearest_neighbour;
    linear_points linear_upsample_mode = linear_points::default_mode;

    static constexpr auto key = "upsample";
    constexpr void fields(auto& field) {
        field("scalingFactor", scaling_factor);
        field("fractionalScalingFactor", fractional_scaling_factor);
        field("mode", mode);
        field("linearUpsampleMode", linear_upsample_mode);
    }

    constexpr outcome output_shape(const shape& x) const {
        if (const auto wrong = detail::check_image(x)) return *wrong;
        if (scaling_factor.size() > 0 && is_fractional())
            return value_fault("scalingFactor and fractionalScalingFactor exclude each other");
        if (scaling_factor.size() == 1)
            return value_fault("scalingFactor [H, W] wanted, [", scaling_factor[0], "] given");
        if (mode == interpolation_mode::nearest_neighbour && linear_upsample_mode != linear_points::default_mode)
            return value_fault("linearUpsampleMode ",
                               enumerators(linear_points{})[static_cast<std::size_t>(linear_upsample_mode)],
                               " wants the mode BILINEAR");
        shape y = x;
        for (std::size_t axis : {std::size_t{0}, std::size_t{1}}) {
            const extent side = outputs(x.from_end(2 - axis), axis);
            if (side < 1)
                return value_fault("factors that give sides from 1 to ", kernels::largest_side, " wanted, that of the ",
                                   axis == 0 ? "height" : "width", " does not (the shape of the input is ", x, ")");
            y.from_end(2 - axis) = side;
        }
        return y;
    }
    constexpr detail::resized_images equivalent(const shape& x) const {
        using rule = detail::point_rule;
        return {outputs(x.from_end(2), 0), outputs(x.from_end(1), 1),
                mode == interpolation_mode::nearest_neighbour                ? rule::nearest
                : linear_upsample_mode == linear_points::align_corners_true  ? rule::endpoints
                : linear_upsample_mode == linear_points::align_corners_false ? rule::half_pixels
                                                                             : rule::spread};
    }
    friend bool operator==(const upsample&, const upsample&) = default;

private:
    constexpr bool is_fractional() const {
        return fractional_scaling_factor[0] != 0 || fractional_scaling_factor[1] != 0;
    }
    /// Of a side with `inputs` elements; -1: too many, or less than 1.
    constexpr extent outputs(extent inputs, std::size_t axis) const {
        if (!is_fractional())
            return checked_product(inputs, detail::pair_of(scaling_factor)[axis], kernels::largest_side);
        const double side = static_cast<double>(inputs) * static_cast<double>(fractional_scaling_factor[axis]);
        return side >= 1 && side < static_cast<double>(kernels::largest_side + 1) ? static_cast<extent>(side) : -1;
    }
};

/// What the four numbers of a box are.
enum class box_coordinates {
    corners_height_first,      ///< h_start, w_start, h_end, w_end
    corners_width_first,       ///< w_start, h_start, w_end, h_end
    center_size_height_first,  ///< h_center, w_center, height, width
    center_size_width_first,   ///< w_center, h_center, width, height
};
constexpr std::array<std::string_view, 4> enumerators(box_coordinates) {
    return {"CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"};
}
/// Core ML specification, BoxCoordinatesMode.
struct box_coordinates_mode {
    box_coordinates box_mode = box_coordinates::corners_height_first;

    constexpr void fields(auto& field) { field("boxMode", box_mode); }
    friend bool operator==(const box_coordinates_mode&, const box_coordinates_mode&) = default;
};

/// Boxes cut out of images and brought to one size by bilinear interpolation.
///
/// | x                 | boxes           | y                                  |
/// |-------------------|-----------------|------------------------------------|
/// | [1, B, C, H, W]   | [N, 1, 4, 1, 1] | [N, B, C, target_size]: of each image |
/// | [1, B, C, H, W]   | [N, 1, 5, 1, 1] | [N, 1, C, target_size]: the first number of a box is its image |
///
/// A box is given as `box_indices_mode` says, in pixels, or in parts of H - 1 and W - 1 where
/// `normalized_coordinates`, and times spatial_scale. Samples lie from its start as in `resize_bilinear`, where X - 1
/// is the length of the box; a single one lies in its centre. What lies beyond the image is drawn to its edge. Of an
/// image that is not there, the nearest is taken (0 for NaN). No gradient passes to the boxes.
/// Core ML specification, CropResizeLayerParams.
struct crop_resize {
    list<extent, 2> target_size{};  ///< [H, W]; empty: [1, 1]
    bool normalized_coordinates = false;
    sampling_mode mode{};
    box_coordinates_mode box_indices_mode{};
    float spatial_scale = 1;  ///< 0 means 1

    static constexpr auto key = "cropResize";
    constexpr void fields(auto& field) {
        field("targetSize", target_size);
        field("normalizedCoordinates", normalized_coordinates);
        field("mode", mode);
        field("boxIndicesMode", box_indices_mode);
        field("spatialScale", spatial_scale);
    }
    static constexpr input_count inputs{2, 2};
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape &x = xs[0], &boxes = xs[1];
        if (x.rank() != 5 || x[0] != 1)
            return shape_fault("images [1, batch, channels, height, width] wanted, their shape is ", x);
        if (const auto wrong = detail::check_image(x)) return *wrong;
        if (boxes.rank() != 5 || boxes[1] != 1 || (boxes[2] != 4 && boxes[2] != 5) || boxes[3] != 1 || boxes[4] != 1)
            return shape_fault("boxes [N, 1, 4, 1, 1] or [N, 1, 5, 1, 1] wanted, their shape is ", boxes);
        if (boxes[2] == 5 && x[1] < 1)
            return shape_fault("an image for the boxes wanted, the shape of the images is ", x);
        if (const auto wrong = detail::check_target(target_size)) return *wrong;
        const auto [height, width] = detail::pair_of(target_size);
        return shape{boxes[0], boxes[2] == 5 ? 1 : x[1], x[2], height, width};
    }
    template <class T>
    extent scratch_size(std::span<const shape>, extent, extent threads) const {
        const auto [height, width] = detail::pair_of(target_size);
        return detail::image_axes<T>::size(height, width, threads);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P&, W& w) const noexcept {
        using T = typename X::value_type;
        each_box<T>(xs, ys[0].dimensions, w.scratch, [&](const auto& axes, extent planes, extent in, extent out) {
            kernels::resize(planes, axes.rows, axes.columns, xs[0].data + in, ys[0].data + out, axes.scratch,
                            w.threads);
        });
    }
    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs, const P&,
                  const Dp&, W& w) const noexcept {
        using T = typename X::value_type;
        if (!dxs[0]) return;
        each_box<T>(xs, dys[0].dimensions, w.scratch, [&](const auto& axes, extent planes, extent in, extent out) {
            kernels::resize_backward(planes, axes.rows, axes.columns, dys[0].data + out, dxs[0].data + in, axes.scratch,
                                     w.threads);
        });
    }
    friend bool operator==(const crop_resize&, const crop_resize&) = default;

private:
    /// Calls body(axes, planes, offset in the images, offset in the result) for each box.
    template <class T, class Xs, class Body>
    void each_box(const Xs& xs, const shape& y, T* memory, const Body& body) const noexcept {
        const shape x = xs[0].dimensions, boxes = xs[1].dimensions;
        const detail::image_axes<T> axes(x, y[3], y[4], memory);
        const extent image = x[2] * x[3] * x[4];
        for (extent n = 0; n < boxes[0]; ++n) {
            const T* box = xs[1].data + n * boxes[2];
            extent from = 0;
            if (boxes[2] == 5) {
                const double wanted = std::round(static_cast<double>(*box++));
                from = wanted > 0 ? static_cast<extent>(std::min(wanted, static_cast<double>(x[1] - 1))) : 0;
            }
            place(axes.rows, box, 0);
            place(axes.columns, box, 1);
            body(axes, y[1] * y[2], from * image, n * y[1] * y[2] * y[3] * y[4]);
        }
    }
    /// Places the samples along the height (side 0) or the width of a box.
    template <class T>
    void place(const kernels::sample_axis<T>& axis, const T* box, extent side) const noexcept {
        const auto kind = box_indices_mode.box_mode;
        const bool width_first =
            kind == box_coordinates::corners_width_first || kind == box_coordinates::center_size_width_first;
        const bool corners =
            kind == box_coordinates::corners_height_first || kind == box_coordinates::corners_width_first;
        const double scale = (spatial_scale == 0 ? 1.0 : static_cast<double>(spatial_scale)) *
                             (normalized_coordinates ? static_cast<double>(axis.inputs - 1) : 1.0);
        const extent at = width_first ? 1 - side : side;
        const double first = static_cast<double>(box[at]) * scale, second = static_cast<double>(box[at + 2]) * scale;
        const double length = corners ? second - first : second, start = corners ? first : first - second / 2;
        for (extent i = 0; i < axis.outputs; ++i)
            axis.place(i, start + (axis.outputs == 1
                                       ? length / 2
                                       : detail::sample_point(detail::rule_of(mode.method), length, axis.outputs, i)));
    }
};

}  // namespace bespoke
