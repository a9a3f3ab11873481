#pragma once

#include "../core/buffer.hpp"
#include "../core/concepts.hpp"
#include "../core/random.hpp"
#include "../graph/plan.hpp"
#include "../kernels/map.hpp"

#include <cmath>
#include <vector>

namespace bespoke {

/// Which steps a forward pass runs.
enum class pass {
    all,        ///< prediction
    frozen,     ///< what no trained parameter has an influence on
    trainable,  ///< the rest, recorded for the backward pass
};

/// The memory of a network that runs, and where in it each blob lies: all that running a layer needs to know.
/// Knows steps and blobs by number, and no layer.
template <class T>
class engine_state {
public:
    using value_type = T;
    static constexpr std::size_t none = blob_facts::npos;

    /// The lists behind `plan` must outlive the engine.
    explicit engine_state(plan_view plan);

    const plan_view& plan() const { return plan_; }
    /// Another plan of the same layers, for other input shapes. The parameters stay.
    void replan(plan_view plan);

    // --- memory -----------------------------------------------------------------------------------

    /// The block of all parameters.
    const buffer<T>& parameters() const { return parameters_; }
    T* parameter(std::size_t number) const { return parameters_.data() + plan_.parameters[number].offset; }
    /// Where the gradient of a parameter is summed up; null: nowhere.
    std::vector<T*>& parameter_gradients() { return parameter_gradients_; }
    /// Fills the parameters as each layer says, from numbers that depend on the seed alone.
    void initialize(std::uint64_t seed);

    /// Makes room for a prediction of `examples` at once and points the blobs there.
    void reserve(extent examples) {
        if (examples != examples_ || !planned_) make_room(examples);
    }
    /// Blobs are where the caller (a trainer) says.
    void place(extent examples, std::span<T* const> values, std::span<T* const> gradients);
    extent examples() const { return examples_; }
    T* value(std::size_t blob) const { return values_[blob]; }
    T* gradient(std::size_t blob) const { return gradients_[blob]; }
    extent elements(std::size_t blob) const {
        return plan_.blobs[blob].dimensions.size() * (plan_.blobs[blob].per_example ? examples_ : 1);
    }
    /// Where a prediction of one example has a blob.
    T* reserved(const blob_facts& blob) const { return (blob.per_example ? arena_ : shared_).data() + blob.offset; }

    /// Threads for the kernels; null: the caller's alone. The pool must outlive the engine's use of it.
    void use(thread_pool* threads) {
        threads_ = threads;
        measured_ = 0;
    }
    thread_pool* threads() const { return threads_; }

    // --- passes -----------------------------------------------------------------------------------

    /// The next passes run these steps; `trained[s]` says which step a trained parameter has an influence on.
    void select(pass which, std::span<const char> trained) {
        pass_ = which;
        trained_ = trained;
        tape_.clear();
        log_.clear();
    }
    /// Called after each step of a frozen pass.
    template <class Hook>
    void after_frozen(const Hook& hook) {
        hook_ = [](const void* context, std::size_t step) { (*static_cast<const Hook*>(context))(step); };
        hook_context_ = &hook;
    }
    /// `births(s)` lists the blobs whose gradient begins to be summed up at step s (the last that reads them).
    void set_births(std::span<const std::vector<std::size_t>> births) { births_ = births; }

    // --- for control layers -----------------------------------------------------------------------

    std::size_t input_blob(std::size_t step, std::size_t number) const { return plan_.inputs_of(step)[number]; }
    std::size_t input_count(std::size_t step) const { return plan_.steps[step].input_count; }
    std::size_t watched(std::size_t step) const { return plan_.steps[step].watched; }

    /// |x| > 1e-6 in the first example of the window.
    bool truth(std::size_t blob) const { return std::abs(scalar(blob, first_)) > T(1e-6); }
    /// The nearest integer, at least 0.
    extent count(std::size_t blob) const {
        const T value = scalar(blob, first_);
        return value > T(0) ? static_cast<extent>(std::min(std::round(value), T(1e15))) : 0;
    }
    /// Whether all examples of the window hold the same number. No example: false, there is nothing to look at.
    bool agrees(std::size_t blob) const;
    template <class Body>
    void one_by_one(const Body& body) {
        const extent first = first_, count = count_;
        for (extent i = 0; i < count; ++i) {
            first_ = first + i;
            count_ = 1;
            body();
        }
        first_ = first;
        count_ = count;
    }
    template <class Body>
    void one_by_one_backward(const Body& body) {
        const extent first = first_, count = count_;
        for (extent i = count; i-- > 0;) {
            first_ = first + i;
            count_ = 1;
            body();
        }
        first_ = first;
        count_ = count;
    }

