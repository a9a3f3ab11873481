#pragma once

#include "plan.hpp"

#include <limits>
#include <utility>

namespace bespoke {

/// Shortens each blob to the entries that are read, from the first to the last of them, where its maker computes each
/// by itself: of a classifier that looks at the first token, the last layers run for that one alone, forward and
/// backward, from the queries of the last attention on. An input or output keeps its shape, as does what nobody reads,
/// and what is written in a loop or branch.
///
/// A step whose output is shorter than what it reads `shortens` its inputs: it runs example by example, and by itself.
/// Where the first entries of an input are no part of it in memory, the step has as many as that input.
constexpr void shorten_blobs(plan& p) {
    if (p.open) return;
    /// Of a blob: the first `entries` along `axis`, counted from the last one. No axis: all of it.
    struct part {
        extent entries = 0;
        std::size_t axis = 0;
    };
    constexpr part whole{std::numeric_limits<extent>::max(), 0};
    const auto entries_along = [](const shape& s) { return s.rank() - entry_axis(s); };
    const plan_view view = p.view();
    std::vector<part> read(p.blobs.size());
    const auto touch = [&](std::size_t blob, part wanted) {
        if (wanted.axis == 0 || wanted.entries >= p.blobs[blob].dimensions.from_end(wanted.axis)) wanted = whole;
        part& known = read[blob];
        if (known.entries > 0 && known.axis != wanted.axis) wanted = whole;
        known = {std::max(known.entries, wanted.entries), wanted.axis};
    };
    for (const auto blobs : {view.inputs, view.outputs})
        for (std::size_t blob : blobs) touch(blob, whole);

    // For each input that has the entries of its step's output: their axis there.
    std::vector<std::size_t> places(p.links.size(), 0);
    /// Whether the step could compute the first entries of y along `axis` alone.
    const auto can_shorten = [&](const step_facts& step, const shape& y, std::size_t axis) {
        const std::size_t from = step.entries.from[axis];
        if (from == 0 || step.logged || step.parent != blob_facts::npos) return false;
        for (std::size_t i = 0; i < step.input_count; ++i) {
            const shape& x = p.blobs[p.links[step.first_link + i]].dimensions;
            const std::size_t place = i == 0 ? from : step.entries.alike ? 0 : axis;
            const extent there = place == 0 || place > x.rank() ? 1 : x.from_end(place);
            if (there != 1 && there != y.from_end(axis)) return false;
            places[step.first_link + i] = there == 1 ? 0 : place;
        }
        return true;
    };
    std::vector<char> shortened(p.steps.size(), 0);
    const auto find_read = [&] {
        for (std::size_t s = p.steps.size(); s-- > 0;) {
            const step_facts& step = p.steps[s];
            const auto outputs = view.outputs_of(s);
            const part wanted = outputs.size() == 1 ? read[outputs[0]] : whole;
            shortened[s] = wanted.axis > 0 && can_shorten(step, p.blobs[outputs[0]].dimensions, wanted.axis);
            if (!shortened[s])
                for (std::size_t blob : outputs) touch(blob, whole);
            for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link) {
                part mine = whole;
                if (shortened[s] && places[link] > 0)
                    mine = {wanted.entries, places[link]};
                else if (step.entries.read > 0)
                    mine = {step.entries.read, entries_along(p.blobs[p.links[link]].dimensions)};
                touch(p.links[link], mine);
            }
            if (step.watched != blob_facts::npos) touch(step.watched, whole);
        }
    };
    /// Lets steps have the entries of inputs that they cannot shorten. Whether there was one.
    const auto lengthen = [&] {
        bool any = false;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            if (!shortened[s]) continue;
            const step_facts& step = p.steps[s];
            const std::size_t y = view.outputs_of(s)[0], axis = read[y].axis;
            for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link) {
                const std::size_t place = places[link], x = p.links[link];
                if (place == 0) continue;
                const shape& from = p.blobs[x].dimensions;
                const extent there = read[x].axis > 0 ? read[x].entries : from.from_end(place);
                const bool shortens = !step.entries.alike && place == axis && place == entries_along(from);
                if (shortens || there <= read[y].entries) continue;
                touch(y, {there, axis});
                any = true;
            }
        }
        return any;
    };
    do find_read();
    while (lengthen());

    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!shortened[s]) continue;
        step_facts& step = p.steps[s];
        blob_facts& y = p.blobs[view.outputs_of(s)[0]];
        const part mine = read[view.outputs_of(s)[0]];
        for (std::size_t link = step.first_link; link < step.first_link + step.input_count; ++link)
            if (places[link] > 0 && p.blobs[p.links[link]].dimensions.from_end(places[link]) > mine.entries)
                step.shortens = mine.axis;
        y.entries = std::exchange(y.dimensions.from_end(mine.axis), mine.entries);
        y.entries_along = mine.axis;
        if (step.shortens == 0) continue;
        step.can_finish = step.concatenates = false;
        step.rows = {};
        step.planes = {};
    }
}

}  // namespace bespoke
