#pragma once

#include "allocate.hpp"
#include "plan.hpp"

namespace bespoke {

/// Where a prediction of one example has its blobs. What a step joins, one input behind the other, is written where the
/// joined blob will be, so that nothing is copied; of many examples that place is not contiguous, hence the offsets for
/// them stand. `home[b]` is the blob whose memory blob b shares, `all` says for those how long the memory is needed.
/// An input that does not begin on a cache line there, or whose memory is written again behind the step, stays apart.
constexpr void place_single(plan& p, std::span<const std::size_t> home, std::vector<tenancy> all) {
    const plan_view view = p.view();
    for (blob_facts& blob : p.blobs) blob.single_offset = blob.offset;

    struct part {
        std::size_t whole = blob_facts::npos;
        extent at = 0;
    };
    std::vector<part> parts(p.blobs.size());
    // What shares one memory.
    struct tenants {
        std::size_t count = 0, latest = 0;  // the last step in which one of them begins
        bool plain = true;                  // each is written once, by a step that runs once
    };
    std::vector<std::size_t> writers(p.blobs.size(), 0);
    for (std::size_t s = 0; s < p.steps.size(); ++s)
        for (std::size_t b : view.outputs_of(s))
            writers[b] += p.steps[s].parent == blob_facts::npos && !p.steps[s].logged ? 1 : 2;
    std::vector<tenants> of(p.blobs.size());
    for (std::size_t b = 0; b < p.blobs.size(); ++b) {
        tenants& t = of[home[b]];
        ++t.count;
        t.latest = std::max(t.latest, p.blobs[b].first);
        t.plain = t.plain && writers[b] <= 1;
    }
    const auto fits = [&](std::size_t x, std::size_t y, std::size_t step, extent at) {
        const std::size_t h = home[x];
        return aligned_size<float>(at) == at && p.blobs[x].per_example && p.blobs[y].per_example &&
               !p.blobs[x].streamed && all[h].size == p.blobs[x].dimensions.size() &&
               parts[h].whole == blob_facts::npos && of[h].latest <= step && of[h].plain && of[y].plain &&
               (of[y].count == 1 || all[h].last <= step);
    };
    bool any = false;
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!p.steps[s].concatenates || p.steps[s].open || p.steps[s].parent != blob_facts::npos) continue;
        const std::size_t y = view.outputs_of(s)[0];
        if (home[y] != y) continue;
        extent at = 0;
        for (std::size_t x : view.inputs_of(s)) {
            const std::size_t h = home[x];
            if (fits(x, y, s, at)) {
                parts[h] = {y, at};
                all[y].first = std::min(all[y].first, all[h].first);
                all[y].last = std::max(all[y].last, all[h].last);
                any = true;
            }
            at += p.blobs[x].dimensions.size();
        }
    }
    if (!any) return;

    const auto is_meant = [&](std::size_t b) {
        return home[b] == b && parts[b].whole == blob_facts::npos && p.blobs[b].per_example && !p.blobs[b].streamed;
    };
    std::vector<tenancy> some;
    for (std::size_t b = 0; b < all.size(); ++b)
        if (is_meant(b)) some.push_back(all[b]);
    p.arena_size = std::max(p.arena_size, allocate(some));
    for (std::size_t b = 0, next = 0; b < all.size(); ++b)
        if (is_meant(b)) p.blobs[b].single_offset = some[next++].offset;
    for (std::size_t b = 0; b < all.size(); ++b) {
        extent at = 0;
        std::size_t whole = home[b];
        for (; parts[whole].whole != blob_facts::npos; whole = home[parts[whole].whole]) at += parts[whole].at;
        p.blobs[b].single_offset = p.blobs[whole].single_offset + at;
    }
}

}  // namespace bespoke
