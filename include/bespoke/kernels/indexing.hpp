#pragma once

#include "../core/threads.hpp"
#include "lookup.hpp"
#include "map.hpp"

#include <algorithm>
#include <limits>

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
        false;  ///< indices [outer, count, lanes] of a single axis; else [count, rows.rank()] for all, lanes 1

    extent slots() const { return outer * count * lanes; }         ///< blocks of the part
    extent places() const { return outer * rows.size() * lanes; }  ///< blocks of the whole
};

/// What a scatter makes of a value and its update.
enum class scatter_mode { update, add, sub, mul, div, max, min };

namespace detail {

/// Indices that are looked at together.
inline constexpr extent indices_together = 256;

/// places[i] = named_place(x[i * step], n), i in [0, count); count up to `indices_together`, for which there is room.
template <class T>
void named_places(extent count, const T* x, extent step, extent n, extent* places) noexcept {
    constexpr extent exact = extent{1} << std::numeric_limits<T>::digits;  // whole numbers up to here are a T each
    if (n > exact) {
        for (extent i = 0; i < count; ++i) places[i] = named_place(x[i * step], n);
        return;
    }
    T near[indices_together];
    if (step != 1) {
        for (extent i = 0; i < count; ++i) near[i] = x[i * step];
        x = near;
    }
    // To add half of what is next to one, not a half: that would lift the number below a half to 1.
    const batch<T> end(static_cast<T>(n)), zero(T(0)), none(T(-1)), almost_half(std::nextafter(T(0.5), T(0)));
    for_each_batch<T>(
        count, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            const batch<T> v = in(x + i), whole = simd::trunc(v + copysign<T>(almost_half, v));
            const batch<T> at = select<T>(whole < zero, whole + end, whole);
            store_places<T>(places + i, select<T>((at >= zero) & (at < end), at, none));
        });
}

/// The rows that so many lists of indices name, one index an axis, or -1; count up to `indices_together`.
template <class T>
void named_rows(const shape& rows, extent count, const T* at, extent* row) noexcept {
    const auto depth = static_cast<extent>(rows.rank());
    if (depth == 0) return void(std::fill_n(row, count, extent{0}));
    named_places(count, at, depth, rows[0], row);
    extent place[indices_together];
    for (extent axis = 1; axis < depth; ++axis) {
        const extent size = rows[static_cast<std::size_t>(axis)];
        named_places(count, at + axis, depth, size, place);
        for (extent i = 0; i < count; ++i) row[i] = row[i] < 0 || place[i] < 0 ? -1 : row[i] * size + place[i];
    }
}

template <bool Reverse, class T>
[[gnu::noinline]] void walk_slots(const indexing& how, const T* indices, extent first, extent last,
                                  void (*body)(const void*, const extent*, extent, extent, extent),
                                  const void* context) noexcept {
    if (first >= last) return;
    const extent rows = how.rows.size(), depth = static_cast<extent>(how.rows.rank()), most = indices_together;
    const extent along = how.count * how.lanes;
    extent row[indices_together], place[indices_together];
    const bool once = !how.own && how.count <= most;
    if (once) named_rows(how.rows, how.count, indices, row);
    while (first < last) {
        const extent outer = (Reverse ? last - 1 : first) / along, start = outer * along;
        const extent begin = Reverse ? std::max({first, start, last - most}) : first;
        const extent n = (Reverse ? last : std::min({last, start + along, first + most})) - begin;
        const extent* r = row + (once ? begin - start : 0);
        if (!once) named_rows(how.rows, n, indices + (how.own ? begin : (begin - start) * depth), row);
        if (how.lanes != 1) {
            for (extent i = 0, lane = begin % how.lanes; i < n; ++i) {
                place[i] = r[i] < 0 ? -1 : r[i] * how.lanes + lane;
                if (++lane == how.lanes) lane = 0;
            }
            r = place;
        }
        body(context, r, outer * rows * how.lanes, begin, n);
        (Reverse ? last : first) = Reverse ? begin : begin + n;
    }
}
/// Calls body(places, base, slot, n) for n slots from `slot` on at a time, until those of [first, last) are done, in
/// order or with the last ones first. Their places are base + places[i]; places[i] is -1 where there is none.
template <bool Reverse, class T, class Body>
void each_slots(const indexing& how, const T* indices, extent first, extent last, const Body& body) noexcept {
    walk_slots<Reverse>(how, indices, first, last,
                        &bespoke::detail::call_body<Body, const extent*, extent, extent, extent>, &body);
}
/// Calls body(place, slot) for the slots [first, last) in order, or in reverse.
template <bool Reverse, class T, class Body>
void each_slot(const indexing& how, const T* indices, extent first, extent last, const Body& body) noexcept {
    each_slots<Reverse>(how, indices, first, last, [&](const extent* place, extent base, extent slot, extent n) {
        for (extent i = 0; i < n; ++i) {
            const extent j = Reverse ? n - 1 - i : i;
            body(place[j] < 0 ? extent{-1} : base + place[j], slot + j);
        }
    });
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

/// Calls body(f): f(value, update) is what a scatter makes of them.
template <class Body>
void with_mode(scatter_mode mode, const Body& body) noexcept {
    switch (mode) {
        case scatter_mode::update:
            return body([](const auto&, const auto& b) { return b; });
        case scatter_mode::add:
            return body([](const auto& a, const auto& b) { return a + b; });
        case scatter_mode::sub:
            return body([](const auto& a, const auto& b) { return a - b; });
        case scatter_mode::mul:
            return body([](const auto& a, const auto& b) { return a * b; });
        case scatter_mode::div:
            return body([](const auto& a, const auto& b) { return a / b; });
        case scatter_mode::max:
            return body([](const auto& a, const auto& b) { return kernels::running_max(a, b); });
        case scatter_mode::min:
            return body([](const auto& a, const auto& b) { return kernels::running_min(a, b); });
    }
}
/// y[i] = f(y[i], u[i]).
template <class T>
void apply(scatter_mode mode, extent n, const T* u, T* y) noexcept {
    if (mode == scatter_mode::update) return copy(n, u, y);
    with_mode(mode, [&](const auto& f) {
        if (n == 1) return void(*y = f(*y, *u));
        for_each_batch<T>(
            n, [&](extent i, auto in, auto out)
                   __attribute__((always_inline)) { out(y + i, f(in(y + i), in(u + i))); });
    });
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
        if (block == 1)
            return detail::each_slots<false>(
                how, indices, first, last, [&](const extent* places, extent base, extent slot, extent n) {
                    gather_at(n, whole + base, places, part + slot);
                });
        detail::each_slot<false>(how, indices, first, last, [&](extent place, extent slot) {
            T* const to = part + slot * block;
            place < 0 ? fill(block, T(0), to) : copy(block, whole + place * block, to);
        });
    });
}

