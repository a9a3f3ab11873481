#pragma once

#include "../core/epilogue.hpp"
#include "../core/threads.hpp"
#include "block_product.hpp"
#include "transpose.hpp"

namespace bespoke::kernels {

// Matrix products over a packed right-hand side.
//
// Order of arithmetic: every element of C is one chain of fma over k ascending,
//     c = start;  c = fma(a[i, 0], b[0, j], c);  c = fma(a[i, 1], b[1, j], c); ...
// where start is 0, the bias or what C held. Blocking over k stores the chain in C and reloads it, so that
// neither blocks, tiles, tails nor threads change a bit. The one exception: a single row (m = 1) with few
// columns, see `row_chains`.

namespace detail {

template <class T>
struct matrix_product {
    extent m, n, k;
    const T* a;
    extent a_row, a_column;
    const T* packed;
    T* c;
    extent c_row;
    const T* bias;
    bool accumulate;
    const epilogue<T>* after;
};

/// table[i] = i * step.
inline void multiples(extent step, extent count, extent* table) noexcept {
    for (extent i = 0; i < count; ++i) table[i] = i * step;
}

template <class T>
void copy_rows(extent rows, extent columns, const T* from, extent from_row, T* to, extent to_row) noexcept {
    for (extent i = 0; i < rows; ++i, from += from_row, to += to_row)  // short ones: a call would cost more than they
        for_each_batch<T>(
            columns, [&](extent j, auto in, auto out) __attribute__((always_inline)) { out(to + j, in(from + j)); });
}

/// Elements of A that stay near where it is read as it lies.
template <class T>
inline constexpr extent near_size = 396 * 1024 / static_cast<extent>(sizeof(T));

/// Whether the rows of A are to be packed: where many panels read columns of it, and where more rows than a set of the
/// cache holds, a multiple of the distance at which sets repeat apart, would drive each other out.
template <class T>
bool wants_left(const matrix_product<T>& p, extent panels) noexcept {
    if (p.a_column != 1) return panels >= 16;
    return tile_rows > 8 && p.a_row * static_cast<extent>(sizeof(T)) % 4096 == 0;
}

/// What is done to the sums of a panel of C, by `after` or nothing.
template <class T>
struct finished_blocks {
    const channel_map<T>* map = nullptr;  ///< what the tiles do before they store, or null
    const epilogue<T>* after = nullptr;   ///< the rest, or null

    /// `in_tiles`: the tiles write C itself. Channels of the map would be the columns: what has none is done there.
    finished_blocks(const epilogue<T>* all, bool in_tiles) noexcept : after(all) {
        if (all == nullptr || !in_tiles || all->map == nullptr || all->map->scale != nullptr) return;
        map = all->map;
        after = all->rest;
    }

