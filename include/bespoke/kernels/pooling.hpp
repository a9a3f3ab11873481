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
    constexpr extent size() const {
        return std::max<extent>(0, bottom - top) * std::max<extent>(0, right - left);
    }
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
                else if (g.stride_x == 2) {
                    // Of 2 * count - 1 elements every second.
                    const extent second = std::max<extent>(2 * count - 1 - lanes<T>, 0);
                    v = even_lanes<T>(load_partial(p, std::min(2 * count - 1, lanes<T>)),
                                      second ? load_partial(p + lanes<T>, second) : batch<T>(T(0)));
                } else {
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

/// Output columns [begin, end) whose windows lie inside the image.
struct columns_inside {
    extent begin, end;
};
constexpr columns_inside inside_columns(const pooling_geometry& g) {
    const extent begin = std::min((g.pad_left + g.stride_x - 1) / g.stride_x, g.output_width);
    const extent room = g.width + g.pad_left - g.kernel_width;
    return {begin, std::max(begin, std::min(room < 0 ? extent{0} : room / g.stride_x + 1, g.output_width))};
}

template <pooling_kind Kind, class T>
inline void pool_channel(const pooling_geometry& g, const T* x, T* y) noexcept {
    if (is_global(g)) {
        *y = pool_image<Kind>(g, x);
        return;
    }
    const columns_inside columns = inside_columns(g);
    for (extent oy = 0; oy < g.output_height; ++oy, y += g.output_width) {
        const extent top = oy * g.stride_y - g.pad_top;
        const bool inside = top >= 0 && top + g.kernel_height <= g.height;
        const extent first = inside ? columns.begin : g.output_width,
                     last = inside ? columns.end : g.output_width;
        for (extent ox = 0; ox < first; ++ox) y[ox] = pool_window<Kind>(g, window_at(g, oy, ox), x);
        if (inside) pool_inside<Kind>(g, x + top * g.width, first, last, y);
        for (extent ox = last; ox < g.output_width; ++ox)
            y[ox] = pool_window<Kind>(g, window_at(g, oy, ox), x);
    }
}

/// dx of one window; y and dy are its result and its gradient.
template <pooling_kind Kind, class T>
inline void pool_window_backward(const pooling_geometry& g, const window& w, const T* x, T y, T dy,
                                 T* dx) noexcept {
    if (w.size() == 0) return;
    if constexpr (Kind == pooling_kind::max) {
        // The first element equal to the result, or the first NaN where that is the result.
        extent at = -1;
        for (extent iy = w.bottom; iy-- > w.top;)
            for (extent ix = w.right; ix-- > w.left;) {
                const T v = x[iy * g.width + ix];
                at = v == y || (is_nan(v) && is_nan(y)) ? iy * g.width + ix : at;
            }
        if (at >= 0) dx[at] += dy;
    } else {
        if (Kind == pooling_kind::l2 && y == T(0)) return;
        const T slope = dy / (Kind == pooling_kind::l2 ? y : pooling_divisor<T>(g, w));
        for (extent iy = w.top; iy < w.bottom; ++iy)
            for (extent ix = w.left; ix < w.right; ++ix) {
                T& to = dx[iy * g.width + ix];
                to = Kind == pooling_kind::average ? to + slope
                                                   : kernels::fma(slope, x[iy * g.width + ix], to);
            }
    }
}

/// dx of `count` neighbouring windows, two wide and two apart, inside the image; count <= lanes. x and dx point to the
/// first element of the first window.
template <pooling_kind Kind, class T>
inline void pool_pairs_backward(const pooling_geometry& g, extent count, const T* x, const batch<T>& y,
                                const batch<T>& dy, T* dx) noexcept {
    const extent low = std::min(2 * count, lanes<T>), high = 2 * count - low;
    const batch<T> zero(T(0));
    auto open = zero == zero;
    batch<T> slope = dy;
    if constexpr (Kind == pooling_kind::average) slope = dy / batch<T>(static_cast<T>(g.kernel_height * 2));
    if constexpr (Kind == pooling_kind::l2) {
        open = !(y == zero);
        slope = dy / y;
    }
    for (extent i = 0; i < g.kernel_height; ++i, x += g.width, dx += g.width) {
        const batch<T> x_low = load_partial(x, low), x_high = load_partial(x + low, high);
        const batch<T> dx_low = load_partial<T>(dx, low), dx_high = load_partial<T>(dx + low, high);
        const auto tap = [&](const batch<T>& v, const batch<T>& held) __attribute__((always_inline)) {
            if constexpr (Kind == pooling_kind::max) {
                const auto taken = open && (v == y || (is_nan<T>(v) && is_nan<T>(y)));
                open = open && !taken;
                return xsimd::select(taken, held + slope, held);
            } else if constexpr (Kind == pooling_kind::average)
                return held + slope;
            else
                return xsimd::select(open, kernels::fma<T>(slope, v, held), held);
        };
        const batch<T> even = tap(even_lanes<T>(x_low, x_high), even_lanes<T>(dx_low, dx_high));
        const batch<T> odd = tap(odd_lanes<T>(x_low, x_high), odd_lanes<T>(dx_low, dx_high));
        store_partial<T>(dx, interleave_low<T>(even, odd), low);
        store_partial<T>(dx + low, interleave_high<T>(even, odd), high);
    }
}

template <pooling_kind Kind, class T>
inline void pool_channel_backward(const pooling_geometry& g, const T* x, const T* y, const T* dy,
                                  T* dx) noexcept {
    const columns_inside columns = inside_columns(g);
    for (extent oy = 0; oy < g.output_height; ++oy, y += g.output_width, dy += g.output_width) {
        const extent top = oy * g.stride_y - g.pad_top;
        const bool pairs =
            g.kernel_width == 2 && g.stride_x == 2 && top >= 0 && top + g.kernel_height <= g.height;
        extent ox = 0;
        while (ox < g.output_width)
            if (pairs && ox >= columns.begin && ox < columns.end) {
                const extent at = top * g.width + 2 * ox - g.pad_left,
                             count = std::min(columns.end - ox, lanes<T>);
                pool_pairs_backward<Kind, T>(g, count, x + at, load_partial(y + ox, count),
                                             load_partial(dy + ox, count), dx + at);
                ox += count;
            } else {
                pool_window_backward<Kind>(g, window_at(g, oy, ox), x, y[ox], dy[ox], dx);
                ++ox;
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
void pooling_forward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                     extent x_stride, T* y, extent y_stride, thread_pool* threads = nullptr) noexcept {
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
void pooling_backward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                      extent x_stride, const T* y, extent y_stride, const T* dy, extent dy_stride, T* dx,
                      extent dx_stride, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.output_height * g.output_width;
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel_height * g.kernel_width < (1 << 15)) threads = nullptr;
    detail::with_kind(kind, [&](auto k) {
        parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i) {
                const extent example = i / g.channels, channel = i % g.channels;
                const extent plane = channel * g.height * g.width;
                detail::pool_channel_backward<k()>(
                    g, x + example * x_stride + plane, y + example * y_stride + channel * outputs,
                    dy + example * dy_stride + channel * outputs, dx + example * dx_stride + plane);
            }
        });
    });
}

}  // namespace bespoke::kernels
