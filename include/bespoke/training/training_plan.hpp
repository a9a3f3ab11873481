#pragma once

#include "../core/error.hpp"
#include "../graph/allocate.hpp"
#include "../graph/plan.hpp"

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

/// What of a plan takes part in training, and where it lies in memory.
///
/// A step is trained if it has a parameter to change or reads what a trained step wrote; all others are
/// frozen and run once an example. A blob that a trained step or a loss reads and no trained step writes is
/// a border: its values are kept for every example. The timeline of a mini-batch is the forward pass, step s
/// at time s; the losses at time n; the backward pass, step s at time 2n - s. A value lives until the last
/// pass that reads it, a gradient from the backward pass of the last reader to that of the first writer.
struct training_plan {
    std::vector<char> trained_steps;      ///< for each step
    std::vector<char> learning;           ///< for each parameter
    std::vector<char> has_gradient;       ///< for each blob
    std::vector<std::size_t> borders;     ///< blobs
    std::vector<std::vector<std::size_t>> births;  ///< for each step: blobs whose gradient is zeroed before it
    std::vector<extent> value_offset, gradient_offset;  ///< in elements of one example; -1: not there
    extent arena_size = 0;                ///< elements an example
    extent shared_size = 0;               ///< elements stored once
    std::vector<std::string> reasons;     ///< why it cannot be trained; empty: it can

    training_plan(const plan_view& p, train which, std::span<const loss_site> losses)
        : trained_steps(p.steps.size(), 0), learning(p.parameters.size(), 0), has_gradient(p.blobs.size(), 0),
          births(p.steps.size()), value_offset(p.blobs.size(), -1), gradient_offset(p.blobs.size(), -1) {
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            learning[i] = p.parameters[i].learned && p.parameters[i].dimensions.size() > 0 &&
                          (which == train::all_layers || p.steps[p.parameters[i].step].updatable);
        const std::vector<char> depends = find_trained(p);
        const std::vector<char> reaches = find_reaching(p, losses);
        for (std::size_t b = 0; b < p.blobs.size(); ++b) has_gradient[b] = depends[b] && reaches[b];
        find_reasons(p, which, losses, reaches);
        find_borders(p, depends, losses);
        place(p, depends, losses);
    }

private:
    static constexpr std::size_t npos = blob_facts::npos;

    /// The outermost step around step s.
    static std::size_t unit(const plan_view& p, std::size_t s) {
        while (p.steps[s].parent != npos) s = p.steps[s].parent;
        return s;
    }