    /// The tape: what control layers decided, read back in reverse order.
    void record(extent decision) {
        if (pass_ == pass::trainable) tape_.push_back(decision);
    }
    extent recorded() {
        const extent decision = tape_.back();
        tape_.pop_back();
        return decision;
    }

    /// Blobs that the loop at `step` makes for those behind it are 0 until it writes them.
    void clear_made_in(std::size_t step);
    void restore_made_in(std::size_t step);

    // --- for layer_runner -------------------------------------------------------------------------

    /// Whether the pass runs this step.
    bool runs(std::size_t step) const {
        return pass_ == pass::all || (pass_ == pass::trainable) == (trained_[step] != 0);
    }
    /// Before and after a step of a forward pass.
    void begin_forward(std::size_t step);
    void end_forward(std::size_t step) {
        if (pass_ == pass::frozen && plan_.steps[step].parent == none) hook_(hook_context_, step);
    }
    /// Before and after a step of a backward pass.
    void begin_backward(std::size_t step);
    void end_backward(std::size_t step);

    /// How many examples the step has in the window.
    extent step_examples(std::size_t step) const;
    /// Whether a layer of one input would read a blob that is stored once and write one example after the other:
    /// then it runs example by example, so that layers need not know of it.
    bool spreads(std::size_t step) const {
        return step_examples(step) > 1 && !plan_.blobs[plan_.inputs_of(step)[0]].per_example;
    }
    bool wants_backward(std::size_t step) const;

    /// The blobs of a step as a layer sees them, valid until the next question.
    struct views {
        std::span<const dynamic_view<const T>> xs, ys, dys;
        std::span<const dynamic_view<T>> outputs, dxs;
    };
    /// Of all examples in the window, or of the one `example`.
    views look_forward(std::size_t step, extent example);
    views look_backward(std::size_t step, extent example);
    dynamic_view<const T> parameter_view(std::size_t number) const;
    dynamic_view<T> parameter_gradient_view(std::size_t number) const;
    workspace<T> work(std::size_t step) const {
        return {scratch_.data(), prepared_.data() + prepared_offsets_[step], threads_};
    }
    std::vector<shape> input_shapes(std::size_t step) const;

    // The window: the examples that run now. Control layers narrow it.
    T* window(T* values, std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return values == nullptr || !facts.per_example ? values : values + first_ * facts.dimensions.size();
    }
    T* window_value(std::size_t blob) const { return window(values_[blob], blob); }
    T* window_gradient(std::size_t blob) const { return window(gradients_[blob], blob); }

    /// The working memory that a layer asked for.
    void add_work(std::size_t step, extent prepared, extent scratch) {
        prepared_offsets_[step] = prepared_size_;
        prepared_size_ += aligned_size<T>(prepared);
        scratch_size_ = std::max(scratch_size_, scratch);
    }
    T* prepared(std::size_t step) const { return prepared_.data() + prepared_offsets_[step]; }

protected:
    /// Whether the working memory is enough for what comes.
    bool is_measured() const { return measured_ >= examples_ && measured_ > 0; }
    void begin_measure() { prepared_size_ = scratch_size_ = 0; }
    void end_measure();

private:
    void make_room(extent examples);
    void whole() {
        first_ = 0;
        count_ = examples_;
    }
    T scalar(std::size_t blob, extent example) const {
        return values_[blob][plan_.blobs[blob].per_example ? example : 0];
    }
    extent window_size(std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return facts.dimensions.size() * (facts.per_example ? count_ : 1);
    }
    template <class U>
    std::span<const dynamic_view<U>> look(std::vector<dynamic_view<U>>& list, std::span<const std::size_t> blobs,
                                          const std::vector<T*>& base, extent examples, extent example) const;

    // The log: values that were overwritten while recording.
    void log_values(std::size_t blob);
    void undo_blob(std::size_t blob);
    bool made_in(std::size_t step, std::size_t blob) const;

