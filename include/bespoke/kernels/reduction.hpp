#pragma once

#include "../core/threads.hpp"
#include "map.hpp"
#include "pieces.hpp"
#include "reducers.hpp"
#include "strided.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace bespoke::kernels {

/// The sum of x[0, n): `lanes` chains, element i in lane i mod lanes, in pieces; then the lanes as in `sum_lanes`.
template <class T>
T sum(extent n, const T* x) noexcept {
    detail::sums_in_pieces<1, T> total;
    total.take_row(n, [&](auto& sum, extent first, extent count) __attribute__((always_inline)) {
        for_each_batch<T>(count, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            sum[0] = sum[0] + in(x + first + i);
        });
    });
    return sum_lanes<T>(total.end()[0]);
}

/// The sum of x[i] * y[i], i in [0, n): chains of fma in the order of `sum`.
template <class T>
T dot(extent n, const T* x, const T* y) noexcept {
    detail::sums_in_pieces<1, T> total;
    total.take_row(n, [&](auto& sum, extent first, extent count) __attribute__((always_inline)) {
        for_each_batch<T>(count, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            sum[0] = kernels::fma<T>(in(x + first + i), in(y + first + i), sum[0]);
        });
    });
    return sum_lanes<T>(total.end()[0]);
}

/// The largest of x[0, n), NaN where there is one; -infinity of nothing.
template <class T>
T running_max(extent n, const T* x) noexcept {
    constexpr extent chains = 4;
    batch<T> most(-std::numeric_limits<T>::infinity()), chain[chains]{most, most, most, most};
    for (; n >= chains * lanes<T>; n -= chains * lanes<T>, x += chains * lanes<T>)
        unroll<chains>([&](std::size_t c) __attribute__((always_inline)) {
            chain[c] = kernels::running_max<T>(chain[c], load(x + static_cast<extent>(c) * lanes<T>));
        });
    for (const auto& one : chain) most = kernels::running_max<T>(most, one);
    for (; n >= lanes<T>; n -= lanes<T>, x += lanes<T>) most = kernels::running_max<T>(most, load(x));
    alignas(64) T lane[lanes<T>];
    most.store_aligned(lane);
    T result = lane[0];
    for (T v : lane) result = kernels::running_max(result, v);
    for (extent i = 0; i < n; ++i) result = kernels::running_max(result, x[i]);
    return result;
}

/// Whether none of x[0, n) is infinite or NaN.
template <class T>
bool all_finite(extent n, const T* x, thread_pool* threads = nullptr) noexcept {
    std::atomic<bool> result = true;
    parallel_for(n < (1 << 17) ? nullptr : threads, n, lanes<T>, [&](extent first, extent last) {
        batch<T> differences(T(0));  // 0 of numbers, NaN of the others
        for_each_batch<T>(last - first, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            const batch<T> v = in(x + first + i);
            differences = differences + (v - v);
        });
        if (sum_lanes<T>(differences) != 0) result = false;
    });
    return result;
}

/// out[j] += sum over rows of x[row * stride + j], j in [0, n): one chain from out[j], rows ascending.
template <class T>
void column_sums(extent rows, extent n, const T* x, extent stride, T* out,
                 thread_pool* threads = nullptr) noexcept {
    if (rows * n < (1 << 15)) threads = nullptr;
    parallel_for(threads, n, lanes<T>, [&](extent first, extent last) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto put) __attribute__((always_inline)) {
                batch<T> total = in(out + first + j);
                for (extent row = 0; row < rows; ++row) total = total + in(x + row * stride + first + j);
                put(out + first + j, total);
            });
    });
}

/// Which elements of x, examples of one row-major shape, meet in which element of y: those that differ along the axes
/// that are gone only. y is row-major over the examples and the other axes.
struct reduction_walk {
    strided_walk kept;                ///< steps in x and in y
    strided_walk gone;                ///< steps in x and in the row-major order of the elements that meet
    extent outputs = 1, elements = 1; ///< of y; that meet in each of them

