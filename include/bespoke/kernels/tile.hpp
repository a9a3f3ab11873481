#pragma once

#include "simd.hpp"

#include <algorithm>
#include <type_traits>

namespace bespoke::kernels {

/// Columns of one packed panel: two batches.
template <class T>
inline constexpr extent panel_width = 2 * lanes<T>;

/// Elements that `pack` writes for a k x n matrix.
template <class T>
constexpr extent packed_size(extent k, extent n) {
    return (n + panel_width<T> - 1) / panel_width<T> * panel_width<T> * k;
}

namespace detail {

/// Rows of the larger register tile; with two batches of columns it leaves room for the operands. Of the smaller
/// tile just enough to hide the latency of a multiply-add.
inline constexpr extent tile_rows = vector_registers == 32 ? 12 : 6,
                        small_tile_rows = tile_rows == 12 ? 4 : 3;

/// Below this many multiply-adds, or elements that are but moved or added, waking threads (about 5 us) costs more than
/// it brings.
inline constexpr extent threaded_work = 1 << 19, threaded_elements = 1 << 17;

/// Steps of k after which a tile goes back to C, so that a panel of B stays in a cache of the first level.
template <class T>
inline constexpr extent k_block = 768 / static_cast<extent>(sizeof(T));

/// The product that all matrix products and convolutions are made of: for each row i and column j of one panel
///     c[c_rows[i] + j] = start[j] + sum over p in [0, steps) of a[a_rows[i] + a_steps[p]] * b[p * panel_width + j],
/// one chain of fma over p ascending. The rows are given with the call. `start` null: the chain starts with what C
/// holds. Rows of C and `start` are whole batches.
template <class T>
struct panel_product {
    extent steps;
    const T* a;
    const extent* a_steps;
    const T* b;
    T* c;
    const T* start;
};

/// Rows 0 ... last of a product; those of the tile beyond repeat the last one.
///
/// Element I of `sum` is batch I % Batches of row I / Batches: all of them stay in registers.
template <class T, std::size_t Batches, std::size_t... I>
[[gnu::always_inline]] inline void tile_elements(const panel_product<T>& t, const extent* a_rows,
                                                 const extent* c_rows, extent last,
                                                 std::index_sequence<I...>) noexcept {
    const auto row = [last](std::size_t i) { return std::min(static_cast<extent>(i / Batches), last); };
    const auto column = [](std::size_t i) { return static_cast<extent>(i % Batches) * lanes<T>; };
    const T* a[] = {t.a + a_rows[row(I)]...};
    batch<T> sum[] = {load((t.start != nullptr ? t.start : t.c + c_rows[row(I)]) + column(I))...};
    const T* b = t.b;
    constexpr extent ahead = k_block<T> * panel_width<T>;  // the next part of B
    for (extent p = 0; p < t.steps; ++p, b += panel_width<T>) {
        __builtin_prefetch(b + ahead, 0, 2);
        __builtin_prefetch(b + ahead + lanes<T>, 0, 2);
        const extent step = t.a_steps[p];
        batch<T> right[Batches];
        right[0] = in_register<T>(load(b));
        if constexpr (Batches == 2) right[1] = in_register<T>(load(b + lanes<T>));
        ((sum[I] = kernels::fma<T>(batch<T>(a[I / Batches * Batches][step]), right[I % Batches], sum[I])),
         ...);
    }
    (store<T>(t.c + c_rows[row(I)] + column(I), sum[I]), ...);
}
template <class T, std::size_t Rows, std::size_t Batches>
[[gnu::noinline]] void tile(const panel_product<T>& t, const extent* a_rows, const extent* c_rows,
                            extent last) noexcept {
    tile_elements<T, Batches>(t, a_rows, c_rows, last, std::make_index_sequence<Rows * Batches>{});
}

/// `rows` rows of a product; `columns` of the panel are wanted, what lies beyond their last batch is left alone.
template <class T>
[[gnu::noinline]] void multiply_panel(const panel_product<T>& t, extent rows, const extent* a_rows,
                                      const extent* c_rows, extent columns) noexcept {
    const bool wide = columns > lanes<T>;
    for (extent i = 0; i < rows;) {
        const extent rest = rows - i;
        if (3 * rest > 2 * tile_rows) {
            (wide ? tile<T, tile_rows, 2> : tile<T, tile_rows, 1>)(t, a_rows + i, c_rows + i,
                                                                   std::min(rest, tile_rows) - 1);
            i += tile_rows;
        } else {
            (wide ? tile<T, small_tile_rows, 2>
                  : tile<T, small_tile_rows, 1>)(t, a_rows + i, c_rows + i,
                                                 std::min(rest, small_tile_rows) - 1);
            i += small_tile_rows;
        }
    }
}

/// In how many interleaved sums a single row computes each element: k = 0, chains, 2 chains, ... goes to the
/// first, which also holds the start, k = 1, chains + 1, ... to the second; then (0 + 1) + (2 + 3).
/// With few columns one chain would wait for its own result; decided by n and k alone.
template <class T>
constexpr extent row_chains(extent n, extent k) {
    constexpr extent few = vector_registers == 32 ? 4 * lanes<T> : 2 * lanes<T>;
    return k < 16 || n > 2 * few ? 1 : n > few ? 2 : 4;
}

/// Batches of columns of a single row that are computed together where `left` columns are left: as many as leave the
/// sums in registers, and no more than the panels hold.
template <class T>
constexpr extent row_batches(extent chains, extent left) {
    constexpr extent most = vector_registers == 32 ? 16 : 8;
    const extent wide = left > 6 * lanes<T> ? 8 : left > 2 * lanes<T> ? 4 : left > lanes<T> || chains == 1 ? 2 : 1;
    return std::min(wide, std::min<extent>(most / chains, 8));
}

/// c[0, Batches * lanes) = start + a B of one row; B's columns begin at b, the first of a panel. `valid` of the
/// columns are read from `start` (null: zero) and written to c.
template <class T, extent Batches, extent Chains, class K>
[[gnu::always_inline]] inline void row_product(K size, extent valid, const T* a, extent a_column, const T* b,
                                               const T* start, T* c) noexcept {
    const extent k = size;
    const auto count = [=](extent j) __attribute__((always_inline)) {
        return std::clamp(valid - j * lanes<T>, extent{0}, lanes<T>);
    };
    const bool whole = valid == Batches * lanes<T>;
    batch<T> sum[Chains][Batches];
    BESPOKE_UNROLL
    for (extent j = 0; j < Batches; ++j) {
        BESPOKE_UNROLL
        for (extent chain = 0; chain < Chains; ++chain) sum[chain][j] = batch<T>(T(0));
        if (start != nullptr)
            sum[0][j] = whole ? load(start + j * lanes<T>) : load_partial(start + j * lanes<T>, count(j));
    }
    const auto step = [&](extent chain) __attribute__((always_inline)) {
        const batch<T> left(a[chain * a_column]);
        BESPOKE_UNROLL
        for (extent j = 0; j < Batches; ++j) {
            const T* right = b + j / 2 * panel_width<T> * k + j % 2 * lanes<T> + chain * panel_width<T>;
            if constexpr (std::is_same_v<K, extent> && vector_registers == 16)  // B may lie beyond the near caches
                if (j % 2 == 0) __builtin_prefetch(right + 3 * panel_width<T>);
            sum[chain][j] = kernels::fma<T>(left, load(right), sum[chain][j]);
        }
    };
    extent p = 0;
    for (; p + Chains <= k; p += Chains) {
        BESPOKE_UNROLL
        for (extent chain = 0; chain < Chains; ++chain) step(chain);
        a += Chains * a_column;
        b += Chains * panel_width<T>;
    }
    BESPOKE_UNROLL
    for (extent chain = 0; chain + 1 < Chains; ++chain)
        if (p + chain < k) step(chain);
    BESPOKE_UNROLL
    for (extent j = 0; j < Batches; ++j) {
        batch<T> total = sum[0][j];
        if constexpr (Chains == 2) total = total + sum[1][j];
        if constexpr (Chains == 4) total = (total + sum[1][j]) + (sum[2][j] + sum[3][j]);
        if (whole)
            store<T>(c + j * lanes<T>, total);
        else
            store_partial<T>(c + j * lanes<T>, total, count(j));
    }
}
/// The same for any size, all columns valid.
template <class T, extent Batches, extent Chains>
[[gnu::noinline]] void row_product_dynamic(extent k, const T* a, extent a_column, const T* b, const T* start,
                                           T* c) noexcept {
    row_product<T, Batches, Chains>(k, Batches * lanes<T>, a, a_column, b, start, c);
}

}  // namespace detail
}  // namespace bespoke::kernels
