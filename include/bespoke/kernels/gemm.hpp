#pragma once

#include "../core/threads.hpp"
#include "math.hpp"

#include <algorithm>

// Loops over the rows and batches of a tile: so short that they are to be written out.
#ifdef __clang__
#define BESPOKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BESPOKE_UNROLL _Pragma("GCC unroll 16")
#endif

namespace bespoke::kernels {

// Matrix products over a packed right-hand side.
//
// Order of arithmetic: every element of C is one chain of fma over k ascending,
//     c = start;  c = fma(a[i, 0], b[0, j], c);  c = fma(a[i, 1], b[1, j], c); ...
// where start is 0, the bias or what C held. Blocking over k stores the chain in C and reloads it, so that
// neither blocks, tiles, tails nor threads change a bit. The one exception: a single row (m = 1) with few
// columns, see `row_chains`.

/// Columns of one packed panel: two batches.
template <class T>
inline constexpr extent panel_width = 2 * lanes<T>;

/// Elements that `pack` writes for a k x n matrix.
template <class T>
constexpr extent packed_size(extent k, extent n) {
    return (n + panel_width<T> - 1) / panel_width<T> * panel_width<T> * k;
}

namespace detail {

/// Rows of the largest register tile; with two batches of columns it leaves room for the operands.
inline constexpr std::size_t tile_rows = vector_registers == 32 ? 12 : 6;

/// Steps of k after which a tile goes back to C, so that a panel of B stays near.
template <class T>
inline constexpr extent k_block = 1536 / static_cast<extent>(sizeof(T));

/// C[Rows, columns] = start + A B for one panel: `Batches` batches wide, of which `columns` columns are stored.
/// The start is C, or `row_bias` (one a row), or `bias` (one a column), or zero.
///
/// The loops over Rows and Batches are written out by the compiler, and the sums stay in registers.
template <class T, std::size_t Rows, std::size_t Batches>
inline void tile(extent k, const T* a, extent a_row, extent a_column, const T* b, T* c, extent c_row,
                 extent columns, const T* bias, const T* row_bias, bool load_c) noexcept {
    constexpr auto rows = static_cast<extent>(Rows), batches = static_cast<extent>(Batches);
    batch<T> sum[Rows][Batches];
    extent valid[Batches];
    for (extent j = 0; j < batches; ++j) valid[j] = std::clamp(columns - j * lanes<T>, extent{0}, lanes<T>);
    const bool whole = columns == batches * lanes<T>;
    BESPOKE_UNROLL
    for (extent i = 0; i < rows; ++i) {
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) {
            const T* p = load_c ? c + i * c_row + j * lanes<T> : bias ? bias + j * lanes<T> : nullptr;
            if (load_c || (bias && !row_bias))
                sum[i][j] = whole ? load(p) : load_partial(p, valid[j]);
            else
                sum[i][j] = batch<T>(row_bias ? row_bias[i] : T(0));
        }
    }
    for (extent p = 0; p < k; ++p) {
        batch<T> right[Batches];
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) right[j] = load(b + j * lanes<T>);
        BESPOKE_UNROLL
        for (extent i = 0; i < rows; ++i) {
            const batch<T> left(a[i * a_row]);
            BESPOKE_UNROLL
            for (extent j = 0; j < batches; ++j) sum[i][j] = kernels::fma<T>(left, right[j], sum[i][j]);
        }
        a += a_column;
        b += panel_width<T>;
    }
    BESPOKE_UNROLL
    for (extent i = 0; i < rows; ++i) {
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) {
            T* p = c + i * c_row + j * lanes<T>;
            if (whole)
                store<T>(p, sum[i][j]);
            else
                store_partial<T>(p, sum[i][j], valid[j]);
        }
    }
}

/// `tile` for any number of rows.
template <class T, std::size_t Batches, std::size_t Rows = tile_rows>
inline void tiles(extent m, extent k, const T* a, extent a_row, extent a_column, const T* b, T* c,
                  extent c_row, extent columns, const T* bias, const T* row_bias, bool load_c) noexcept {
    constexpr auto step = static_cast<extent>(Rows);
    extent i = 0;
    for (; i + step <= m; i += step)
        tile<T, Rows, Batches>(k, a + i * a_row, a_row, a_column, b, c + i * c_row, c_row, columns, bias,
                               row_bias ? row_bias + i : nullptr, load_c);
    if constexpr (Rows > 1) {
        constexpr std::size_t next = Rows > 4 ? Rows / 3 : Rows / 2;
        if (i < m)
            tiles<T, Batches, next>(m - i, k, a + i * a_row, a_row, a_column, b, c + i * c_row, c_row,
                                    columns, bias, row_bias ? row_bias + i : nullptr, load_c);
    }
}

