#pragma once

#include "convolution_backward.hpp"

/// Three-dimensional convolution by way of the two-dimensional one: the slices that one output slice sees, one behind
/// the other, are an image with kernel_depth times as many channels, and the weights lie in memory as that image wants
/// them.
namespace bespoke::kernels {

/// Sizes of a convolution of one example.
///
/// x [channels, depth, height, width], weights [output_channels, channels / groups, kernel_depth, ..],
/// y [output_channels, output_depth, ..]; along the depth as along the other axes, see `convolution_geometry`.
struct volume_geometry {
    convolution_geometry slice;  ///< from slices [channels kernel_depth, ..] to one [output_channels, ..]
    extent depth, output_depth, kernel_depth;
    extent stride, dilation, pad_front;

    constexpr extent channels() const { return slice.channels / kernel_depth; }
    constexpr extent x_size() const { return channels() * depth * slice.plane(); }
    constexpr extent y_size() const { return slice.output_channels * output_depth * slice.pixels(); }
    constexpr extent image_size() const { return slice.channels * slice.plane(); }
    constexpr extent result_size() const { return slice.output_channels * slice.pixels(); }
    /// Output slices that run together, such that what they see stays near.
    constexpr extent together(extent rows) const {
        return std::clamp<extent>((extent{1} << 17) / std::max<extent>(image_size(), 1), 1, std::max<extent>(rows, 1));
    }
};

namespace detail {

/// Calls body(plane of x, or null in the padding; plane of the images) for every plane that output slices
/// [first, first + count) see; threads split the channels, and a plane of x comes in the order of the slices.
template <class T, class Body>
void each_seen_plane(const volume_geometry& g, extent first, extent count, T* x, thread_pool* threads,
                     const Body& body) noexcept {
    const extent plane = g.slice.plane(), channels = g.channels();
    if (count * g.image_size() < threaded_elements) threads = nullptr;
    parallel_for(threads, channels, 1, [&](extent begin, extent end) {
        for (extent c = begin; c < end; ++c)
            for (extent i = 0; i < count; ++i) {
                const extent example = (first + i) / g.output_depth, slice = (first + i) % g.output_depth;
                for (extent k = 0; k < g.kernel_depth; ++k) {
                    const extent d = slice * g.stride + k * g.dilation - g.pad_front;
                    const bool inside = d >= 0 && d < g.depth;
                    body(inside ? x + example * g.x_size() + (c * g.depth + d) * plane : nullptr,
                         ((i * channels + c) * g.kernel_depth + k) * plane);
                }
            }
    });
}
template <class T>
void gather_images(const volume_geometry& g, extent first, extent count, const T* x, T* images,
                   thread_pool* threads) noexcept {
    const extent plane = g.slice.plane();
    each_seen_plane(g, first, count, x, threads, [&](const T* from, extent to) {
        if (from == nullptr)
            fill(plane, T(0), images + to);
        else
            copy(plane, from, images + to);
    });
}

/// Where output channel c of output slice `row` lies in y.
inline extent result_plane(const volume_geometry& g, extent row, extent c) noexcept {
    return row / g.output_depth * g.y_size() + (c * g.output_depth + row % g.output_depth) * g.slice.pixels();
}
/// Calls body(plane of y, plane of the results) for output slices [first, first + count).
template <class Body>
void each_result_plane(const volume_geometry& g, extent first, extent count, const Body& body) noexcept {
    for (extent i = 0; i < count; ++i)
        for (extent c = 0; c < g.slice.output_channels; ++c)
            body(result_plane(g, first + i, c), (i * g.slice.output_channels + c) * g.slice.pixels());
}
template <class T>
void gather_results(const volume_geometry& g, extent first, extent count, const T* y, T* results) noexcept {
    each_result_plane(g, first, count, [&](extent from, extent to) { copy(g.slice.pixels(), y + from, results + to); });
}

/// Images and results of the slices that run together, and behind them what the kernels need.
template <class T>
struct volume_space {
    T *images, *results, *scratch;

    volume_space(const volume_geometry& g, extent rows, T* memory)
        : images(memory), results(images + g.together(rows) * g.image_size()),
          scratch(results + g.together(rows) * g.result_size()) {}
};
/// Calls body(first, count) for all output slices of the examples.
template <class Body>
void each_run_of_slices(const volume_geometry& g, extent examples, const Body& body) noexcept {
    const extent rows = examples * g.output_depth, most = g.together(rows);
    for (extent first = 0; first < rows; first += most) body(first, std::min(most, rows - first));
}

}  // namespace detail

/// Elements of scratch for the passes below.
template <class T>
extent volume_scratch(const volume_geometry& g, extent examples, extent threads) noexcept {
    return g.together(examples * g.output_depth) * (g.image_size() + g.result_size()) +
           convolution_scratch<T>(g.slice, threads);
}

/// y = conv(x) + bias, or y += conv(x) where `accumulate` (then `bias` is null); `bias` may be null. `packed` is what
/// `convolution_pack` made of the weights for the slice, or null.
template <class T>
void volume_forward(const volume_geometry& g, extent examples, const T* x, const T* weights, const T* bias, T* y,
                    bool accumulate, T* scratch, thread_pool* threads, const T* packed = nullptr) noexcept {
    const detail::volume_space<T> space(g, examples * g.output_depth, scratch);
    detail::each_run_of_slices(g, examples, [&](extent first, extent count) {
        detail::gather_images(g, first, count, x, space.images, threads);
        convolution_forward(g.slice, count, space.images, g.image_size(), weights, bias, space.results, g.result_size(),
                            false, space.scratch, threads, packed);
        detail::each_result_plane(g, first, count, [&](extent to, extent from) {
            if (accumulate)
                kernels::accumulate(g.slice.pixels(), space.results + from, y + to);
            else
                copy(g.slice.pixels(), space.results + from, y + to);
        });
    });
}

/// dx += the gradient with respect to x. Also the forward pass of a deconvolution, whose input is dy. `packed` is what
/// `convolution_backward_pack` made of the weights for the slice, or null.
template <class T>
void volume_backward_input(const volume_geometry& g, extent examples, const T* dy, const T* weights, T* dx, T* scratch,
                           thread_pool* threads, const T* packed = nullptr) noexcept {
    const detail::volume_space<T> space(g, examples * g.output_depth, scratch);
    detail::each_run_of_slices(g, examples, [&](extent first, extent count) {
        detail::gather_results(g, first, count, dy, space.results);
        fill(count * g.image_size(), T(0), space.images);
        convolution_backward_input(g.slice, count, space.results, g.result_size(), weights, space.images,
                                   g.image_size(), space.scratch, threads, packed);
        detail::each_seen_plane(g, first, count, dx, threads, [&](T* to, extent from) {
            if (to != nullptr) kernels::accumulate(g.slice.plane(), space.images + from, to);
        });
    });
}

/// dweights += the gradient with respect to the weights, summed over the examples.
template <class T>
void volume_backward_weights(const volume_geometry& g, extent examples, const T* x, const T* dy, T* dweights,
                             T* scratch, thread_pool* threads) noexcept {
    const detail::volume_space<T> space(g, examples * g.output_depth, scratch);
    detail::each_run_of_slices(g, examples, [&](extent first, extent count) {
        detail::gather_images(g, first, count, x, space.images, threads);
        detail::gather_results(g, first, count, dy, space.results);
        convolution_backward_weights(g.slice, count, space.images, g.image_size(), space.results, g.result_size(),
                                     dweights, space.scratch, threads);
    });
}

}  // namespace bespoke::kernels
