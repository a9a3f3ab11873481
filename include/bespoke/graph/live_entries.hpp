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

    // For each input that has the entries of its step's output: their axis there, counted from the last.
    std::vector<std::size_t> places(p.links.size(), 0);
    /// Whether the step could compute the first entries of y alone.
    const auto can_shorten = [&](const step_facts& step, const shape& y) {
        const std::size_t back = y.rank() - entry_axis(y);
        if (!step.entries.each || back == 0 || step.logged || step.parent != blob_facts::npos) return false;
        for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link) {
            const shape& x = p.blobs[p.links[link]].dimensions;
            const std::size_t own = x.rank() - entry_axis(x);
            if (own > 0 && (own == back || step.entries.alike) && x.from_end(own) == y.from_end(back))
                places[link] = own;
            else if (step.entries.alike || (x.rank() >= back && x.from_end(back) != 1))
                return false;
        }
        return true;
    };
    std::vector<char> shortened(p.steps.size(), 0);
    for (std::size_t s = p.steps.size(); s-- > 0;) {
        const step_facts& step = p.steps[s];
        const auto outputs = view.outputs_of(s);
        shortened[s] = outputs.size() == 1 && read[outputs[0]] > 0 && can_shorten(step, p.blobs[outputs[0]].dimensions);
        if (!shortened[s])
            for (std::size_t blob : outputs) touch(blob, all);
        for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link)
            touch(p.links[link], shortened[s] && places[link] > 0 ? read[outputs[0]]
                                 : step.entries.read > 0          ? step.entries.read
                                                                  : all);
        if (step.watched != blob_facts::npos) touch(step.watched, all);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!shortened[s]) continue;
        step_facts& step = p.steps[s];
        blob_facts& y = p.blobs[view.outputs_of(s)[0]];
        const std::size_t axis = entry_axis(y.dimensions);
        extent entries = std::min(read[view.outputs_of(s)[0]], y.dimensions[axis]);
        for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link) {
            if (places[link] == 0) continue;
            const extent there = p.blobs[p.links[link]].dimensions.from_end(places[link]);
            if (step.entries.alike)
                entries = there;
            else if (there > entries)
                step.shortens = places[link];
        }
        if (entries < y.dimensions[axis]) y.entries = std::exchange(y.dimensions[axis], entries);
        if (step.shortens == 0) continue;
        step.can_finish = false;
        step.rows = {};
    }
}

}  // namespace bespoke