/// C[m, n] for the panels in [first, last) and all rows.
template <class T>
inline void panels(extent m, extent n, extent k, extent first, extent last, const T* a, extent a_row,
                   extent a_column, const T* packed, T* c, extent c_row, const T* bias,
                   bool accumulate) noexcept {
    for (extent p = 0; p == 0 || p < k; p += k_block<T>) {
        const extent steps = std::min(k - p, k_block<T>);
        for (extent panel = first; panel < last; ++panel) {
            const extent column = panel * panel_width<T>;
            const extent columns = std::min(n - column, panel_width<T>);
            const T* b = packed + panel * panel_width<T> * k + p * panel_width<T>;
            const T* start = bias ? bias + column : nullptr;
            const bool load_c = accumulate || p > 0;
            if (columns > lanes<T>)
                tiles<T, 2>(m, steps, a + p * a_column, a_row, a_column, b, c + column, c_row, columns, start,
                            nullptr, load_c);
            else
                tiles<T, 1>(m, steps, a + p * a_column, a_row, a_column, b, c + column, c_row, columns, start,
                            nullptr, load_c);
        }
    }
}

/// In how many interleaved sums a single row computes each element: k = 0, Chains, 2 Chains, ... goes to the
/// first, which also holds the start, k = 1, Chains + 1, ... to the second; then (0 + 1) + (2 + 3).
/// With few columns one chain would wait for its own result; decided by n and k alone.
template <class T>
constexpr std::size_t row_chains(extent n, extent k) {
    if (k < 16) return 1;
    return n <= 2 * lanes<T> ? 4 : n <= 4 * lanes<T> ? 2 : 1;
}

/// `Batches` batches of C's single row from `column` on, which is a multiple of the batch. Batches beyond the matrix
/// are computed from the zeros of the last panel, if that reaches so far.
template <class T, std::size_t Batches, std::size_t Chains, class K>
[[gnu::always_inline]] inline void row_tile(K size, extent column, extent n, const T* a, extent a_column,
                                            const T* packed, T* c, const T* bias, bool accumulate) noexcept {
    constexpr auto batches = static_cast<extent>(Batches), chains = static_cast<extent>(Chains);
    const extent k = size;
    const T* b = packed + column / panel_width<T> * panel_width<T> * k + column % panel_width<T>;
    batch<T> sum[Chains][Batches];
    BESPOKE_UNROLL
    for (extent j = 0; j < batches; ++j) {
        const T* start = accumulate ? c : bias;
        const extent valid = std::clamp(n - column - j * lanes<T>, extent{0}, lanes<T>);
        const T* p = start ? start + column + j * lanes<T> : nullptr;
        sum[0][j] = !start ? batch<T>(T(0)) : valid == lanes<T> ? load(p) : load_partial(p, valid);
        BESPOKE_UNROLL
        for (extent chain = 1; chain < chains; ++chain) sum[chain][j] = batch<T>(T(0));
    }
    const auto step = [&](extent chain) __attribute__((always_inline)) {
        const batch<T> left(a[chain * a_column]);
        BESPOKE_UNROLL
        for (extent j = 0; j < batches; ++j) {
            const T* right = b + j / 2 * panel_width<T> * k + j % 2 * lanes<T> + chain * panel_width<T>;
            sum[chain][j] = kernels::fma<T>(left, load(right), sum[chain][j]);
        }
    };
    extent p = 0;
    for (; p + chains <= k; p += chains) {
        BESPOKE_UNROLL
        for (extent chain = 0; chain < chains; ++chain) step(chain);
        a += chains * a_column;
        b += chains * panel_width<T>;
    }
    BESPOKE_UNROLL
    for (extent chain = 0; chain + 1 < chains; ++chain)
        if (p + chain < k) step(chain);
    BESPOKE_UNROLL
    for (extent j = 0; j < batches; ++j) {
        batch<T> total = sum[0][j];
        if constexpr (Chains == 2) total = total + sum[1][j];
        if constexpr (Chains == 4) total = (total + sum[1][j]) + (sum[2][j] + sum[3][j]);
        const extent valid = std::clamp(n - column - j * lanes<T>, extent{0}, lanes<T>);
        T* q = c + column + j * lanes<T>;
        if (valid == lanes<T>)
            store<T>(q, total);
        else
            store_partial<T>(q, total, valid);
    }
}

/// C[1, n] in the columns [begin, end), multiples of a panel but for the end of the matrix.
template <class T, std::size_t Chains, class N, class K>
[[gnu::always_inline]] inline void row(N size, K k, extent begin, extent end, const T* a, extent a_column,
                                       const T* packed, T* c, const T* bias, bool accumulate) noexcept {
    const extent n = size;
    constexpr extent most = Chains == 1 ? 8 : Chains == 2 ? 4 : 2;
    extent j = begin;
    if (Chains == 4 && n <= lanes<T>)
        return row_tile<T, 1, Chains>(k, j, n, a, a_column, packed, c, bias, accumulate);
    // More than most - 2 batches are left: the last panel holds them all.
    for (; j + (most - 2) * lanes<T> < end; j += most * lanes<T>)
        row_tile<T, most, Chains>(k, j, n, a, a_column, packed, c, bias, accumulate);
    if constexpr (Chains == 1)
        for (; j < end; j += 2 * lanes<T>)
            row_tile<T, 2, Chains>(k, j, n, a, a_column, packed, c, bias, accumulate);
}

