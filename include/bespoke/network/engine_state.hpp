#pragma once

#include "../graph/fusion.hpp"
#include "../graph/layer_facts.hpp"
#include "../kernels/map.hpp"
#include "layer_functions.hpp"
#include "memory.hpp"

namespace bespoke {

/// Which steps a forward pass runs.
enum class pass {
    all,        ///< prediction
    frozen,     ///< what no trained parameter has an influence on
    trainable,  ///< the rest, recorded for the backward pass
};

/// What a running network knows besides its memory: which steps a pass runs, which examples, and what happened on the
/// way. All that running a layer needs; knows steps and blobs by number, and no layer.
template <class T>
class engine_state : public network_memory<T> {
public:
    using network_memory<T>::none;
    using network_memory<T>::plan;

    /// The lists behind `plan` must outlive the engine.
    explicit engine_state(plan_view plan);

    // --- passes -----------------------------------------------------------------------------------

    /// The next passes run these steps; `trained[s]` says which step a trained parameter has an influence on, and
    /// `finished[s]` whether a recorded pass runs it in the epilogue of another one (empty: none).
    void select(pass which, std::span<const char> trained, std::span<const char> finished = {}) {
        pass_ = which;
        trained_ = trained;
        finished_ = finished;
        births_ = {};
        tape_.clear();
        log_.clear();
        shape_log_.clear();
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

    std::size_t input_blob(std::size_t step, std::size_t number) const { return plan().inputs_of(step)[number]; }
    std::size_t input_count(std::size_t step) const { return plan().steps[step].input_count; }
    std::size_t watched(std::size_t step) const { return plan().steps[step].watched; }

    /// |x| > 1e-6 in the first example of the window.
    bool truth(std::size_t blob) const { return std::abs(number(blob)) > T(1e-6); }
    /// The nearest integer, at least 0.
    extent count(std::size_t blob) const {
        const T value = number(blob);
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

    // --- for layer_runner.hpp ---------------------------------------------------------------------

    /// Whether the pass runs this step.
    bool runs(std::size_t step) const {
        return pass_ == pass::all || (pass_ == pass::trainable) == (trained_[step] != 0);
    }
    bool predicts() const { return pass_ == pass::all; }
    /// Before and after a step of a forward pass.
    void begin_forward(std::size_t step);
    void end_forward(std::size_t step) {
        if (pass_ == pass::frozen && plan().steps[step].parent == none) hook_(hook_context_, step);
    }
    /// Before and after a step of a backward pass. Whether the step is to begin its input's gradient, as it offers.
    bool begin_backward(std::size_t step, bool offers);
    void end_backward(std::size_t step);

    /// How many examples the step has in the window.
    extent step_examples(std::size_t step) const;
    /// Whether a layer of one input would read a blob that is stored once and write one example after the other:
    /// then it runs example by example, so that layers need not know of it.
    bool spreads(std::size_t step) const {
        return step_examples(step) > 1 && !plan().blobs[plan().inputs_of(step)[0]].per_example;
    }
    bool wants_backward(std::size_t step) const;
    /// Of a step of which a shape is open: see decide.hpp.
    void decide(std::size_t step);
    /// The shapes are those of an earlier forward pass of the step: it is prepared for them again.
    void recall(std::size_t step);

    /// Whether a forward pass runs it in the epilogue of another one.
    bool is_finished(std::size_t step) const {
        return pass_ == pass::all ? plan().steps[step].head != none : !finished_.empty() && finished_[step] != 0;
    }
    /// Whether the step whose planes it feeds runs it. Not where all blobs are wanted.
    bool feeds(std::size_t step) const {
        return plan().steps[step].feeds && predicts() && this->value(plan().outputs_of(step)[0]) == nullptr;
    }
    /// Whether it runs the step whose planes it takes.
    bool is_fed(std::size_t step) const {
        return plan().steps[step].takes_from != none && feeds(plan().steps[step].takes_from);
    }
    void run_planes(std::size_t step, const plane_block<T>& block, workspace<T>& w) const noexcept {
        attached_[step].functions->planes(*this, attached_[step].layer, step, block, w);
    }
    /// The step that runs behind `step` in an epilogue, or none.
    std::size_t next(std::size_t step) const {
        const std::size_t s = plan().steps[step].next;
        return s != none && is_finished(s) ? s : none;
    }
    /// The last one; `step` itself where there is none.
    std::size_t tail(std::size_t step) const {
        for (std::size_t s = next(step); s != none; s = next(s)) step = s;
        return step;
    }
    /// Lets the steps of the epilogue finish a block.
    void finish(std::size_t head, const output_block<T>& block) const noexcept {
        for (std::size_t s = next(head); s != none && !plan().steps[s].streams; s = next(s)) finish_step(s, block);
    }
    /// What the step `tail` makes of them.
    row_product<T> multiply(std::size_t tail, extent index) const noexcept {
        return attached_[tail].functions->multiply(*this, attached_[tail].layer, tail, index);
    }

    /// The last step of the epilogue that `map` has room for, to which it is added with all before it; `head` where
    /// there is none.
    std::size_t gather(std::size_t head, channel_map<T>& map) const noexcept {
        for (std::size_t s = next(head); s != none; s = next(s)) {
            const attached_layer& at = attached_[s];
            if (at.functions->joins == nullptr || !at.functions->joins(at.layer, map, finishing_of(s))) break;
            head = s;
        }
        return head;
    }

    /// How a layer is called: for the examples [first, last), one after the other; -1 is all of them together.
    struct calls {
        extent first, last;
    };
    calls calls_of(std::size_t step, call_kind kind) const {
        const bool asks = kind.variadic && plan().steps[step].input_count != 1;  // each input how it is stored
        if (kind.batched && plan().steps[step].shortens == 0 && (asks || !spreads(step))) return {-1, 0};
        return {0, step_examples(step)};
    }
    /// The blobs of a step, of all examples in the window or of the one `example`. Valid until the next question.
    blob_views<T> look_forward(std::size_t step, extent example);
    blob_views<T> look_backward(std::size_t step, extent example);
    std::vector<shape> input_shapes(std::size_t step) const;
    /// Points `to` at a blob of a step that has so many `examples` in the window.
    template <class U>
    void look(std::size_t blob, bool gradient, extent examples, extent example, dynamic_view<U>& to) const;

protected:
    struct attached_layer {
        const void* layer = nullptr;  ///< null: a control layer
        const layer_functions<T>* functions = nullptr;
        asking_function* ask = nullptr;  ///< only where shapes are open
        unprepared runs{};
        bool stale = false;  ///< what it prepared is for parameters before those of a training
    };
    std::vector<attached_layer> attached_;  ///< for each step

private:
    void finish_step(std::size_t step, const output_block<T>& block) const noexcept;
    /// What the step knows of its result before it is given a block.
    finishing<T> finishing_of(std::size_t step) const noexcept;

    void ask_and_place(std::size_t step);
    void check_decided(std::size_t step, const layer_answers& answers) const;
    void prepare_decided(std::size_t step);

    /// The one number in the blob, of the first example of the window.
    T number(std::size_t blob) const {
        if (this->run() != nullptr) check_number(blob);
        return scalar(blob, first_);
    }
    void check_number(std::size_t blob) const;
    T scalar(std::size_t blob, extent example) const {
        return this->window_value(blob)[plan().blobs[blob].per_example ? example - first_ : 0];
    }
    template <class U>
    std::span<const dynamic_view<U>> look(std::vector<dynamic_view<U>>& list, std::span<const std::size_t> blobs,
                                          bool gradients, extent examples, extent example) const;
    /// Of the inputs of a step, in `list`, what it sees.
    template <class U>
    void shorten(std::size_t step, std::vector<dynamic_view<U>>& list) const;

    bool has_shape(std::size_t blob) const { return !plan().blobs[blob].open.any || this->run()->is_decided(blob); }

    // The log: values that were overwritten while recording, and open shapes. See log.hpp.
    struct logged_shape {
        shape dimensions;
        bool decided;
    };
    void log_values(std::size_t blob);
    void undo_blob(std::size_t blob);
    bool made_in(std::size_t step, std::size_t blob) const;

    using network_memory<T>::first_, network_memory<T>::count_;

    pass pass_ = pass::all;
    std::span<const char> trained_, finished_;
    std::span<const std::vector<std::size_t>> births_;
    std::vector<extent> tape_;
    std::vector<T> log_;
    std::vector<logged_shape> shape_log_;
    std::vector<dynamic_view<const T>> xs_, ys_, dys_;
    std::vector<dynamic_view<T>> written_;
    void (*hook_)(const void*, std::size_t) = nullptr;
    const void* hook_context_ = nullptr;
};

// Not in the class: see memory.hpp.

template <class T>
engine_state<T>::engine_state(plan_view plan) : network_memory<T>(plan), attached_(plan.steps.size()) {
    std::size_t most = 0;
    for (const step_facts& step : plan.steps) most = std::max({most, step.input_count, step.output_count});
    for (auto* list : {&xs_, &ys_, &dys_}) list->reserve(most);
    written_.reserve(most);
}

template <class T>
bool engine_state<T>::agrees(std::size_t blob) const {
    if (count_ == 0) return false;
    for (extent i = 1; i < count_; ++i)
        if (!(scalar(blob, first_ + i) == scalar(blob, first_))) return false;
    return true;
}

template <class T>
void engine_state<T>::begin_forward(std::size_t step) {
    if (plan().steps[step].logged && pass_ == pass::trainable)
        for (std::size_t blob : plan().outputs_of(step)) log_values(blob);
}

template <class T>
bool engine_state<T>::begin_backward(std::size_t step, bool offers) {
    if (births_.empty()) return false;
    // Only a part of the input, or one input of many examples, is not all written by one call.
    offers = offers && plan().steps[step].shortens == 0 && !spreads(step);
    bool begins = false;
    for (std::size_t blob : births_[step])
        if (offers && blob == plan().inputs_of(step)[0]) begins = true;
        else if (has_shape(blob)) kernels::fill(this->elements(blob), T(0), this->gradient(blob));
    return begins;
}

template <class T>
void engine_state<T>::end_backward(std::size_t step) {
    if (!plan().steps[step].logged) return;
    const auto outputs = plan().outputs_of(step);
    for (std::size_t i = outputs.size(); i-- > 0;) undo_blob(outputs[i]);
}

template <class T>
extent engine_state<T>::step_examples(std::size_t step) const {
    for (std::size_t blob : plan().outputs_of(step))
        if (plan().blobs[blob].per_example) return count_;
    return 1;
}

template <class T>
void engine_state<T>::finish_step(std::size_t step, const output_block<T>& block) const noexcept {
    const attached_layer& attached = attached_[step];
    if (attached.functions->map != nullptr)
        return attached.functions->map(attached.layer, block.rows, block.columns, block.stride, block.data, block.data);
    finishing<T> with = finishing_of(step);
    with.offset = block.offset < 0 ? block.data - with.result : block.offset;
    attached.functions->finish(attached.layer, block, with);
}

template <class T>
finishing<T> engine_state<T>::finishing_of(std::size_t step) const noexcept {
    finishing<T> with{&plan().blobs[plan().outputs_of(step)[0]].dimensions};
    const std::size_t finished = finished_blob(plan(), step);
    for (std::size_t blob : plan().inputs_of(step))
        if (blob != finished) {
            with.other = this->window_value(blob);
            with.other_dimensions = &plan().blobs[blob].dimensions;
        }
    with.prepared = this->prepared(step);
    with.result = this->window_value(plan().outputs_of(tail(step))[0]);
    with.first_dimensions = &plan().blobs[plan().inputs_of(step)[0]].dimensions;
    return with;
}

template <class T>
bool engine_state<T>::wants_backward(std::size_t step) const {
    for (std::size_t blob : plan().outputs_of(step))
        if (this->gradient(blob) != nullptr) return true;
    return false;
}

template <class T>
template <class U>
std::span<const dynamic_view<U>> engine_state<T>::look(std::vector<dynamic_view<U>>& list,
                                                       std::span<const std::size_t> blobs,
                                                       bool gradients, extent examples, extent example) const {
    list.resize(blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) look(blobs[i], gradients, examples, example, list[i]);
    return list;
}

template <class T>
template <class U>
void engine_state<T>::look(std::size_t blob, bool gradient, extent examples, extent example,
                           dynamic_view<U>& to) const {
    const blob_facts& facts = plan().blobs[blob];
    const extent size = facts.dimensions.size(), stride = facts.per_example || examples == 1 ? size : 0;
    T* const data = gradient ? this->window_gradient(blob) : this->window_value(blob);
    const bool one = example >= 0;
    to.data = one && data != nullptr ? data + example * stride : data;
    to.dimensions = facts.dimensions;
    to.examples = one ? 1 : examples;
    to.stride = one ? size : stride;
}

template <class T>
template <class U>
void engine_state<T>::shorten(std::size_t step, std::vector<dynamic_view<U>>& list) const {
    if (plan().steps[step].shortens == 0) return;
    for (std::size_t i = 0; i < list.size(); ++i) {
        list[i].dimensions = plan().shape_read(step, i);
        list[i].stride = list[i].dimensions.size();  // of one example
    }
}

template <class T>
blob_views<T> engine_state<T>::look_forward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    blob_views<T> v;
    v.xs = look(xs_, plan().inputs_of(step), false, examples, example);
    v.outputs = look(written_, plan().outputs_of(tail(step)), false, examples, example);
    shorten(step, xs_);
    return v;
}

template <class T>
blob_views<T> engine_state<T>::look_backward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    blob_views<T> v;
    v.xs = look(xs_, plan().inputs_of(step), false, examples, example);
    v.ys = look(ys_, plan().outputs_of(step), false, examples, example);
    v.dys = look(dys_, plan().outputs_of(step), true, examples, example);
    v.dxs = look(written_, plan().inputs_of(step), true, examples, example);
    shorten(step, xs_);
    shorten(step, written_);
    return v;
}

template <class T>
std::vector<shape> engine_state<T>::input_shapes(std::size_t step) const {
    std::vector<shape> shapes;
    for (std::size_t i = 0; i < plan().inputs_of(step).size(); ++i) shapes.push_back(plan().shape_read(step, i));
    return shapes;
}

}  // namespace bespoke
