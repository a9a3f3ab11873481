#pragma once

#include "../core/threads.hpp"
#include "math.hpp"

#include <algorithm>
#include <array>

namespace bespoke::kernels {

// Element-wise operations between row-major arrays of different shapes. Shapes are aligned at their last
// axis; an axis of extent 1, or one that is missing, is repeated. Each shape must fit the result's in this way.

/// The axes of a result, neighbours joined where every array walks them as one, with the step of each array along
/// them: 0 where it is repeated. Along the last axis the steps are 0 or 1.
template <std::size_t Count>
struct broadcast_plan {
    static constexpr std::size_t most = 2 * max_rank + 1;  ///< the examples are an axis too, `tile` halves each

    std::size_t rank = 0;  ///< 0: one element
    extent extents[most]{};
    extent steps[most][Count]{};

    /// The next axis, from the outermost to the innermost.
    constexpr void add(extent size, const std::array<extent, Count>& step) {
        if (size == 1) return;
        bool joined = rank > 0;
        for (std::size_t s = 0; s < Count && joined; ++s) joined = steps[rank - 1][s] == step[s] * size;
        if (!joined) ++rank;
        extents[rank - 1] = joined ? extents[rank - 1] * size : size;
        for (std::size_t s = 0; s < Count; ++s) steps[rank - 1][s] = step[s];
    }
    /// All axes of `out`.
    constexpr void add(const shape& out, const std::array<shape, Count>& shapes) {
        for (std::size_t axis = 0; axis < out.rank(); ++axis) {
            std::array<extent, Count> step{};
            for (std::size_t s = 0; s < Count; ++s) {
                const std::size_t missing = out.rank() - shapes[s].rank();
                if (axis >= missing && shapes[s][axis - missing] != 1)
                    step[s] = shapes[s].product(axis - missing + 1, shapes[s].rank());
            }
            add(out[axis], step);
        }
    }
    constexpr extent size() const {
        extent elements = 1;
        for (std::size_t axis = 0; axis < rank; ++axis) elements *= extents[axis];
        return elements;
    }
    /// Whether an array moves along the last axis.
    constexpr bool moves(std::size_t array) const { return rank == 0 || steps[rank - 1][array] != 0; }
};

namespace detail {

/// Planes of rows of one length along the last axis, which lie one behind the other in the result.
template <std::size_t Count>
struct broadcast_rows {
    extent at = 0, n = 0, rows = 0, planes = 0;  ///< place of the first row in the result, its elements, how many
    extent offset[Count]{};                      ///< of each array, of the first row
    extent step[Count]{}, turn[Count]{};         ///< from row to row, from the end of a plane to the next
};

/// Calls visit(context, rows) for what makes the elements [begin, end) of the result, in row-major order.
template <std::size_t Count>
[[gnu::noinline]] void walk_rows(const broadcast_plan<Count>& plan, extent begin, extent end,
                                 void (*visit)(const void*, const broadcast_rows<Count>&),
                                 const void* context) noexcept {
    if (begin >= end) return;
    // Axes are counted from the last one on, and there are three of them at least.
    static constexpr extent unmoved[Count]{};
    const auto size = [&](std::size_t axis) { return axis < plan.rank ? plan.extents[plan.rank - 1 - axis] : 1; };
    const auto steps = [&](std::size_t axis) { return axis < plan.rank ? plan.steps[plan.rank - 1 - axis] : unmoved; };
    extent index[broadcast_plan<Count>::most + 3]{}, rest = begin;
    broadcast_rows<Count> next{.at = begin};
    for (std::size_t axis = 0; rest > 0; ++axis) {
        const extent outer = axis + 1 < plan.rank ? rest / size(axis) : 0;
        index[axis] = rest - outer * size(axis);
        for (std::size_t s = 0; s < Count; ++s) next.offset[s] += index[axis] * steps(axis)[s];
        rest = outer;
    }
    const extent row = size(0), plane = row * size(1);
    for (std::size_t s = 0; s < Count; ++s) next.step[s] = steps(1)[s];
    while (true) {
        const extent left = end - next.at;
        next.n = std::min(left, row - index[0]);
        next.rows = next.planes = 1;
        if (next.n == row) next.rows = left >= plane ? size(1) - index[1] : std::min(left / row, size(1) - index[1]);
        const bool whole = next.rows == size(1);
        if (whole && next.n == row) next.planes = std::min(left / plane, size(2) - index[2]);
        for (std::size_t s = 0; s < Count; ++s) next.turn[s] = steps(2)[s] - next.rows * next.step[s];
        visit(context, next);
        next.at += next.n * next.rows * next.planes;
        if (next.at == end) return;
        std::size_t axis = next.n < row ? 0 : whole ? 2 : 1;
        for (extent by = axis == 0 ? next.n : axis == 1 ? next.rows : next.planes;; by = 1, ++axis) {
            index[axis] += by;
            const bool done = index[axis] == size(axis);
            if (done) by -= index[axis];
            for (std::size_t s = 0; s < Count; ++s) next.offset[s] += by * steps(axis)[s];
            if (!done) break;
            index[axis] = 0;
        }
    }
}

template <std::size_t Count, class Body>
void visit_runs(const void* erased, const broadcast_rows<Count>& rows) {
    const Body body = *static_cast<const Body*>(erased);
    const extent n = rows.n;
    extent offset[Count], step[Count], at = rows.at;
    for (std::size_t s = 0; s < Count; ++s) {
        offset[s] = rows.offset[s];
        step[s] = rows.step[s];
    }
    for (extent plane = 0; plane < rows.planes; ++plane) {
        for (extent row = 0; row < rows.rows; ++row, at += n) {
            body(at, n, offset);
            for (std::size_t s = 0; s < Count; ++s) offset[s] += step[s];
        }
        for (std::size_t s = 0; s < Count; ++s) offset[s] += rows.turn[s];
    }
}
/// Calls body(place in the result, elements, offsets of the arrays) for the runs along the last axis that make the
/// elements [begin, end) of the result, in row-major order.
template <std::size_t Count, class Body>
void each_run(const broadcast_plan<Count>& plan, extent begin, extent end, const Body& body) noexcept {
    walk_rows<Count>(plan, begin, end, &visit_runs<Count, Body>, &body);
}

/// Where the elements of an array are to be read that begins at p, number i at `from + i * step`: where they lie, or in
/// `repeated`, a batch of the one that is repeated.
template <class T>
struct run_operand {
    const T* from;
    extent step;