    plan_view plan_;
    std::vector<T*> values_, gradients_;
    buffer<T> parameters_, arena_, shared_, prepared_, scratch_;
    std::vector<T*> parameter_gradients_;
    std::vector<extent> prepared_offsets_;
    extent prepared_size_ = 0, scratch_size_ = 0;
    extent examples_ = 0, measured_ = 0, first_ = 0, count_ = 0;
    bool planned_ = false;
    thread_pool* threads_ = nullptr;
    pass pass_ = pass::all;
    std::span<const char> trained_;
    std::span<const std::vector<std::size_t>> births_;
    std::vector<extent> tape_;
    std::vector<T> log_;
    std::vector<dynamic_view<const T>> xs_, ys_, dys_;
    std::vector<dynamic_view<T>> written_;
    void (*hook_)(const void*, std::size_t) = nullptr;
    const void* hook_context_ = nullptr;
};

// Not in the class: what is there is inline, and would be compiled again wherever a network is composed, in spite of
// the explicit instantiation.

template <class T>
engine_state<T>::engine_state(plan_view plan)
    : plan_(plan), values_(plan.blobs.size()), gradients_(plan.blobs.size()), parameters_(plan.parameters_size),
      parameter_gradients_(plan.parameters.size()), prepared_offsets_(plan.steps.size()) {
    std::size_t most = 0;
    for (const step_facts& step : plan.steps) most = std::max({most, step.input_count, step.output_count});
    for (auto* list : {&xs_, &ys_, &dys_}) list->reserve(most);
    written_.reserve(most);
}

template <class T>
void engine_state<T>::replan(plan_view plan) {
    plan_ = plan;
    values_.assign(plan.blobs.size(), nullptr);
    gradients_.assign(plan.blobs.size(), nullptr);
    planned_ = false;
    measured_ = 0;
}

template <class T>
void engine_state<T>::make_room(extent examples) {
    arena_.reserve(plan_.arena_size * examples);
    shared_.reserve(plan_.shared_size);
    for (std::size_t i = 0; i < plan_.blobs.size(); ++i) {
        const blob_facts& blob = plan_.blobs[i];
        values_[i] = blob.per_example ? arena_.data() + blob.offset * examples : shared_.data() + blob.offset;
        gradients_[i] = nullptr;
    }
    examples_ = examples;
    planned_ = true;
    whole();
}

template <class T>
void engine_state<T>::place(extent examples, std::span<T* const> values, std::span<T* const> gradients) {
    std::copy(values.begin(), values.end(), values_.begin());
    std::copy(gradients.begin(), gradients.end(), gradients_.begin());
    examples_ = examples;
    planned_ = false;
    whole();
}

template <class T>
void engine_state<T>::end_measure() {
    if (prepared_.size() != prepared_size_) prepared_.resize(prepared_size_);
    scratch_.reserve(scratch_size_);
    measured_ = std::max<extent>(examples_, 1);
}

template <class T>
void engine_state<T>::initialize(std::uint64_t seed) {
    for (std::size_t i = 0; i < plan_.parameters.size(); ++i) {
        const parameter_facts& p = plan_.parameters[i];
        const std::span<T> values(parameter(i), static_cast<std::size_t>(p.dimensions.size()));
        if (p.start == initial::glorot) {
            // [outputs, inputs, window...]: the window counts for both
            const extent window = p.dimensions.rank() > 2 ? p.dimensions.product(2, p.dimensions.rank()) : 1;
            const extent fans = p.dimensions.rank() > 1 ? p.dimensions[0] + p.dimensions[1] : p.dimensions[0];
            const double bound = std::sqrt(6.0 / static_cast<double>(std::max<extent>(fans * window, 1)));
            philox random(seed, i);
            for (T& v : values) v = static_cast<T>((2 * random.uniform() - 1) * bound);
        } else {
            std::fill(values.begin(), values.end(), p.start == initial::one ? T(1) : T(0));
        }
    }
}

template <class T>
bool engine_state<T>::agrees(std::size_t blob) const {
    if (count_ == 0) return false;
    for (extent i = 1; i < count_; ++i)
        if (!(scalar(blob, first_ + i) == scalar(blob, first_))) return false;
    return true;
}

template <class T>
void engine_state<T>::clear_made_in(std::size_t step) {
    for (std::size_t blob = 0; blob < plan_.blobs.size(); ++blob) {
        if (!made_in(step, blob)) continue;
        if (pass_ == pass::trainable) log_values(blob);
        kernels::fill(window_size(blob), T(0), window_value(blob));
    }
}

template <class T>
void engine_state<T>::restore_made_in(std::size_t step) {
    for (std::size_t blob = plan_.blobs.size(); blob-- > 0;)
        if (made_in(step, blob)) undo_blob(blob);
}

template <class T>
void engine_state<T>::begin_forward(std::size_t step) {
    if (plan_.steps[step].logged && pass_ == pass::trainable)
        for (std::size_t blob : plan_.outputs_of(step)) log_values(blob);
}

template <class T>
void engine_state<T>::begin_backward(std::size_t step) {
    if (births_.empty()) return;
    for (std::size_t blob : births_[step]) kernels::fill(elements(blob), T(0), gradients_[blob]);
}

template <class T>
void engine_state<T>::end_backward(std::size_t step) {
    if (!plan_.steps[step].logged) return;
    const auto outputs = plan_.outputs_of(step);
    for (std::size_t i = outputs.size(); i-- > 0;) undo_blob(outputs[i]);
}

template <class T>
extent engine_state<T>::step_examples(std::size_t step) const {
    for (std::size_t blob : plan_.outputs_of(step))
        if (plan_.blobs[blob].per_example) return count_;
    return 1;
}

template <class T>
bool engine_state<T>::wants_backward(std::size_t step) const {
    for (std::size_t blob : plan_.outputs_of(step))
        if (gradients_[blob] != nullptr) return true;
    return false;
}

template <class T>
template <class U>
std::span<const dynamic_view<U>> engine_state<T>::look(std::vector<dynamic_view<U>>& list,
                                                       std::span<const std::size_t> blobs,
                                                       const std::vector<T*>& base, extent examples,
                                                       extent example) const {
    list.resize(blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        const blob_facts& facts = plan_.blobs[blobs[i]];
        const extent size = facts.dimensions.size(), stride = facts.per_example || examples == 1 ? size : 0;
        T* const data = window(base[blobs[i]], blobs[i]);
        if (example < 0)
            list[i] = {data, facts.dimensions, examples, stride};
        else
            list[i] = {data == nullptr ? data : data + example * stride, facts.dimensions, 1, size};
    }
    return list;
}

template <class T>
typename engine_state<T>::views engine_state<T>::look_forward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    views v;
    v.xs = look(xs_, plan_.inputs_of(step), values_, examples, example);
    v.outputs = look(written_, plan_.outputs_of(step), values_, examples, example);
    return v;
}

