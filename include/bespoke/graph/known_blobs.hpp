#pragma once

#include "../core/concepts.hpp"

#include <algorithm>
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
            const entry* const e = find(blob);
            list.push_back(e == nullptr ? known_values{} : known_values{std::span<const double>(e->values)});
        }
        return list;
    }
    /// The values of a new blob that follow from those of `inputs`, as far as they are known.
    constexpr void add(std::size_t blob, const std::vector<double>& values, std::span<const std::size_t> inputs) {
        if (values.size() > most) return;
        entry made{blob, values, {blob}};
        for (std::size_t input : inputs)
            if (const entry* const e = find(input))
                for (const std::size_t source : e->sources) made.sources.push_back(source);
        entries_.push_back(made);
    }
    /// A shape was decided by the values of these.
    constexpr void decide(std::span<const std::size_t> blobs) {
        for (std::size_t blob : blobs)
            if (const entry* const e = find(blob))
                for (const std::size_t source : e->sources) deciding_.push_back(source);
    }
    /// False: the values that are overwritten have decided a shape.
    constexpr bool overwrite(std::size_t blob) {
        std::erase_if(entries_, [&](const entry& e) { return contains(e.sources, blob); });
        return !contains(deciding_, blob);
    }
    /// The blobs from number `first` on may not have been written after all.
    constexpr void forget_from(std::size_t first) {
        std::erase_if(entries_, [&](const entry& e) { return e.blob >= first; });
    }

private:
    struct entry {
        std::size_t blob;
        std::vector<double> values;
        std::vector<std::size_t> sources;  ///< the blobs that it follows from, itself included
    };
    static constexpr bool contains(const std::vector<std::size_t>& list, std::size_t blob) {
        return std::ranges::find(list, blob) != list.end();
    }
    constexpr const entry* find(std::size_t blob) const {
        for (const entry& e : entries_)
            if (e.blob == blob) return &e;
        return nullptr;
    }

    std::vector<entry> entries_;
    std::vector<std::size_t> deciding_;
};

}  // namespace bespoke