    [[gnu::always_inline]] run_operand(const T* p, bool moves, T (&repeated)[lanes<T>]) noexcept
        : from(moves ? p : repeated), step(moves ? 1 : 0) {
        if (!moves) batch<T>(*p).store_aligned(repeated);
    }
    [[gnu::always_inline]] const T* at(extent i) const noexcept { return from + i * step; }
};

template <class F, class T, std::size_t Count, std::size_t... I>
void broadcast_map(const F& f, const broadcast_plan<Count>& plan, const std::array<const T*, Count>& xs, T* y,
                   extent begin, extent end, std::index_sequence<I...>) noexcept {
    each_run(plan, begin, end, [&](extent at, extent n, const extent(&offset)[Count]) __attribute__((always_inline)) {
        T* const to = y + at;
        alignas(64) T repeated[Count][lanes<T>];
        if constexpr (Count == 2) {
            const T *a = xs[0] + offset[0], *b = xs[1] + offset[1];
            if (plan.moves(0) && plan.moves(1))
                return for_each_two_batches<T>(
                    n, [&](extent i, auto in, auto put)
                           __attribute__((always_inline)) { put(to + i, f(in(a + i), in(b + i))); });
            if (plan.moves(0)) {
                const batch<T> right(*b);
                return for_each_two_batches<T>(
                    n, [&](extent i, auto in, auto put)
                           __attribute__((always_inline)) { put(to + i, f(in(a + i), right)); });
            }
            const batch<T> left(*a);
            const run_operand<T> right(b, plan.moves(1), repeated[1]);
            for_each_two_batches<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(to + i, f(left, in(right.at(i)))); });
        } else {
            const run_operand<T> operands[]{{xs[I] + offset[I], plan.moves(I), repeated[I]}...};
            for_each_two_batches<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(to + i, f(in(operands[I].at(i))...)); });
        }
    });
}