    /// Marks the trained steps; returns the blobs that trained steps write.
    std::vector<char> find_trained(const plan_view& p) {
        std::vector<char> depends(p.blobs.size(), 0);
        for (bool again = true; again;) {
            again = false;
            for (std::size_t s = 0; s < p.steps.size(); s = p.steps[s].end) {
                bool trained = trained_steps[s] != 0;
                for (std::size_t i = s; i < p.steps[s].end; ++i) {
                    for (std::size_t b : p.inputs_of(i)) trained |= depends[b] != 0;
                    // one that writes over a trained blob has to run again in every mini-batch
                    for (std::size_t b : p.outputs_of(i)) trained |= depends[b] != 0;
                    for (std::size_t k = 0; k < p.steps[i].parameter_count; ++k)
                        trained |= learning[p.steps[i].first_parameter + k] != 0;
                }
                // so has one whose output is written over later
                for (std::size_t i = s; i < p.steps[s].end; ++i)
                    for (std::size_t b : p.outputs_of(i)) trained |= overwritten_after(p, b, p.steps[s].end);
                if (!trained) continue;
                for (std::size_t i = s; i < p.steps[s].end; ++i) {
                    again |= trained_steps[i] == 0;
                    trained_steps[i] = 1;
                    for (std::size_t b : p.outputs_of(i)) {
                        again |= depends[b] == 0;
                        depends[b] = 1;
                    }
                }
            }
        }
        return depends;
    }
    static bool overwritten_after(const plan_view& p, std::size_t blob, std::size_t first) {
        for (std::size_t s = first; s < p.steps.size(); ++s)
            for (std::size_t b : p.outputs_of(s))
                if (b == blob) return true;
        return false;
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
        if (losses.empty()) reasons.push_back("no loss: name one, with the blob that it looks at");
        bool any = false;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            bool learns = false, reached = false;
            for (std::size_t k = 0; k < p.steps[s].parameter_count; ++k)
                learns |= learning[p.steps[s].first_parameter + k] != 0;
            any |= learns;
            for (std::size_t b : p.outputs_of(s)) reached |= reaches[b] != 0;
            if (learns && !reached && !losses.empty())
                reasons.push_back(std::string(p[p.steps[s].place]) +
                                  ": it is updatable, but no path of differentiable layers leads from it to a loss");
        }
        if (!any)
            reasons.push_back(which == train::all_layers ? "no layer has parameters to learn"
                                                         : "no layer is marked updatable");
    }

    void find_borders(const plan_view& p, const std::vector<char>& depends, std::span<const loss_site> losses) {
        std::vector<char> read(p.blobs.size(), 0);
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            if (!trained_steps[s]) continue;
            for (std::size_t b : p.inputs_of(s)) read[b] = 1;
            if (p.steps[s].watched != npos) read[p.steps[s].watched] = 1;
        }
        for (const auto& l : losses)
            for (std::size_t b : {l.input, l.output})
                if (b != npos) read[b] = 1;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            const bool from_outside = !depends[b] || p.blobs[b].maker == npos;  // an input may be written over
            if (read[b] && from_outside) borders.push_back(b);
        }
    }

    struct span_of_time {
        std::size_t first = npos, last = 0;
        void touch(std::size_t from, std::size_t to) {
            first = std::min(first, from);
            last = std::max(last, to);
        }
    };

    void place(const plan_view& p, const std::vector<char>& depends, std::span<const loss_site> losses) {
        const std::size_t n = p.steps.size();
        std::vector<span_of_time> values(p.blobs.size()), gradients(p.blobs.size());
        std::vector<std::size_t> last_reader(p.blobs.size(), npos);
        for (std::size_t b : borders) values[b].touch(0, 0);
        for (std::size_t s = 0; s < n; ++s) {
            if (!trained_steps[s]) continue;
            const step_facts& step = p.steps[s];
            // Around a loop time comes back, and so it does in a branch that takes its examples one by one: whatever
            // a control step touches lives from its begin to its end, both ways.
            const std::size_t first = unit(p, s), last = p.steps[first].end - 1;
            const bool looped = p.steps[first].control;
            const auto visit = [&](std::size_t b, bool needed, bool reads) {
                values[b].touch(first, needed || looped ? 2 * n - first : last);
                if (has_gradient[b]) gradients[b].touch(2 * n - last, 2 * n - first);
                if (reads || last_reader[b] == npos || unit(p, last_reader[b]) == unit(p, s)) last_reader[b] = s;
            };
            for (std::size_t b : p.inputs_of(s)) visit(b, step.needs.input && step.differentiable, true);
            for (std::size_t b : p.outputs_of(s)) visit(b, (step.needs.output && step.differentiable) || step.logged, false);
            if (step.watched != npos) values[step.watched].touch(first, 2 * n - first);
        }
        for (const auto& l : losses) {
            for (std::size_t b : {l.input, l.output})
                if (b != npos) values[b].touch(n, n);
            if (l.input != npos && has_gradient[l.input]) gradients[l.input].touch(n, n);
        }
        for (std::size_t b = 0; b < p.blobs.size(); ++b)
            if (has_gradient[b] && last_reader[b] != npos && !is_loss_input(b, losses))
                births[unit(p, last_reader[b])].push_back(b);
        for (const bool per_example : {true, false}) {
            std::vector<tenancy> some;
            const auto each = [&](const auto& visit) {
                for (std::size_t b = 0; b < p.blobs.size(); ++b) {
                    if (p.blobs[b].per_example != per_example) continue;
                    if (values[b].first != npos) visit(values[b], value_offset[b], p.blobs[b].dimensions.size());
                    if (has_gradient[b]) visit(gradients[b], gradient_offset[b], p.blobs[b].dimensions.size());
                }
            };
            each([&](const span_of_time& t, extent&, extent size) { some.push_back({size, t.first, t.last}); });
            (per_example ? arena_size : shared_size) = allocate(some);
            std::size_t next = 0;
            each([&](const span_of_time&, extent& offset, extent) { offset = some[next++].offset; });
        }
        (void)depends;
    }
    static bool is_loss_input(std::size_t blob, std::span<const loss_site> losses) {
        for (const auto& l : losses)
            if (l.input == blob) return true;
        return false;
    }
};

}  // namespace bespoke
