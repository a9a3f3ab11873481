#pragma once

#include "engine_state.hpp"

namespace bespoke {
namespace detail {

/// What a step is wrong with in the run, at the place of its layer.
template <class... Parts>
[[noreturn]] void throw_at(const plan_view& plan, std::size_t step, errc code, const Parts&... parts) {
    throw error(fault{code, sentence(plan[plan.steps[step].place], ": ", parts...)});
}

/// The values of the inputs that decide the shapes of the outputs of `step`.
template <class T>
std::vector<known_values> deciding_values(engine_state<T>& e, std::size_t step, run_shapes<T>& run) {
    std::vector<known_values> known;
    const std::size_t from = e.plan().steps[step].values_from;
    const auto blobs = e.plan().inputs_of(step);
    if (from == blob_facts::npos) return known;
    run.numbers.clear();
    for (std::size_t i = from; i < blobs.size(); ++i) {
        const T* const values = e.window_value(blobs[i]);
        run.numbers.insert(run.numbers.end(), values, values + run.shapes[i].size());
    }
    std::span<const double> rest(run.numbers);
    known.resize(std::min(from, blobs.size()));
    for (std::size_t i = from; i < blobs.size(); ++i) {
        const auto size = static_cast<std::size_t>(run.shapes[i].size());
        known.emplace_back(rest.first(size));
        rest = rest.subspan(size);
    }
    return known;
}

/// Throws where the layer at `step` would work with more elements for one example than blobs may take, beside what
/// kernels work with for any input and what they make of the parameters.
template <class T>
void check_work(const engine_state<T>& e, std::size_t step, extent scratch, extent examples) {
    const extent usual = (extent{1} << 24) + 32 * e.plan().parameters_size,
                 each = scratch / examples / static_cast<extent>(e.thread_count());
    if (each - usual > e.bound())
        throw_at(e.plan(), step, errc::bad_value, "it would work with ", each, " elements for one example, at most ",
                 e.bound() + usual, " wanted");
}

}  // namespace detail

/// Decides the shapes of the outputs of `step`, of which something is open in the plan, and makes room for them: by the
/// same rule that the planner asks, now with the values that are there. A layer that looks at shapes alone is asked
/// again only where they are not those of the last time. Throws `error` at the place of the layer.
template <class T>
void engine_state<T>::decide(std::size_t step) {
    try {
        ask_and_place(step);
    } catch (const std::bad_alloc&) {
        detail::throw_at(plan(), step, errc::bad_value, "there is no memory for the shapes that its inputs decide");
    }
}

template <class T>
void engine_state<T>::ask_and_place(std::size_t step) {
    run_shapes<T>& run = *this->run();
    auto& last = run.of_step(step);
    run.shapes.clear();
    for (std::size_t blob : plan().inputs_of(step)) {
        const blob_facts& facts = plan().blobs[blob];
        if (facts.open.any && !run.is_decided(blob))
            detail::throw_at(plan(), step, errc::bad_value, "its input \"", plan()[facts.name],
                             "\" has no shape yet: the loop that makes it has not run");
        run.shapes.push_back(facts.dimensions);
    }
    const bool same = last.asked && last.inputs == run.shapes;
    if (!same || plan().steps[step].values_from != none) {
        const attached_layer& attached = attached_[step];
        const layer_answers answers =
            ask_layer(attached.ask, attached.layer, run.shapes, detail::deciding_values(*this, step, run));
        if (!answers.outputs)
            detail::throw_at(plan(), step, answers.outputs.problem().code, answers.outputs.problem().what);
        check_decided(step, answers);
        if (!same) {
            last.asked = false;
            last.inputs = run.shapes;
            prepare_decided(step);
        }
        last.outputs = answers.outputs.shapes();
        last.asked = true;
    }
    const auto outputs = plan().outputs_of(step);
    for (std::size_t i = 0; i < outputs.size(); ++i)
        if (plan().blobs[outputs[i]].open.any) {
            const extent size = plan().arena_size + plan().shared_size + run.elements_with(outputs[i], last.outputs[i]);
            if (size > this->bound())
                detail::throw_at(plan(), step, errc::bad_value, "the blobs of one example would take ", size,
                                 " elements, at most ", this->bound(), " wanted");
            this->place_decided(outputs[i], last.outputs[i]);
        }
}

template <class T>
void engine_state<T>::check_number(std::size_t blob) const {
    const blob_facts& facts = plan().blobs[blob];
    if (facts.open.any && (!this->run()->is_decided(blob) || facts.dimensions.size() != 1))
        throw error(shape_fault("one number wanted in \"", plan()[facts.name], "\", its shape is ", facts.dimensions));
}

/// What the layer says of the shapes that came, held against what the plan and the machine can do.
template <class T>
void engine_state<T>::check_decided(std::size_t step, const layer_answers& answers) const {
    for (const shape& s : answers.outputs.shapes())
        if (checked_size(s, run_shapes<T>::largest) < 0)
            detail::throw_at(plan(), step, errc::shape_mismatch, "its output would have the shape ", s);
    if (answers.outputs.shapes().size() != plan().steps[step].output_count)
        detail::throw_at(plan(), step, errc::shape_mismatch, plan().steps[step].output_count, " outputs planned, ",
                         answers.outputs.shapes().size(), " came");
    const auto outputs = plan().outputs_of(step);
    for (std::size_t i = 0; i < outputs.size(); ++i) {  // one beside an open one may lie in the arena
        const blob_facts& planned = plan().blobs[outputs[i]];
        if (!planned.open.any && !(planned.dimensions == answers.outputs.shapes()[i]))
            detail::throw_at(plan(), step, errc::shape_mismatch, "its output \"", plan()[planned.name],
                             "\" would have the shape ", answers.outputs.shapes()[i], ", ", planned.dimensions,
                             " is planned");
    }
    const auto parameters = plan().parameters_of(step);
    for (std::size_t i = 0; i < parameters.size(); ++i)
        if (!(parameters[i].dimensions == answers.parameters[i]))
            detail::throw_at(plan(), step, errc::shape_mismatch, "its ", parameters[i].name, " would have the shape ",
                             answers.parameters[i], " for this input, it has ", parameters[i].dimensions);
}

template <class T>
void engine_state<T>::recall(std::size_t step) {
    run_shapes<T>& run = *this->run();
    run.shapes.clear();
    for (std::size_t blob : plan().inputs_of(step)) run.shapes.push_back(plan().blobs[blob].dimensions);
    if (run.of_step(step).inputs == run.shapes) return;
    run.of_step(step).asked = false;  // the outputs are not those of these inputs any more
    run.of_step(step).inputs = run.shapes;
    prepare_decided(step);
}

/// Gives the layer its working memory for the shapes that came, and lets it prepare.
template <class T>
void engine_state<T>::prepare_decided(std::size_t step) {
    const attached_layer& attached = attached_[step];
    if (attached.functions->measure == nullptr) return;
    const auto threads = static_cast<extent>(this->thread_count());
    const working_memory wanted =
        attached.functions->measure(attached.layer, this->run()->shapes, this->how(), 1, threads);
    detail::check_work(*this, step, wanted.scratch, 1);
    this->work_decided(step, wanted.prepared, wanted.scratch);
    if (attached.functions->prepare != nullptr) attached.functions->prepare(*this, attached.layer, step);
}

}  // namespace bespoke