template <class F, class T, std::size_t Count, std::size_t... I>
void reduce_runs(const F& f, const broadcast_plan<Count + 1>& plan, const std::array<const T*, Count>& xs,
                 T* to, std::index_sequence<I...>) noexcept {
    const bool to_moves = plan.moves(Count);
    each_run(plan, 0, plan.size(), [&](extent, extent n, const extent(&offset)[Count + 1]) {
        alignas(64) T repeated[Count][lanes<T>];
        const run_operand<T> operands[]{{xs[I] + offset[I], plan.moves(I), repeated[I]}...};
        T* const target = to + offset[Count];
        if (to_moves)
            return for_each_batch<T>(
                n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                    put(target + i, f(in(target + i), in(operands[I].at(i))...));
                });
        batch<T> sum(T(0));
        extent i = 0;
        for (; i + lanes<T> <= n; i += lanes<T>) sum = f(sum, load(operands[I].at(i))...);
        if (const extent rest = n - i; rest > 0) {  // what f makes of lanes without an element does not count
            alignas(64) T kept[lanes<T>];
            sum.store_aligned(kept);
            store_partial<T>(kept, f(sum, load_partial(operands[I].at(i), rest)...), rest);
            sum = batch<T>::load_aligned(kept);
        }
        *target += sum_lanes<T>(sum);
    });
}

}  // namespace detail

/// y[i] = f(x0, x1, ...) for the elements i in [begin, end) of the result; `f` maps batches to one. y may be an array
/// that has the shape of the result.
template <class F, class T, std::size_t Count>
void broadcast_map(const F& f, const broadcast_plan<Count>& plan, const std::array<const T*, Count>& xs, T* y,
                   extent begin, extent end) noexcept {
    detail::broadcast_map(f, plan, xs, y, begin, end, std::make_index_sequence<Count>{});
}
/// The same of an F that comes as `const void*`, for what is compiled once and not once an F.
template <class T, std::size_t Count>
using map_function = void(const void* f, const broadcast_plan<Count>& plan, const std::array<const T*, Count>& xs,
                          T* y, extent begin, extent end) noexcept;
template <class F, class T, std::size_t Count>
void erased_map(const void* f, const broadcast_plan<Count>& plan, const std::array<const T*, Count>& xs, T* y,
                extent begin, extent end) noexcept {
    broadcast_map(*static_cast<const F*>(f), plan, xs, y, begin, end);
}

/// What `reduce_to` does on one thread, of an F that comes as `const void*`.
template <class T, std::size_t Count>
using reduce_function = void(const void* f, const broadcast_plan<Count + 1>& plan,
                             const std::array<const T*, Count>& xs, T* to) noexcept;
template <class F, class T, std::size_t Count>
void erased_reduce(const void* f, const broadcast_plan<Count + 1>& plan, const std::array<const T*, Count>& xs,
                   T* to) noexcept {
    detail::reduce_runs(*static_cast<const F*>(f), plan, xs, to, std::make_index_sequence<Count>{});
}

/// to = f(to, x0, x1, ...) for each element of the result in turn, where `to`, the last array of the plan, is repeated
/// along axes of the result: f adds what the element has to give. f(0, 0, ...) may be anything.
///
/// Order: runs along the last joined axis in row-major order; an element of `to` that meets a whole run adds what
/// `lanes` chains gave, as `sum` does. Threads split an axis along which `to` moves.
template <class T, std::size_t Count>
[[gnu::noinline]] void reduce_to(reduce_function<T, Count>* reduce, const void* f,
                                 const broadcast_plan<Count + 1>& plan, const std::array<const T*, Count>& xs, T* to,
                                 thread_pool* threads = nullptr) noexcept {
    if (plan.size() == 0) return;
    std::size_t split = plan.rank;
    for (std::size_t axis = plan.rank; axis-- > 0;)
        if (plan.steps[axis][Count] != 0 && (split == plan.rank || plan.extents[axis] >= plan.extents[split]))
            split = axis;
    if (split == plan.rank || threads == nullptr || plan.size() < (1 << 14)) return reduce(f, plan, xs, to);
    parallel_for(threads, plan.extents[split], split + 1 == plan.rank ? 512 : 1, [&](extent first, extent last) {
        broadcast_plan<Count + 1> part = plan;
        part.extents[split] = last - first;
        std::array<const T*, Count> from = xs;
        for (std::size_t s = 0; s < Count; ++s) from[s] += first * plan.steps[split][s];
        reduce(f, part, from, to + first * plan.steps[split][Count]);
    });
}
template <class F, class T, std::size_t Count>
void reduce_to(const F& f, const broadcast_plan<Count + 1>& plan, const std::array<const T*, Count>& xs, T* to,
               thread_pool* threads = nullptr) noexcept {
    reduce_to<T, Count>(&erased_reduce<F, T, Count>, &f, plan, xs, to, threads);
}

}  // namespace bespoke::kernels
