#pragma once

#include "plan.hpp"

#include <limits>
#include <utility>

namespace bespoke {

namespace detail {

/// See `shorten_blobs`.
class entry_finder {
public:
    constexpr explicit entry_finder(plan& p)
        : p_(p), view_(p.view()), read_(p.blobs.size()), shortened_(p.steps.size(), 0) {
        for (const auto blobs : {view_.inputs, view_.outputs})
            for (std::size_t blob : blobs) touch(blob, whole);
        do find_read();
        while (lengthen());
    }

    constexpr void shorten() {
        for (std::size_t s = p_.steps.size(); s-- > 0;)  // the makers of its inputs behind it
            if (shortened_[s]) shorten(s);
    }

private:
    /// Of a blob: the first `entries` along `axis`, counted from the last one. No axis: all of it.
    struct part {
        extent entries = 0;
        std::size_t axis = 0;
    };
    static constexpr part whole{std::numeric_limits<extent>::max(), 0};
    static constexpr std::size_t npos = blob_facts::npos;

    constexpr std::size_t output(std::size_t s) const { return view_.outputs_of(s)[0]; }
    static constexpr std::size_t entries_along(const shape& s) { return s.rank() - entry_axis(s); }

    constexpr void touch(std::size_t blob, part wanted) {
        if (wanted.axis == 0 || wanted.entries >= p_.blobs[blob].dimensions.from_end(wanted.axis)) wanted = whole;
        part& known = read_[blob];
        if (known.entries > 0 && known.axis != wanted.axis) wanted = whole;
        known = {std::max(known.entries, wanted.entries), wanted.axis};
    }
    /// The axis of an input of step s that has the entries of its output along `axis`. 0: the input goes with each of
    /// them; npos: neither.
    constexpr std::size_t place_in(std::size_t s, std::size_t input, std::size_t axis) const {
        const shape &x = p_.blobs[view_.inputs_of(s)[input]].dimensions, &y = p_.blobs[output(s)].dimensions;
        const entry_answers& entries = p_.steps[s].entries;
        const std::size_t place = input == 0 ? entries.from[axis] : entries.alike ? 0 : axis;
        const extent there = place == 0 || place > x.rank() ? 1 : x.from_end(place);
        return there == 1 ? 0 : there == y.from_end(axis) ? place : npos;
    }
    /// Whether step s could compute the first entries of its output along `axis` alone.
    constexpr bool can_shorten(std::size_t s, std::size_t axis) const {
        const step_facts& step = p_.steps[s];
        bool can = step.entries.from[axis] != 0 && !step.logged && step.parent == npos;
        for (std::size_t i = 0; i < step.input_count; ++i) can = can && place_in(s, i, axis) != npos;
        return can;
    }

    constexpr void find_read() {
        for (std::size_t s = p_.steps.size(); s-- > 0;) {
            const step_facts& step = p_.steps[s];
            const auto outputs = view_.outputs_of(s), inputs = view_.inputs_of(s);
            const part wanted = outputs.size() == 1 ? read_[outputs[0]] : whole;
            shortened_[s] = wanted.axis > 0 && can_shorten(s, wanted.axis);
            if (!shortened_[s])
                for (std::size_t blob : outputs) touch(blob, whole);
            for (std::size_t i = 0; i < inputs.size(); ++i) {
                const std::size_t place = shortened_[s] ? place_in(s, i, wanted.axis) : 0;
                if (place > 0)
                    touch(inputs[i], {wanted.entries, place});
                else if (step.entries.read > 0)
                    touch(inputs[i], {step.entries.read, entries_along(p_.blobs[inputs[i]].dimensions)});
                else
                    touch(inputs[i], whole);
            }
            if (step.watched != npos) touch(step.watched, whole);
        }
    }

    /// Calls `body(x, place, entries)` for each input of a shortened step that has the entries of its output, and so
    /// many of them.
    template <class Body>
    constexpr void each_input(std::size_t s, const Body& body) const {
        const auto inputs = view_.inputs_of(s);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (const std::size_t place = place_in(s, i, read_[output(s)].axis); place > 0) {
                const part& there = read_[inputs[i]];
                body(inputs[i], place,
                     there.axis > 0 ? there.entries : p_.blobs[inputs[i]].dimensions.from_end(place));
            }
    }
    /// Lets steps have the entries of inputs that they cannot shorten. Whether there was one.
    constexpr bool lengthen() {
        bool any = false;
        for (std::size_t s = 0; s < p_.steps.size(); ++s) {
            if (!shortened_[s]) continue;
            const std::size_t y = output(s), axis = read_[y].axis;
            each_input(s, [&](std::size_t x, std::size_t place, extent entries) {
                const bool shortens = !p_.steps[s].entries.alike && place == axis &&
                                      place == entries_along(p_.blobs[x].dimensions);
                if (shortens || entries <= read_[y].entries) return;
                touch(y, {entries, axis});
                any = true;
            });
        }
        return any;
    }

    constexpr void shorten(std::size_t s) {
        step_facts& step = p_.steps[s];
        blob_facts& y = p_.blobs[output(s)];
        const part mine = read_[output(s)];
        each_input(s, [&](std::size_t, std::size_t, extent entries) {
            if (entries > mine.entries) step.shortens = mine.axis;
        });
        y.entries = std::exchange(y.dimensions.from_end(mine.axis), mine.entries);
        y.entries_along = mine.axis;
        if (step.shortens == 0) return;
        step.can_finish = step.concatenates = false;
        step.rows = {};
        step.planes = {};
    }

    plan& p_;
    plan_view view_;
    std::vector<part> read_;       // for each blob
    std::vector<char> shortened_;  // for each step
};

}  // namespace detail

/// Shortens each blob to the entries that are read, from the first to the last of them, where its maker computes each
/// by itself: of a classifier that looks at the first token, the last layers run for that one alone, forward and
/// backward, from the queries of the last attention on. An input or output keeps its shape, as does what nobody reads,
/// and what is written in a loop or branch.
///
/// A step whose output is shorter than what it reads `shortens` its inputs: it runs example by example, and by itself.
/// Where the first entries of an input are no part of it in memory, the step has as many as that input.
constexpr void shorten_blobs(plan& p) {
    if (!p.open) detail::entry_finder(p).shorten();
}

}  // namespace bespoke
