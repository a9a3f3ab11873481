#pragma once

#include "channel_map.hpp"
#include "tile.hpp"
#include "transpose.hpp"

#include <array>

namespace bespoke::kernels::detail {

// Products whose left-hand rows were packed as well: what a tile reads follows each other in memory, so that its
// addresses cost nothing and rows that lie a power of two apart do not drive each other out of the cache.

/// Rows of the tiles; the smaller ones take what is left over. Rows that are not packed in strips of `tile_rows` fill
/// tall tiles, which use nearly all registers, and halves of them, where their number suits.
inline constexpr extent middle_tile_rows = tile_rows == 12 ? 8 : 4,
                        tall_tile_rows = tile_rows == 12 ? 14 : tile_rows,
                        half_tile_rows = tile_rows == 12 ? 7 : small_tile_rows;

/// Elements of the left-hand side that are packed at a time, and the most steps of k of them. The more steps, the less
/// often C comes and goes. What has registers for the large tile has a cache of 1 MB or more on the second level.
template <class T>
inline constexpr extent left_size = (vector_registers == 32 ? 264 : 132) * 1024 / static_cast<extent>(sizeof(T));
template <class T>
inline constexpr extent left_steps = 4096 / static_cast<extent>(sizeof(T));

/// Elements that `pack_left` writes for `rows` rows of k elements. What it writes beyond the last strip are not used.
template <class T>
constexpr extent packed_left_size(extent rows, extent k) {
    return (rows + tile_rows - 1) / tile_rows * tile_rows * k + lanes<T>;
}

/// Rows as strips of `tile_rows`: to[strip][p][i] = a[(strip * tile_rows + i) * row + p * column]. Rows of the last
/// strip that are not there repeat the last one.
template <class T>
[[gnu::noinline]] void pack_left(const T* a, extent row, extent column, extent rows, extent k, T* to) noexcept {
    constexpr auto size = static_cast<std::size_t>(lanes<T>);
    constexpr auto blocks = (static_cast<std::size_t>(tile_rows) + size - 1) / size;
    if (row == 1) {  // those of all strips lie side by side, and the next step perhaps a power of two further on
        const extent whole = rows - rows % tile_rows;
        for (extent p = 0; p < k; ++p)
            for (extent first = 0; first < whole; first += tile_rows)
                std::copy_n(a + p * column + first, tile_rows, to + first * k + p * tile_rows);
        a += whole;
        to += whole * k;
        rows -= whole;
    }
    for (extent first = 0; first < rows; first += tile_rows, a += tile_rows * row) {
        const extent last = std::min(tile_rows, rows - first) - 1;
        extent p = 0;
        if (column == 1)
            // Each store but the last of a step writes beyond what it has to; the next one mends it.
            for (; p + lanes<T> <= k; p += lanes<T>, to += lanes<T> * tile_rows) {
                batch<T> part[blocks][size];
                unroll<blocks>([&](auto block) __attribute__((always_inline)) {
                    unroll<size>([&](auto i) __attribute__((always_inline)) {
                        constexpr auto at = static_cast<extent>(block() * size + i());
                        if constexpr (at < tile_rows) part[block][i] = load(a + std::min(at, last) * row + p);
                        else part[block][i] = batch<T>(T(0));
                    });
                    transpose<T>(part[block]);
                });
                unroll<size>([&](std::size_t i) __attribute__((always_inline)) {
                    unroll<blocks>([&](std::size_t block) __attribute__((always_inline)) {
                        store<T>(to + static_cast<extent>(i) * tile_rows + static_cast<extent>(block * size),
                                 part[block][i]);
                    });
                });
            }
        for (; p < k; ++p, to += tile_rows)
            for (extent i = 0; i < tile_rows; ++i) to[i] = a[std::min(i, last) * row + p * column];
    }
}

/// For each row i and column j of a tile
///     c[i * c_row + j] = start[i * start_row + j]
///                        + sum over p in [0, steps) of a[i * a_row + p * a_column] * b[p * b_row + j],
/// one chain of fma over p ascending. Rows beyond `last` are read from A, but not written. From `coming` on,
/// `coming_step` elements a step of k, memory is brought near meanwhile; `next_c` are the rows of C that come then.
template <class T>
struct block_tile {
    extent steps;
    const T* a;
    extent a_row, a_column;
    const T* b;
    extent b_row;
    T* c;
    extent c_row;
    const T* start;
    extent start_row;  ///< negative: each row has one start, start[i] for all columns
    const T* coming;
    extent coming_step;
    const T* next_c;
    const channel_map<T>* map = nullptr;  ///< or null: what becomes of the sums; rows are channels, from `channel` on,
                                          ///< and c is in the result
    extent channel = 0;
    const extent* a_columns = nullptr;  ///< of an uneven A: from each column to the next, behind the last one anything
    extent last = 0;
};

/// The pointer, which the compiler is to keep as it is: g++ would rather keep one for each use.
template <class P>
[[gnu::always_inline]] inline P* in_register(P* p) noexcept {
    asm("" : "+r"(p));
    return p;
}

/// a * b + c: what a tile is made of, unless its elements are groups of smaller ones, see group_product.hpp.
template <class T>
struct multiply_add {
    [[gnu::always_inline]] static batch<T> run(const batch<T>& a, const batch<T>& b, const batch<T>& c) noexcept {
        return kernels::fma<T>(a, b, c);
    }
};

/// `Uneven`: the columns of A lie apart as `a_columns` says.
template <class T, extent Rows, extent Batches, class Step = multiply_add<T>, bool Uneven = false>
[[gnu::noinline]] void multiply_tile(const block_tile<T>& t) noexcept {
    // Every third row has a pointer; the two behind it are as near as an instruction reaches.
    constexpr extent pointers = (Rows + 2) / 3;
    batch<T> sum[Rows][Batches];
    const extent last = t.last, start_row = t.start_row, c_row = t.c_row, a_row = t.a_row, a_column = t.a_column,
                 b_row = t.b_row;
    const T *start = t.start, *next = t.next_c, *a[pointers];
    if (start_row < 0) {
        BESPOKE_UNROLL
        for (extent i = 0; i < Rows; ++i) {
            const batch<T> value(*start);
            BESPOKE_UNROLL
            for (extent j = 0; j < Batches; ++j) sum[i][j] = value;
            start += i < last;
        }
    } else {
        BESPOKE_UNROLL
        for (extent i = 0; i < Rows; ++i) {
            BESPOKE_UNROLL
            for (extent j = 0; j < Batches; ++j) sum[i][j] = load(start + j * lanes<T>);
            start += i < last ? start_row : 0;
        }
    }
    for (extent i = 0; i < Rows; ++i, next += c_row) {
        __builtin_prefetch(next, 1);
        __builtin_prefetch(next + panel_width<T> - 1, 1);
    }
    const T* added = t.map != nullptr && t.map->added != nullptr ? t.map->added_to(t.c) : nullptr;
    for (extent i = 0; added != nullptr && i <= last; ++i) {
        __builtin_prefetch(added + i * c_row);
        __builtin_prefetch(added + i * c_row + panel_width<T> - 1);
    }
    BESPOKE_UNROLL
    for (extent j = 0; j < pointers; ++j) a[j] = t.a + 3 * j * a_row;
    const T *b = t.b, *coming = t.coming;
    [[maybe_unused]] const extent* a_columns = t.a_columns;
    const extent coming_step = t.coming_step;
    for (extent p = t.steps; p > 0; --p) {
        batch<T> right[Batches];
        BESPOKE_UNROLL
        for (extent j = 0; j < Batches; ++j) {
            right[j] = kernels::in_register<T>(load(b + j * lanes<T>));
            __builtin_prefetch(coming + j * lanes<T>, 0, 2);
        }
        BESPOKE_UNROLL
        for (extent i = 0; i < Rows; ++i) {
            const batch<T> element(a[i / 3][i % 3 * a_row]);
            BESPOKE_UNROLL
            for (extent j = 0; j < Batches; ++j) sum[i][j] = Step::run(element, right[j], sum[i][j]);
        }
        const extent a_step = Uneven ? *a_columns++ : a_column;
        BESPOKE_UNROLL
        for (extent j = 0; j < pointers; ++j) a[j] = in_register(a[j] + a_step);
        b += b_row;
        coming += coming_step;
    }
    if (t.map != nullptr)
        unroll<static_cast<std::size_t>(Rows)>([&](std::size_t row) __attribute__((always_inline)) {
            const auto i = static_cast<extent>(row);
            const mapped_channel<T> f(*t.map, t.channel + std::min(i, last));
            BESPOKE_UNROLL
            for (extent j = 0; j < Batches; ++j)
                sum[i][j] = added == nullptr ? f(sum[i][j]) : f(sum[i][j], load(added + j * lanes<T>));
            if (added != nullptr && i < last) added += c_row;
        });
    T* c = t.c;
    BESPOKE_UNROLL
    for (extent i = 0; i < Rows; ++i, c += c_row) {
        BESPOKE_UNROLL
        for (extent j = 0; j < Batches; ++j)
            if (i <= last) store<T>(c + j * lanes<T>, sum[i][j]);
    }
}

/// Rows of the tile that `multiply_strip` takes where so many are left.
constexpr extent next_tile_rows(extent rows) noexcept {
    for (const extent size : {small_tile_rows, half_tile_rows, middle_tile_rows, tile_rows})
        if (rows <= size) return size;
    return rows < tall_tile_rows ? tile_rows : tall_tile_rows;
}

/// The strips into which rows are best cut: as few rows computed as can be, then few tiles, small ones last of all, for
/// they keep the machine less busy.
struct strip_plan {
    static constexpr extent most = 4 * tall_tile_rows;
    std::array<unsigned char, most + 1> first{};  ///< rows of the first strip where so many are left

