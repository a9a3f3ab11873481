#pragma once

#include "fusion.hpp"
#include "known_blobs.hpp"
#include "layer_facts.hpp"
#include "lifetimes.hpp"
#include "name_index.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace bespoke {

/// Turns layers, told one after the other, into a plan: names become edges, edges shapes, shapes lifetimes
/// and lifetimes offsets. The compiler runs it for composed networks, the loader for files.
///
/// The first fault ends the planning; everything told after it is ignored.
class planner {
public:
    static constexpr std::size_t npos = blob_facts::npos;
    /// More elements than any machine of today could hold: a size gone wrong.
    static constexpr extent largest = extent{1} << 40;

    /// `root` stands before every place in an error: "/neuralNetwork/" for a file.
    constexpr explicit planner(std::string_view root = "") : place_(root) {
        if (std::is_constant_evaluated()) plan_.reserve();
    }

    constexpr bool failed() const { return problem_.has_value(); }
    /// Where and what, in one sentence.
    constexpr const fault& problem() const { return *problem_; }
    constexpr void fail(const fault& problem) {
        if (!failed())
            problem_ = fault{problem.code, sentence(current_, current_.view().empty() ? "" : ": ", problem.what)};
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
        add_blob({.name = keep(name), .dimensions = dimensions}, known::written);
    }