/// Below this many multiply-adds waking threads costs more than it brings.
inline constexpr extent threaded_work = 1 << 17;

}  // namespace detail

/// Packs the k x n matrix B, B(i, j) = b[i * row_stride + j * column_stride], for `gemm`: panels of
/// `panel_width` columns one after another, each k rows of `panel_width` elements, zero beyond column n.
/// `packed` holds packed_size<T>(k, n) elements and may not overlap b.
template <class T>
void pack(const T* b, extent row_stride, extent column_stride, extent k, extent n, T* packed,
          thread_pool* threads = nullptr) noexcept {
    constexpr extent width = panel_width<T>;
    const extent panels = (n + width - 1) / width;
    parallel_for(
        k * n < detail::threaded_work ? nullptr : threads, panels, 1, [&](extent first, extent last) {
            for (extent panel = first; panel < last; ++panel) {
                const extent columns = std::min(n - panel * width, width);
                const T* from = b + panel * width * column_stride;
                T* to = packed + panel * width * k;
                if (column_stride == 1) {
                    for (extent i = 0; i < k; ++i, to += width) {
                        std::memcpy(to, from + i * row_stride, static_cast<std::size_t>(columns) * sizeof(T));
                        std::fill(to + columns, to + width, T(0));
                    }
                } else if (row_stride == 1) {
                    transpose(from, column_stride, columns, k, to, width);
                    for (extent i = 0; columns < width && i < k; ++i)
                        std::fill(to + i * width + columns, to + (i + 1) * width, T(0));
                } else {
                    for (extent i = 0; i < k; ++i)
                        for (extent j = 0; j < width; ++j)
                            to[i * width + j] = j < columns ? from[i * row_stride + j * column_stride] : T(0);
                }
            }
        });
}

/// C = A B + bias, or C += A B where `accumulate` (then `bias` is null).
///
/// A [m, k], A(i, p) = a[i * a_row_stride + p * a_column_stride]; B [k, n] as `pack` left it;
/// C [m, n], C(i, j) = c[i * c_row_stride + j], overlapping neither; bias [n] or null.
/// `accumulate` starts each chain with what C holds. Sizes are `extent` or `constant<V>`: the bits are the same.
template <class T, class M, class N, class K>
void gemm(M m_size, N n_size, K k_size, const T* a, extent a_row_stride, extent a_column_stride,
          const T* packed_b, T* c, extent c_row_stride, const T* bias = nullptr, bool accumulate = false,
          thread_pool* threads = nullptr) noexcept {
    const extent m = m_size, n = n_size, k = k_size;
    if (m <= 0 || n <= 0) return;
    if (m * n * k < detail::threaded_work) threads = nullptr;
    const extent panels = (n + panel_width<T> - 1) / panel_width<T>;
    if (m == 1) {
        const auto part = [&](extent first, extent last) {
            const extent begin = first * panel_width<T>, end = std::min(last * panel_width<T>, n);
            const std::size_t chains = detail::row_chains<T>(n, k);
            if (chains == 1)
                detail::row<T, 1>(n_size, k_size, begin, end, a, a_column_stride, packed_b, c, bias,
                                  accumulate);
            else if (chains == 2)
                detail::row<T, 2>(n_size, k_size, begin, end, a, a_column_stride, packed_b, c, bias,
                                  accumulate);
            else
                detail::row<T, 4>(n_size, k_size, begin, end, a, a_column_stride, packed_b, c, bias,
                                  accumulate);
        };
        if (threads)
            parallel_for(threads, panels, 1, part);
        else
            part(0, panels);
        return;
    }
    const auto size = threads ? static_cast<extent>(threads->size()) : extent{1};
    const extent row_blocks = m / static_cast<extent>(detail::tile_rows);
    if (panels >= 2 * size || panels >= row_blocks)
        parallel_for(threads, panels, 1, [&](extent first, extent last) {
            detail::panels<T>(m, n, k, first, last, a, a_row_stride, a_column_stride, packed_b, c,
                              c_row_stride, bias, accumulate);
        });
    else
        parallel_for(threads, m, static_cast<extent>(detail::tile_rows), [&](extent first, extent last) {
            detail::panels<T>(last - first, n, k, 0, panels, a + first * a_row_stride, a_row_stride,
                              a_column_stride, packed_b, c + first * c_row_stride, c_row_stride, bias,
                              accumulate);
        });
}

}  // namespace bespoke::kernels

#undef BESPOKE_UNROLL