template <class T>
typename engine_state<T>::views engine_state<T>::look_backward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    views v;
    v.xs = look(xs_, plan_.inputs_of(step), values_, examples, example);
    v.ys = look(ys_, plan_.outputs_of(step), values_, examples, example);
    v.dys = look(dys_, plan_.outputs_of(step), gradients_, examples, example);
    v.dxs = look(written_, plan_.inputs_of(step), gradients_, examples, example);
    return v;
}

template <class T>
dynamic_view<const T> engine_state<T>::parameter_view(std::size_t number) const {
    const shape& s = plan_.parameters[number].dimensions;
    return {s.size() == 0 ? nullptr : parameter(number), s, 1, s.size()};
}

template <class T>
dynamic_view<T> engine_state<T>::parameter_gradient_view(std::size_t number) const {
    const shape& s = plan_.parameters[number].dimensions;
    return {s.size() == 0 ? nullptr : parameter_gradients_[number], s, 1, s.size()};
}

template <class T>
std::vector<shape> engine_state<T>::input_shapes(std::size_t step) const {
    std::vector<shape> shapes;
    for (std::size_t blob : plan_.inputs_of(step)) shapes.push_back(plan_.blobs[blob].dimensions);
    return shapes;
}

template <class T>
void engine_state<T>::log_values(std::size_t blob) {
    const T* from = window_value(blob);
    log_.insert(log_.end(), from, from + window_size(blob));
}

template <class T>
void engine_state<T>::undo_blob(std::size_t blob) {
    const extent size = window_size(blob);
    if (gradients_[blob] != nullptr) kernels::fill(size, T(0), window_gradient(blob));
    std::copy(log_.end() - size, log_.end(), window_value(blob));
    log_.resize(log_.size() - static_cast<std::size_t>(size));
}

template <class T>
bool engine_state<T>::made_in(std::size_t step, std::size_t blob) const {
    const blob_facts& facts = plan_.blobs[blob];
    return facts.maker != none && facts.maker > step && facts.maker < plan_.steps[step].end &&
           facts.last >= plan_.steps[step].end;
}

}  // namespace bespoke