    /// Declares an output of the network. Without any, it is what the last layer writes.
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
            const std::vector<shape> shapes = input_shapes(number);
            end(number, facts_of<L>, ask_layer(layer, shapes, known_inputs(number)), outputs, updatable);
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
    constexpr std::vector<shape> input_shapes(std::size_t number) const {
        std::vector<shape> shapes;
        for (std::size_t blob : inputs(number)) shapes.push_back(plan_.blobs[blob].dimensions);
        return shapes;
    }
    constexpr std::vector<known_values> known_inputs(std::size_t number) const { return values_.of(inputs(number)); }
    constexpr void end(std::size_t number, const layer_facts& facts, const layer_answers& answers,
                       std::span<const std::string_view> outputs, bool updatable) {
        if (!answers.outputs) return fail(answers.outputs.problem());
        step_facts& step = plan_.steps[number];
        step.in_place = facts.in_place || answers.same_elements;
        step.joins = answers.joins;
        step.gradient_in_place = facts.differentiable && (facts.elementwise || answers.same_elements);
        step.runs_epilogue = facts.runs_epilogue;
        step.can_finish = answers.can_finish;
        step.finishes_rows = answers.finishes_rows;
        step.gives_rows = answers.gives_rows;
        step.takes_rows = answers.takes_rows;
        step.updatable = updatable;
        step.differentiable = facts.differentiable;
        step.probabilities = answers.probabilities;
        step.mixes_examples = answers.mixes_examples;
        step.needs = facts.needs;
        for (std::size_t i = 0; i < answers.parameters.size(); ++i)
            add_parameter(number, answers.parameters[i], facts.parameters[i]);
        const std::size_t before = plan_.blobs.size();
        if (facts.shaped_by_values) values_.decide(inputs(number));
        write(number, outputs, answers.outputs.shapes(), facts);
        if (failed()) return;
        if (!answers.values.empty() && plan_.blobs.size() > before) values_.add(before, answers.values, inputs(number));
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

    /// The default input of the next layer.
    constexpr std::size_t previous() const { return previous_; }
    constexpr const shape& dimensions(std::size_t blob) const { return plan_.blobs[blob].dimensions; }
    constexpr std::size_t input_count_of(std::size_t number) const { return plan_.steps[number].input_count; }
    /// The first input of the layer that is being added.
    constexpr std::size_t input_of(std::size_t number) const { return inputs(number)[0]; }
    constexpr bool in_loop() const { return loops_ > 0; }
    constexpr std::size_t step_count() const { return plan_.steps.size(); }

    /// Plans `body` with "name." before the names of its layers and blobs. A name that it reads is looked for
    /// inside first, then one prefix further out, and so on.
    template <class Body>
    constexpr void prefixed(const sentence& name, const Body& body) {
        const sentence prefix = prefix_;
        scopes_.push_back(prefix.view().size());
        prefix_.append(name);
        prefix_.append(".");
        body();
        prefix_ = prefix;
        scopes_.pop_back();
    }

    /// Plans a network inside the layer that is being added; errors in it are at "<layer>/part/layers/n".
    template <class Body>
    constexpr void nested(std::size_t number, std::string_view part, const Body& body) {
        if (failed()) return;
        const sentence place = place_;
        const std::size_t layers = layers_;
        place_.append(sentence("layers/", layers - 1, "/", part, "/"));
        layers_ = 0;
        const std::size_t first = plan_.steps.size(), before = previous_;
        body();
        for (std::size_t s = first; s < plan_.steps.size(); ++s)
            if (plan_.steps[s].parent == npos) plan_.steps[s].parent = number;
        previous_ = before;
        place_ = place;
        layers_ = layers;
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
        after.resize(known_.size(), known::unwritten);
        for (std::size_t i = 0; i < known_.size(); ++i)
            if (known_[i] != after[i]) known_[i] = known::perhaps;
    }

    template <class Body>
    constexpr void loop(std::size_t number, const Body& body) {
        plan_.steps[number].loop = true;
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
        if (plan_.blobs[blob].dimensions.size() != 1)
            fail(shape_fault("one number wanted in \"", text(plan_.blobs[blob].name), "\", its shape is ",
                             plan_.blobs[blob].dimensions));
    }
    /// What a composite adds up or chooses from has one shape.
    constexpr void want_same_shape(std::string_view what, std::size_t x, std::size_t y) {
        if (failed() || x == npos || y == npos || plan_.blobs[x].dimensions == plan_.blobs[y].dimensions) return;
        fail(shape_fault("the ", what, " around it wants an output of the shape of its input, ",
                         plan_.blobs[x].dimensions, ", its shape is ", plan_.blobs[y].dimensions));
    }
    constexpr std::size_t find(std::string_view name) const {
        for (std::size_t depth = scopes_.size() + 1; depth-- > 0;) {
            const auto prefix = depth == scopes_.size() ? prefix_.view() : prefix_.view().substr(0, scopes_[depth]);
            if (prefix.size() + name.size() > longest_name) continue;
            const std::size_t blob = find_blob(sentence(prefix, name).view());
            if (blob != npos) return blob;
        }
        return npos;
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
        if (failed()) return;
        if (plan_.steps.empty()) return fail(value_fault("a network needs at least one layer"));
        if (plan_.outputs.empty()) {
            if (previous_ == npos)
                return fail(value_fault("no output: the last layer writes nothing of its own, so name the blob that "
                                        "is the output of the network"));
            plan_.outputs.push_back(previous_);
        }
        find_epilogues(plan_);
        find_lifetimes(plan_);
        place_blobs(plan_);
    }
    constexpr const plan& result() const { return plan_; }

private:
    /// Whether a blob holds a value where the planning stands.
    enum class known : char { unwritten, perhaps, written };
    static constexpr std::size_t longest_name = sentence::capacity;

    constexpr void fail_long_name(std::string_view name) {
        current_ = {};
        fail(value_fault("names of up to ", longest_name, " characters wanted, one of ", name.size(), " came: \"",
                         name.substr(0, 60), "...\""));
    }
    constexpr void fail_conditional(std::size_t blob) {
        fail(value_fault("its input \"", text(plan_.blobs[blob].name), "\" is written on one side of a branch only"));
    }

    constexpr void fail_no_input() {
        fail({errc::unknown_name, sentence(plan_.blobs.empty() ? "no input: there is no layer before it"
                                                               : "no input: the layer before it writes nothing of its "
                                                                 "own, so the input has to be named")});
    }

    constexpr std::string_view text(text_range range) const { return {plan_.text.data() + range.begin, range.size}; }
    constexpr std::size_t find_blob(std::string_view name) const {
        return blob_names_.find(plan_.blobs, plan_.text, name);
    }
    constexpr void add_blob(const blob_facts& facts, known value) {
        plan_.blobs.push_back(facts);
        blob_names_.add(facts.name.hash);
        known_.push_back(value);
    }
    constexpr std::span<const std::size_t> inputs(std::size_t number) const {
        const step_facts& step = plan_.steps[number];
        return {plan_.links.data() + step.first_link, step.input_count};
    }
    constexpr text_range keep(std::string_view words) {
        const text_range range{plan_.text.size(), words.size(), hash_of(words)};
        for (char c : words) plan_.text.push_back(c);
        return range;
    }

    constexpr std::size_t begin_step(const sentence& key, std::string_view name) {
        const std::size_t number = plan_.steps.size();
        step_facts step;
        current_ = sentence(place_, "layers/", layers_);
        if (!name.empty()) current_.append(sentence(" \"", name, "\""));
        current_.append(sentence(" (", key, ")"));
        if (prefix_.view().size() + name.size() > longest_name) fail_long_name(name);
        step.place = keep(current_.view());
        step.name = name.empty() ? keep(sentence(prefix_, key, "_", number).view())
                                 : keep(sentence(prefix_, name).view());
        if (step_names_.find(plan_.steps, plan_.text, text(step.name)) != npos)
            fail({errc::duplicate_name, sentence("another layer has this name")});
        step.first_link = plan_.links.size();
        step.in_loop = in_loop();
        step.first_parameter = plan_.parameters.size();
        step.end = number + 1;
        plan_.steps.push_back(step);
        step_names_.add(step.name.hash);
        ++layers_;
        return number;
    }

    constexpr void read(std::size_t number, std::span<const std::string_view> names, input_count wanted) {
        if (failed()) return;
        if (!fixed_inputs_.empty()) {
            plan_.links.insert(plan_.links.end(), fixed_inputs_.begin(), fixed_inputs_.end());
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

    constexpr void write(std::size_t number, std::span<const std::string_view> names,
                         const std::vector<shape>& shapes, const layer_facts& facts) {
        if (failed()) return;
        if (names.empty() ? shapes.size() != 1 : names.size() != shapes.size())
            return fail(value_fault(shapes.size(), shapes.size() == 1 ? " output wanted, " : " outputs wanted, ",
                                    names.size(), " named"));
        bool per_example = loops_ > 0 || branches_ > 0;
        if (facts.reads_values)
            for (std::size_t blob : inputs(number)) per_example |= plan_.blobs[blob].per_example;
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            if (!names.empty() && prefix_.view().size() + names[i].size() > longest_name)
                return fail_long_name(names[i]);
            const sentence name(names.empty() ? text(plan_.steps[number].name) : sentence(prefix_, names[i]).view());
            if (checked_size(shapes[i], largest) < 0)
                return fail(shape_fault("its output would have the shape ", shapes[i]));
            // only a copy reaches out of its prefix: it overwrites what is there
            std::size_t blob = facts.overwrites && !names.empty() ? find(names[i]) : find_blob(name.view());
            if (blob == npos) {
                blob = plan_.blobs.size();
                add_blob({.name = keep(name.view()), .dimensions = shapes[i], .per_example = per_example,
                          .maker = number}, known::written);
            } else {
                const blob_facts& old = plan_.blobs[blob];
                if (known_[blob] != known::unwritten && !facts.overwrites)
                    return fail({errc::duplicate_name, sentence("its output \"", name, "\" is written already")});
                if (!(old.dimensions == shapes[i]))
                    return fail(shape_fault("its output \"", name, "\" has the shape ", shapes[i],
                                            ", where it was written before it has ", old.dimensions));
                for (std::size_t read : inputs(number))
                    if (read == blob) return fail(value_fault("its output \"", name, "\" is its input"));
                if (!values_.overwrite(blob))
                    return fail(value_fault("its output \"", name, "\" has decided a shape before"));
                if (per_example) store_per_example(plan_, blob);
                if (known_[blob] != known::unwritten) plan_.steps[number].logged = true;
                known_[blob] = known::written;
            }
            plan_.links.push_back(blob);
            ++plan_.steps[number].output_count;
            previous_ = blob;
        }
        if (in_loop()) plan_.steps[number].logged = true;
    }

    constexpr void add_parameter(std::size_t number, const shape& dimensions, const parameter_rule& rule) {
        const extent size = checked_size(dimensions, largest);
        if (size < 0) return fail(shape_fault("its ", rule.name, " would have the shape ", dimensions));
        plan_.parameters.push_back({number, rule.name, dimensions, plan_.parameters_size, rule.start, rule.learned});
        plan_.parameters_size += aligned_size<float>(size);
        ++plan_.steps[number].parameter_count;
    }

    plan plan_;
    name_index blob_names_, step_names_;
    known_blobs values_;
    std::optional<fault> problem_;
    sentence place_, prefix_, current_;
    std::vector<std::size_t> scopes_;  // how long the prefix was outside of each part of it
    std::vector<known> known_;         // for each blob
    std::size_t layers_ = 0, loops_ = 0, branches_ = 0, previous_ = npos;
    std::span<const std::size_t> fixed_inputs_;
};

}  // namespace bespoke
