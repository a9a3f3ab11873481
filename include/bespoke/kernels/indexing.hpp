#pragma once

#include "../core/threads.hpp"
#include "map.hpp"

/// Blocks that are looked up or written where numbers of another array say: the one engine of gather and scatter.
namespace bespoke::kernels {

/// The nearest integer, a half away from 0; at most 2^53 away from 0; -2^53 for NaN.
template <std::floating_point T>
extent nearest_integer(T x) noexcept {
    constexpr double most = 9007199254740992.0,
                     almost_half = 0.49999999999999994;  // a half would lift that to 1
    const double at = static_cast<double>(x);
    if (!(at > -most)) return -(extent{1} << 53);
    if (at >= most) return extent{1} << 53;
    return static_cast<extent>(at + (at < 0 ? -almost_half : almost_half));
}

/// The place that x names among n: its nearest integer, which counts from the end where it is negative. -1 where there
/// is no such place.
template <class T>
extent named_place(T x, extent n) noexcept {
    const extent at = nearest_integer(x), place = at < 0 ? at + n : at;
    return place >= 0 && place < n ? place : -1;
}

/// Where the blocks of a part [outer, count, lanes, block] lie in a whole [outer, rows.., lanes, block]. A block is
/// found by one index for each of the axes `rows`; one that names nothing in its axis names no block.
struct indexing {
    extent outer = 1, count = 1, lanes = 1, block = 1;
    shape rows{};
    bool own =
        false;  ///< indices [outer, count, lanes] of a single axis; else [count, rows.rank()] for all of outer