    [[gnu::noinline]] constexpr reduction_walk(extent examples, const shape& x, const bool (&is_gone)[max_rank])
        : outputs(examples) {
        for (std::size_t axis = 0; axis < x.rank(); ++axis) (is_gone[axis] ? elements : outputs) *= x[axis];
        if (outputs <= 0 || elements <= 0) return;
        extent step = outputs / examples * elements, output = outputs / examples, element = elements;
        kept.add(examples, step, output);
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            step /= x[axis];
            if (is_gone[axis])
                gone.add(x[axis], step, element /= x[axis]);
            else
                kept.add(x[axis], step, output /= x[axis]);
        }
    }
    /// Whether neighbours in x belong to neighbours in y.
    constexpr bool in_columns() const { return kept.rank > 0 && kept.from[kept.rank - 1] == 1; }
    /// Calls body(offset in x, number of the first, how many, step in x) for the elements that meet, in their order.
    template <class Body>
    void each_run(const Body& body) const noexcept {
        runs(&bespoke::detail::call_body<Body, extent, extent, extent, extent>, &body);
    }
    /// Elements of x between neighbours in y.
    constexpr extent apart() const { return kept.rank > 0 ? kept.from[kept.rank - 1] : 0; }
    /// Calls body(offset in x, offset in y, width) for all outputs, up to `most` neighbours along the last axis of y at
    /// a time.
    template <class Body>
    void each_strip(extent most, thread_pool* threads, const Body& body) const noexcept {
        strips(most, threads, &bespoke::detail::call_body<Body, extent, extent, extent>, &body);
    }

private:
    [[gnu::noinline]] void runs(void (*body)(const void*, extent, extent, extent, extent),
                                const void* context) const noexcept {
        if (gone.rank == 0) return body(context, 0, 0, 1, 1);
        if (gone.rank == 1) return body(context, 0, 0, gone.extents[0], gone.from[0]);
        const std::size_t last = gone.rank - 1;
        const extent n = gone.extents[last], step = gone.from[last];
        detail::each_outer(gone, last, 0, elements / n,
                           [&](extent from, extent first, extent) { body(context, from, first, n, step); });
    }
    [[gnu::noinline]] void strips(extent most, thread_pool* threads, void (*body)(const void*, extent, extent, extent),
                                  const void* context) const noexcept {
        if (outputs * elements < (1 << 15)) threads = nullptr;
        strided_walk w = kept;
        extent columns = 1, pieces = 1;
        if (w.rank > 0) {
            columns = w.extents[w.rank - 1];
            pieces = w.extents[w.rank - 1] = (columns + most - 1) / most;
            w.from[w.rank - 1] *= most;
            w.to[w.rank - 1] *= most;
        }
        parallel_for(threads, outputs / columns * pieces, 1, [&](extent first, extent end) {
            detail::each_outer(w, w.rank, first, end, [&](extent from, extent to, extent strip) {
                body(context, from, to, columns == 1 ? 1 : std::min(most, columns - strip * most));
            });
        });
    }
};

// Order of arithmetic: the elements that meet are taken in their row-major order, each run along x in 4 x lanes
// chains where they are neighbours in x (element i of a run in chain i mod chains), else in one chain. Each chain is
// cut into pieces of `cascade_piece` steps, which are merged as pieces.hpp has it; then the chains are merged, in
// pairs. It depends on the shape and the axes alone.

namespace detail {

inline constexpr extent cascade_piece = 32;
/// Registers in which one row is reduced: a chain waits for itself alone.
inline constexpr std::size_t reduction_width = 4;
/// Rows that are reduced together, where there are as many.
inline constexpr std::size_t reduction_rows = 2;
/// Registers of columns that are reduced together, where there are as many.
inline constexpr std::size_t reduction_columns = 4;

/// Combines n < Width x lanes neighbours with the results of as many chains.
template <std::size_t Width, class F, class T>
[[gnu::always_inline]] inline void combine_rest(const F& f, extent n, const T* x, const batch<T>* pivot,
                                                batch<T>* result) noexcept {
    unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
        const extent first = static_cast<extent>(w) * lanes<T>, count = std::min(n - first, lanes<T>);
        if (count <= 0) return;
        const batch<T> next = f.template combine<batch<T>>(result[w], load_partial(x + first, count), pivot[w]);
        result[w] = simd::select(first_lanes<T>(count), next, result[w]);
    });
}

/// Width x lanes chains of one reduction.
template <class F, class T, std::size_t Width>
class cascade {
public:
    cascade(const F& f, const batch<T> (&pivot)[Width]) : f_(f), pivot_(pivot) { restart(); }

