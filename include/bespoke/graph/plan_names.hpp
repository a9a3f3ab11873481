#pragma once

#include "../core/fault.hpp"
#include "name_index.hpp"

namespace bespoke {

/// The lists of a plan while it grows: its texts, and its blobs and steps by their names.
class plan_names {
public:
    static constexpr std::size_t npos = blob_facts::npos;
    static constexpr std::size_t longest_name = sentence::capacity;

    /// The number of the blob called `name`, npos where there is none. It is looked for inside of the prefix first, then
    /// one prefix further out, and so on.
    constexpr std::size_t find(std::string_view name) const {
        for (std::size_t depth = scopes_.size() + 1; depth-- > 0;) {
            const auto prefix = depth == scopes_.size() ? prefix_.view() : prefix_.view().substr(0, scopes_[depth]);
            if (prefix.size() + name.size() > longest_name) continue;
            const std::size_t blob = find_blob(sentence(prefix, name).view());
            if (blob != npos) return blob;
        }
        return npos;
    }
    constexpr const shape& dimensions(std::size_t blob) const { return plan_.blobs[blob].dimensions; }

protected:
    constexpr std::string_view text(text_range range) const { return {plan_.text.data() + range.begin, range.size}; }
    constexpr std::string_view name_of(std::size_t blob) const { return text(plan_.blobs[blob].name); }
    constexpr std::size_t find_blob(std::string_view name) const {
        return blob_names_.find(plan_.blobs, plan_.text, name);
    }
    constexpr std::size_t find_step(std::string_view name) const {
        return step_names_.find(plan_.steps, plan_.text, name);
    }
    constexpr void append(const blob_facts& facts) {
        plan_.blobs.push_back(facts);
        blob_names_.add(facts.name.hash);
    }
    constexpr void append(const step_facts& facts) {
        plan_.steps.push_back(facts);
        step_names_.add(facts.name.hash);
    }
    constexpr std::span<const std::size_t> inputs(std::size_t number) const {
        const step_facts& step = plan_.steps[number];
        return {plan_.links.data() + step.first_link, step.input_count};
    }
    constexpr text_range keep(std::string_view words) {
        const text_range range{plan_.text.size(), words.size(), hash_of(words)};
        for (char c : words) plan_.text.push_back(c);
        return range;
    }
    /// What stands before the names in the parts that are planned now.
    constexpr const sentence& prefix() const { return prefix_; }
    template <class Body>
    constexpr void within(const sentence& name, const Body& body) {
        const sentence before = prefix_;
        scopes_.push_back(before.view().size());
        prefix_.append(name);
        prefix_.append(".");
        body();
        prefix_ = before;
        scopes_.pop_back();
    }

    plan plan_;

private:
    name_index blob_names_, step_names_;
    sentence prefix_;
    std::vector<std::size_t> scopes_;  // how long the prefix was outside of each part of it
};

}  // namespace bespoke
