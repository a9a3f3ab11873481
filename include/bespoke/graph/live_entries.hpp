#pragma once

#include "plan.hpp"

#include <limits>
#include <utility>

namespace bespoke {

/// Shortens each blob to the entries that are read, from the first to the last of them, where its maker computes each
/// by itself: of a classifier that looks at the first token, the last layers run for that one alone, forward and
/// backward. An input or output keeps its shape, as does what nobody reads, and what is written in a loop or branch.
///
/// A step whose output is shorter than what it reads `shortens` its inputs: it runs example by example, and by itself.
constexpr void shorten_blobs(plan& p) {
    if (p.open) return;
    constexpr extent all = std::numeric_limits<extent>::max();
    const plan_view view = p.view();
    std::vector<extent> read(p.blobs.size(), 0);
    const auto touch = [&](std::size_t blob, extent entries) { read[blob] = std::max(read[blob], entries); };
    for (const auto blobs : {view.inputs, view.outputs})
        for (std::size_t blob : blobs) touch(blob, all);

    /// Whether the step could compute the first entries of y alone.
    const auto can_shorten = [&](std::size_t s) {
        const step_facts& step = p.steps[s];
        if (!step.entries.each || step.logged || step.parent != blob_facts::npos || step.output_count != 1)
            return false;
        const shape& y = p.blobs[view.outputs_of(s)[0]].dimensions;
        const std::size_t axis = entry_axis(y), back = y.rank() - axis;
        if (back == 0) return false;
        for (std::size_t blob : view.inputs_of(s)) {
            const shape& x = p.blobs[blob].dimensions;
            const std::size_t place = step.entries.alike ? x.rank() - entry_axis(x) : back;
            if (place == 0 || x.rank() < place) continue;
            const bool has_entries = x.from_end(place) == y[axis] && entry_axis(x) + place == x.rank();
            if (!has_entries && (step.entries.alike || x.from_end(place) != 1)) return false;
        }
        return true;
    };
    std::vector<char> shortened(p.steps.size(), 0);
    for (std::size_t s = p.steps.size(); s-- > 0;) {
        const step_facts& step = p.steps[s];
        const auto outputs = view.outputs_of(s);
        shortened[s] = can_shorten(s) && read[outputs[0]] > 0;
        if (!shortened[s])
            for (std::size_t blob : outputs) touch(blob, all);
        const extent entries = shortened[s] ? read[outputs[0]] : step.entries.read > 0 ? step.entries.read : all;
        for (std::size_t blob : view.inputs_of(s)) touch(blob, entries);
        if (step.watched != blob_facts::npos) touch(step.watched, all);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!shortened[s]) continue;
        step_facts& step = p.steps[s];
        const std::size_t y = view.outputs_of(s)[0];
        shape& dimensions = p.blobs[y].dimensions;
        const std::size_t axis = entry_axis(dimensions), back = dimensions.rank() - axis;
        extent entries = std::min(read[y], dimensions[axis]);
        for (std::size_t blob : view.inputs_of(s)) {
            const shape& x = p.blobs[blob].dimensions;
            if (step.entries.alike)
                entries = x.size() / dimensions.product(axis + 1, dimensions.rank());
            else if (x.rank() >= back && x.from_end(back) > entries)
                step.shortens = back;
        }
        if (entries < dimensions[axis]) p.blobs[y].entries = std::exchange(dimensions[axis], entries);
        if (step.shortens == 0) continue;
        step.can_finish = false;
        step.rows = {};
    }
}

}  // namespace bespoke
