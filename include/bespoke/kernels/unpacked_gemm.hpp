#pragma once

#include "gemm.hpp"

namespace bespoke::kernels {

// y = x Wᵀ + bias for weights that nobody has packed. The rows of W, as they lie, are the left-hand side; x is packed
// in their place, and the result is transposed: a little more to do than for `gemm`, far less than to pack W.

namespace detail {

template <class T>
struct unpacked_product {
    extent m, n, k;
    const T* weights;
    const T* packed;  ///< columns of xᵀ, as `pack` leaves them
    T* y;
    const T* bias;
    const epilogue<T>* after;
};

/// Rows of W, rows of x and steps of k that are multiplied at a time: what comes of them, and the part of x that many
/// rows of W meet, stay in a cache of the second level.
inline constexpr extent unpacked_rows = 192, unpacked_columns = 128;
template <class T>
inline constexpr extent unpacked_steps = 6144 / static_cast<extent>(sizeof(T));

/// Columns [first, last) of y.
template <class T>
[[gnu::noinline]] void unpacked_columns_of(const unpacked_product<T>& p, extent first, extent last) noexcept {
    constexpr extent width = panel_width<T>, most_panels = std::max<extent>(unpacked_columns / width, 1);
    constexpr extent row = most_panels * width;
    alignas(64) T block[unpacked_rows * row], left[tile_rows * unpacked_steps<T> + lanes<T>];
    const T none[tile_rows] = {};
    const auto parts_of = [](extent all, extent most) { return std::max<extent>((all + most - 1) / most, 1); };
    const extent k_parts = parts_of(p.k, unpacked_steps<T>), all_panels = parts_of(p.m, width);
    for (extent top = 0; top < all_panels; top += most_panels) {
        const extent panels = std::min(all_panels - top, most_panels);
        const extent rows_of_x = std::min(p.m - top * width, panels * width);
        for (extent j = first; j < last; j += unpacked_rows) {
            const extent rows = std::min(last - j, unpacked_rows);
            for (extent part = 0; part < k_parts; ++part) {
                const extent k = p.k * part / k_parts, steps = p.k * (part + 1) / k_parts - k;
                for (extent i = 0; i < rows; i += tile_rows) {
                    const extent in_strip = std::min(rows - i, tile_rows);
                    const T* a = p.weights + (j + i) * p.k + k;
                    extent a_row = p.k, a_column = 1;
                    if (in_strip % small_tile_rows != 0) {  // a tile reads all of its rows
                        pack_left(a, p.k, extent{1}, in_strip, steps, left);
                        a = left;
                        a_row = 1;
                        a_column = tile_rows;
                    }
                    const T* const start = p.bias != nullptr ? p.bias + j + i : none;
                    // The next rows come with all panels, if they are read through.
                    const extent share = k_parts == 1 ? parts_of(tile_rows, panels) : 0;
                    for (extent panel = 0; panel < panels; ++panel) {
                        T* const c = block + i * row + panel * width;
                        const T* const b = p.packed + (top + panel) * width * p.k + k * width;
                        const T* const coming = share > 0 ? a + (tile_rows + panel * share) * p.k : b;
                        multiply_strip<T>({steps, a, a_row, a_column, b, width, c, row, part > 0 ? c : start,
                                           part > 0 ? row : -1, coming, share, c + width},
                                          in_strip, std::min(rows_of_x - panel * width, width));
                    }
                }
            }
            T* const to = p.y + top * width * p.n + j;
            transpose(block, row, rows, rows_of_x, to, p.n);
            if (p.after != nullptr) (*p.after)({to, rows_of_x, rows, p.n});
        }
    }
}

}  // namespace detail

/// y = x Wᵀ + bias: x [m, k], W [n, k], y [m, n], bias [n] or null; m > 1. The bits are those of `gemm`.
/// `scratch`: packed_size<T>(k, m) elements. `after` is run on each block of y.
template <class T>
[[gnu::noinline]] void unpacked_gemm(extent m, extent n, extent k, const T* x, const T* weights, T* y, const T* bias,
                                     T* scratch, thread_pool* threads, const epilogue<T>* after) noexcept {
    if (m * n * k < detail::threaded_work) threads = nullptr;
    pack(x, extent{1}, k, k, m, scratch, threads);
    parallel_for(threads, n, lanes<T> > detail::tile_rows ? 4 * detail::tile_rows : 8 * detail::tile_rows,
                 [&](extent first, extent last) {
        detail::unpacked_columns_of<T>({m, n, k, weights, scratch, y, bias, after}, first, last);
    });
}

}  // namespace bespoke::kernels
