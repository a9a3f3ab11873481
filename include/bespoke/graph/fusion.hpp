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
/// that is made is the one that is finished. Where a step takes the rows of such a chain, it ends it, and what lies
/// between is not in memory at all. Where a step takes the planes that such a chain gives, both run together.
constexpr void find_epilogues(plan& p) {
    const plan_view view = p.view();
    std::vector<std::size_t> readers(p.blobs.size(), 0), writers(p.blobs.size(), 0);
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        for (std::size_t blob : view.inputs_of(s)) ++readers[blob];
        for (std::size_t blob : view.outputs_of(s)) ++writers[blob];
        if (p.steps[s].watched != blob_facts::npos) ++readers[p.steps[s].watched];
    }
    for (std::size_t blob : p.inputs) ++writers[blob];  // the caller
    for (std::size_t blob : p.outputs) ++readers[blob];
    const auto plain = [&](std::size_t s) {
        const step_facts& step = p.steps[s];
        return !step.control && !step.logged && !step.open && step.parent == blob_facts::npos &&
               step.output_count == 1 && writers[view.outputs_of(s)[0]] == 1;
    };
    const auto made_last = [&](std::size_t s) {  // of its inputs
        std::size_t last = blob_facts::npos;
        for (std::size_t blob : view.inputs_of(s))
            if (last == blob_facts::npos || p.blobs[last].maker == blob_facts::npos ||
                (p.blobs[blob].maker != blob_facts::npos && p.blobs[blob].maker > p.blobs[last].maker))
                last = blob;
        return last;
    };
    /// The step that makes `blob`, if only one step reads it.
    const auto maker_of = [&](std::size_t blob) {
        const std::size_t maker = p.blobs[blob].maker;
        return maker != blob_facts::npos && readers[blob] == 1 && plain(maker) ? maker : blob_facts::npos;
    };
    /// A single row is small, and a product sums it up in another way: such a result is made whole.
    const auto gives_rows = [&](std::size_t s) {
        const shape& y = p.blobs[view.outputs_of(s)[0]].dimensions;
        return p.steps[s].rows.gives && y.rank() > 1 && y.from_end(2) > 1;
    };
    const auto head_of = [&](std::size_t s) { return p.steps[s].head != blob_facts::npos ? p.steps[s].head : s; };
    /// Whether s has its other inputs when `head` runs.
    const auto has_others = [&](std::size_t s, std::size_t finished, std::size_t head, bool per_example) {
        for (std::size_t blob : view.inputs_of(s)) {
            const blob_facts& other = p.blobs[blob];
            if (blob == finished) continue;
            if (other.per_example != per_example || writers[blob] > 1 ||
                (other.maker != blob_facts::npos && other.maker >= head))
                return false;
        }
        return true;
    };
    const auto joins = [&](std::size_t s, std::size_t head) {
        const std::size_t last = made_last(s);
        const blob_facts &x = p.blobs[last], &y = p.blobs[view.outputs_of(s)[0]];
        return x.dimensions == y.dimensions && x.per_example == y.per_example &&
               y.dimensions.size() > unrolled_elements && has_others(s, last, head, y.per_example);
    };
    const auto link = [&](std::size_t s, std::size_t maker, std::size_t head) {
        p.steps[s].head = head;
        p.steps[maker].next = s;
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!plain(s)) continue;
        if (p.steps[s].can_finish) {
            const std::size_t last = made_last(s), maker = last == blob_facts::npos ? last : maker_of(last);
            if (maker == blob_facts::npos) continue;
            const std::size_t head = head_of(maker);
            if (p.steps[head].runs_epilogue && !p.steps[view.tail_of(head)].streams && joins(s, head))
                link(s, maker, head);
        }
        if (p.steps[s].rows.takes && p.steps[s].head == blob_facts::npos) {
            // From s back to the step that gives the rows; between them, steps that finish rows and perhaps others.
            const std::size_t x = view.inputs_of(s)[0];
            std::vector<std::size_t> chain{s};
            bool by_rows = false;
            std::size_t maker = maker_of(x);
            while (maker != blob_facts::npos && head_of(maker) == maker && !gives_rows(maker)) {
                const step_facts& step = p.steps[maker];
                by_rows |= step.rows.finishes;
                chain.push_back(maker);
                maker = step.rows.finishes || step.can_finish ? maker_of(made_last(maker)) : blob_facts::npos;
            }
            if (!by_rows || maker == blob_facts::npos) continue;
            const std::size_t head = head_of(maker), y = view.outputs_of(s)[0];
            bool fits = gives_rows(head) && !p.steps[maker].streams &&
                        p.steps[maker].next == blob_facts::npos && p.blobs[x].per_example && p.blobs[y].per_example;
            for (std::size_t i = 1; i < chain.size(); ++i) fits = fits && joins(chain[i], head);
            for (std::size_t blob : view.inputs_of(s).subspan(1))
                fits = fits && writers[blob] <= 1 &&
                       (p.blobs[blob].maker == blob_facts::npos || p.blobs[blob].maker < head);
            if (!fits) continue;
            for (std::size_t i = chain.size(); i-- > 0; maker = chain[i]) link(chain[i], maker, head);
            p.steps[s].streams = true;
            for (std::size_t part = head; part != s; part = p.steps[part].next)
                p.blobs[view.outputs_of(part)[0]].streamed = true;
        }
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!plain(s) || !p.steps[s].planes.takes) continue;
        const std::size_t x = view.inputs_of(s)[0], maker = maker_of(x);
        if (maker == blob_facts::npos || p.blobs[x].dimensions.size() <= unrolled_elements) continue;
        const std::size_t head = head_of(maker);
        // Nothing runs between the two, so that what the first one reads is still there.
        std::size_t part = head;
        while (p.steps[part].next == part + 1) ++part;
        if (!p.steps[head].planes.gives || p.steps[head].takes_from != blob_facts::npos || p.steps[maker].streams ||
            part != maker || part + 1 != s || !p.blobs[x].per_example)
            continue;
        p.steps[s].takes_from = head;
        p.steps[head].feeds = true;
        for (part = head; part != s; ++part) p.blobs[view.outputs_of(part)[0]].streamed = true;
    }
}

}  // namespace bespoke