/// whole = `before`, whose blocks that the indices name take the updates `part`, in order: of several in one place the
/// last speaks last. An update that names no block is left out. `before` may be `whole`. The same bits for any number
/// of threads.
template <class T>
void scatter(const indexing& how, scatter_mode mode, const T* before, const T* part, const T* indices, T* whole,
             thread_pool* threads) noexcept {
    const extent block = how.block;
    const auto update = [&](extent first, extent last, extent first_slot, extent last_slot) {
        copy((last - first) * block, before + first * block, whole + first * block);
        if (block == 1)
            return detail::with_mode(mode, [&](const auto& f) {
                detail::each_slots<false>(
                    how, indices, first_slot, last_slot,
                    [&](const extent* places, extent base, extent slot, extent n) {
                        const extent low = std::max<extent>(first - base, 0), high = last - base - low;
                        T* const to = whole + base;
                        const T* const from = part + slot;
                        // Some are read before any is written: a read waits for a write before it whose
                        // address ends alike.
                        const auto some = [&](auto count, extent i) __attribute__((always_inline)) {
                            extent place[count()];
                            T u[count()];
                            unroll<count()>([&](std::size_t k) __attribute__((always_inline)) {
                                place[k] = places[i + static_cast<extent>(k)];
                                u[k] = from[i + static_cast<extent>(k)];
                            });
                            unroll<count()>([&](std::size_t k) __attribute__((always_inline)) {
                                if (static_cast<std::size_t>(place[k] - low) < static_cast<std::size_t>(high))
                                    to[place[k]] = f(to[place[k]], u[k]);
                            });
                        };
                        constexpr std::integral_constant<std::size_t, 8> together{};
                        extent i = 0;
                        for (; i + extent{together()} <= n; i += extent{together()}) some(together, i);
                        for (; i < n; ++i) some(std::integral_constant<std::size_t, 1>{}, i);
                    });
            });
        detail::each_slot<false>(how, indices, first_slot, last_slot, [&](extent place, extent slot) {
            if (place >= first && place < last)
                detail::apply(mode, block, part + slot * block, whole + place * block);
        });
    };
    // Some rows of `outer` at a time, which are still near when their updates come.
    const extent places = how.outer > 0 ? how.places() / how.outer : 0, slots = how.count * how.lanes;
    const extent near = std::max<extent>(1, 8192 / std::max<extent>(1, places * block));
    detail::split_places(how, threads, [&](extent first, extent last, extent first_slot, extent last_slot) {
        for (extent end = first - first % places; first < last; first = end, first_slot += near * slots) {
            end = std::min(end + near * places, last);
            update(first, end, first_slot, std::min(first_slot + near * slots, last_slot));
        }
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
