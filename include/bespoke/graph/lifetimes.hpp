#pragma once

#include "allocate.hpp"
#include "fusion.hpp"
#include "joins.hpp"

namespace bespoke {

/// Between which steps each blob is alive in a prediction.
constexpr void find_lifetimes(plan& p) {
    const plan_view view = p.view();
    for (auto& blob : p.blobs) blob.first = blob_facts::npos;
    for (std::size_t blob : p.inputs) p.blobs[blob].first = 0;
    const auto touch = [&](std::size_t blob, std::size_t first, std::size_t last) {
        p.blobs[blob].first = std::min(p.blobs[blob].first, first);
        p.blobs[blob].last = std::max(p.blobs[blob].last, last);
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        for (std::size_t blob : view.inputs_of(s)) touch(blob, s, s);
        for (std::size_t blob : view.outputs_of(s)) touch(blob, s, s);
        if (p.steps[s].head != blob_facts::npos) touch(view.outputs_of(s)[0], p.steps[s].head, s);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s)
        for (std::size_t part = p.steps[s].takes_from; part < s; part = p.steps[part].next)
            for (std::size_t blob : view.inputs_of(part)) touch(blob, part, s);
    // A loop comes back to its first step, and where examples run one by one a branch does so for the next
    // example: what is touched inside lives as long as the control step runs.
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!p.steps[s].control) continue;
        for (std::size_t inner = s; inner < p.steps[s].end; ++inner) {
            for (std::size_t blob : view.inputs_of(inner)) touch(blob, s, p.steps[s].end - 1);
            for (std::size_t blob : view.outputs_of(inner)) touch(blob, s, p.steps[s].end - 1);
        }
        if (p.steps[s].watched != blob_facts::npos) touch(p.steps[s].watched, s, p.steps[s].end - 1);
    }
    for (std::size_t blob : p.outputs) p.blobs[blob].last = p.steps.size();
    for (auto& blob : p.blobs)
        if (blob.first == blob_facts::npos) blob.first = 0;
}

/// Offsets in the arena of a prediction. A layer that may work in place does so where its input dies.
constexpr void place_blobs(plan& p) {
    const plan_view view = p.view();
    std::vector<std::size_t> home;
    std::vector<tenancy> all;
    for (const blob_facts& blob : p.blobs) {
        home.push_back(home.size());
        all.push_back({blob.open.any ? 0 : blob.dimensions.size(), blob.first, blob.last});
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        const step_facts& step = p.steps[s];
        if (step.head != blob_facts::npos) {
            if (step.streams) continue;
            // The values between the layers of an epilogue are those of its result.
            const std::size_t y = view.outputs_of(s)[0], x = finished_blob(view, s);
            home[y] = home[x];
            all[home[x]].last = std::max(all[home[x]].last, all[y].last);
            continue;
        }
        if (!step.in_place || step.logged || step.open || step.parent != blob_facts::npos || step.input_count == 0)
            continue;
        const std::size_t x = view.inputs_of(s)[0], y = view.outputs_of(s)[0];
        if (p.blobs[x].last != s || p.blobs[y].first != s || all[x].size != all[y].size ||
            p.blobs[x].per_example != p.blobs[y].per_example)
            continue;
        home[y] = home[x];
        all[home[x]].last = std::max(all[home[x]].last, all[y].last);
    }
    const auto give_places = [&](bool per_example, bool streamed, extent behind) {
        const auto is_meant = [&](std::size_t i) {
            return home[i] == i && p.blobs[i].per_example == per_example && p.blobs[i].streamed == streamed;
        };
        std::vector<tenancy> some;
        for (std::size_t i = 0; i < all.size(); ++i)
            if (is_meant(i)) some.push_back(all[i]);
        const extent size = allocate(some);
        for (std::size_t i = 0, next = 0; i < all.size(); ++i)
            if (is_meant(i)) p.blobs[i].offset = behind + some[next++].offset;
        return behind + size;
    };
    p.arena_size = give_places(true, false, 0);
    p.shared_size = give_places(false, false, 0);
    p.whole_size = give_places(true, true, p.arena_size);
    for (std::size_t i = 0; i < home.size(); ++i) p.blobs[i].offset = p.blobs[home[i]].offset;
    place_single(p, home, all);
}

}  // namespace bespoke
