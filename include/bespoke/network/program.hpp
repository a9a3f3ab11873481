#pragma once

#include "../core/error.hpp"
#include "layer_list.hpp"

#include <algorithm>
#include <limits>
#include <memory>

namespace bespoke {

/// A network that was read at load time: the run-time twin of `network<description>`. Planned for the
/// shapes that come. The first plan is kept, and of the others the last few.
class program {
public:
    static constexpr std::size_t most_plans = 9;

    struct named_shape {
        std::string name;
        shape dimensions;
        friend bool operator==(const named_shape&, const named_shape&) = default;
    };

    /// Plans `layers` for inputs of the given shapes. `root` stands before the places in errors; `outputs`
    /// may be empty: then it is what the last layer writes. Throws `error`, also where the blobs of one example would
    /// take more than `most_elements`; so does a run, where they do with the shapes that it decides, or where a layer
    /// would work with more.
    program(layer_list layers, std::vector<named_shape> inputs, std::vector<std::string> outputs,
            std::string root = "", extent most_elements = std::numeric_limits<extent>::max());

    program(const program& other);
    program(program&&) noexcept;
    program& operator=(program&&) noexcept;
    ~program();

    using engine_type = engine<float>;
    using value_type = float;
    const layer_list& layers() const { return layers_; }
    const plan_view& plan() const { return engine_.plan(); }
    engine_type& core() { return engine_; }
    const engine_type& core() const { return engine_; }

    /// The current plan as it was made: what the run decides is not in it.
    plan_view planned() const;

    std::size_t plan_count() const { return plans_.size(); }
    /// Whether the current plan is for these input shapes.
    bool is_planned_for(const std::vector<named_shape>& inputs) const;
    /// Makes the plan for these input shapes the current one. Throws `error` where they do not fit.
    void reshape(const std::vector<named_shape>& inputs);

    /// How many threads kernels use from now on, the caller included. Results do not depend on it.
    void use_threads(std::size_t count);
    std::size_t thread_count() const;

    /// Does now what else the next two runs do: lets the kernels bring the parameters, as they are now, into the order
    /// in which they read them. To be called after parameters were written.
    void prepare();
    /// How to compute from now on, where there is a choice.
    void use(const arithmetic& how);
    /// The same arithmetic but for `allow_low_precision_accumulation`. Returns what is in force then: `none` where the
    /// program is not compiled for such a machine or there is nothing to gain; `precision_note` says why.
    low_precision use_low_precision(low_precision wanted);
    /// What large products with weights are computed in now.
    low_precision precision_in_force();
    /// Why that is not what was asked for, as a sentence; empty where it is.
    std::string precision_note();

    // What a trainer, a loader or a model works with.

    /// Runs all steps over the inputs that lie in the engine's blobs.
    void forward();
    /// Adds to the gradients that the engine has places for, from those of the outputs, after `forward`.
    void backward();

private:
    std::shared_ptr<const bespoke::plan> make_plan(const std::vector<named_shape>& inputs) const;
    bool is_current(const bespoke::plan& plan) const { return engine_.plan().steps.data() == plan.steps.data(); }
    void change_to(const bespoke::plan& plan);

