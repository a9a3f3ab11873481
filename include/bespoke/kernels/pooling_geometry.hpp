#pragma once

#include "../core/shape.hpp"
#include "math.hpp"

#include <algorithm>
#include <limits>

namespace bespoke::kernels {

enum class pooling_kind { max, average, l2 };

/// Sizes of a pooling of one example: x [channels, depth, height, width],
/// y [channels, output_depth, output_height, output_width]; `channels` stands for all leading axes. In two dimensions
/// the depth is 1.
/// Window (oz, oy, ox) covers x rows oy * stride_y - pad_top + [0, kernel_height), columns and planes likewise.
struct pooling_geometry {
    extent channels, height, width;
    extent output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent pad_top, pad_left;
    bool exclude_padding;
    extent depth = 1, output_depth = 1, kernel_depth = 1, stride_z = 1, pad_front = 0;

    constexpr extent size() const { return depth * height * width; }
    constexpr extent outputs() const { return output_depth * output_height * output_width; }
    constexpr extent kernel() const { return kernel_depth * kernel_height * kernel_width; }
};

// What lies outside the image takes no part: it never wins a maximum and adds nothing to a sum.
//   max      the largest element, NaN where there is one; backward: the first largest in row-major order
//            (the first NaN) takes the gradient
//   average  sum / elements of the kernel, or / elements inside the image with `exclude_padding`
//   l2       square root of the sum of squares (not of their mean); backward where y = 0: nothing
// A window wholly outside gives -infinity (max) or 0, and takes no gradient.
// Sums run over the window in row-major order, except where one window covers the image (global pooling):
// then in `lanes` chains, element i in lane i mod lanes, in pieces (pieces.hpp), and the lanes as in `sum_lanes`.

namespace detail {

struct window {
    extent top, bottom, left, right, front, back;
    constexpr extent size() const {
        return std::max<extent>(0, back - front) * std::max<extent>(0, bottom - top) *
               std::max<extent>(0, right - left);
    }
};

constexpr window window_at(const pooling_geometry& g, extent oz, extent oy, extent ox) {
    const extent z = oz * g.stride_z - g.pad_front, y = oy * g.stride_y - g.pad_top,
                 x = ox * g.stride_x - g.pad_left;
    return {std::max<extent>(y, 0), std::min(y + g.kernel_height, g.height),
            std::max<extent>(x, 0), std::min(x + g.kernel_width, g.width),
            std::max<extent>(z, 0), std::min(z + g.kernel_depth, g.depth)};
}

/// Whether the output is one window over the whole image.
constexpr bool is_global(const pooling_geometry& g) {
    return g.outputs() == 1 && window_at(g, 0, 0, 0).size() == g.size();
}

template <class T>
constexpr T pooling_divisor(const pooling_geometry& g, const window& w) {
    const extent inside = std::max<extent>(w.size(), 1);
    return static_cast<T>(g.exclude_padding ? inside : g.kernel());
}

/// One step of the running result: `v` joins `sum`.
template <class V>
[[gnu::always_inline]] inline V pooling_step(pooling_kind kind, const V& sum, const V& v) noexcept {
    if (kind == pooling_kind::max) return kernels::running_max(sum, v);
    return kernels::fma(v, kind == pooling_kind::average ? V(1) : v, sum);
}

/// What is made of the running result in the end.
template <class V>
[[gnu::always_inline]] inline V pooling_end(pooling_kind kind, const V& sum, const V& divisor) noexcept {
    return kind == pooling_kind::average ? sum / divisor
           : kind == pooling_kind::l2    ? kernels::sqrt(sum)
                                         : sum;
}

template <class T>
constexpr T pooling_start(pooling_kind kind) {
    return kind == pooling_kind::max ? -std::numeric_limits<T>::infinity() : T(0);
}

}  // namespace detail
}  // namespace bespoke::kernels