    /// `count` steps: number i takes in(x + i * step, w) for the register w.
    template <class Load>
    [[gnu::always_inline]] void take(extent count, const T* x, extent step, const Load& in) noexcept {
        while (count > 0) {
            if (steps_ == cascade_piece) end_piece();
            const extent part = std::min(count, cascade_piece - steps_);
            batch<T> result[Width];
            unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { result[w] = now[w]; });
            for (extent i = 0; i < part; ++i, x += step)
                unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
                    result[w] = f_.template combine<batch<T>>(result[w], in(x, w), pivot_[w]);
                });
            unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { now[w] = result[w]; });
            count -= part;
            steps_ += part;
        }
    }
    /// One step of n < Width x lanes neighbours.
    void take_rest(extent n, const T* x) noexcept {
        if (steps_ == cascade_piece) end_piece();
        combine_rest<Width>(f_, n, x, pivot_, now);
        ++steps_;
    }
    void end() noexcept { before_.end(now, merge()); }

    batch<T> now[Width];  ///< after `end`: the results

private:
    void restart() noexcept {
        for (auto& one : now) one = f_.template start<batch<T>>();
    }
    auto merge() const noexcept {
        return [&f = f_](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) {
            return f.template merge<batch<T>>(a, b);
        };
    }
    [[gnu::noinline]] void end_piece() noexcept {
        steps_ = 0;
        before_.add(now, merge());
        restart();
    }

    const F& f_;
    const batch<T> (&pivot_)[Width];
    extent steps_ = 0;  ///< of the piece in `now`
    merged_pieces<Width, T> before_;
};

/// Elements that are reduced in one step along a row.
template <class T>
inline constexpr extent reduction_step = static_cast<extent>(reduction_width) * lanes<T>;

/// What the chains of each row give in the end, but for `finish`.
template <std::size_t Rows, class F, class T>
[[gnu::always_inline]] inline void merge_rows(const F& f, const batch<T> (&chains)[Rows * reduction_width],
                                              T* y) noexcept {
    const auto merge = [&](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) {
        return f.template merge<batch<T>>(a, b);
    };
    batch<T> rows[Rows];
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        const batch<T>* const chain = chains + reduction_width * r;
        rows[r] = merge(merge(chain[0], chain[1]), merge(chain[2], chain[3]));
    });
    store_partial<T>(y, fold_rows<T>(rows, merge), extent{Rows});
}

/// What meets in an output of a walk that is not in columns, but for `finish`.
template <class F, class T>
[[gnu::noinline]] void reduce_row(const F& f, const reduction_walk& walk, const T* x, T pivot, T* y) noexcept {
    batch<T> pivots[reduction_width];
    for (auto& one : pivots) one = batch<T>(pivot);
    cascade<F, T, reduction_width> chains(f, pivots);
    walk.each_run([&](extent from, extent, extent n, extent) {
        constexpr extent step = reduction_step<T>;
        const T* p = x + from;
        chains.take(
            n / step, p, step, [](const T* q, std::size_t w) __attribute__((always_inline)) {
                return kernels::load(q + static_cast<extent>(w) * lanes<T>);
            });
        if (const extent rest = n % step; rest > 0) chains.take_rest(rest, p + n - rest);
    });
    chains.end();
    merge_rows<1>(f, chains.now, y);
}

/// `reduce_row` of `reduction_rows` rows with n elements each, which begin `apart` elements apart and make one run of
/// one piece.
template <class F, class T>
[[gnu::noinline]] void reduce_short_rows(const F& f, extent n, const T* x, extent apart, const T* pivot,
                                         T* y) noexcept {
    constexpr std::size_t width = reduction_width;
    batch<T> chains[reduction_rows * width], pivots[reduction_rows * width];
    unroll<reduction_rows * width>([&](std::size_t w) __attribute__((always_inline)) {
        chains[w] = f.template start<batch<T>>();
        pivots[w] = batch<T>(pivot[w / width]);
    });
    for (; n >= reduction_step<T>; n -= reduction_step<T>, x += reduction_step<T>)
        unroll<reduction_rows * width>([&](std::size_t w) __attribute__((always_inline)) {
            const batch<T> next = load(x + static_cast<extent>(w / width) * apart +
                                       static_cast<extent>(w % width) * lanes<T>);
            chains[w] = f.template combine<batch<T>>(chains[w], next, pivots[w]);
        });
    if (n > 0)
        unroll<reduction_rows>([&](std::size_t r) __attribute__((always_inline)) {
            combine_rest<width>(f, n, x + static_cast<extent>(r) * apart, pivots + width * r,
                                chains + width * r);
        });
    merge_rows<reduction_rows>(f, chains, y);
}

/// Neighbouring outputs that are reduced in one call.
inline constexpr extent reduction_strip = 16;