    layer_list layers_;
    std::vector<std::string> outputs_;
    std::string root_;
    extent most_elements_;
    /// The first, then the others as they were last used.
    std::vector<std::pair<std::vector<named_shape>, std::shared_ptr<const bespoke::plan>>> plans_;
    engine<float> engine_;
};

/// The program of a model that was not moved from; else throws `error`.
class owned_program {
public:
    owned_program() = default;
    explicit owned_program(std::unique_ptr<program> owned) : owned_(std::move(owned)) {}
    program& operator*() const {
        if (owned_ == nullptr) throw_moved_from("the model");
        return *owned_;
    }
    program* operator->() const { return &**this; }

private:
    std::unique_ptr<program> owned_;
};

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {

program::program(layer_list layers, std::vector<named_shape> inputs, std::vector<std::string> outputs, std::string root,
                 extent most_elements)
    : layers_(std::move(layers)), outputs_(std::move(outputs)), root_(std::move(root)), most_elements_(most_elements),
      plans_{{inputs, make_plan(inputs)}}, engine_(plans_.front().second->view()) {
    engine_.bound(most_elements);
    engine_.attach(layers_);
}

program::program(const program& other)
    : layers_(other.layers_), outputs_(other.outputs_), root_(other.root_),
      most_elements_(other.most_elements_), plans_(other.plans_), engine_(other.planned()) {
    engine_.bound(most_elements_);
    engine_.parameters().copy(other.engine_.parameters());
    engine_.attach(layers_);
    use_threads(other.thread_count());
    use(other.engine_.how());
}
program::program(program&&) noexcept = default;
program& program::operator=(program&&) noexcept = default;
program::~program() = default;

plan_view program::planned() const {
    for (const auto& [shapes, plan] : plans_)
        if (is_current(*plan)) return plan->view();
    return engine_.plan();
}

bool program::is_planned_for(const std::vector<named_shape>& inputs) const {
    for (const auto& [shapes, plan] : plans_)
        if (shapes == inputs) return is_current(*plan);
    return false;
}

void program::reshape(const std::vector<named_shape>& inputs) {
    for (auto found = plans_.begin(); found != plans_.end(); ++found)
        if (found->first == inputs) {
            if (is_current(*found->second)) return;
            const bespoke::plan& plan = *found->second;
            if (found != plans_.begin()) std::rotate(found, found + 1, plans_.end());
            return change_to(plan);
        }
    auto next = make_plan(inputs);
    for (std::size_t i = 0; i < next->parameters.size(); ++i)
        if (!(next->parameters[i].dimensions == plans_.front().second->parameters[i].dimensions)) {
            const auto view = next->view();
            const auto& facts = next->parameters[i];
            throw error(shape_fault(view[view.steps[facts.step].place], ": its ", facts.name,
                                    " would have the shape ", facts.dimensions, " for this input, it has ",
                                    plans_.front().second->parameters[i].dimensions));
        }
    plans_.emplace_back(inputs, std::move(next));
    if (plans_.size() > most_plans) plans_.erase(plans_.begin() + (is_current(*plans_[1].second) ? 2 : 1));
    change_to(*plans_.back().second);
}

void program::change_to(const bespoke::plan& plan) {
    const plan_view before = planned();
    engine_.replan(plan.view());
    try {
        engine_.change();  // what is prepared may depend on the shapes
    } catch (...) {
        engine_.replan(before);
        throw;
    }
}

void program::use_threads(std::size_t count) { engine_.use_threads(count); }
std::size_t program::thread_count() const { return engine_.thread_count(); }

void program::prepare() { engine_.prepare(); }
void program::use(const arithmetic& how) { engine_.use(how); }
low_precision program::use_low_precision(low_precision wanted) { return engine_.use_low_precision(wanted); }
low_precision program::precision_in_force() { return engine_.precision_in_force(); }
std::string program::precision_note() { return engine_.precision_note(); }

void program::forward() {
    engine_.each_chunk([this] { layers_.forward(engine_, 0); });
}
void program::backward() { layers_.backward(engine_, 0); }

std::shared_ptr<const bespoke::plan> program::make_plan(const std::vector<named_shape>& inputs) const {
    const planner p = planned_by(root_, [&](planner& told) {
        for (const auto& in : inputs) told.input(in.name, in.dimensions);
        layers_.plan(told);
        for (const auto& name : outputs_) told.output(name);
        told.finish();
    });
    if (p.failed()) throw error(p.problem());
    if (const extent size = p.result().arena_size + p.result().shared_size; size > most_elements_)
        throw error(value_fault("the blobs of one example would take ", size, " elements, at most ", most_elements_,
                                " wanted"));
    return std::make_shared<const bespoke::plan>(p.result());
}

}  // namespace bespoke

#endif
