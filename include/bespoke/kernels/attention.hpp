#pragma once

#include "gemm.hpp"

namespace bespoke::kernels {

// Two matrix products of which the first one's result is never whole in memory: y = f(a b) c, where f works on rows,
// as attention does with q, kᵀ and v. The bits are those of two calls of `gemm`, of two or more rows, with f between
// them: each sum is the same chain.

/// Rows that are computed together: as many as stay near beside what they meet, in whole tiles.
template <class T>
constexpr extent attention_rows(extent n) {
    constexpr extent near = 48 * 1024 / static_cast<extent>(sizeof(T)), most = 4;
    return std::clamp<extent>(near / std::max<extent>(n * detail::tile_rows, 1), 1, most) * detail::tile_rows;
}

/// Elements that `attend` works with.
template <class T>
constexpr extent attention_size(extent n) {
    return attention_rows<T>(n) * n;
}

/// a [m, k], b [k, n] as `pack` left it, c [n, columns] likewise, y [m, columns].
template <class T>
struct attention {
    extent m, n, k, columns;
    const T* a;
    extent a_row, a_column;
    const T *packed_b, *packed_c;
    T* y;
    extent y_row;
};

/// Rows [first, last) of y, `attention_rows` of them at most. `f` is run on the rows of a b; their place in the result
/// of all products begins at `offset`.
template <class T>
[[gnu::noinline]] void attend(const attention<T>& p, extent first, extent last, extent offset, T* scratch,
                              const epilogue<T>& f) noexcept {
    const auto panels = [](extent columns) { return (columns + panel_width<T> - 1) / panel_width<T>; };
    const extent rows = last - first;
    if (rows <= 0) return;
    detail::multiply_panels<T>({rows, p.n, p.k, p.a + first * p.a_row, p.a_row, p.a_column, p.packed_b, scratch, p.n,
                                nullptr, false, nullptr},
                               0, panels(p.n));
    f({scratch, rows, p.n, p.n, offset + first * p.n});
    detail::multiply_panels<T>({rows, p.columns, p.n, scratch, p.n, 1, p.packed_c, p.y + first * p.y_row, p.y_row,
                                nullptr, false, nullptr},
                               0, panels(p.columns));
}

}  // namespace bespoke::kernels