/// What meets in up to `reduction_strip` neighbouring outputs of a walk that is not in columns.
template <class F, class T>
[[gnu::noinline]] void reduce_strip(const F& f, const reduction_walk& walk, const T* x, extent rows, T* y) noexcept {
    alignas(64) T pivot[reduction_strip]{};
    if constexpr (requires { F::pivots; }) {
        reduce_strip(max_of{}, walk, x, rows, pivot);
        for_each_batch<T>(
            rows, [&](extent i, auto in, auto put)
                      __attribute__((always_inline)) { put(pivot + i, f.template pivot<batch<T>>(in(pivot + i))); });
    }
    extent row = 0;
    if (walk.gone.rank <= 1 && walk.elements <= cascade_piece * reduction_step<T>)
        for (; row + extent{reduction_rows} <= rows; row += extent{reduction_rows})
            reduce_short_rows(f, walk.elements, x + row * walk.apart(), walk.apart(), pivot + row, y + row);
    for (; row < rows; ++row) reduce_row(f, walk, x + row * walk.apart(), pivot[row], y + row);
    const batch<T> count(static_cast<T>(walk.elements));
    for_each_batch<T>(
        rows, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
            put(y + i, f.template finish<batch<T>>(in(y + i), in(pivot + i), count));
        });
}

/// What meets in Width x lanes outputs of a walk in columns.
template <std::size_t Width, class F, class T, class Load>
[[gnu::noinline]] void reduce_columns(const F& f, const reduction_walk& walk, const T* x, const Load& in,
                                      batch<T> (&result)[Width]) noexcept {
    batch<T> pivots[Width];
    if constexpr (requires { F::pivots; }) {
        reduce_columns<Width>(max_of{}, walk, x, in, pivots);
        for (auto& one : pivots) one = f.template pivot<batch<T>>(one);
    } else {
        for (auto& one : pivots) one = batch<T>(T(0));
    }
    cascade<F, T, Width> chains(f, pivots);
    walk.each_run([&](extent from, extent, extent n, extent step) { chains.take(n, x + from, step, in); });
    chains.end();
    const batch<T> count(static_cast<T>(walk.elements));
    for (std::size_t w = 0; w < Width; ++w) result[w] = f.template finish<batch<T>>(chains.now[w], pivots[w], count);
}

template <class F, class T>
[[gnu::noinline]] void reduce_finished(const F& f, const reduction_walk& walk, const T* x, T* y,
                                       thread_pool* threads) noexcept {
    if (walk.elements <= 0)
        return fill(walk.outputs, f.template finish<T>(f.template start<T>(), T(0), T(0)), y);
    constexpr std::size_t width = reduction_columns;
    constexpr extent strip = static_cast<extent>(width) * lanes<T>;
    const extent rows = std::clamp((1 << 15) / walk.elements, extent{1}, reduction_strip);
    walk.each_strip(walk.in_columns() ? strip : rows, threads, [&](extent from, extent to, extent columns) {
        if (!walk.in_columns()) {
            reduce_strip(f, walk, x + from, columns, y + to);
        } else if (columns == strip) {
            batch<T> result[width];
            reduce_columns<width>(
                f, walk, x + from,
                [](const T* p, std::size_t w) __attribute__((always_inline)) {
                    return kernels::load(p + static_cast<extent>(w) * lanes<T>);
                },
                result);
            for (std::size_t w = 0; w < width; ++w) store(y + to + static_cast<extent>(w) * lanes<T>, result[w]);
        } else {
            for (extent i = 0; i < columns; i += lanes<T>) {
                const extent count = std::min(columns - i, lanes<T>);
                batch<T> result[1];
                reduce_columns<1>(
                    f, walk, x + from + i,
                    [count](const T* p, std::size_t) __attribute__((always_inline)) { return load_partial(p, count); },
                    result);
                store_partial<T>(y + to + i, result[0], count);
            }
        }
    });
}

}  // namespace detail

/// y = what the reducer f makes of the elements of x that meet.
template <class F, class T>
void reduce(const F& f, const reduction_walk& walk, const T* x, T* y, thread_pool* threads = nullptr) noexcept {
    if (walk.outputs <= 0) return;
    if constexpr (requires { typename F::unfinished; }) {
        reduce(static_cast<const typename F::unfinished&>(f), walk, x, y, threads);
        const batch<T> count(static_cast<T>(walk.elements));
        const auto finish = [&](const batch<T>& v) { return f.template finish<batch<T>>(v, batch<T>(T(0)), count); };
        return map(walk.outputs, finish, y, y);
    } else {
        detail::reduce_finished(f, walk, x, y, threads);
    }
}

}  // namespace bespoke::kernels
