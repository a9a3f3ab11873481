#pragma once

#include "map.hpp"
#include "pooling_geometry.hpp"
#include "reduction.hpp"

namespace bespoke::kernels {

namespace detail {

template <class T>
[[gnu::noinline]] T pool_window(pooling_kind kind, const pooling_geometry& g, const window& w,
                                const T* x) noexcept {
    T sum = pooling_start<T>(kind);
    for (extent iz = w.front; iz < w.back; ++iz)
        for (extent iy = w.top; iy < w.bottom; ++iy)
            for (extent ix = w.left; ix < w.right; ++ix)
                sum = pooling_step(kind, sum, x[(iz * g.height + iy) * g.width + ix]);
    return pooling_end(kind, sum, pooling_divisor<T>(g, w));
}

/// Count neighbouring channels whose one window is the image.
template <pooling_kind Kind, std::size_t Count, class T>
[[gnu::noinline]] void pool_images(const pooling_geometry& g, const T* x, T* y) noexcept {
    const extent n = g.size(), rest = n % lanes<T>;
    const auto merge = [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) {
        return Kind == pooling_kind::max ? kernels::running_max<T>(a, b) : a + b;
    };
    batch<T> total[Count];
    merged_pieces<Count, T> before;
    extent i = 0;
    do {
        if (i > 0) before.add(total, merge);
        for (auto& one : total) one = batch<T>(pooling_start<T>(Kind));
        for (const extent end = std::min(n - rest, i + sum_piece * lanes<T>); i < end; i += lanes<T>)
            unroll<Count>([&](std::size_t c) __attribute__((always_inline)) {
                total[c] = pooling_step<batch<T>>(Kind, total[c], load(x + static_cast<extent>(c) * n + i));
            });
    } while (i < n - rest);
    before.end(total, merge);
    const T divisor = pooling_divisor<T>(g, window_at(g, 0, 0, 0));
    unroll<Count>([&](std::size_t c) __attribute__((always_inline)) {
        if (rest > 0) {
            const batch<T> last = load_partial(x + static_cast<extent>(c + 1) * n - rest, rest);
            total[c] = select<T>(first_lanes<T>(rest), pooling_step<batch<T>>(Kind, total[c], last), total[c]);
        }
        y[c] = pooling_end(Kind, fold_lanes<T>(total[c], merge), divisor);
    });
}
template <std::size_t Count, class T>
void pool_images(pooling_kind kind, const pooling_geometry& g, const T* x, T* y) noexcept {
    using enum pooling_kind;
    (kind == max       ? pool_images<max, Count, T>
     : kind == average ? pool_images<average, Count, T>
                       : pool_images<l2, Count, T>)(g, x, y);
}

/// Outputs of one plane whose windows lie inside the image but for the planes they cover.
struct outputs_inside {
    extent top, bottom, left, right;
    constexpr bool all(const pooling_geometry& g) const {
        return top == 0 && left == 0 && bottom == g.output_height && right == g.output_width;
    }
};
constexpr outputs_inside inside(const pooling_geometry& g) {
    const auto begin = [](extent pad, extent stride, extent outputs) {
        return std::min((pad + stride - 1) / stride, outputs);
    };
    const auto end = [](extent first, extent size, extent pad, extent kernel, extent stride, extent outputs) {
        const extent room = size + pad - kernel;
        return std::max(first, std::min(room < 0 ? extent{0} : room / stride + 1, outputs));
    };
    const extent top = begin(g.pad_top, g.stride_y, g.output_height);
    const extent left = begin(g.pad_left, g.stride_x, g.output_width);
    return {top, end(top, g.height, g.pad_top, g.kernel_height, g.stride_y, g.output_height), left,
            end(left, g.width, g.pad_left, g.kernel_width, g.stride_x, g.output_width)};
}

/// One row of `count` neighbouring windows inside the image, two apart, count <= lanes; x points to the first. The
/// elements in column j join `sum`, with `Both` those in column j + 1 as well.
template <pooling_kind Kind, bool Both, class T>
[[gnu::always_inline]] inline batch<T> pool_pair(batch<T> sum, const T* x, extent count) noexcept {
    const extent size = 2 * count - !Both, low = std::min(size, lanes<T>);
    const batch<T> first = load_partial(x, low), second = load_partial(x + low, size - low);
    sum = pooling_step<batch<T>>(Kind, sum, even_lanes<T>(first, second));
    return Both ? pooling_step<batch<T>>(Kind, sum, odd_lanes<T>(first, second)) : sum;
}

/// The outputs in `in` of windows of 2 x 2, two apart: the largest of columns, then of neighbours.
template <class T>
[[gnu::noinline]] void pool_largest_of_four(const pooling_geometry& g, const outputs_inside& in, const T* x,
                                            T* y) noexcept {
    const auto larger = [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) {
        return kernels::running_max<T>(a, b);
    };
    for (extent ox = in.left; ox < in.right; ox += lanes<T>) {
        const extent count = std::min(in.right - ox, lanes<T>), low = std::min(2 * count, lanes<T>);
        const T* p = x + (in.top * 2 - g.pad_top) * g.width + ox * 2 - g.pad_left;
        T* to = y + in.top * g.output_width + ox;
        for (extent oy = in.top; oy < in.bottom; ++oy, p += 2 * g.width, to += g.output_width) {
            const batch<T> first = larger(load_partial(p, low), load_partial(p + g.width, low));
            batch<T> second = first;
            if (count > lanes<T> / 2)
                second = larger(load_partial(p + low, 2 * count - low),
                                load_partial(p + g.width + low, 2 * count - low));
            store_partial<T>(to, larger(even_lanes<T>(first, second), odd_lanes<T>(first, second)), count);
        }
    }
}

/// Columns of the image whose largest elements stand in a line.
inline constexpr extent largest_line = 512;

/// The outputs of plane oz: the largest of each column go to lines, where the windows take the largest of neighbours.
template <class T>
[[gnu::noinline]] void pool_largest(const pooling_geometry& g, extent oz, const T* x, T* y) noexcept {
    alignas(64) T lines[4 * (largest_line + 2 * lanes<T>)];
    const extent together = (largest_line - g.kernel_width) / g.stride_x + 1;
    const auto larger = [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) {
        return kernels::running_max<T>(a, b);
    };
    for (extent ox = 0; ox < g.output_width; ox += together) {
        const extent outputs = std::min(g.output_width - ox, together), begin = ox * g.stride_x - g.pad_left,
                     columns = (outputs - 1) * g.stride_x + g.kernel_width,
                     first = std::clamp<extent>(-begin, 0, columns), last = std::clamp(g.width - begin, first, columns),
                     line = columns + 2 * lanes<T>,
                     rows = std::min(static_cast<extent>(std::size(lines)) / line, g.output_height);
        std::fill_n(lines, rows * line, pooling_start<T>(pooling_kind::max));
        for (extent top = 0; top < g.output_height; top += rows) {
            // Some lines at a time: what was just stored cannot be loaded at once at another alignment.
            const extent some = std::min(g.output_height - top, rows);
            for (extent r = 0; r < some; ++r) {
                const window w = window_at(g, oz, top + r, 0);
                const T* const from = x + (w.front * g.height + w.top) * g.width + begin + first;
                T* const to = lines + r * line + first;
                for_each_batch<T>(last - first, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                    batch<T> most(pooling_start<T>(pooling_kind::max));
                    for (extent iz = 0; iz < w.back - w.front; ++iz)
                        for (extent iy = 0; iy < w.bottom - w.top; ++iy)
                            most = larger(most, in(from + (iz * g.height + iy) * g.width + j));
                    out(to + j, most);
                });
            }
            for (extent r = 0; r < some; ++r)
                for (extent j = 0; j < outputs; j += lanes<T>) {
                    const extent count = std::min(outputs - j, lanes<T>);
                    const T* const p = lines + r * line + j * g.stride_x;
                    batch<T> most(pooling_start<T>(pooling_kind::max));
                    for (extent i = 0; i < g.kernel_width; ++i)
                        if (g.stride_x == 1)
                            most = larger(most, load(p + i));
                        else if (g.stride_x == 2) {
                            const batch<T> low = load(p + i), high = load(p + i + lanes<T>);
                            most = larger(most, even_lanes<T>(low, high));
                            if (++i < g.kernel_width) most = larger(most, odd_lanes<T>(low, high));
                        } else {
                            alignas(64) T gathered[lanes<T>] = {};
                            for (extent l = 0; l < count; ++l) gathered[l] = p[i + l * g.stride_x];
                            most = larger(most, batch<T>::load_aligned(gathered));
                        }
                    store_partial<T>(y + (oz * g.output_height + top + r) * g.output_width + ox + j, most, count);
                }
        }
    }
}

/// The outputs of plane oz in `in`, a batch at a time, down the image.
template <pooling_kind Kind, class T>
[[gnu::noinline]] void pool_inside(const pooling_geometry& g, const outputs_inside& in, extent oz, const T* x,
                                   T* y) noexcept {
    window planes = window_at(g, oz, 0, 0);
    planes = {0, g.kernel_height, 0, g.kernel_width, planes.front, planes.back};
    const batch<T> divisor(pooling_divisor<T>(g, planes)), start(pooling_start<T>(Kind));
    y += oz * g.output_height * g.output_width;
    for (extent ox = in.left; ox < in.right; ox += lanes<T>) {
        const extent count = std::min(in.right - ox, lanes<T>);
        const T* column = x - g.pad_top * g.width + ox * g.stride_x - g.pad_left;
        for (extent oy = in.top; oy < in.bottom; ++oy) {
            batch<T> sum = start;
            for (extent iz = planes.front; iz < planes.back; ++iz) {
                const T* window = column + (iz * g.height + oy * g.stride_y) * g.width;
                for (extent i = 0; i < g.kernel_height; ++i, window += g.width) {
                    extent j = 0;
                    for (; g.stride_x == 2 && j + 2 <= g.kernel_width; j += 2)
                        sum = pool_pair<Kind, true>(sum, window + j, count);
                    for (; j < g.kernel_width; ++j) {
                        const T* p = window + j;
                        if (g.stride_x == 2)
                            sum = pool_pair<Kind, false>(sum, p, count);
                        else if (g.stride_x == 1)
                            sum = pooling_step<batch<T>>(Kind, sum, load_partial(p, count));
                        else {
                            alignas(64) T gathered[lanes<T>] = {};
                            for (extent l = 0; l < count; ++l) gathered[l] = p[l * g.stride_x];
                            sum = pooling_step<batch<T>>(Kind, sum, batch<T>::load_aligned(gathered));
                        }
                    }
                }
            }
            store_partial<T>(y + oy * g.output_width + ox, pooling_end(Kind, sum, divisor), count);
        }
    }
}

template <class T>
[[gnu::noinline]] void pool_channel(pooling_kind kind, const pooling_geometry& g, const outputs_inside& in, const T* x,
                                    T* y) noexcept {
    const bool of_four = kind == pooling_kind::max && g.kernel() == 4 && g.kernel_height == 2 && g.kernel_width == 2 &&
                         g.stride_y == 2 && g.stride_x == 2 && g.depth == 1 && g.output_depth == 1 && g.pad_front == 0;
    for (extent oz = 0; oz < g.output_depth; ++oz) {
        if (kind == pooling_kind::max && !of_four && g.kernel_width <= largest_line) {
            pool_largest(g, oz, x, y);
            continue;
        }
        for (extent oy = 0; oy < g.output_height && !in.all(g); ++oy)
            for (extent ox = 0; ox < g.output_width; ++ox) {
                if (oy >= in.top && oy < in.bottom && ox == in.left) ox = in.right;
                if (ox < g.output_width)
                    y[(oz * g.output_height + oy) * g.output_width + ox] =
                        pool_window(kind, g, window_at(g, oz, oy, ox), x);
            }
        using enum pooling_kind;
        if (of_four)
            pool_largest_of_four(g, in, x, y);
        else
            (kind == max       ? pool_inside<max, T>
             : kind == average ? pool_inside<average, T>
                               : pool_inside<l2, T>)(g, in, oz, x, y);
    }
}

/// dx of one window; y and dy are its result and its gradient.
template <class T>
[[gnu::noinline]] void pool_window_backward(pooling_kind kind, const pooling_geometry& g, const window& w,
                                            const T* x, T y, T dy, T* dx) noexcept {
    if (w.size() == 0) return;
    if (kind == pooling_kind::max) {
        // The first element equal to the result, or the first NaN where that is the result. No way out of the loops
        // before their end: it would be guessed wrong.
        const bool nan = is_nan(y);
        extent at = -1;
        for (extent iz = w.back; iz-- > w.front;)
            for (extent iy = w.bottom; iy-- > w.top;)
                for (extent ix = w.right; ix-- > w.left;) {
                    const extent place = (iz * g.height + iy) * g.width + ix;
                    const bool taken = nan ? is_nan(x[place]) : x[place] == y;
                    at = taken ? place : at;
                }
        if (at >= 0) dx[at] += dy;
        return;
    }
    if (kind == pooling_kind::l2 && y == T(0)) return;
    const T slope = dy / (kind == pooling_kind::l2 ? y : pooling_divisor<T>(g, w));
    for (extent iz = w.front; iz < w.back; ++iz)
        for (extent iy = w.top; iy < w.bottom; ++iy)
            for (extent ix = w.left; ix < w.right; ++ix) {
                const extent place = (iz * g.height + iy) * g.width + ix;
                T& to = dx[place];
                to = kind == pooling_kind::average ? to + slope : kernels::fma(slope, x[place], to);
            }
}

/// Elements of the image whose gradients are collected before they are added.
inline constexpr extent strip_size = 1024;

/// The gradients of the output rows [first, last), whose windows are two wide and two apart and lie inside the image in
/// the columns of `in`. x and strip point to the first window's row; each element of the strip belongs to one window.
template <class T>
[[gnu::noinline]] void pool_pairs_backward(const pooling_geometry& g, bool most, const outputs_inside& in,
                                           extent first, extent last, const T* x, const T* y, const T* dy,
                                           T* strip) noexcept {
    const batch<T> zero(T(0)), divisor(static_cast<T>(g.kernel_height * 2));
    for (extent oy = first; oy < last; ++oy)
        for (extent ox = in.left; ox < in.right; ox += lanes<T>) {
            const extent count = std::min(in.right - ox, lanes<T>), low = std::min(2 * count, lanes<T>);
            const extent high = 2 * count - low, at = oy * g.output_width + ox;
            const extent corner = (oy - first) * g.stride_y * g.width + 2 * ox - g.pad_left;
            const batch<T> result = load_partial(y + at, count);
            batch<T> left = load_partial(dy + at, count);
            if (!most) left = left / divisor;
            const auto result_is_nan = is_nan<T>(result);
            for (extent i = 0; i < g.kernel_height; ++i) {
                const T* from = x + corner + i * g.width;
                T* to = strip + corner + i * g.width;
                batch<T> even = left, odd = left;
                if (most) {
                    const batch<T> v = load_partial(from, low), w = load_partial(from + low, high);
                    // What an element takes is not left for those behind it.
                    const auto take = [&](const batch<T>& element) __attribute__((always_inline)) {
                        const auto taken = element == result || (is_nan<T>(element) && result_is_nan);
                        const batch<T> part = simd::select(taken, left, zero);
                        left = simd::select(taken, zero, left);
                        return part;
                    };
                    even = take(even_lanes<T>(v, w));
                    odd = take(odd_lanes<T>(v, w));
                }
                store_partial<T>(to, interleave_low<T>(even, odd), low);
                store_partial<T>(to + low, interleave_high<T>(even, odd), high);
            }
        }
}

template <class T>
[[gnu::noinline]] void pool_channel_backward(pooling_kind kind, const pooling_geometry& g, const T* x, const T* y,
                                             const T* dy, T* dx, bool accumulates) noexcept {
    outputs_inside in = inside(g);
    prefetch(x + g.size(), g.size());
    // Output rows whose share of dx is collected in the strip.
    const extent together = strip_size / std::max<extent>(g.stride_y * g.width, 1);
    const bool flat = g.depth == 1 && g.output_depth == 1 && g.kernel_depth == 1 && g.pad_front == 0;
    if (!flat || kind == pooling_kind::l2 || g.kernel_width != 2 || g.stride_x != 2 ||
        g.stride_y < g.kernel_height || together == 0)
        in = {};
    const bool all_written = in.all(g) && 2 * g.output_width == g.width && g.stride_y == g.kernel_height &&
                             g.output_height * g.kernel_height == g.height;
    if (!accumulates && !all_written) std::fill_n(dx, g.size(), T(0));
    for (extent oz = 0; oz < g.output_depth && !in.all(g); ++oz)
        for (extent oy = 0; oy < g.output_height; ++oy)
            for (extent ox = 0; ox < g.output_width; ++ox) {
                if (oy >= in.top && oy < in.bottom && ox == in.left) ox = in.right;
                if (ox == g.output_width) continue;
                const extent output = (oz * g.output_height + oy) * g.output_width + ox;
                pool_window_backward(kind, g, window_at(g, oz, oy, ox), x, y[output], dy[output], dx);
            }
    alignas(64) T strip[strip_size];
    for (extent first = in.top; first < in.bottom; first += together) {
        const extent last = std::min(first + together, in.bottom);
        const extent start = (first * g.stride_y - g.pad_top) * g.width;
        const extent size = ((last - 1 - first) * g.stride_y + g.kernel_height) * g.width;
        if (accumulates) std::fill_n(strip, size, T(0));
        pool_pairs_backward(g, kind == pooling_kind::max, in, first, last, x + start, y, dy,
                            accumulates ? strip : dx + start);
        if (accumulates) accumulate(size, strip, dx + start);
    }
}

}  // namespace detail

