#pragma once

#include "known_blobs.hpp"
#include "layer_facts.hpp"
#include "lifetimes.hpp"
#include "live_entries.hpp"
#include "open_answers.hpp"
#include "plan_draft.hpp"

#include <algorithm>

namespace bespoke {

/// Turns layers, told one after the other, into a plan: names become edges, edges shapes, shapes lifetimes
/// and lifetimes offsets. The compiler runs it for composed networks, the loader for files.
///
/// The first fault ends the planning; everything told after it is ignored.
///
/// Shapes that follow from the values of blobs are left open, see core/open_shape.hpp. Where in a loop or branch
/// a copy gives a blob another shape, or values that have decided one are overwritten, this is known only behind it:
/// the planner is `unsettled` then, and one with its `marks` has to be told everything again, as `planned_by` does.
class planner : public plan_draft {
public:
    /// More elements than any machine of today could hold: a size gone wrong.
    static constexpr extent largest = extent{1} << 40;
    /// `root` stands before every place in an error: "/neuralNetwork/" for a file.
    constexpr explicit planner(std::string_view root = "", std::vector<mark> marks = {})
        : plan_draft(std::move(marks)), place_(root) {
        if (std::is_constant_evaluated()) plan_.reserve();
    }

    /// An input of the network; it becomes the default input of the next layer.
    constexpr void input(std::string_view name, const shape& dimensions) {
        if (failed()) return;
        current_ = sentence("input \"", name, "\"");
        if (name.empty()) return fail(value_fault("an input needs a name"));
        if (name.size() > longest_name) return fail_long_name(name);
        if (find(name) != npos) return fail({errc::duplicate_name, sentence("this name is taken already")});
        if (checked_size(dimensions, largest) < 0)
            return fail(shape_fault("extents from 0 up wanted, ", dimensions, " given"));
        previous_ = plan_.blobs.size();
        plan_.inputs.push_back(previous_);
        add_blob({.name = keep(name), .dimensions = dimensions, .open = marked(previous_).open}, known::written);
    }

    /// The values of a blob that was just told.
    constexpr void know(std::size_t blob, const std::vector<double>& values) { values_.add(blob, values, {}); }

    /// Declares an output of the network. Without any, it is the one blob that the last layer writes.
    constexpr void output(std::string_view name) {
        if (failed()) return;
        current_ = sentence("output \"", name, "\"");
        const std::size_t blob = find(name);
        if (blob == npos) return fail({errc::unknown_name, sentence("no layer writes a blob of this name")});
        if (known_[blob] != known::written)
            return fail(value_fault("this blob is written on one side of a branch only"));
        plan_.outputs.push_back(blob);
    }

    /// Adds a layer. No input named: the blob before. No output named: a blob of the layer's name.
    template <class L>
    constexpr void add(const L& layer, std::string_view name, std::span<const std::string_view> inputs,
                       std::span<const std::string_view> outputs, bool updatable) {
        static_assert(bespoke::layer<L>, "not a layer: see the concepts in core/concepts.hpp");
        const std::size_t number = begin(facts_of<L>, name, inputs, outputs);
        if (number == npos) return;
        if constexpr (control_layer<L>) {
            layer.plan(*this, number);
            end_control(number);
        } else {
            const auto ask = [&](const auto& xs, const auto& values) { return ask_layer(layer, xs, values); };
            end_asked(number, facts_of<L>, ask, outputs, updatable);
        }
    }

    // `add` in its parts, for whoever knows the layer as data. Between them the layer is asked.

