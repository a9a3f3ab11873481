#pragma once

#include "../core/threads.hpp"
#include "math.hpp"

#include <algorithm>
#include <limits>

namespace bespoke::kernels {

enum class pooling_kind { max, average, l2 };

/// Sizes of a two-dimensional pooling of one example: x [channels, height, width],
/// y [channels, output_height, output_width]; `channels` stands for all leading axes.
/// Window (oy, ox) covers x rows oy * stride_y - pad_top + [0, kernel_height), columns likewise.
struct pooling_geometry {
    extent channels, height, width;
    extent output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent pad_top, pad_left;
    bool exclude_padding;
};

// What lies outside the image takes no part: it never wins a maximum and adds nothing to a sum.
//   max      the largest element, NaN where there is one; backward: the first largest in row-major order
//            (the first NaN) takes the gradient
//   average  sum / (kernel_height * kernel_width), or / elements inside the image with `exclude_padding`
//   l2       square root of the sum of squares (not of their mean); backward where y = 0: nothing
// A window wholly outside gives -infinity (max) or 0, and takes no gradient.
// Sums run over the window in row-major order, except where one window covers the image (global pooling):
// then in `lanes` chains, element i in lane i mod lanes, and the lanes as in `sum_lanes`.

namespace detail {

struct window {
    extent top, bottom, left, right;
    constexpr extent size() const { return std::max<extent>(0, bottom - top) * std::max<extent>(0, right - left); }
};

constexpr window window_at(const pooling_geometry& g, extent oy, extent ox) {
    const extent y = oy * g.stride_y - g.pad_top, x = ox * g.stride_x - g.pad_left;
    return {std::max<extent>(y, 0), std::min(y + g.kernel_height, g.height), std::max<extent>(x, 0),
            std::min(x + g.kernel_width, g.width)};
}

/// Whether the output is one window over the whole image.
constexpr bool is_global(const pooling_geometry& g) {
    if (g.output_height != 1 || g.output_width != 1) return false;
    const window w = window_at(g, 0, 0);
    return w.top == 0 && w.left == 0 && w.bottom == g.height && w.right == g.width;
}

template <class T>
constexpr T pooling_divisor(const pooling_geometry& g, const window& w) {
    const extent inside = std::max<extent>(w.size(), 1);
    return static_cast<T>(g.exclude_padding ? inside : g.kernel_height * g.kernel_width);
}

/// One step of the running result: `v` joins `sum`.
template <pooling_kind Kind, class T>
[[gnu::always_inline]] inline batch<T> pooling_step(const batch<T>& sum, const batch<T>& v) noexcept {
    if constexpr (Kind == pooling_kind::max)
        return kernels::running_max<T>(sum, v);
    else if constexpr (Kind == pooling_kind::average)
        return sum + v;
    else
        return kernels::fma<T>(v, v, sum);
}
template <pooling_kind Kind, std::floating_point T>
[[gnu::always_inline]] inline T pooling_step(T sum, T v) noexcept {
    if constexpr (Kind == pooling_kind::max)
        return kernels::running_max(sum, v);
    else if constexpr (Kind == pooling_kind::average)
        return sum + v;
    else
        return kernels::fma(v, v, sum);
}

template <pooling_kind Kind, class T>
constexpr T pooling_start() {
    return Kind == pooling_kind::max ? -std::numeric_limits<T>::infinity() : T(0);
}

template <pooling_kind Kind, class T>
inline T pool_window(const pooling_geometry& g, const window& w, const T* x) noexcept {
    T sum = pooling_start<Kind, T>();
    for (extent iy = w.top; iy < w.bottom; ++iy)
        for (extent ix = w.left; ix < w.right; ++ix) sum = pooling_step<Kind>(sum, x[iy * g.width + ix]);
    if constexpr (Kind == pooling_kind::average) sum /= pooling_divisor<T>(g, w);
    if constexpr (Kind == pooling_kind::l2) sum = kernels::sqrt(sum);
    return sum;
}

template <pooling_kind Kind, class T>
inline T pool_image(const pooling_geometry& g, const T* x) noexcept {
    const extent n = g.height * g.width;
    batch<T> sum(pooling_start<Kind, T>());
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) sum = pooling_step<Kind, T>(sum, load(x + i));
    if constexpr (Kind == pooling_kind::max) {
        alignas(64) T lane[lanes<T>];
        sum.store_aligned(lane);
        T most = lane[0];
        for (extent l = 1; l < lanes<T>; ++l) most = kernels::running_max(most, lane[l]);
        for (; i < n; ++i) most = kernels::running_max(most, x[i]);
        return most;
    } else {
        if (i < n) sum = pooling_step<Kind, T>(sum, load_partial(x + i, n - i));
        const T total = sum_lanes<T>(sum);
        if constexpr (Kind == pooling_kind::average) return total / pooling_divisor<T>(g, window_at(g, 0, 0));
        return kernels::sqrt(total);
    }
}

/// Outputs [begin, end) of a row whose windows lie inside the image: a batch of outputs at a time.
template <pooling_kind Kind, class T>
inline void pool_inside(const pooling_geometry& g, const T* x, extent begin, extent end, T* y) noexcept {
    const T divisor = pooling_divisor<T>(g, {0, g.kernel_height, 0, g.kernel_width});
    for (extent ox = begin; ox < end; ox += lanes<T>) {
        const extent count = std::min(end - ox, lanes<T>);
        batch<T> sum(pooling_start<Kind, T>());
        for (extent i = 0; i < g.kernel_height; ++i)
            for (extent j = 0; j < g.kernel_width; ++j) {
                const T* p = x + i * g.width + ox * g.stride_x - g.pad_left + j;
                batch<T> v;
                if (g.stride_x == 1)
                    v = load_partial(p, count);
                else {
                    alignas(64) T gathered[lanes<T>] = {};
                    for (extent l = 0; l < count; ++l) gathered[l] = p[l * g.stride_x];
                    v = batch<T>::load_aligned(gathered);
                }
                sum = pooling_step<Kind, T>(sum, v);
            }
        if constexpr (Kind == pooling_kind::average) sum = sum / batch<T>(divisor);
        if constexpr (Kind == pooling_kind::l2) sum = kernels::sqrt<T>(sum);
        store_partial<T>(y + ox, sum, count);
    }
}

template <pooling_kind Kind, class T>
inline void pool_channel(const pooling_geometry& g, const T* x, T* y) noexcept {
    if (is_global(g)) {
        *y = pool_image<Kind>(g, x);
        return;
    }
    // Columns of the output whose windows lie inside the image.
    const extent begin = std::min((g.pad_left + g.stride_x - 1) / g.stride_x, g.output_width);
    const extent room = g.width + g.pad_left - g.kernel_width;
    const extent end =
        std::max(begin, std::min(room < 0 ? extent{0} : room / g.stride_x + 1, g.output_width));
    for (extent oy = 0; oy < g.output_height; ++oy, y += g.output_width) {
        const extent top = oy * g.stride_y - g.pad_top;
        const bool inside = top >= 0 && top + g.kernel_height <= g.height;
        const extent first = inside ? begin : g.output_width, last = inside ? end : g.output_width;
        for (extent ox = 0; ox < first; ++ox) y[ox] = pool_window<Kind>(g, window_at(g, oy, ox), x);
        if (inside) pool_inside<Kind>(g, x + top * g.width, first, last, y);
        for (extent ox = last; ox < g.output_width; ++ox) y[ox] = pool_window<Kind>(g, window_at(g, oy, ox), x);
    }
}

template <pooling_kind Kind, class T>
inline void pool_channel_backward(const pooling_geometry& g, const T* x, const T* y, const T* dy,
                                  T* dx) noexcept {
    for (extent oy = 0; oy < g.output_height; ++oy)
        for (extent ox = 0; ox < g.output_width; ++ox, ++y, ++dy) {
            const window w = window_at(g, oy, ox);
            if (w.size() == 0) continue;
            if constexpr (Kind == pooling_kind::max) {
                // The first element equal to the result, or the first NaN where that is the result.
                const T most = *y;
                extent at = -1;
                for (extent iy = w.top; iy < w.bottom && at < 0; ++iy)
                    for (extent ix = w.left; ix < w.right; ++ix) {
                        const T v = x[iy * g.width + ix];
                        if (v == most || (is_nan(v) && is_nan(most))) {
                            at = iy * g.width + ix;
                            break;
                        }
                    }
                if (at >= 0) dx[at] += *dy;
            } else {
                T slope = *dy;
                if constexpr (Kind == pooling_kind::average)
                    slope /= pooling_divisor<T>(g, w);
                else {
                    if (*y == T(0)) continue;
                    slope /= *y;
                }
                for (extent iy = w.top; iy < w.bottom; ++iy)
                    for (extent ix = w.left; ix < w.right; ++ix) {
                        T& to = dx[iy * g.width + ix];
                        to = Kind == pooling_kind::average ? to + slope
                                                           : kernels::fma(slope, x[iy * g.width + ix], to);
                    }
            }
        }
}

/// Calls body(integral_constant<pooling_kind, kind>).
template <class Body>
inline void with_kind(pooling_kind kind, const Body& body) noexcept {
    if (kind == pooling_kind::max)
        body(std::integral_constant<pooling_kind, pooling_kind::max>{});
    else if (kind == pooling_kind::average)
        body(std::integral_constant<pooling_kind, pooling_kind::average>{});
    else
        body(std::integral_constant<pooling_kind, pooling_kind::l2>{});
}

}  // namespace detail

