#pragma once

#include "../core/buffer.hpp"

#include <algorithm>
#include <vector>

namespace bespoke {

/// A piece of memory that is wanted from time `first` to time `last`, both included.
struct tenancy {
    extent size = 0;
    std::size_t first = 0, last = 0;
    extent offset = 0;  ///< filled in by `allocate`
};

/// Gives each tenancy, in this order, the lowest place that is free, and returns the size of the whole.
constexpr extent allocate_in_order(std::vector<tenancy>& tenancies, const std::vector<std::size_t>& order) {
    tenancy* const all = tenancies.data();  // and no operators: the compiler counts every call
    std::vector<std::size_t> placed;  // by offset
    extent total = 0;
    for (std::size_t i : order) {
        tenancy& mine = all[i];
        const extent size = aligned_size<float>(mine.size);
        extent offset = 0;
        const std::size_t* const end = placed.data() + placed.size();
        for (const std::size_t* other = placed.data(); other != end; ++other) {
            const tenancy& theirs = all[*other];
            if (theirs.last < mine.first || mine.last < theirs.first) continue;
            if (theirs.offset >= offset + size) break;
            const extent behind = theirs.offset + aligned_size<float>(theirs.size);
            if (behind > offset) offset = behind;
        }
        mine.offset = offset;
        total = std::max(total, offset + size);
        placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                       [&](std::size_t a, std::size_t b) { return all[a].offset < all[b].offset; }),
                      i);
    }
    return total;
}

/// The tenancies in the order of their keys.
constexpr std::vector<std::size_t> sorted_by(const std::vector<std::size_t>& keys) {
    const std::size_t* const key = keys.data();
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < keys.size(); ++i) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [key](std::size_t a, std::size_t b) { return key[a] != key[b] ? key[a] < key[b] : a < b; });
    return order;
}

/// What is wanted at once at the worst time: no plan can do with less. `by_first`: the tenancies in the order of time.
constexpr extent largest_live_set(const std::vector<tenancy>& tenancies, const std::vector<std::size_t>& by_first) {
    const tenancy* const all = tenancies.data();
    std::vector<std::size_t> last;
    for (const tenancy& t : tenancies) last.push_back(t.last);
    const std::vector<std::size_t> by_last = sorted_by(last);
    extent live = 0, largest = 0;
    const std::size_t* gone = by_last.data();
    for (std::size_t i : by_first) {
        for (; all[*gone].last < all[i].first; ++gone) live -= aligned_size<float>(all[*gone].size);
        live += aligned_size<float>(all[i].size);
        largest = std::max(largest, live);
    }
    return largest;
}

/// Gives each tenancy an offset such that no two which overlap in time overlap in space, and returns the size of the
/// whole. Largest first, each at the lowest place that is free: within a few per cent of the largest live set on most
/// networks (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). Where that takes
/// more than the largest live set, in the order of time, if that is better.
constexpr extent allocate(std::vector<tenancy>& tenancies) {
    std::vector<std::size_t> falling_size, first;
    for (const tenancy& t : tenancies) {
        falling_size.push_back(~static_cast<std::size_t>(t.size));
        first.push_back(t.first);
    }
    const extent total = allocate_in_order(tenancies, sorted_by(falling_size));
    const std::vector<std::size_t> order = sorted_by(first);
    if (total == largest_live_set(tenancies, order)) return total;
    std::vector<tenancy> other = tenancies;
    const extent by_time = allocate_in_order(other, order);
    if (by_time >= total) return total;
    tenancies = other;
    return by_time;
}

}  // namespace bespoke