    /// The number of the step, or npos after a fault.
    constexpr std::size_t begin(const layer_facts& facts, std::string_view name,
                                std::span<const std::string_view> inputs, std::span<const std::string_view> outputs) {
        if (failed()) return npos;
        const std::size_t number = begin_step(key_of(facts.key, facts.nested_key), name);
        read(number, inputs, facts.inputs);
        if (failed()) return npos;
        plan_.steps[number].control = facts.control;
        if (facts.control && !outputs.empty()) fail(value_fault("no output wanted, ", outputs.size(), " named"));
        return failed() ? npos : number;
    }
    /// With `open` in the place of the extents that are open.
    constexpr std::vector<shape> input_shapes(std::size_t number, extent open = 1) const {
        std::vector<shape> shapes;
        for (std::size_t blob : inputs(number))
            shapes.push_back(closed(plan_.blobs[blob].dimensions, plan_.blobs[blob].open, open));
        return shapes;
    }
    constexpr std::vector<known_values> known_inputs(std::size_t number) const { return values_.of(inputs(number)); }
    /// `ask(shapes, values)`: the answers of the layer.
    template <class Ask>
    constexpr void end_asked(std::size_t number, const layer_facts& facts, const Ask& ask,
                             std::span<const std::string_view> outputs, bool updatable) {
        bool open = false, ranked = true;
        for (std::size_t blob : inputs(number)) {
            open |= plan_.blobs[blob].open.any;
            ranked &= !plan_.blobs[blob].open.rank;
        }
        const auto answers = [&](extent e) {
            const std::vector<known_values> known = known_inputs(number);
            layer_answers given = ask(input_shapes(number, e), known);
            open_unset(given, facts, inputs(number).size(), known);
            return given;
        };
        if (!open) return end(number, facts, answers(1), outputs, updatable);
        std::vector<layer_answers> given;
        for (extent e : open_extents)
            if (ranked) given.push_back(answers(e));
        end(number, facts, common_answer(facts, given, std::max<std::size_t>(outputs.size(), 1)), outputs, updatable);
    }
    constexpr void end(std::size_t number, const layer_facts& facts, const layer_answers& answers,
                       std::span<const std::string_view> outputs, bool updatable) {
        if (!answers.outputs) return fail(answers.outputs.problem());
        step_facts& step = plan_.steps[number];
        step.in_place = facts.in_place || answers.same_elements;
        step.concatenates = answers.concatenates;
        step.gradient_in_place = facts.differentiable && (facts.elementwise || answers.same_elements);
        step.runs_epilogue = facts.runs_epilogue;
        step.can_finish = answers.can_finish;
        step.rows = answers.rows;
        step.planes = answers.planes;
        step.entries = answers.entries;
        step.updatable = updatable;
        step.differentiable = facts.differentiable;
        step.probabilities = answers.probabilities;
        step.mixes_examples = answers.mixes_examples;
        step.needs = facts.needs;
        if (facts.shaped_by_values) step.values_from = facts.values_from;
        for (std::size_t i = 0; i < answers.parameters.size(); ++i)
            add_parameter(number, answers.parameters[i], facts.parameters[i]);
        const std::size_t before = plan_.blobs.size();
        if (facts.shaped_by_values)
            values_.decide(inputs(number).subspan(std::min(facts.values_from, inputs(number).size())));
        write(number, outputs, answers, facts);
        if (failed()) return;
        if (!answers.values.empty() && plan_.blobs.size() > before && !plan_.blobs[before].open.any &&
            !marked(before).changes)
            values_.add(before, answers.values, inputs(number));
        plan_.steps[number].end = plan_.steps.size();
    }
    /// Behind what is inside a control layer.
    constexpr void end_control(std::size_t number) {
        previous_ = npos;  // it writes nothing of its own
        if (!failed()) plan_.steps[number].end = plan_.steps.size();
    }

    /// Adds a layer that reads blobs by number instead of by name.
    template <class L>
    constexpr void add_on(const L& layer, std::string_view name, std::initializer_list<std::size_t> blobs) {
        fixed_inputs_ = std::span<const std::size_t>(blobs.begin(), blobs.size());
        add(layer, name, {}, {}, false);
        fixed_inputs_ = {};
    }

    // --- for composites and control layers --------------------------------------------------------

    constexpr std::size_t previous() const { return previous_; }  ///< the default input of the next layer
    constexpr std::size_t input_count_of(std::size_t number) const { return inputs(number).size(); }
    /// The first input of the layer that is being added.
    constexpr std::size_t input_of(std::size_t number) const { return inputs(number)[0]; }
    constexpr bool in_loop() const { return loops_ > 0; }
    constexpr std::size_t step_count() const { return plan_.steps.size(); }

    /// Plans a network inside the layer that is being added; errors in it are at "<layer>/part/layers/n".
    template <class Body>
    constexpr void nested(std::size_t number, std::string_view part, const Body& body) {
        if (failed()) return;
        const sentence place = place_;
        const std::size_t layers = std::exchange(layers_, 0), outer = std::exchange(first_, plan_.steps.size());
        const std::size_t before = previous_;
        place_.append(sentence("layers/", layers - 1, "/", part, "/"));
        body();
        for (std::size_t s = first_; s < plan_.steps.size(); ++s)
            if (plan_.steps[s].parent == npos) plan_.steps[s].parent = number;
        previous_ = before;
        place_ = place;
        layers_ = layers;
        first_ = outer;
        if (!failed()) current_ = sentence(text(plan_.steps[number].place));
    }

    /// Plans the two sides of a branch. What one side writes is hidden from the other, which may write it too.
    /// Behind the branch only what both have written may be read.
    template <class If, class Else>
    constexpr void branch(const If& if_side, const Else& else_side) {
        const std::vector<known> before = known_;
        ++branches_;
        if_side();
        std::vector<known> after = known_;
        std::copy(before.begin(), before.end(), known_.begin());
        std::fill(known_.begin() + static_cast<std::ptrdiff_t>(before.size()), known_.end(), known::unwritten);
        else_side();
        --branches_;
        while (after.size() < known_.size()) after.push_back(known::unwritten);
        for (std::size_t i = 0; i < known_.size(); ++i) known_[i] = known_[i] == after[i] ? after[i] : known::perhaps;
    }

