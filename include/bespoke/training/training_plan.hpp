#pragma once

#include "../core/error.hpp"
#include "../graph/allocate.hpp"
#include "../graph/fusion.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace bespoke {

/// Which parameters a training changes.
enum class train {
    updatable_layers,  ///< those of the layers that are marked updatable
    all_layers,
};

/// One loss as the plan sees it.
struct loss_site {
    std::size_t output = blob_facts::npos;  ///< the blob that the loss names
    std::size_t input = blob_facts::npos;   ///< where its gradient goes: what enters the softmax, or `output`
};

/// The step of the softmax whose output `blob` is when the network has run; npos where there is none, or where
/// what went into it is not there any more.
constexpr std::size_t softmax_of(const plan_view& p, std::size_t blob) {
    const std::size_t s = p.blobs[blob].maker;
    if (s == blob_facts::npos || !p.steps[s].probabilities || p.steps[s].parent != blob_facts::npos)
        return blob_facts::npos;
    for (std::size_t later = s + 1; later < p.steps.size(); ++later)
        for (std::size_t written : p.outputs_of(later))
            if (written == blob || written == p.inputs_of(s)[0]) return blob_facts::npos;
    return s;
}

/// What of a plan takes part in training, and where it lies in memory.
///
/// Where shapes are decided in the run, all steps are trained. Else a step is if it has a parameter to change, mixes
/// the examples of a mini-batch, reads what a trained step wrote before it, or writes over what a trained step has read
/// or written; all others are frozen and run once an example. A loop or branch is trained as a whole. A blob that
/// trained steps or a loss look at and that is an input or written by a frozen step is a border: what the frozen steps
/// leave there is kept for every example.
///
/// The timeline of a mini-batch is the forward pass, step s at time s; the losses at time n; the backward pass,
/// step s at time 2n - s. A value lives until the last pass that reads it, a gradient from the backward pass of
/// the last step that touches the blob to that of the first. What is touched in a loop or branch lives as long
/// as that: it begins again, for each iteration or each example.
///
/// T is the element type of the network: who trains none does not compile this.
template <class T>
struct training_plan {
    std::vector<char> trained_steps;   ///< for each step
    std::vector<char> learning;        ///< for each parameter
    std::vector<char> has_gradient;    ///< for each blob
    std::vector<std::size_t> borders;  ///< blobs
    std::vector<std::vector<std::size_t>>
        births;  ///< for each step: blobs whose gradient is zeroed before it
    std::vector<char>
        finished;  ///< for each step: whether it runs in the epilogue of another one, see graph/fusion.hpp
    std::vector<extent> value_offset, gradient_offset;  ///< in elements of one example; -1: not there
    extent arena_size = 0;                              ///< elements an example
    extent shared_size = 0;                             ///< elements stored once
    std::vector<std::string> reasons;                   ///< why it cannot be trained; empty: it can

    training_plan(const plan_view& p, train which, std::span<const loss_site> losses)
        : trained_steps(p.steps.size(), 0), learning(p.parameters.size(), 0), has_gradient(p.blobs.size(), 0),
          births(p.steps.size()), finished(p.steps.size(), 0), value_offset(p.blobs.size(), -1),
          gradient_offset(p.blobs.size(), -1) {
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            learning[i] = p.parameters[i].learned && p.parameters[i].dimensions.size() > 0 &&
                          (which == train::all_layers || p.steps[p.parameters[i].step].updatable);
        const std::vector<char> depends = find_trained(p);
        const std::vector<char> reaches = find_reaching(p, losses);
        for (std::size_t b = 0; b < p.blobs.size(); ++b) has_gradient[b] = depends[b] && reaches[b];
        find_reasons(p, which, losses, reaches);
        find_borders(p, losses);
        find_finished(p, losses);
        place(p, losses);
    }

    /// Whether there are steps that run once an example.
    bool has_frozen() const { return std::ranges::find(trained_steps, 0) != trained_steps.end(); }

private:
    static constexpr std::size_t npos = blob_facts::npos;

    /// The outermost step around step s.
    static std::size_t unit(const plan_view& p, std::size_t s) {
        while (p.steps[s].parent != npos) s = p.steps[s].parent;
        return s;
    }

    /// Marks the trained steps; returns the blobs that trained steps write.
    std::vector<char> find_trained(const plan_view& p) {
        std::vector<char> depends(p.blobs.size(), 0),
            touched(p.blobs.size(), 0);  // by the trained steps so far
        for (std::size_t s = 0; s < p.steps.size(); s = p.steps[s].end) {
            bool trained = false;
            for (std::size_t i = s; i < p.steps[s].end; ++i) {
                trained |= p.steps[i].mixes_examples;
                for (std::size_t b : p.inputs_of(i)) trained |= depends[b] != 0;
                if (p.steps[i].watched != npos) trained |= depends[p.steps[i].watched] != 0;
                for (std::size_t b : p.outputs_of(i)) trained |= touched[b] != 0;
                for (std::size_t k = 0; k < p.steps[i].parameter_count; ++k)
                    trained |= learning[p.steps[i].first_parameter + k] != 0;
            }
            if (!trained) continue;
            for (std::size_t i = s; i < p.steps[s].end; ++i) {
                trained_steps[i] = 1;
                for (std::size_t b : p.inputs_of(i)) touched[b] = 1;
                if (p.steps[i].watched != npos) touched[p.steps[i].watched] = 1;
                for (std::size_t b : p.outputs_of(i)) touched[b] = depends[b] = 1;
            }
        }
        // what is kept of an example would have its own shape
        if (p.open) trained_steps.assign(p.steps.size(), 1);
        return depends;
    }