    extent slots() const { return outer * count * lanes; }         ///< blocks of the part
    extent places() const { return outer * rows.size() * lanes; }  ///< blocks of the whole
};

/// What a scatter makes of a value and its update.
enum class scatter_mode { update, add, sub, mul, div, max, min };

namespace detail {

/// The row that the indices at `at` name, or -1.
template <class T>
extent named_row(const shape& rows, const T* at) noexcept {
    if (rows.rank() == 1) return named_place(*at, rows[0]);
    extent row = 0;
    for (std::size_t axis = 0; axis < rows.rank(); ++axis) {
        const extent place = named_place(at[axis], rows[axis]);
        if (place < 0) return -1;
        row = row * rows[axis] + place;
    }
    return row;
}

/// Calls body(place, slot) for the slots [first, last) in order, or in reverse; place is -1 where there is none.
template <bool Reverse, class T, class Body>
void each_slot(const indexing& how, const T* indices, extent first, extent last, const Body& body) noexcept {
    if (first >= last) return;
    const extent rows = how.rows.size(), depth = static_cast<extent>(how.rows.rank());
    const extent begin = Reverse ? last - 1 : first;
    extent lane = begin % how.lanes, j = begin / how.lanes % how.count, o = begin / how.lanes / how.count;
    for (extent i = first; i < last; ++i) {
        const extent slot = Reverse ? first + last - 1 - i : i;
        const extent row = named_row(how.rows, indices + (how.own ? slot : j * depth));
        body(row < 0 ? extent{-1} : (o * rows + row) * how.lanes + lane, slot);
        if constexpr (Reverse) {
            if (--lane >= 0) continue;
            lane = how.lanes - 1;
            if (--j >= 0) continue;
            j = how.count - 1;
            --o;
        } else {
            if (++lane < how.lanes) continue;
            lane = 0;
            if (++j < how.count) continue;
            j = 0;
            ++o;
        }
    }
}

/// Calls body(first place, last place, first slot, last slot): each thread has places of its own, and all slots that
/// may lie there, so that what meets in one place does so in the order of the slots.
template <class Body>
void split_places(const indexing& how, thread_pool* threads, const Body& body) noexcept {
    const extent places = how.places(), each = how.outer > 0 ? places / how.outer : 0,
                 slots = how.count * how.lanes;
    if (std::max(places, how.slots()) * how.block < (1 << 14)) threads = nullptr;
    parallel_for(threads, places, 1, [&](extent first, extent last) {
        body(first, last, first / each * slots, ((last - 1) / each + 1) * slots);
    });
}

/// y[i] = f(y[i], u[i]).
template <class T, class F>
void combine(extent n, const T* u, T* y, const F& f) noexcept {
    if (n == 1)
        *y = f(*y, *u);
    else
        for_each_batch<T>(
            n, [&](extent i, auto in, auto out)
                   __attribute__((always_inline)) { out(y + i, f(in(y + i), in(u + i))); });
}
template <class T>
void apply(scatter_mode mode, extent n, const T* u, T* y) noexcept {
    switch (mode) {
        case scatter_mode::update:
            return n == 1 ? void(*y = *u) : copy(n, u, y);
        case scatter_mode::add:
            return combine(n, u, y, [](const auto& a, const auto& b) { return a + b; });
        case scatter_mode::sub:
            return combine(n, u, y, [](const auto& a, const auto& b) { return a - b; });
        case scatter_mode::mul:
            return combine(n, u, y, [](const auto& a, const auto& b) { return a * b; });
        case scatter_mode::div:
            return combine(n, u, y, [](const auto& a, const auto& b) { return a / b; });
        case scatter_mode::max:
            return combine(n, u, y, [](const auto& a, const auto& b) { return kernels::running_max(a, b); });
        case scatter_mode::min:
            return combine(n, u, y, [](const auto& a, const auto& b) {
                return kernels::select(kernels::is_nan(b), b, kernels::min(b, a));
            });
    }
}

/// One step back: `g` is the gradient of a value after its update u and becomes that of `before`, the value before it;
/// du[i] += the update's (du may be null). `before` is read for mul, div, max and min only.
template <class T>
void apply_backward(scatter_mode mode, extent n, const T* before, const T* u, T* g, T* du) noexcept {
    for (extent i = 0; i < n; ++i) {
        const T after = g[i];
        T update = after;
        switch (mode) {
            case scatter_mode::update:
                g[i] = T(0);
                break;
            case scatter_mode::add:
                break;
            case scatter_mode::sub:
                update = -after;
                break;
            case scatter_mode::mul:
                update = after * before[i];
                g[i] = after * u[i];
                break;
            case scatter_mode::div:
                update = -after * before[i] / u[i] / u[i];
                g[i] = after / u[i];
                break;
            default: {
                const bool taken =
                    is_nan(u[i]) || (mode == scatter_mode::max ? u[i] > before[i] : u[i] < before[i]);
                (taken ? g[i] : update) = T(0);
            }
        }
        if (du != nullptr) du[i] += update;
    }
}

constexpr bool needs_history(scatter_mode mode) {
    return mode != scatter_mode::update && mode != scatter_mode::add && mode != scatter_mode::sub;
}

}  // namespace detail

/// part = the blocks of `whole` that the indices name, 0 where they name none.
template <class T>
void gather(const indexing& how, const T* whole, const T* indices, T* part, thread_pool* threads) noexcept {
    const extent block = how.block;
    if (how.slots() * block < (1 << 14)) threads = nullptr;
    parallel_for(threads, how.slots(), 1, [&](extent first, extent last) {
        detail::each_slot<false>(how, indices, first, last, [&](extent place, extent slot) {
            if (block == 1)
                part[slot] = place < 0 ? T(0) : whole[place];
            else if (place < 0)
                fill(block, T(0), part + slot * block);
            else
                copy(block, whole + place * block, part + slot * block);
        });
    });
}

/// The blocks of `whole` that the indices name take the updates `part`, in order: of several in one place the last
/// speaks last. An update that names no block is left out. The same bits for any number of threads.
template <class T>
void scatter(const indexing& how, scatter_mode mode, const T* part, const T* indices, T* whole,
             thread_pool* threads) noexcept {
    const extent block = how.block;
    detail::split_places(how, threads, [&](extent first, extent last, extent first_slot, extent last_slot) {
        detail::each_slot<false>(how, indices, first_slot, last_slot, [&](extent place, extent slot) {
            if (place >= first && place < last)
                detail::apply(mode, block, part + slot * block, whole + place * block);
        });
    });
}

/// Elements of `scatter_backward`'s scratch.
inline extent scatter_scratch(const indexing& how, scatter_mode mode) {
    const extent whole = how.places() * how.block;
    return detail::needs_history(mode) ? 2 * whole + how.slots() * how.block : whole;
}

/// dwhole += and dpart += the gradients of a scatter whose result has the gradient dy; either may be null. The updates
/// are taken back one by one, the last first. Which of two equal numbers is a maximum: the one that was there before.
template <class T>
void scatter_backward(const indexing& how, scatter_mode mode, const T* whole, const T* part, const T* indices,
                      const T* dy, T* dwhole, T* dpart, T* scratch, thread_pool* threads) noexcept {
    const extent block = how.block, size = how.places() * block;
    T *const g = scratch, *const values = scratch + size, *const before = scratch + 2 * size;
    const bool history = detail::needs_history(mode);
    detail::split_places(how, threads, [&](extent first, extent last, extent first_slot, extent last_slot) {
        const auto inside = [&](const auto& body) {
            return [&, body](extent place, extent slot) {
                if (place >= first && place < last) body(place * block, slot * block);
            };
        };
        const extent some = (last - first) * block;
        copy(some, dy + first * block, g + first * block);
        if (history) {
            copy(some, whole + first * block, values + first * block);
            detail::each_slot<false>(how, indices, first_slot, last_slot,
                                     inside([&](extent place, extent slot) {
                                         copy(block, values + place, before + slot);
                                         detail::apply(mode, block, part + slot, values + place);
                                     }));
        }
        detail::each_slot<true>(how, indices, first_slot, last_slot, inside([&](extent place, extent slot) {
                                    detail::apply_backward(mode, block, history ? before + slot : g + place,
                                                           part + slot, g + place,
                                                           dpart == nullptr ? nullptr : dpart + slot);
                                }));
    });
    if (dwhole == nullptr) return;
    parallel_for(size < (1 << 14) ? nullptr : threads, size, 4096,
                 [&](extent first, extent last) { accumulate(last - first, g + first, dwhole + first); });
}

}  // namespace bespoke::kernels
