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

/// Gives each tenancy an offset such that no two which overlap in time overlap in space, and returns the
/// size of the whole. Largest first, each at the lowest place that is free: within a few per cent of the
/// largest live set on real networks (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
/// Inference", 2020).
constexpr extent allocate(std::vector<tenancy>& tenancies) {
    tenancy* const all = tenancies.data();  // and no operators: the compiler counts every call
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < tenancies.size(); ++i) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return all[a].size != all[b].size ? all[a].size > all[b].size : a < b;
    });
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

}  // namespace bespoke