/// y = pool(x); `x_stride` and `y_stride` are the elements between examples.
template <class T>
void pooling_forward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x, extent x_stride,
                     T* y, extent y_stride, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.output_height * g.output_width;
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel_height * g.kernel_width < (1 << 15)) threads = nullptr;
    detail::with_kind(kind, [&](auto k) {
        parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i) {
                const extent example = i / g.channels, channel = i % g.channels;
                detail::pool_channel<k()>(g, x + example * x_stride + channel * g.height * g.width,
                                          y + example * y_stride + channel * outputs);
            }
        });
    });
}

/// dx += the gradient with respect to x, given x, y = pool(x) and dy.
template <class T>
void pooling_backward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x, extent x_stride,
                      const T* y, extent y_stride, const T* dy, extent dy_stride, T* dx, extent dx_stride,
                      thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.output_height * g.output_width;
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel_height * g.kernel_width < (1 << 15)) threads = nullptr;
    detail::with_kind(kind, [&](auto k) {
        parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i) {
                const extent example = i / g.channels, channel = i % g.channels;
                const extent plane = channel * g.height * g.width;
                detail::pool_channel_backward<k()>(g, x + example * x_stride + plane,
                                                   y + example * y_stride + channel * outputs,
                                                   dy + example * dy_stride + channel * outputs,
                                                   dx + example * dx_stride + plane);
            }
        });
    });
}

}  // namespace bespoke::kernels
