#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"

#include <algorithm>
#include <limits>

namespace bespoke {
namespace detail {

/// What runs for all of them: y = x in the elements (m, n) of a matrix with n - m from `lowest` to `highest`, else 0.
struct diagonal_band {
    static constexpr extent everything = std::numeric_limits<extent>::max();

    extent lowest = -everything, highest = everything;

    static constexpr auto key = "diagonalBand";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true, in_place = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 2) return shape_fault("an input of rank 2 or more wanted, its shape is ", x);
        return x;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        each_row(y, w.threads, [&](extent at, extent columns, extent first, extent last) {
            using T = typename Y::value_type;
            kernels::fill(first, T(0), y.data + at);
            kernels::copy(last - first, x.data + at + first, y.data + at + first);
            kernels::fill(columns - last, T(0), y.data + at + last);
        });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        each_row(dx, w.threads, [&](extent at, extent, extent first, extent last) {
            kernels::accumulate(last - first, dy.data + at + first, dx.data + at + first);
        });
    }
    friend bool operator==(const diagonal_band&, const diagonal_band&) = default;

private:
    /// Calls body(offset of the row, columns, first, last): the columns [first, last) are in the band.
    template <class View, class Body>
    void each_row(const View& v, thread_pool* threads, const Body& body) const noexcept {
        const extent rows = v.dimensions.from_end(2), columns = v.dimensions.from_end(1);
        if (columns == 0) return;
        parallel_for(threads, v.total() / columns, 4096 / columns + 1, [&](extent begin, extent end) {
            for (extent row = begin; row < end; ++row) {
                const extent m = row % rows;
                // columns m + lowest to m + highest, without an overflow
                const extent first = lowest <= -m ? 0 : lowest >= columns - m ? columns : m + lowest;
                const extent last = highest < -m ? 0 : highest >= columns - m ? columns : m + highest + 1;
                body(row * columns, columns, first, std::max(first, last));
            }
        });
    }
};

}  // namespace detail

/// The matrices x [..., M, N] with 0 outside a band about their main diagonals: y_mn = x_mn where m - n <= num_lower
/// and n - m <= num_upper, of which a negative one means no bound.
/// Core ML specification, MatrixBandPartLayerParams.
struct matrix_band_part {
    extent num_lower = 0, num_upper = 0;

    static constexpr auto key = "matrixBandPart";
    constexpr void fields(auto& field) {
        field("numLower", num_lower);
        field("numUpper", num_upper);
    }

    constexpr outcome output_shape(const shape& x) const { return equivalent(x).output_shape(x); }
    constexpr detail::diagonal_band equivalent(const shape&) const {
        constexpr extent everything = detail::diagonal_band::everything;
        return {num_lower < 0 ? -everything : -num_lower, num_upper < 0 ? everything : num_upper};
    }
    friend bool operator==(const matrix_band_part&, const matrix_band_part&) = default;
};

/// The matrices x [..., M, N] with 0 above diagonal k, which is k to the right of the main one: y_mn = x_mn where
/// n - m <= k.
/// Core ML specification, LowerTriangularLayerParams.
struct lower_triangular {
    extent k = 0;

    static constexpr auto key = "lowerTriangular";
    constexpr void fields(auto& field) { field("k", k); }

    constexpr outcome output_shape(const shape& x) const { return equivalent(x).output_shape(x); }
    constexpr detail::diagonal_band equivalent(const shape&) const { return {.highest = k}; }
    friend bool operator==(const lower_triangular&, const lower_triangular&) = default;
};

/// The matrices x [..., M, N] with 0 below diagonal k, which is k to the right of the main one: y_mn = x_mn where
/// n - m >= k.
/// Core ML specification, UpperTriangularLayerParams.
struct upper_triangular {
    extent k = 0;

    static constexpr auto key = "upperTriangular";
    constexpr void fields(auto& field) { field("k", k); }

    constexpr outcome output_shape(const shape& x) const { return equivalent(x).output_shape(x); }
    constexpr detail::diagonal_band equivalent(const shape&) const { return {.lowest = k}; }
    friend bool operator==(const upper_triangular&, const upper_triangular&) = default;
};

}  // namespace bespoke
