#pragma once

#include "../core/fault.hpp"
#include "name_index.hpp"

#include <optional>
#include <utility>

namespace bespoke {

/// A plan while it grows: its texts, its blobs and steps by their names, what is wrong with it, and what an earlier
/// planning of the same network has taught of it.
class plan_draft {
public:
    static constexpr std::size_t npos = blob_facts::npos;
    static constexpr std::size_t longest_name = sentence::capacity;

    /// What is known of a blob from an earlier planning: what of its shape is open, and that its values do not stay.
    struct mark {
        open_shape open{};
        bool changes = false;
    };
    constexpr explicit plan_draft(std::vector<mark> marks = {}) : marks_(std::move(marks)) {}

    constexpr bool unsettled() const { return unsettled_; }
    constexpr const std::vector<mark>& marks() const { return marks_; }

    constexpr bool failed() const { return problem_.has_value(); }
    /// Where and what, in one sentence.
    constexpr const fault& problem() const { return *problem_; }
    constexpr void fail(const fault& problem) {
        if (!failed())
            problem_ = fault{problem.code, sentence(current_, current_.view().empty() ? "" : ": ", problem.what)};
    }

    /// The number of the blob called `name`, npos where there is none. It is looked for inside of the prefix first,
    /// then one prefix further out, and so on.
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
    /// Plans `body` with "name." before the names of its layers and blobs.
    template <class Body>
    constexpr void prefixed(const sentence& name, const Body& body) {
        const sentence before = prefix_;
        scopes_.push_back(before.view().size());
        prefix_.append(name);
        prefix_.append(".");
        body();
        prefix_ = before;
        scopes_.pop_back();
    }

protected:
    constexpr mark marked(std::size_t blob) const { return blob < marks_.size() ? marks_[blob] : mark{}; }
    /// What an earlier part of the planning took for known of the blob is not.
    constexpr mark& unsettle(std::size_t blob) {
        unsettled_ = true;
        if (blob >= marks_.size()) marks_.resize(blob + 1);
        return marks_[blob];
    }

    constexpr void fail_long_name(std::string_view name) {
        current_ = {};
        fail(value_fault("names of up to ", longest_name, " characters wanted, one of ", name.size(), " came: \"",
                         name.substr(0, 60), "...\""));
    }
    constexpr void fail_conditional(std::size_t blob) {
        fail(value_fault("its input \"", name_of(blob), "\" is written on one side of a branch only"));
    }

    constexpr void fail_no_input() {
        if (plan_.blobs.empty()) return fail({errc::unknown_name, sentence("no input: there is no layer before it")});
        fail({errc::unknown_name, sentence("no input: the layer before it ", why_no_default(plan_.steps.size() - 1),
                                           ", so the input has to be named")});
    }
    /// What the last of `steps` does instead of writing one blob.
    constexpr const char* why_no_default(std::size_t steps) const {
        return steps > 0 && plan_.steps[steps - 1].output_count > 1 ? "writes several blobs"
                                                                    : "writes nothing of its own";
    }

    constexpr std::string_view text(text_range range) const { return {plan_.text.data() + range.begin, range.size}; }
    constexpr std::string_view name_of(std::size_t blob) const { return text(plan_.blobs[blob].name); }
    constexpr std::size_t find_blob(std::string_view name) const {
        return blob_names_.find(plan_.blobs, plan_.text, name);
    }
    /// The step of this name in the network that is planned now, whose first step is `first`.
    constexpr std::size_t find_step(std::string_view name, std::size_t first) const {
        return step_names_.find(plan_.steps, plan_.text, name, [&](std::size_t s) {
            return s >= first && plan_.steps[s].parent == blob_facts::npos;  // those of networks inside have a parent
        });
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

    plan plan_;
    sentence current_;  ///< the place of what is told now

private:
    std::vector<mark> marks_;  // for each blob, as far as there are some
    bool unsettled_ = false;
    std::optional<fault> problem_;
    name_index blob_names_, step_names_;
    sentence prefix_;
    std::vector<std::size_t> scopes_;  // how long the prefix was outside of each part of it
};

}  // namespace bespoke
