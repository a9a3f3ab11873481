#pragma once

#include "math.hpp"

#include <limits>

/// What elements that meet become, for `reduce` (reduction.hpp). A reducer is a value with
///
///   start()                        the result of no element
///   combine(result, x, pivot)      the result with one element more
///   merge(a, b)                    of two results, a of the earlier elements
///   finish(result, pivot, count)   y, of `count` elements
///
/// for a float, a double or a SIMD batch of them alike (V). The pivot is 0, unless the reducer says `pivots`: then it
/// is `pivot(most)`, made of the largest of the elements. One that differs from another in `finish` alone says which:
/// `using unfinished = sum_of`. Its gradient is
///
///   slope(x, y, extra, count)      dy/dx of the element x
///
/// which reads x and y where `reads` says so. `extra` is 0 but for the product. A reducer that says `selects` has none:
/// its gradient goes to the first element equal to y.
///
/// NaN gives NaN. No element: 0 (sum, squares, norms), 1 (product), NaN (mean), -infinity (max, both logarithms),
/// infinity (min): what numpy and PyTorch give, where they give something.
namespace bespoke::kernels {

/// Which values a slope reads.
struct slope_reads {
    bool x = true, y = true;
};

namespace detail {

/// What reducers have in common whose results add up.
struct adding {
    template <class V>
    V start() const noexcept {
        return V(0);
    }
    template <class V>
    V merge(const V& a, const V& b) const noexcept {
        return a + b;
    }
    template <class V>
    V finish(const V& sum, const V&, const V&) const noexcept {
        return sum;
    }
};

}  // namespace detail

/// sum of x
struct sum_of : detail::adding {
    static constexpr slope_reads reads{.x = false, .y = false};
    template <class V>
    V combine(const V& sum, const V& x, const V&) const noexcept {
        return sum + x;
    }
    template <class V>
    V slope(const V&, const V&, const V&, const V&) const noexcept {
        return V(1);
    }
};

/// (sum of x) / count
struct mean_of : sum_of {
    using unfinished = sum_of;
    template <class V>
    V finish(const V& sum, const V&, const V& count) const noexcept {
        return sum / count;
    }
    template <class V>
    V slope(const V&, const V&, const V&, const V& count) const noexcept {
        return V(1) / count;
    }
};

/// sum of x^2
struct sum_square_of : detail::adding {
    static constexpr slope_reads reads{.x = true, .y = false};
    template <class V>
    V combine(const V& sum, const V& x, const V&) const noexcept {
        return kernels::fma(x, x, sum);
    }
    template <class V>
    V slope(const V& x, const V&, const V&, const V&) const noexcept {
        return x + x;
    }
};

/// sqrt(sum of x^2). Where it is 0 the slope is 0.
struct l2_of : sum_square_of {
    using unfinished = sum_square_of;
    static constexpr slope_reads reads{.x = true, .y = true};
    template <class V>
    V finish(const V& sum, const V&, const V&) const noexcept {
        return kernels::sqrt(sum);
    }
    template <class V>
    V slope(const V& x, const V& y, const V&, const V&) const noexcept {
        return kernels::select(y == V(0), V(0), x / y);
    }
};

/// sum of |x|. The slope of 0 is 0.
struct l1_of : detail::adding {
    static constexpr slope_reads reads{.x = true, .y = false};
    template <class V>
    V combine(const V& sum, const V& x, const V&) const noexcept {
        return sum + kernels::abs(x);
    }
    template <class V>
    V slope(const V& x, const V&, const V&, const V&) const noexcept {
        return kernels::select(x > V(0), V(1), kernels::select(x < V(0), V(-1), V(0)));
    }
};

/// log(sum of x)
struct log_sum_of : sum_of {
    using unfinished = sum_of;
    static constexpr slope_reads reads{.x = false, .y = true};
    template <class V>
    V finish(const V& sum, const V&, const V&) const noexcept {
        return kernels::log(sum);
    }
    template <class V>
    V slope(const V&, const V& y, const V&, const V&) const noexcept {
        return kernels::exp(-y);
    }
};

/// sum of log(x + epsilon)
struct sum_log_of : detail::adding {
    float epsilon = 1e-6f;

    static constexpr slope_reads reads{.x = true, .y = false};
    template <class V>
    V combine(const V& sum, const V& x, const V&) const noexcept {
        return sum + kernels::log(x + V(epsilon));
    }
    template <class V>
    V slope(const V& x, const V&, const V&, const V&) const noexcept {
        return V(1) / (x + V(epsilon));
    }
};

/// log(sum of e^x), with the largest x outside the sum: it neither overflows nor vanishes. The slope is 0 where all
/// elements are -infinity.
struct log_sum_exp_of : detail::adding {
    static constexpr bool pivots = true;
    static constexpr slope_reads reads{.x = true, .y = true};
    template <class V>
    V pivot(const V& most) const noexcept {
        return kernels::select(most - most == V(0), most, V(0));  // infinite or NaN: the sum says so by itself
    }
    template <class V>
    V combine(const V& sum, const V& x, const V& pivot) const noexcept {
        return sum + kernels::exp(x - pivot);
    }
    template <class V>
    V finish(const V& sum, const V& pivot, const V&) const noexcept {
        return kernels::log(sum) + pivot;
    }
    template <class V>
    V slope(const V& x, const V& y, const V&, const V&) const noexcept {
        return kernels::select(y == V(-std::numeric_limits<float>::infinity()), V(0), kernels::exp(x - y));
    }
};

/// product of x. The slope is y / x; that of a zero is `extra`, the product of the other elements.
struct product_of {
    static constexpr slope_reads reads{.x = true, .y = true};
    template <class V>
    V start() const noexcept {
        return V(1);
    }
    template <class V>
    V combine(const V& product, const V& x, const V&) const noexcept {
        return product * x;
    }
    template <class V>
    V merge(const V& a, const V& b) const noexcept {
        return a * b;
    }
    template <class V>
    V finish(const V& product, const V&, const V&) const noexcept {
        return product;
    }
    template <class V>
    V slope(const V& x, const V& y, const V& extra, const V&) const noexcept {
        return kernels::select(x == V(0), extra, y / x);
    }
};

/// the largest x
struct max_of {
    static constexpr bool selects = true;
    static constexpr slope_reads reads{.x = true, .y = true};
    template <class V>
    V start() const noexcept {
        return V(-std::numeric_limits<float>::infinity());
    }
    template <class V>
    V combine(const V& most, const V& x, const V&) const noexcept {
        return kernels::running_max(most, x);
    }
    template <class V>
    V merge(const V& a, const V& b) const noexcept {
        return kernels::running_max(a, b);
    }
    template <class V>
    V finish(const V& most, const V&, const V&) const noexcept {
        return most;
    }
};

/// the smallest x
struct min_of {
    static constexpr bool selects = true;
    static constexpr slope_reads reads{.x = true, .y = true};
    template <class V>
    V start() const noexcept {
        return V(std::numeric_limits<float>::infinity());
    }
    template <class V>
    V combine(const V& least, const V& x, const V&) const noexcept {
        return kernels::running_min(least, x);
    }
    template <class V>
    V merge(const V& a, const V& b) const noexcept {
        return kernels::running_min(a, b);
    }
    template <class V>
    V finish(const V& least, const V&, const V&) const noexcept {
        return least;
    }
};

}  // namespace bespoke::kernels