    template <class Body>
    constexpr void loop(const Body& body) {
        const std::size_t before = plan_.blobs.size();
        ++loops_;
        body();
        --loops_;
        values_.forget_from(before);  // it may not run at all
    }

    /// The blob that a control layer looks at must be there and hold one number.
    constexpr void want_scalar(std::string_view name, std::size_t blob) {
        if (failed()) return;
        if (blob == npos) return fail({errc::unknown_name, sentence("no layer writes \"", name, "\"")});
        if (known_[blob] != known::written) return fail_conditional(blob);
        if (!plan_.blobs[blob].open.any && dimensions(blob).size() != 1)
            fail(shape_fault("one number wanted in \"", name_of(blob), "\", its shape is ", dimensions(blob)));
    }
    /// What a composite adds up or chooses from has one shape.
    constexpr void want_same_shape(std::string_view what, std::size_t x, std::size_t y) {
        if (failed() || x == npos || y == npos || dimensions(x) == dimensions(y) || plan_.blobs[x].open.any ||
            plan_.blobs[y].open.any)
            return;
        fail(shape_fault("the ", what, " around it wants an output of the shape of its input, ", dimensions(x),
                         ", its shape is ", dimensions(y)));
    }
    /// Lets a control layer read one blob more, by name (a loop's condition).
    constexpr std::size_t watch(std::size_t number, std::string_view name) {
        const std::size_t blob = find(name);
        if (!failed()) plan_.steps[number].watched = blob;
        return blob;
    }

    /// Ends the planning. Only after this is the plan whole.
    constexpr void finish() {
        current_ = {};
        if (failed() || unsettled()) return;
        if (plan_.steps.empty()) return fail(value_fault("a network needs at least one layer"));
        if (plan_.outputs.empty()) {
            if (previous_ == npos)
                return fail(value_fault("no output: the last layer ", why_no_default(plan_.steps.size()),
                                        ", so name the blob that is the output of the network"));
            plan_.outputs.push_back(previous_);
        }
        for (const blob_facts& blob : plan_.blobs) plan_.open |= blob.open.any;
        shorten_blobs(plan_);
        find_epilogues(plan_);
        find_lifetimes(plan_);
        place_blobs(plan_);
    }
    constexpr const plan& result() const { return plan_; }

private:
    /// Whether a blob holds a value where the planning stands.
    enum class known : char { unwritten, perhaps, written };

    constexpr void add_blob(const blob_facts& facts, known value) {
        append(facts);
        known_.push_back(value);
    }

    constexpr std::size_t begin_step(const sentence& key, std::string_view name) {
        const std::size_t number = plan_.steps.size();
        step_facts step;
        current_ = sentence(place_, "layers/", layers_);
        if (!name.empty()) current_.append(sentence(" \"", name, "\""));
        current_.append(sentence(" (", key, ")"));
        if (prefix().view().size() + name.size() > longest_name) fail_long_name(name);
        step.place = keep(current_.view());
        step.name = name.empty() ? keep(sentence(prefix(), key, "_", number).view())
                                 : keep(sentence(prefix(), name).view());
        if (find_step(text(step.name), first_) != npos)
            fail({errc::duplicate_name, sentence("another layer has this name")});
        step.first_link = plan_.links.size();
        step.first_parameter = plan_.parameters.size();
        step.end = number + 1;
        append(step);
        ++layers_;
        return number;
    }

    constexpr void read(std::size_t number, std::span<const std::string_view> names, input_count wanted) {
        if (failed()) return;
        if (!fixed_inputs_.empty()) {
            for (const std::size_t input : fixed_inputs_) plan_.links.push_back(input);
            plan_.steps[number].input_count = fixed_inputs_.size();
            const bool missing = std::find(fixed_inputs_.begin(), fixed_inputs_.end(), npos) != fixed_inputs_.end();
            fixed_inputs_ = {};
            if (missing) return fail_no_input();
        } else if (names.empty() && wanted.least > 0) {
            if (previous_ == npos) return fail_no_input();
            plan_.links.push_back(previous_);
            plan_.steps[number].input_count = 1;
        } else {
            for (std::string_view name : names) {
                const std::size_t blob = find(name);
                if (blob == npos)
                    return fail({errc::unknown_name, sentence("no layer before it writes its input \"", name, "\"")});
                plan_.links.push_back(blob);
            }
            plan_.steps[number].input_count = names.size();
        }
        if (const auto wrong = wrong_inputs(wanted, plan_.steps[number].input_count)) return fail(*wrong);
        for (std::size_t blob : inputs(number))
            if (known_[blob] != known::written) return fail_conditional(blob);
    }

