#pragma once

#include "../core/threads.hpp"
#include "map.hpp"
#include "transpose.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <new>

/// The order of numbers: whole lines of them sorted, or their largest or smallest found.
///
/// NaN is larger than all numbers, 0 and -0 are equal, and of equal numbers the one that stands first comes first.
namespace bespoke::kernels {

/// Indices that an `extent` of a line may have.
inline constexpr extent longest_line = std::numeric_limits<std::uint32_t>::max();

/// Which numbers come first.
enum class ranking { largest, smallest };

/// A number of a line as its place in an order, and its index.
template <class T>
struct ranked {
    typename detail::format<T>::bits key, index;

    friend constexpr bool operator<(const ranked& a, const ranked& b) {
        return a.key != b.key ? a.key < b.key : a.index < b.index;
    }
};

namespace detail {

/// An integer whose order is the one wanted.
template <class T>
typename format<T>::bits rank_key(T x, ranking first) noexcept {
    using bits = typename format<T>::bits;
    constexpr bits sign = bits{1} << (sizeof(bits) * 8 - 1), all = ~bits{0};
    bits key = all;
    if (x == T(0))
        key = sign;
    else if (x == x)
        key = bits_of(x) & sign ? ~bits_of(x) : bits_of(x) | sign;
    return first == ranking::largest ? ~key : key;
}

/// Sorts the n entries at `a`, which are in the order of their indices, by their keys. `spare` has as much room.
template <class T>
void sort_ranked(extent n, ranked<T>* a, ranked<T>* spare) noexcept {
    if (n < 256) return std::sort(a, a + n);
    ranked<T>*from = a, *to = spare;
    for (std::size_t shift = 0; shift < sizeof(T) * 8; shift += 8) {
        extent starts[256]{};
        for (extent i = 0; i < n; ++i) ++starts[from[i].key >> shift & 255];
        if (starts[from[0].key >> shift & 255] == n) continue;
        for (extent start = 0; extent & count : starts) start += std::exchange(count, start);
        for (extent i = 0; i < n; ++i) to[starts[from[i].key >> shift & 255]++] = from[i];
        std::swap(from, to);
    }
    if (from != a) std::copy(from, from + n, a);
}

/// Entries that `rank_line` works with. Twice as many as there are numbers: it sorts them all.
constexpr extent ranked_room(extent n, extent k) {
    const extent some = 2 * std::max<extent>(k, 16);
    return 4 * some < n ? some : 2 * n;
}

/// The first k of the n numbers at `x`, in order, in the first k of `room`.
template <class T>
void rank_line(extent n, extent k, ranking first, const T* x, ranked<T>* room) noexcept {
    using bits = typename format<T>::bits;
    const extent most = ranked_room(n, k);
    extent held = 0;
    const auto add = [&](extent i) { room[held++] = {rank_key(x[i], first), static_cast<bits>(i)}; };
    while (held < std::min(n, most)) add(held);
    if (held == n) return sort_ranked(n, room, room + n);

    // Few of the rest are better than the k best so far: those that are not are passed over a batch at a time.
    ranked<T> worst;
    T limit;
    const auto keep_best = [&] {
        std::nth_element(room, room + k - 1, room + held);
        held = k;
        worst = room[k - 1];
        limit = x[worst.index];
    };
    const auto look = [&](extent i) {
        if (!(rank_key(x[i], first) < worst.key)) return;
        add(i);
        if (held == most) keep_best();
    };
    extent i = held;
    keep_best();
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> v = load(x + i), edge(limit);
        const auto passed = first == ranking::largest ? v <= edge : v >= edge;
        if (simd::all(passed)) continue;
        for (std::uint64_t better = lane_bits<T>(!passed); better != 0; better &= better - 1)
            look(i + std::countr_zero(better));
    }
    for (; i < n; ++i) look(i);
    keep_best();
    std::sort(room, room + k);
}

/// Lines whose elements lie apart are brought together so many at a time.
template <class T>
constexpr extent lines_together(extent inner) {
    return inner <= 1 ? 1 : std::min<extent>(inner, 64 / static_cast<extent>(sizeof(T)));
}

}  // namespace detail

/// Elements of `rank_lines`' scratch.
template <class T>
constexpr extent ranking_scratch(extent inner, extent n, extent k, extent threads) {
    const extent together = detail::lines_together<T>(inner);
    return threads * (2 * detail::ranked_room(n, k) + (inner <= 1 ? 0 : together * n));
}

/// The first k along the middle axis of x [outer, n, inner], in order: values (may be null) and indices
/// [outer, k, inner]. n up to `longest_line`; k from 0 to n.
///
/// n + k log k steps a line for numbers in random order.
template <class T>
void rank_lines(extent outer, extent n, extent inner, extent k, ranking first, const T* x, T* values,
                T* indices, T* scratch, thread_pool* threads) noexcept {
    if (outer * inner * n < (1 << 12)) threads = nullptr;
    const extent together = detail::lines_together<T>(inner), groups = (inner + together - 1) / together;
    const extent workers = threads == nullptr ? 1 : static_cast<extent>(threads->size());
    const extent room = ranking_scratch<T>(inner, n, k, 1), work = outer * groups;
    parallel_for(threads, workers, 1, [&](extent begin, extent end) {
        for (extent worker = begin; worker < end; ++worker) {
            auto* const entries = ::new (static_cast<void*>(scratch + worker * room))
                ranked<T>[static_cast<std::size_t>(detail::ranked_room(n, k))];
            T* const lines = scratch + worker * room + 2 * detail::ranked_room(n, k);
            for (extent group = work * worker / workers; group < work * (worker + 1) / workers; ++group) {
                const extent o = group / groups, lane = group % groups * together;
                const extent width = std::min(together, inner - lane);
                const T* line = x + o * n * inner + lane;
                if (inner > 1) {
                    transpose(line, inner, n, width, lines, n);
                    line = lines;
                }
                for (extent l = 0; l < width; ++l, line += n) {
                    detail::rank_line(n, k, first, line, entries);
                    const extent to = o * k * inner + lane + l;
                    for (extent i = 0; i < k; ++i) {
                        if (values != nullptr) values[to + i * inner] = line[entries[i].index];
                        indices[to + i * inner] = static_cast<T>(entries[i].index);
                    }
                }
            }
        }
    });
}

}  // namespace bespoke::kernels