    /// Blobs from which a gradient path leads to a loss.
    static std::vector<char> find_reaching(const plan_view& p, std::span<const loss_site> losses) {
        std::vector<char> reaches(p.blobs.size(), 0);
        for (const auto& l : losses)
            if (l.input != npos) reaches[l.input] = 1;
        for (bool again = true; again;) {
            again = false;
            for (std::size_t s = p.steps.size(); s-- > 0;) {
                if (!p.steps[s].differentiable || p.steps[s].control) continue;
                bool reached = false;
                for (std::size_t b : p.outputs_of(s)) reached |= reaches[b] != 0;
                if (!reached) continue;
                for (std::size_t b : p.inputs_of(s)) {
                    again |= reaches[b] == 0;
                    reaches[b] = 1;
                }
            }
        }
        return reaches;
    }

    void find_reasons(const plan_view& p, train which, std::span<const loss_site> losses,
                      const std::vector<char>& reaches) {
        bool any = false, whole = !losses.empty();
        for (const auto& l : losses)
            if (l.output != npos && (p.blobs[l.output].open.rank || p.blobs[l.output].open.extents != 0))
                reasons.push_back("the loss looks at \"" + std::string(p[p.blobs[l.output].name]) +
                                  "\", whose shape is decided in the run");
        for (const auto& l : losses)
            if (l.output != npos && p.blobs[l.output].entries > 0)
                reasons.push_back("the loss looks at \"" + std::string(p[p.blobs[l.output].name]) +
                                  "\", of which the network computes only what it reads itself: make it an output");
        for (std::size_t s = 0; s < p.steps.size(); ++s)
            if (p.open && p.steps[s].mixes_examples)
                reasons.push_back(std::string(p[p.steps[s].place]) +
                                  ": it looks at all examples of a mini-batch, which run one by one, as shapes are "
                                  "decided in the run");
        for (const auto& l : losses) whole &= l.input != npos;  // else the loss is the reason
        if (losses.empty()) reasons.push_back("no loss: name one, with the blob that it looks at");
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            bool learns = false, reached = false;
            for (std::size_t k = 0; k < p.steps[s].parameter_count; ++k)
                learns |= learning[p.steps[s].first_parameter + k] != 0;
            any |= learns;
            for (std::size_t b : p.outputs_of(s)) reached |= reaches[b] != 0 && p.steps[s].differentiable;
            if (learns && !reached && whole)
                reasons.push_back(
                    std::string(p[p.steps[s].place]) +
                    ": it is updatable, but no path of differentiable layers leads from it to a loss");
        }
        if (!any)
            reasons.push_back(which == train::all_layers ? "no layer has parameters to learn"
                                                         : "no layer is marked updatable");
    }

    void find_borders(const plan_view& p, std::span<const loss_site> losses) {
        std::vector<char> wanted(p.blobs.size(), 0), given(p.blobs.size(), 0);
        for (std::size_t b : p.inputs) given[b] = 1;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            for (std::size_t b : p.outputs_of(s)) (trained_steps[s] ? wanted : given)[b] = 1;
            if (!trained_steps[s]) continue;
            for (std::size_t b : p.inputs_of(s)) wanted[b] = 1;
            if (p.steps[s].watched != npos) wanted[p.steps[s].watched] = 1;
        }
        for (const auto& l : losses)
            for (std::size_t b : {l.input, l.output})
                if (b != npos) wanted[b] = 1;
        for (std::size_t b = 0; b < p.blobs.size(); ++b)
            if (wanted[b] && given[b]) borders.push_back(b);
    }

    /// Whether steps before a training or a loss look at the values of a blob by themselves.
    bool is_border(std::size_t blob, std::span<const loss_site> losses) const {
        const auto looks = [&](const loss_site& l) { return l.input == blob || l.output == blob; };
        return std::ranges::any_of(losses, looks) || std::ranges::find(borders, blob) != borders.end();
    }

    /// A step finishes the one before it here as well where no backward pass wants the values between them.
    void find_finished(const plan_view& p, std::span<const loss_site> losses) {
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            // Rows that are never whole in memory are for predictions.
            if (p.steps[s].head == npos || !p.steps[s].can_finish || p.steps[s].streams || !trained_steps[s]) continue;
            const std::size_t x = finished_blob(p, s), maker = p.blobs[x].maker;
            finished[s] = trained_steps[maker] && (maker == p.steps[s].head || finished[maker]) &&
                          !(p.steps[s].needs.input && p.steps[s].differentiable) &&
                          !(p.steps[maker].needs.output && p.steps[maker].differentiable) && !is_border(x, losses);
        }
    }

    /// The blob whose gradient the one of `b` is written over: that of the only step that reads `b`, if no step behind
    /// it writes `b` again: the backward pass of that one would take it first. Or `b` itself.
    static std::vector<std::size_t> gradient_homes(const plan_view& p, const std::vector<char>& has_gradient,
                                                   std::span<const loss_site> losses) {
        std::vector<std::size_t> readers(p.blobs.size(), 0), home(p.blobs.size()), written(p.blobs.size(), 0);
        for (std::size_t b = 0; b < home.size(); ++b) home[b] = b;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            for (std::size_t b : p.inputs_of(s)) ++readers[b];
            for (std::size_t b : p.outputs_of(s)) written[b] = s;
            if (p.steps[s].watched != npos) ++readers[p.steps[s].watched];
        }
        for (std::size_t s = p.steps.size(); s-- > 0;) {
            const step_facts& step = p.steps[s];
            if (!step.gradient_in_place || step.open || step.logged || step.parent != npos || step.input_count != 1)
                continue;
            const std::size_t x = p.inputs_of(s)[0], y = p.outputs_of(s)[0];
            if (readers[x] == 1 && written[x] <= s && has_gradient[x] && has_gradient[y] && !is_loss_input(x, losses) &&
                p.blobs[x].per_example == p.blobs[y].per_example && p.blobs[y].maker == s)
                home[x] = home[y];
        }
        return home;
    }

    struct span_of_time {
        std::size_t first = npos, last = 0;
        void touch(std::size_t from, std::size_t to) {
            first = std::min(first, from);
            last = std::max(last, to);
        }
    };

    void place(const plan_view& p, std::span<const loss_site> losses) {
        const std::size_t n = p.steps.size();
        std::vector<span_of_time> values(p.blobs.size()), gradients(p.blobs.size());
        std::vector<std::size_t> last_unit(p.blobs.size(), npos);  // that touches the blob
        std::vector<char> between(p.blobs.size(), 0);  // what an epilogue finishes: never there
        for (std::size_t s = 0; s < n; ++s)
            if (finished[s]) between[finished_blob(p, s)] = 1;
        for (std::size_t b : borders) values[b].touch(0, 0);
        for (std::size_t s = 0; s < n; ++s) {
            if (!trained_steps[s]) continue;
            const step_facts& step = p.steps[s];
            const std::size_t around = unit(p, s);
            const bool again = p.steps[around].control;  // time comes back
            const std::size_t first = again ? around : s, last = again ? p.steps[around].end - 1 : s;
            const auto visit = [&](std::size_t b, bool needed) {
                if (!between[b]) values[b].touch(first, needed || again ? 2 * n - first : last);
                if (has_gradient[b]) gradients[b].touch(2 * n - last, 2 * n - first);
                last_unit[b] = around;
            };
            for (std::size_t b : p.inputs_of(s)) visit(b, step.needs.input && step.differentiable);
            for (std::size_t b : p.outputs_of(s)) {
                visit(b, (step.needs.output && step.differentiable) || step.logged);
                if (finished[s] && !between[b]) values[b].touch(step.head, step.head);
            }
            if (step.watched != npos) visit(step.watched, false);
        }
        for (const auto& l : losses) {
            for (std::size_t b : {l.input, l.output})
                if (b != npos) values[b].touch(n, n);
            if (l.input != npos && has_gradient[l.input]) gradients[l.input].touch(n, n);
        }
        const std::vector<std::size_t> home = gradient_homes(p, has_gradient, losses);
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            if (home[b] != b)
                gradients[home[b]].touch(gradients[b].first, gradients[b].last);
            else if (has_gradient[b] && last_unit[b] != npos && !is_loss_input(b, losses))
                births[last_unit[b]].push_back(b);
        }
        for (const bool per_example : {true, false}) {
            std::vector<tenancy> some;
            const auto each = [&](const auto& visit) {
                for (std::size_t b = 0; b < p.blobs.size(); ++b) {
                    if (p.blobs[b].per_example != per_example) continue;
                    const extent size = p.blobs[b].open.any ? 0 : p.blobs[b].dimensions.size();
                    if (values[b].first != npos) visit(values[b], value_offset[b], size);
                    if (has_gradient[b] && home[b] == b) visit(gradients[b], gradient_offset[b], size);
                }
            };
            each([&](const span_of_time& t, extent&, extent size) {
                some.push_back({size, t.first, t.last});
            });
            (per_example ? arena_size : shared_size) = allocate(some);
            std::size_t next = 0;
            each([&](const span_of_time&, extent& offset, extent) { offset = some[next++].offset; });
        }
        for (std::size_t b = 0; b < p.blobs.size(); ++b) gradient_offset[b] = gradient_offset[home[b]];
    }
    static bool is_loss_input(std::size_t blob, std::span<const loss_site> losses) {
        return std::ranges::find(losses, blob, &loss_site::input) != losses.end();
    }
};

}  // namespace bespoke
