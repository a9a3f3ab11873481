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

namespace detail {

/// See `find_epilogues`.
class epilogue_finder {
public:
    constexpr explicit epilogue_finder(plan& p)
        : p_(p), view_(p.view()), readers_(p.blobs.size(), 0), writers_(p.blobs.size(), 0) {
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            for (std::size_t blob : view_.inputs_of(s)) ++readers_[blob];
            for (std::size_t blob : view_.outputs_of(s)) ++writers_[blob];
            if (p.steps[s].watched != npos) ++readers_[p.steps[s].watched];
        }
        for (std::size_t blob : p.inputs) ++writers_[blob];  // the caller
        for (std::size_t blob : p.outputs) ++readers_[blob];
    }

    constexpr bool is_plain(std::size_t s) const {
        const step_facts& step = p_.steps[s];
        return !step.control && !step.logged && !step.open && step.parent == npos && step.output_count == 1 &&
               writers_[output(s)] == 1;
    }

    /// s finishes the result of the step before it.
    constexpr void find_chain(std::size_t s) {
        const std::size_t last = made_last(s), maker = last == npos ? npos : maker_of(last);
        if (maker == npos) return;
        const std::size_t head = head_of(maker);
        if (p_.steps[head].runs_epilogue && !p_.steps[view_.tail_of(head)].streams && joins(s, head))
            link(s, maker, head);
    }

    /// s takes rows: from it back to the step that gives them; between them, steps that finish rows and perhaps others.
    constexpr void find_rows(std::size_t s) {
        const std::size_t x = view_.inputs_of(s)[0];
        std::vector<std::size_t> chain{s};
        bool by_rows = false;
        std::size_t maker = maker_of(x);
        while (maker != npos && head_of(maker) == maker && !gives_rows(maker)) {
            const step_facts& step = p_.steps[maker];
            by_rows |= step.rows.finishes;
            chain.push_back(maker);
            maker = step.rows.finishes || step.can_finish ? maker_of(made_last(maker)) : npos;
        }
        if (!by_rows || maker == npos) return;
        const std::size_t head = head_of(maker);
        bool fits = gives_rows(head) && !p_.steps[maker].streams && p_.steps[maker].next == npos &&
                    p_.blobs[x].per_example && p_.blobs[output(s)].per_example;
        for (std::size_t i = 1; i < chain.size(); ++i) fits = fits && joins(chain[i], head);
        for (std::size_t blob : view_.inputs_of(s).subspan(1)) fits = fits && is_there(blob, head);
        if (!fits) return;
        for (std::size_t i = chain.size(); i-- > 0; maker = chain[i]) link(chain[i], maker, head);
        p_.steps[s].streams = true;
        for (std::size_t part = head; part != s; part = p_.steps[part].next) p_.blobs[output(part)].streamed = true;
    }

    /// s takes the planes of the chain before it.
    constexpr void find_planes(std::size_t s) {
        const std::size_t x = view_.inputs_of(s)[0], maker = maker_of(x);
        if (maker == npos || p_.blobs[x].dimensions.size() <= unrolled_elements) return;
        const std::size_t head = head_of(maker);
        // Nothing runs between the two, so that what the first one reads is still there.
        std::size_t part = head;
        while (p_.steps[part].next == part + 1) ++part;
        if (!p_.steps[head].planes.gives || p_.steps[head].takes_from != npos || p_.steps[maker].streams ||
            part != maker || part + 1 != s || !p_.blobs[x].per_example)
            return;
        p_.steps[s].takes_from = head;
        p_.steps[head].feeds = true;
        for (part = head; part != s; ++part) p_.blobs[output(part)].streamed = true;
    }

private:
    static constexpr std::size_t npos = blob_facts::npos;

    constexpr std::size_t output(std::size_t s) const { return view_.outputs_of(s)[0]; }
    /// Of its inputs.
    constexpr std::size_t made_last(std::size_t s) const {
        std::size_t last = npos;
        for (std::size_t blob : view_.inputs_of(s))
            if (last == npos || p_.blobs[last].maker == npos ||
                (p_.blobs[blob].maker != npos && p_.blobs[blob].maker > p_.blobs[last].maker))
                last = blob;
        return last;
    }
    /// The step that makes `blob`, if only one step reads it.
    constexpr std::size_t maker_of(std::size_t blob) const {
        const std::size_t maker = p_.blobs[blob].maker;
        return maker != npos && readers_[blob] == 1 && is_plain(maker) ? maker : npos;
    }
    constexpr std::size_t head_of(std::size_t s) const { return p_.steps[s].head != npos ? p_.steps[s].head : s; }
    /// A single row is small, and a product sums it up in another way: such a result is made whole.
    constexpr bool gives_rows(std::size_t s) const {
        const shape& y = p_.blobs[output(s)].dimensions;
        return p_.steps[s].rows.gives && y.rank() > 1 && y.from_end(2) > 1;
    }
    /// Whether the blob is there when `head` runs, and stays.
    constexpr bool is_there(std::size_t blob, std::size_t head) const {
        return writers_[blob] <= 1 && (p_.blobs[blob].maker == npos || p_.blobs[blob].maker < head);
    }
    /// Whether s may be part of the epilogue of `head`, of which it finishes the input that is made last.
    constexpr bool joins(std::size_t s, std::size_t head) const {
        const std::size_t last = made_last(s);
        const blob_facts &x = p_.blobs[last], &y = p_.blobs[output(s)];
        bool fits = x.dimensions == y.dimensions && x.per_example == y.per_example &&
                    y.dimensions.size() > unrolled_elements;
        for (std::size_t blob : view_.inputs_of(s))
            fits = fits && (blob == last || (p_.blobs[blob].per_example == y.per_example && is_there(blob, head)));
        return fits;
    }
    constexpr void link(std::size_t s, std::size_t maker, std::size_t head) {
        p_.steps[s].head = head;
        p_.steps[maker].next = s;
    }

    plan& p_;
    plan_view view_;
    std::vector<std::size_t> readers_, writers_;  // for each blob
};

}  // namespace detail

/// Lets steps run as epilogues of the steps whose results they alone read: a prediction computes such a chain block by
/// block, while the block is near. All other inputs must be there when the head of the chain runs, hence the last input
/// that is made is the one that is finished. Where a step takes the rows of such a chain, it ends it, and what lies
/// between is not in memory at all. Where a step takes the planes that such a chain gives, both run together.
constexpr void find_epilogues(plan& p) {
    detail::epilogue_finder finder(p);
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!finder.is_plain(s)) continue;
        if (p.steps[s].can_finish) finder.find_chain(s);
        if (p.steps[s].rows.takes && p.steps[s].head == blob_facts::npos) finder.find_rows(s);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s)
        if (finder.is_plain(s) && p.steps[s].planes.takes) finder.find_planes(s);
}

}  // namespace bespoke
