#pragma once

#include "../core/threads.hpp"
#include "map.hpp"
#include "transpose.hpp"

namespace bespoke::kernels {

/// A box of elements that two arrays hold in different places: element (i0, i1, ...) lies at the sum of ik from[k]
/// in the one and at the sum of ik to[k] in the other. Steps may be negative.
///
/// Axes are added from the outermost to the innermost. Those of one element are left out, and neighbours that both
/// arrays walk as one are joined.
struct strided_walk {
    static constexpr std::size_t most = max_rank + 1;  ///< the examples are an axis too

    std::size_t rank = 0;
    extent extents[most]{}, from[most]{}, to[most]{};

    [[gnu::noinline]] constexpr void add(extent size, extent from_step, extent to_step) {
        if (size == 1) return;
        const std::size_t outer = rank - 1;
        if (rank > 0 && from[outer] == from_step * size && to[outer] == to_step * size)
            extents[outer] *= size;
        else
            extents[rank++] = size;
        from[rank - 1] = from_step;
        to[rank - 1] = to_step;
    }
    constexpr strided_walk reversed() const {
        strided_walk w = *this;
        for (std::size_t axis = 0; axis < rank; ++axis) {
            w.from[axis] = to[axis];
            w.to[axis] = from[axis];
        }
        return w;
    }
    constexpr extent size() const {
        extent elements = 1;
        for (std::size_t axis = 0; axis < rank; ++axis) elements *= extents[axis];
        return elements;
    }
};

namespace detail {

/// Elements along one side of the tiles in which a matrix is transposed.
inline constexpr extent transposed_tile = 64;

/// The first axis along which the steps are 1; none: rank.
constexpr std::size_t contiguous_axis(const strided_walk& w, const extent (&steps)[strided_walk::most]) {
    std::size_t axis = 0;
    while (axis < w.rank && steps[axis] != 1) ++axis;
    return axis;
}

/// Makes `axis` the innermost one.
constexpr void move_inwards(strided_walk& w, std::size_t axis) {
    for (; axis + 1 < w.rank; ++axis) {
        std::swap(w.extents[axis], w.extents[axis + 1]);
        std::swap(w.from[axis], w.from[axis + 1]);
        std::swap(w.to[axis], w.to[axis + 1]);
    }
}

/// Calls body(offset in from, offset in to, index along the last of them) for the elements [first, last) of the box
/// of the outer `axes` axes.
template <class Body>
void each_outer(const strided_walk& w, std::size_t axes, extent first, extent last, const Body& body) noexcept {
    extent index[strided_walk::most]{}, from = 0, to = 0;
    extent rest = first;
    for (std::size_t axis = axes; axis-- > 0; rest /= w.extents[axis]) {
        index[axis] = rest % w.extents[axis];
        from += index[axis] * w.from[axis];
        to += index[axis] * w.to[axis];
    }
    if (axes == 0) {
        if (first < last) body(0, 0, 0);
        return;
    }
    const std::size_t inner = axes - 1;
    const extent from_step = w.from[inner], to_step = w.to[inner], count = w.extents[inner];
    while (first < last) {
        const extent begin = index[inner], end = std::min(count, begin + last - first);
        for (extent i = begin; i < end; ++i, from += from_step, to += to_step) body(from, to, i);
        first += end - begin;
        if (end < count) return;
        from -= count * from_step;
        to -= count * to_step;
        index[inner] = 0;
        for (std::size_t axis = inner; axis-- > 0;) {
            from += w.from[axis];
            to += w.to[axis];
            if (++index[axis] < w.extents[axis]) break;
            from -= w.extents[axis] * w.from[axis];
            to -= w.extents[axis] * w.to[axis];
            index[axis] = 0;
        }
    }
}

/// The innermost loop.
template <class T>
void move_run(extent n, const T* from, extent from_step, T* to, extent to_step, bool add) noexcept {
    if (from_step == 1 && to_step == 1) {
        if (add)
            accumulate(n, from, to);
        else
            copy_run(n, from, to);
    } else if (from_step == 1 && to_step == -1) {
        move_run(n, from + (n - 1), -1, to - (n - 1), 1, add);
    } else if (from_step == -1 && to_step == 1) {
        extent i = 0;
        for (; i + lanes<T> <= n; i += lanes<T>) {
            const batch<T> v = reversed_lanes<T>(load(from - i - (lanes<T> - 1)));
            store<T>(to + i, add ? load<T>(to + i) + v : v);
        }
        for (; i < n; ++i) to[i] = add ? to[i] + from[-i] : from[-i];
    } else if (from_step == 2 && to_step == 1 && !add) {
        extent i = 0;
        for (; i + lanes<T> < n; i += lanes<T>)  // the last element has no neighbour
            store<T>(to + i, even_lanes<T>(load(from + 2 * i), load(from + 2 * i + lanes<T>)));
        for (; i < n; ++i) to[i] = from[2 * i];
    } else if (add) {
        for (extent i = 0; i < n; ++i) to[i * to_step] += from[i * from_step];
    } else {
        for (extent i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
    }
}

template <class T>
[[gnu::noinline]] void move_strided(strided_walk w, const T* from, T* to, bool add, thread_pool* threads) noexcept {
    const extent elements = w.size();
    if (elements == 0) return;
    if (elements < (1 << 14)) threads = nullptr;
    if (w.rank == 0) return move_run<T>(1, from, 1, to, 1, add);
    const std::size_t reads = contiguous_axis(w, w.from), writes = contiguous_axis(w, w.to);
    const bool reflected = reads < w.rank && writes < w.rank && reads != writes;
    if (!reflected) {
        move_inwards(w, writes < w.rank ? writes : reads < w.rank ? reads : w.rank - 1);
        const std::size_t last = w.rank - 1;
        const extent n = w.extents[last], from_step = w.from[last], to_step = w.to[last];
        const bool together = from_step == 1 && to_step == 1 && !add;
        parallel_for(threads, elements / n, 1, [&](extent first, extent end) {
            if (together)
                return each_outer(w, last, first, end,
                                  [&](extent i, extent o, extent) { copy_run(n, from + i, to + o); });
            each_outer(w, last, first, end, [&](extent i, extent o, extent) {
                move_run(n, from + i, from_step, to + o, to_step, add);
            });
        });
        return;
    }
    // a matrix of rows that are contiguous in `from`, and of columns that are in `to`
    move_inwards(w, reads);
    move_inwards(w, writes - (writes > reads ? 1 : 0));
    const std::size_t last = w.rank - 1, tiles = w.rank - 2;
    const extent rows = w.extents[last], columns = w.extents[tiles];
    const extent row_step = w.from[last], column_step = w.to[tiles];
    w.extents[tiles] = (columns + transposed_tile - 1) / transposed_tile;
    w.from[tiles] *= transposed_tile;
    w.to[tiles] *= transposed_tile;
    parallel_for(threads, elements / (rows * columns) * w.extents[tiles], 1, [&](extent first, extent end) {
        each_outer(w, last, first, end, [&](extent i, extent o, extent tile) {
            const extent width = std::min(transposed_tile, columns - tile * transposed_tile);
            for (extent row = 0; row < rows; row += transposed_tile)
                transpose(from + i + row * row_step, row_step, std::min(transposed_tile, rows - row), width,
                          to + o + row, column_step, add);
        });
    });
}

}  // namespace detail

/// to = from for every element of the box, whose places in `to` differ. The arrays do not overlap.
template <class T>
void copy_strided(const strided_walk& w, const T* from, T* to, thread_pool* threads = nullptr) noexcept {
    detail::move_strided(w, from, to, false, threads);
}

/// to += from for every element of the box, whose places in `to` differ. The arrays do not overlap.
template <class T>
void accumulate_strided(const strided_walk& w, const T* from, T* to, thread_pool* threads = nullptr) noexcept {
    detail::move_strided(w, from, to, true, threads);
}

}  // namespace bespoke::kernels
