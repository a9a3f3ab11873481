#pragma once

#include "plan.hpp"

namespace bespoke {

/// Results of so few elements are not worth an epilogue; composed networks unroll their layers instead.
inline constexpr extent unrolled_elements = 512;

/// The input of `step` that comes from the step before it in its epilogue.
constexpr std::size_t finished_blob(const plan_view& p, std::size_t step) {
    for (std::size_t before = p.steps[step].head; before != blob_facts::npos; before = p.steps[before].next)
        if (p.steps[before].next == step) return p.outputs_of(before)[0];
    return blob_facts::npos;
}

/// Lets steps run as epilogues of the steps whose results they alone read: a prediction computes such a chain block by
/// block, while the block is near. All other inputs must be there when the head of the chain runs, hence the last input
/// that is made is the one that is finished.
constexpr void find_epilogues(plan& p) {
    const plan_view view = p.view();
    std::vector<std::size_t> readers(p.blobs.size(), 0), writers(p.blobs.size(), 0);
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        for (std::size_t blob : view.inputs_of(s)) ++readers[blob];
        for (std::size_t blob : view.outputs_of(s)) ++writers[blob];
        if (p.steps[s].watched != blob_facts::npos) ++readers[p.steps[s].watched];
    }
    for (std::size_t blob : p.outputs) ++readers[blob];
    const auto plain = [&](std::size_t s) {
        const step_facts& step = p.steps[s];
        return !step.control && !step.logged && step.parent == blob_facts::npos && step.output_count == 1 &&
               writers[view.outputs_of(s)[0]] == 1;
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!p.steps[s].can_finish || !plain(s)) continue;
        std::size_t last = blob_facts::npos;  // the input that is made last
        for (std::size_t blob : view.inputs_of(s))
            if (last == blob_facts::npos || p.blobs[last].maker == blob_facts::npos ||
                (p.blobs[blob].maker != blob_facts::npos && p.blobs[blob].maker > p.blobs[last].maker))
                last = blob;
        const blob_facts &x = p.blobs[last], &y = p.blobs[view.outputs_of(s)[0]];
        if (x.maker == blob_facts::npos || readers[last] != 1 || !plain(x.maker)) continue;
        const std::size_t head = p.steps[x.maker].head != blob_facts::npos ? p.steps[x.maker].head : x.maker;
        bool all_there = p.steps[head].runs_epilogue && x.dimensions == y.dimensions &&
                         x.per_example == y.per_example && y.dimensions.size() > unrolled_elements;
        for (std::size_t blob : view.inputs_of(s)) {
            const blob_facts& other = p.blobs[blob];
            if (blob == last) continue;
            all_there &= other.per_example == y.per_example && writers[blob] <= 1 &&
                         (other.maker == blob_facts::npos || other.maker < head);
        }
        if (!all_there) continue;
        p.steps[s].head = head;
        p.steps[x.maker].next = s;
    }
}

}  // namespace bespoke
