#pragma once

#include "math.hpp"

#include <array>

namespace bespoke::kernels {

// Element-wise operations between row-major arrays of different shapes. Shapes are aligned at their last
// axis; an axis of extent 1, or one that is missing, is repeated. Each shape must fit `out` in this way.

namespace detail {

/// The axes of `out`, neighbours joined where every array walks them as one, with the step of each array along
/// them: 0 where it is repeated. At least one axis; along the last one the steps are 0 or 1.
template <std::size_t Count>
struct broadcast_plan {
    std::size_t rank = 0;
    extent extents[max_rank]{};
    extent steps[Count][max_rank]{};
};

template <std::size_t Count>
constexpr broadcast_plan<Count> plan_broadcast(const shape& out, const std::array<shape, Count>& shapes) {
    broadcast_plan<Count> plan;
    for (std::size_t axis = 0; axis < out.rank(); ++axis) {
        const extent size = out[axis];
        if (size == 1) continue;
        extent steps[Count]{};
        for (std::size_t s = 0; s < Count; ++s) {
            const std::size_t missing = out.rank() - shapes[s].rank();
            if (axis >= missing && shapes[s][axis - missing] != 1)
                steps[s] = shapes[s].product(axis - missing + 1, shapes[s].rank());
        }
        bool joined = plan.rank > 0;
        for (std::size_t s = 0; s < Count && joined; ++s)
            joined = plan.steps[s][plan.rank - 1] == steps[s] * size;
        if (!joined) ++plan.rank;
        extent& total = plan.extents[plan.rank - 1];
        total = joined ? total * size : size;
        for (std::size_t s = 0; s < Count; ++s) plan.steps[s][plan.rank - 1] = steps[s];
    }
    if (plan.rank == 0) {
        plan.rank = 1;
        plan.extents[0] = 1;
        for (auto& steps : plan.steps) steps[0] = 1;
    }
    return plan;
}

/// Calls body(offsets of the arrays) for each run along the last axis, in row-major order.
template <std::size_t Count, class Body>
[[gnu::always_inline]] inline void each_run(const broadcast_plan<Count>& plan, const Body& body) noexcept {
    for (std::size_t axis = 0; axis < plan.rank; ++axis)
        if (plan.extents[axis] == 0) return;
    extent index[max_rank]{};
    extent offset[Count]{};
    for (;;) {
        body(offset);
        std::size_t axis = plan.rank - 1;
        for (; axis > 0; --axis) {
            const std::size_t a = axis - 1;
            for (std::size_t s = 0; s < Count; ++s) offset[s] += plan.steps[s][a];
            if (++index[a] < plan.extents[a]) break;
            for (std::size_t s = 0; s < Count; ++s) offset[s] -= plan.steps[s][a] * plan.extents[a];
            index[a] = 0;
        }
        if (axis == 0) return;
    }
}

}  // namespace detail

/// y = f(a, b), element by element with broadcasting; `f` maps two batches to one. y has the shape `out`, and may be
/// a or b where that has it too.
template <class F, class T>
void binary(const F& f, const shape& out, const T* a, const shape& a_shape, const T* b, const shape& b_shape,
            T* y) noexcept {
    const auto plan = detail::plan_broadcast<2>(out, {a_shape, b_shape});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool a_moves = plan.steps[0][last] != 0, b_moves = plan.steps[1][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[2]) {
        const T *p = a + offset[0], *q = b + offset[1];
        if (a_moves && b_moves) {
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(y + i, f(in(p + i), in(q + i))); });
        } else if (a_moves) {
            const batch<T> right(*q);
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(y + i, f(in(p + i), right)); });
        } else {
            const batch<T> left(*p);
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                    put(y + i, f(left, b_moves ? in(q + i) : batch<T>(*q)));
                });
        }
        y += n;
    });
}

/// dx += the sum of dy * other over the axes along which `to` is repeated in `out`.
///
/// dy has the shape `out`, other `other_shape` (broadcast to `out`), dx `to`. Order: runs along the last joined axis in
/// row-major order; an element that meets a whole run adds it as `dot` does (`lanes` chains), else one fma a run.
template <class T>
void multiply_reduce_to(const shape& out, const T* dy, const T* other, const shape& other_shape,
                        const shape& to, T* dx) noexcept {
    const auto plan = detail::plan_broadcast<3>(out, {out, other_shape, to});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool other_moves = plan.steps[1][last] != 0, dx_moves = plan.steps[2][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[3]) {
        const T *g = dy + offset[0], *p = other + offset[1];
        T* d = dx + offset[2];
        batch<T> sum(T(0));
        for_each_batch<T>(
            n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                const batch<T> factor = other_moves ? in(p + i) : batch<T>(*p);
                if (dx_moves)
                    put(d + i, kernels::fma<T>(in(g + i), factor, in(d + i)));
                else
                    sum = kernels::fma<T>(in(g + i), factor, sum);
            });
        if (!dx_moves) *d += sum_lanes<T>(sum);
    });
}

/// dx += the sum of dy over the axes along which `to` is repeated in `from`, the shape of dy. Order as in
/// `multiply_reduce_to`.
template <class T>
void reduce_to(const shape& from, const T* dy, const shape& to, T* dx) noexcept {
    const auto plan = detail::plan_broadcast<2>(from, {from, to});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool dx_moves = plan.steps[1][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[2]) {
        const T* g = dy + offset[0];
        T* d = dx + offset[1];
        batch<T> sum(T(0));
        for_each_batch<T>(
            n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                if (dx_moves)
                    put(d + i, in(d + i) + in(g + i));
                else
                    sum = sum + in(g + i);
            });
        if (!dx_moves) *d += sum_lanes<T>(sum);
    });
}

}  // namespace bespoke::kernels
