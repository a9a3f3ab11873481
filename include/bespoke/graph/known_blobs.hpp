#pragma once

#include "../core/concepts.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace bespoke {

/// The blobs of few elements whose values are known before the network runs, and what was made of them. For the
/// planner, which follows a network from its first layer to the last: what is overwritten later is not known any more,
/// and where a shape has been decided by it, the planning was wrong.
class known_blobs {
public:
    static constexpr std::size_t most = 64;  ///< elements

    /// What is known of each of `blobs`; of no layer's inputs at all: empty.
    constexpr std::vector<known_values> of(std::span<const std::size_t> blobs) const {
        std::vector<known_values> list;
        if (entries_.empty()) return list;
        for (std::size_t blob : blobs) {
            const std::size_t e = find(blob);
            list.push_back(e == none ? known_values{} : known_values{std::span<const double>(entries_[e].values)});
        }
        return list;
    }
    /// The values of a new blob, of a higher number than those before, that follow from those of `inputs`, as far as
    /// they are known. Only if a float holds each of them: a layer that reads them in the run must find the same.
    constexpr void add(std::size_t blob, const std::vector<double>& values, std::span<const std::size_t> inputs) {
        if (values.size() > most || !std::ranges::all_of(values, is_float)) return;
        entry made{blob, values, {}};
        for (std::size_t input : inputs)
            if (const std::size_t e = find(input); e != none) made.from.push_back(e);
        entries_.push_back(made);
    }
    /// A shape was decided by the values of these.
    constexpr void decide(std::span<const std::size_t> blobs) {
        for (std::size_t blob : blobs)
            if (const std::size_t e = find(blob); e != none) entries_[e].decides = true;
    }
    /// False: the values that are overwritten have decided a shape.
    constexpr bool overwrite(std::size_t blob) {
        bool undecided = true;
        for (entry& e : entries_) {
            e.follows = e.blob == blob;
            for (std::size_t source : e.from) e.follows |= entries_[source].follows;
            if (!e.follows) continue;
            e.known = false;
            undecided = undecided && !e.decides;
        }
        return undecided;
    }
    /// The blobs from number `first` on may not have been written after all.
    constexpr void forget_from(std::size_t first) {
        for (entry& e : entries_) e.known = e.known && e.blob < first;
    }

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr bool is_float(double v) {
        constexpr double most = std::numeric_limits<double>::max(),
                         largest = static_cast<double>(std::numeric_limits<float>::max());
        if (v != v || v < -most || v > most) return true;  // a float holds NaN and infinity too
        return v >= -largest && v <= largest && static_cast<double>(static_cast<float>(v)) == v;
    }
    /// Stays when its values are known no more: what it has decided has to be remembered.
    struct entry {
        std::size_t blob;
        std::vector<double> values;
        std::vector<std::size_t> from;  ///< numbers of entries: those of its inputs
        bool known = true, decides = false, follows = false;
    };
    constexpr std::size_t find(std::size_t blob) const {
        const auto e = std::lower_bound(entries_.begin(), entries_.end(), blob,
                                        [](const entry& one, std::size_t other) { return one.blob < other; });
        return e == entries_.end() || e->blob != blob || !e->known ? none
                                                                   : static_cast<std::size_t>(e - entries_.begin());
    }

    std::vector<entry> entries_;  // by blob
};

}  // namespace bespoke