    constexpr strip_plan() {
        std::array<extent, most + 1> cost{};
        for (extent rows = 1; rows <= most; ++rows) {
            extent least = 16 * most;
            for (const extent size : {tall_tile_rows, tile_rows, middle_tile_rows, half_tile_rows, small_tile_rows}) {
                if (size > rows && size != next_tile_rows(rows)) continue;
                const extent own = 2 * size + (size == small_tile_rows ? 3 : 2),
                             all = own + cost[static_cast<std::size_t>(std::max<extent>(rows - size, 0))];
                if (all >= least) continue;
                least = all;
                first[static_cast<std::size_t>(rows)] = static_cast<unsigned char>(std::min(size, rows));
            }
            cost[static_cast<std::size_t>(rows)] = least;
        }
    }
};
inline constexpr strip_plan strips;

/// Rows of the next strip where so many are left.
constexpr extent strip_rows(extent rows) noexcept {
    return rows > strip_plan::most ? tall_tile_rows : strips.first[static_cast<std::size_t>(rows)];
}
/// Rows that are computed for so many, strip by strip, and how many strips there are.
struct strip_counts {
    extent rows = 0, strips = 0;
};
constexpr strip_counts count_strips(extent rows) noexcept {
    strip_counts counts;
    for (extent strip = 0; rows > 0; rows -= strip, ++counts.strips) {
        strip = strip_rows(rows);
        counts.rows += next_tile_rows(strip);
    }
    return counts;
}

/// `rows` <= tall_tile_rows rows by `columns` <= panel_width columns; `t.last` is set here. What lies beyond the last
/// batch of the columns is left alone. Up to small_tile_rows - 1 rows of A beyond are read. `t` is used up, not copied:
/// a copy in registers of what was just written word by word waits until all writes before it, the results, are cached.
template <class T, class Step = multiply_add<T>, bool Uneven = false>
void multiply_strip(block_tile<T>&& t, extent rows, extent columns) noexcept {
    const auto multiply = [&](auto size) __attribute__((always_inline)) {
        (columns > lanes<T> ? multiply_tile<T, size(), 2, Step, Uneven> : multiply_tile<T, size(), 1, Step, Uneven>)(t);
    };
    for (;;) {
        const extent size = next_tile_rows(rows);
        t.last = std::min(rows, size) - 1;
        if (size == tile_rows)
            multiply(constant<tile_rows>{});
        else if (size == tall_tile_rows)
            multiply(constant<tall_tile_rows>{});
        else if (size == middle_tile_rows)
            multiply(constant<middle_tile_rows>{});
        else if (size == half_tile_rows)
            multiply(constant<half_tile_rows>{});
        else
            multiply(constant<small_tile_rows>{});
        if ((rows -= size) <= 0) return;
        t.a += size * t.a_row;
        t.c += size * t.c_row;
        t.channel += size;
        t.next_c += size * t.c_row;
        t.start += t.start_row < 0 ? size : size * t.start_row;
    }
}

}  // namespace bespoke::kernels::detail
