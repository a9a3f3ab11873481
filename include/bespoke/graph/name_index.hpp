#pragma once

#include "plan.hpp"

#include <string_view>
#include <vector>

namespace bespoke {

/// The elements of a list by their names, texts of one pool. The compiler plans large networks, where to walk the list
/// for each name would take longest.
class name_index {
    struct all {
        constexpr bool operator()(std::size_t) const { return true; }
    };

public:
    /// The next element of the list, whose name has this hash.
    constexpr void add(std::uint32_t hash) {
        std::size_t& first = first_[hash % slots];
        next_.push_back(first);
        first = next_.size() - 1;
    }
    /// The number of the element called `name` that `counts`, or npos; the last one where several are.
    template <class Named, class Counts = all>
    constexpr std::size_t find(const std::vector<Named>& list, const std::vector<char>& pool, std::string_view name,
                               const Counts& counts = {}) const {
        const std::uint32_t hash = hash_of(name);
        for (std::size_t i = first_[hash % slots]; i != npos; i = next_[i]) {
            const text_range& mine = list[i].name;
            if (mine.hash != hash || !counts(i)) continue;
            if (std::string_view(pool.data() + mine.begin, mine.size) == name) return i;
        }
        return npos;
    }

private:
    static constexpr std::size_t slots = 256, npos = blob_facts::npos;
    std::vector<std::size_t> first_ = std::vector<std::size_t>(slots, npos), next_;
};

}  // namespace bespoke