    constexpr void write(std::size_t number, std::span<const std::string_view> names, const layer_answers& answers,
                         const layer_facts& facts) {
        if (failed()) return;
        const auto& shapes = answers.outputs.shapes();
        if (names.empty() ? shapes.size() != 1 : names.size() != shapes.size())
            return fail(value_fault(shapes.size(), shapes.size() == 1 ? " output wanted, " : " outputs wanted, ",
                                    names.size(), " named"));
        bool per_example = loops_ > 0 || branches_ > 0;
        for (std::size_t blob : inputs(number)) {
            if (facts.reads_values) per_example |= plan_.blobs[blob].per_example;
            plan_.steps[number].open |= plan_.blobs[blob].open.any;
        }
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            if (!names.empty() && prefix().view().size() + names[i].size() > longest_name)
                return fail_long_name(names[i]);
            const sentence name(names.empty() ? text(plan_.steps[number].name) : sentence(prefix(), names[i]).view());
            if (checked_size(shapes[i], largest) < 0)
                return fail(shape_fault("its output would have the shape ", shapes[i]));
            open_shape open = answers.open.empty() ? open_shape{} : answers.open[i];
            // only a copy reaches out of its prefix: it overwrites what is there
            std::size_t blob = facts.overwrites && !names.empty() ? find(names[i]) : find_blob(name.view());
            if (blob == npos) {
                blob = plan_.blobs.size();
                open.open(marked(blob).open);
                add_blob({.name = keep(name.view()), .dimensions = shapes[i], .per_example = per_example,
                          .maker = number, .open = open}, known::written);
            } else {
                if (known_[blob] != known::unwritten && !facts.overwrites)
                    return fail({errc::duplicate_name, sentence("its output \"", name, "\" is written already")});
                for (std::size_t read : inputs(number))
                    if (read == blob) return fail(value_fault("its output \"", name, "\" is its input"));
                overwrite(blob, shapes[i], open, name, facts.overwrites && (loops_ > 0 || branches_ > 0));
                if (failed()) return;
                if (per_example) store_per_example(plan_, blob);
                if (known_[blob] != known::unwritten) plan_.steps[number].logged = true;
                known_[blob] = known::written;
            }
            plan_.steps[number].open |= plan_.blobs[blob].open.any;
            plan_.links.push_back(blob);
            ++plan_.steps[number].output_count;
            previous_ = shapes.size() == 1 ? blob : npos;  // which of several is meant has to be said
        }
        if (in_loop()) plan_.steps[number].logged = true;
    }
    /// The blob is written again, now with the shape `s`. `may_differ`: it is no fault if that is another one.
    constexpr void overwrite(std::size_t blob, const shape& s, open_shape open, const sentence& name, bool may_differ) {
        blob_facts& old = plan_.blobs[blob];
        if (!(old.dimensions == s)) {
            if (!may_differ && !old.open.any && !open.any)
                return fail(shape_fault("its output \"", name, "\" has the shape ", s,
                                        ", where it was written before it has ", old.dimensions));
            open.open(difference(old.dimensions, s));
        }
        open.open(old.open);
        if (open.rank) open.extents = old.open.rank ? old.open.extents : 0;
        if (!(open == old.open)) unsettle(blob).open.open(old.open = open);
        if (!values_.overwrite(blob) && in_loop()) unsettle(blob).changes = true;
    }

    constexpr void add_parameter(std::size_t number, const shape& dimensions, const parameter_rule& rule) {
        const extent size = checked_size(dimensions, largest);
        if (size < 0) return fail(shape_fault("its ", rule.name, " would have the shape ", dimensions));
        plan_.parameters.push_back({number, rule.name, dimensions, plan_.parameters_size, rule.start, rule.learned});
        plan_.parameters_size += aligned_size<float>(size);
        ++plan_.steps[number].parameter_count;
    }

    known_blobs values_;
    sentence place_;
    std::vector<known> known_;         // for each blob
    std::size_t layers_ = 0, loops_ = 0, branches_ = 0, previous_ = npos, first_ = 0;  // first step of this network
    std::span<const std::size_t> fixed_inputs_;
};

/// Plans what `tell` tells a planner, as often as it takes until nothing that is known in the end was not at first.
template <class Tell>
constexpr planner planned_by(std::string_view root, const Tell& tell) {
    planner p(root);
    tell(p);
    while (p.unsettled()) {
        planner next(root, p.marks());
        tell(next);
        p = std::move(next);
    }
    return p;
}

}  // namespace bespoke