/// y = pool(x); `x_stride` and `y_stride` are the elements between examples.
template <class T>
void pooling_forward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                     extent x_stride, T* y, extent y_stride, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.outputs();
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel() < (1 << 17)) threads = nullptr;
    constexpr extent together = 4;  // images
    const bool whole = detail::is_global(g);
    const detail::outputs_inside in = detail::inside(g);
    parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) {
            const extent example = i / g.channels, channel = i % g.channels;
            if (whole && i + together <= last && channel + together <= g.channels) {
                detail::pool_images<together>(kind, g, x + example * x_stride + channel * g.size(),
                                              y + example * y_stride + channel);
                i += together - 1;
                continue;
            }
            const T* from = x + example * x_stride + channel * g.size();
            T* to = y + example * y_stride + channel * outputs;
            whole ? detail::pool_images<1>(kind, g, from, to) : detail::pool_channel(kind, g, in, from, to);
        }
    });
}

/// The gradient with respect to x, given x, y = pool(x) and dy: dx += it where it `accumulates`, else dx = it.
template <class T>
void pooling_backward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                      extent x_stride, const T* y, extent y_stride, const T* dy, extent dy_stride, T* dx,
                      extent dx_stride, bool accumulates, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.outputs();
    if (examples * g.channels * outputs * g.kernel() < (1 << 17)) threads = nullptr;
    parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) {
            const extent example = i / g.channels, channel = i % g.channels;
            const extent image = channel * g.size();
            detail::pool_channel_backward(
                kind, g, x + example * x_stride + image, y + example * y_stride + channel * outputs,
                dy + example * dy_stride + channel * outputs, dx + example * dx_stride + image, accumulates);
        }
    });
}

}  // namespace bespoke::kernels