    /// The strip that begins `at` rows below the first one is there, `ends`: the last one. Some strips at a time are
    /// finished: calls are dear, and so many stay in the first cache.
    void operator()(const output_block<T>& strip, extent at, bool ends) const noexcept {
        constexpr extent most = 8 * tile_rows;
        const extent done = at % most + strip.rows;
        if (after != nullptr && (done == most || ends))
            (*after)({strip.data - (done - strip.rows) * strip.stride, done, strip.columns, strip.stride});
    }
};

/// C in the rows [0, p.m) and the panels [first, last). A block of A stays in a cache of the second level while all
/// panels meet it, so that B, which may come from far, is read once for many rows.
template <class T>
[[gnu::noinline]] void multiply_panels(const matrix_product<T>& p, extent first, extent last) noexcept {
    constexpr extent width = panel_width<T>;
    alignas(64) T left[left_size<T> + lanes<T>], start[width], edge[tile_rows * width];
    const bool packs = wants_left(p, last - first);
    const auto parts_of = [](extent all, extent most) { return std::max<extent>((all + most - 1) / most, 1); };
    const extent k_parts = parts_of(p.k, packs ? left_steps<T> : 3 * left_steps<T> / 4);
    const extent strips = (p.m + tile_rows - 1) / tile_rows;
    const extent together = (packs ? left_size<T> : near_size<T>) / (tile_rows * parts_of(p.k, k_parts)),
                 blocks = (strips + together - 1) / together;
    for (extent part = 0; part < blocks * k_parts; ++part) {
        const extent block = part / k_parts, k_part = part % k_parts, k = p.k * k_part / k_parts;
        const extent steps = p.k * (k_part + 1) / k_parts - k, top = strips * block / blocks * tile_rows;
        const extent bottom = std::min(strips * (block + 1) / blocks * tile_rows, p.m);
        const bool goes_on = p.accumulate || k > 0, ends = k_part + 1 == k_parts;
        const T* a = p.a + k * p.a_column;
        const extent share = parts_of(width, parts_of(bottom - top, tile_rows));  // of B, that comes with a tile
        // Rows that do not fill a tile are packed in any case: a tile reads all of its rows.
        const extent from = packs ? top : bottom % small_tile_rows == 0 ? bottom : (bottom - 1) / tile_rows * tile_rows;
        pack_left(a + from * p.a_row, p.a_row, p.a_column, bottom - from, steps, left);
        for (extent panel = first; panel < last; ++panel) {
            const extent column = panel * width, columns = std::min(p.n - column, width);
            const bool whole = columns % lanes<T> == 0;
            const finished_blocks<T> finished(ends ? p.after : nullptr, whole);
            std::fill_n(start, width, T(0));
            if (p.bias != nullptr) std::copy_n(p.bias + column, columns, start);
            const T* const b = p.packed + column * p.k + k * width;
            const T* const next_b = panel + 1 < last || k_part + 1 == k_parts ? b + width * p.k
                                    : p.packed + first * width * p.k + (k + steps) * width;
            for (extent i = top; i < bottom; i += tile_rows) {
                const extent rows = std::min(bottom - i, tile_rows);
                T* c = p.c + i * p.c_row + column;
                T* to = whole ? c : edge;
                const extent to_row = whole ? p.c_row : width;
                if (!whole && goes_on) copy_rows(rows, columns, c, p.c_row, edge, width);
                const extent packed_rows = std::max<extent>(i - from, 0);  // before i
                block_tile<T> tile{steps, left + packed_rows * steps, 1, tile_rows, b, width, to, to_row,
                                   goes_on ? to : start, goes_on ? to_row : 0, nullptr, 0, to + tile_rows * to_row,
                                   finished.map};
                if (i < from) {
                    tile.a = a + i * p.a_row;
                    tile.a_row = p.a_row;
                    tile.a_column = p.a_column;
                }
                // With the first panel the next rows of A come, else a share of what comes of B.
                if (i < from && panel == first) {
                    tile.coming = tile.a + tile_rows * p.a_row;
                    tile.coming_step = p.a_column == 1 ? tile_rows : p.a_column;
                } else {
                    tile.coming_step = share;
                    tile.coming = next_b + (i - top) / tile_rows * steps * share;
                }
                multiply_strip<T>(std::move(tile), rows, columns);
                if (!whole) copy_rows(rows, columns, edge, width, c, p.c_row);
                finished({c, rows, columns, p.c_row}, i - top, i + rows == bottom);
            }
        }
    }
}

template <class T>
using row_product_function = void (*)(extent k, const T* a, extent a_column, const T* b, const T* start, T* c);
/// What computes so many batches of columns in so many chains.
template <class T>
row_product_function<T> row_product_for(extent chains, extent batches) noexcept {
    constexpr bool many = vector_registers == 32;
    if (chains == 1)
        return batches == 8   ? row_product_dynamic<T, 8, 1>
               : batches == 4 ? row_product_dynamic<T, 4, 1>
                              : row_product_dynamic<T, 2, 1>;
    if (chains == 2)
        return batches == 8   ? row_product_dynamic<T, many ? 8 : 4, 2>
               : batches == 4 ? row_product_dynamic<T, 4, 2>
               : batches == 2 ? row_product_dynamic<T, 2, 2>
                              : row_product_dynamic<T, 1, 2>;
    return batches == 4   ? row_product_dynamic<T, many ? 4 : 2, 4>
           : batches == 2 ? row_product_dynamic<T, 2, 4>
                          : row_product_dynamic<T, 1, 4>;
}

/// C of a single row in the panels [first, last).
template <class T>
[[gnu::noinline]] void multiply_row(const matrix_product<T>& p, extent first, extent last) noexcept {
    const T* given = p.accumulate ? p.c : p.bias;
    const extent end = std::min(last * panel_width<T>, p.n), chains = row_chains<T>(p.n, p.k);
    alignas(64) T edge[8 * lanes<T>];
    for (extent j = first * panel_width<T>; j < end;) {
        const extent batches = row_batches<T>(chains, end - j);
        const auto product = row_product_for<T>(chains, batches);
        const extent valid = std::min(end - j, batches * lanes<T>);
        const T* start = given != nullptr ? given + j : nullptr;
        if (valid == batches * lanes<T>)
            product(p.k, p.a, p.a_column, p.packed + j * p.k, start, p.c + j);
        else {
            if (start != nullptr) start = std::copy_n(start, valid, edge) - valid;
            product(p.k, p.a, p.a_column, p.packed + j * p.k, start, edge);
            std::copy_n(edge, valid, p.c + j);
        }
        if (p.after != nullptr) (*p.after)({p.c + j, 1, valid, valid});
        j += batches * lanes<T>;
    }
}

template <class T>
[[gnu::noinline]] void multiply(const matrix_product<T>& p, thread_pool* threads) noexcept {
    if (p.m <= 0 || p.n <= 0) return;
    if (p.m * p.n * p.k < threaded_work) threads = nullptr;
    const extent panels = (p.n + panel_width<T> - 1) / panel_width<T>;
    if (p.m == 1) {
        // What has several chains is too narrow to be shared.
        parallel_for(row_chains<T>(p.n, p.k) == 1 ? threads : nullptr, panels, 1,
                     [&](extent first, extent last) { multiply_row(p, first, last); });
        return;
    }
    const extent size = threads ? static_cast<extent>(threads->size()) : 1;
    const bool by_panels = panels >= 2 * size || panels >= p.m / tile_rows;
    parallel_for(threads, by_panels ? panels : p.m, by_panels ? 1 : tile_rows,
                 [&](extent first, extent last) {
                     if (by_panels) return multiply_panels(p, first, last);
                     matrix_product<T> part = p;
                     part.m = last - first;
                     part.a += first * p.a_row;
                     part.c += first * p.c_row;
                     multiply_panels(part, 0, panels);
                 });
}

/// Panels [first, last) of the packed k x n matrix.
template <class T>
[[gnu::noinline]] void pack_panels(const T* b, extent row_stride, extent column_stride, extent k, extent n,
                                   extent first, extent last, T* packed) noexcept {
    constexpr extent width = panel_width<T>;
    for (extent panel = first; panel < last; ++panel) {
        const extent columns = std::min(n - panel * width, width);
        const T* from = b + panel * width * column_stride;
        T* to = packed + panel * width * k;
        if (columns < width) std::fill_n(to, k * width, T(0));
        if (column_stride == 1)
            copy_rows(k, columns, from, row_stride, to, width);
        else if (row_stride == 1)
            transpose(from, column_stride, columns, k, to, width);
        else
            for (extent i = 0; i < k; ++i)
                for (extent j = 0; j < columns; ++j)
                    to[i * width + j] = from[i * row_stride + j * column_stride];
    }
}

}  // namespace detail

/// Packs the k x n matrix B, B(i, j) = b[i * row_stride + j * column_stride], for `gemm`: panels of
/// `panel_width` columns one after another, each k rows of `panel_width` elements, zero beyond column n.
/// `packed` holds packed_size<T>(k, n) elements and may not overlap b.
template <class T>
[[gnu::noinline]] void pack(const T* b, extent row_stride, extent column_stride, extent k, extent n,
                            T* packed, thread_pool* threads = nullptr) noexcept {
    parallel_for(k * n < detail::threaded_elements ? nullptr : threads,
                 (n + panel_width<T> - 1) / panel_width<T>, 1, [&](extent first, extent last) {
                     detail::pack_panels(b, row_stride, column_stride, k, n, first, last, packed);
                 });
}

/// C = A B + bias, or C += A B where `accumulate` (then `bias` is null).
///
/// A [m, k], A(i, p) = a[i * a_row_stride + p * a_column_stride]; B [k, n] as `pack` left it;
/// C [m, n], C(i, j) = c[i * c_row_stride + j], overlapping neither; bias [n] or null.
/// `accumulate` starts each chain with what C holds. `after` is run on each block of C. Sizes are `extent` or
/// `constant<V>`: the bits are the same. A single row of constant sizes is compiled for them, without threads and
/// `after`.
template <class T, class M, class N, class K>
[[gnu::always_inline]] inline void gemm(M m, N n, K k, const T* a, extent a_row_stride,
                                        extent a_column_stride, const T* packed_b, T* c, extent c_row_stride,
                                        const T* bias = nullptr, bool accumulate = false,
                                        thread_pool* threads = nullptr,
                                        const epilogue<T>* after = nullptr) noexcept {
    if constexpr (std::is_same_v<M, constant<1>> && !std::is_integral_v<N> && !std::is_integral_v<K>) {
        constexpr extent chains = detail::row_chains<T>(N::value, K::value);
        constexpr extent batches = detail::row_batches<T>(chains, 8 * lanes<T>);
        constexpr extent all = (N::value + lanes<T> - 1) / lanes<T>;
        const T* start = accumulate ? c : bias;
        unroll<static_cast<std::size_t>((all + batches - 1) / batches)>([&](auto i) __attribute__((always_inline)) {
            constexpr extent first = static_cast<extent>(i()) * batches, j = first * lanes<T>;
            constexpr extent count = std::min(all - first, batches);
            detail::row_product<T, count, chains>(k, std::min(N::value - j, count * lanes<T>), a, a_column_stride,
                                                  packed_b + j * K::value, start != nullptr ? start + j : nullptr,
                                                  c + j);
        });
    } else
        detail::multiply<T>(
            {m, n, k, a, a_row_stride, a_column_stride, packed_b, c, c_row_stride, bias, accumulate, after},
            threads);
}

}  // namespace bespoke::kernels
