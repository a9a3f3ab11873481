#pragma once

#include "../core/buffer.hpp"
#include "../core/concepts.hpp"
#include "../core/error.hpp"
#include "parameters.hpp"
#include "run_shapes.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {

/// Where the parameters and blobs of a network lie, and the working memory of its layers. Knows steps and blobs by
/// number, and no layer.
template <class T>
class network_memory {
public:
    using value_type = T;
    static constexpr std::size_t none = blob_facts::npos;

    /// The lists behind `plan` must outlive the memory.
    explicit network_memory(plan_view plan);

    const plan_view& plan() const { return plan_; }
    /// Another plan of the same layers, for other input shapes. The parameters stay.
    void replan(plan_view plan);

    network_parameters<T>& parameters() { return parameters_; }
    const network_parameters<T>& parameters() const { return parameters_; }
    T* parameter(std::size_t number) { return parameters_.write(number); }
    const T* parameter(std::size_t number) const { return parameters_.read(number); }
    /// Where the gradient of a parameter is summed up; null: nowhere.
    std::vector<T*>& parameter_gradients() {
        check_owner();
        return parameter_gradients_;
    }
    /// Points `to` at a parameter, or at its gradient. Field by field where the view lies: to copy one in registers
    /// that was just written word by word waits for the writes.
    void view_parameter(std::size_t number, dynamic_view<const T>& to) const;
    void view_parameter_gradient(std::size_t number, dynamic_view<T>& to) const;

    /// Makes room for a prediction of `examples` and points the blobs there. So many that they do not fit the cache run
    /// in chunks, see `each_chunk`, and only inputs and outputs hold all examples then, unless all blobs are wanted.
    /// Throws `error` where the memory is not there.
    void reserve(extent examples, bool all_blobs = false) {
        if (!has_room(examples, all_blobs)) make_room(examples, all_blobs);
    }
    /// Until `reserve`, the input `blob` lies where the caller has it: no step may write it.
    void lend(std::size_t blob, const T* values) {
        values_[blob] = const_cast<T*>(values);
        planned_ = false;
    }
    /// Calls `body` once for each chunk of examples, with the window on it. The bits do not depend on the chunks.
    template <class Body>
    void each_chunk(const Body& body) {
        whole();  // an earlier run may have ended in the midst of a window
        if (chunk_ >= examples_) return body();
        const extent chunks = (examples_ + chunk_ - 1) / chunk_;
        for (extent i = 0; i < chunks; ++i) {
            begin_chunk(examples_ * i / chunks, examples_ * (i + 1) / chunks);
            body();
        }
        whole();
    }
    /// Whether a result of the run before lies there.
    bool holds(const T* place) const { return arena_.contains(place) || ends_.contains(place); }
    /// Blobs are where the caller (a trainer) says. Those whose shapes are open lie in memory of their own: of their
    /// gradients it only counts whether one is wanted.
    void place(extent examples, std::span<T* const> values, std::span<T* const> gradients);
    /// What the blobs of one example may take in all, or a layer work with (decide.hpp). Not said: no bound.
    void bound(extent elements) { bound_ = elements; }
    extent bound() const { return bound_; }
    extent examples() const { return examples_; }
    /// How many of them run at once, at most.
    extent chunk() const { return std::max<extent>(chunk_, 1); }
    /// Null where the plan leaves no shape open.
    run_shapes<T>* run() const { return run_.get(); }
    T* value(std::size_t blob) const { return values_[blob]; }
    T* gradient(std::size_t blob) const { return gradients_[blob]; }
    extent elements(std::size_t blob) const { return elements_of(blob, examples_); }
    /// Where a prediction of one example has a blob.
    T* reserved(const blob_facts& blob) const {
        return blob.per_example ? arena_.data() + blob.single_offset : shared_.data() + blob.offset;
    }

    /// Threads for the kernels, the caller included: a pool of its own.
    void use_threads(std::size_t count);
    /// A pool of the caller's, which must outlive the use of it; null: the caller's thread alone.
    void use(thread_pool* threads) { threads_ = threads, measured_ = 0; }
    thread_pool* threads() const { return threads_; }
    /// How the layers compute.
    void use(const arithmetic& how) {
        how_ = how;
        measured_ = 0;
    }
    const arithmetic& how() const { return how_; }
    std::size_t thread_count() const { return threads() != nullptr ? threads()->size() : 1; }

    /// The number of the array `field` ("weights") of the first layer called `layer`. Throws `error` where none is.
    std::size_t find_parameter(std::string_view layer, std::string_view field) const;
    /// Throws the `error` for the input `number`, of which `came` elements came.
    [[noreturn]] void throw_wrong_input(std::size_t number, extent came, extent examples) const;

    // --- working memory -----------------------------------------------------------------------------

    /// A step computes in low precision.
    void add_lowered() { ++lowered_; }
    /// What the layer at `step` asks for.
    void add_work(std::size_t step, extent prepared, extent scratch) {
        prepared_offsets_[step] = prepared_size_;
        prepared_size_ += aligned_size<T>(prepared);
        scratch_size_ = std::max(scratch_size_, scratch);
    }
    /// So many elements of planes lie between two layers, see core/planes.hpp.
    void add_planes(extent size) { planes_size_ = std::max(planes_size_, size); }
    T* planes() const { return planes_.data(); }
    T* prepared(std::size_t step) const { return prepared_places_[step]; }
    workspace<T> work(std::size_t step) const {
        return {scratch_.data(), prepared(step), threads_, nullptr, how_, false, step};
    }

    // --- the window: the examples that run now. Control layers narrow it. -----------------------------

    T* window(T* values, std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return values == nullptr || !facts.per_example
                   ? values
                   : values + (first_ - origins_[blob]) * facts.dimensions.size();
    }
    T* window_value(std::size_t blob) const { return window(values_[blob], blob); }
    T* window_gradient(std::size_t blob) const { return window(gradients_[blob], blob); }
    extent window_size(std::size_t blob) const { return elements_of(blob, count_); }

protected:
    bool has_room(extent examples, bool all_blobs) const {
        return examples == examples_ && all_blobs == all_blobs_ && planned_ && is_measured();
    }
    void make_room(extent examples, bool all_blobs);
    /// Whether `reserve` keeps what is there, or makes room each time.
    void keep_room(bool kept) { keeps_room_ = kept; planned_ = planned_ && kept; }
    /// Elements of the memory for blobs whose shapes are planned, and of working memory.
    extent taken() const {
        return arena_.size() + shared_.size() + prepared_.size() + scratch_.size() + planes_.size() + ends_.size();
    }
    /// The layer at `step` does without what it prepares, or not.
    void withhold(std::size_t step, bool withheld) {
        prepared_places_[step] = withheld                            ? nullptr
                                 : run_ && plan_.steps[step].open ? run_->prepared(step)
                                                                     : prepared_.data() + prepared_offsets_[step];
    }
    /// Whether the working memory is enough for what comes.
    bool is_measured() const { return measured_ >= chunk_ && measured_ > 0; }
    void forget_measure() { measured_ = 0; }
    void begin_measure() {
        prepared_size_ = scratch_size_ = planes_size_ = measured_ = 0;
        lowered_ = 0;
    }
    void end_measure();
    std::size_t lowered() const { return lowered_; }
    /// The blob, of an open shape, gets this one.
    void place_decided(std::size_t blob, const shape& dimensions) {
        values_[blob] = run_->decide(blob, dimensions);
        gradients_[blob] = run_->gradient(blob);
    }
    /// It writes little of what it prepares.
    void scatter_prepared(std::size_t step, extent size) { prepared_.scatter(prepared_offsets_[step], size); }
    /// What the layer at `step` asks for, now that its shapes are decided.
    void work_decided(std::size_t step, extent prepared, extent scratch) {
        buffer<T>& own = run_->of_step(step).prepared;
        const extent measured = std::exchange(measured_, 0);  // if this fails, `scratch_` may be gone
        if (own.size() < prepared) own.allocate(prepared);
        prepared_places_[step] = own.data();
        scratch_.reserve(scratch);
        measured_ = measured;
    }

    extent first_ = 0, count_ = 0;  ///< the window

private:
    void begin_run(extent examples, std::span<T* const> gradients = {});
    extent choose_chunk(extent examples) const;
    void begin_chunk(extent first, extent end);
    void check_owner() const { if (prepared_offsets_.empty()) throw_moved_from("the network"); }
    void whole() {
        first_ = 0;
        count_ = examples_;
    }
    extent elements_of(std::size_t blob, extent examples) const {
        const blob_facts& facts = plan_.blobs[blob];
        return facts.dimensions.size() * (facts.per_example ? examples : 1);
    }

    /// Whose blobs are those of the plan then: it speaks of the shapes as they are decided.
    static std::unique_ptr<run_shapes<T>> shapes_of(const plan_view& plan) {
        return plan.open ? std::make_unique<run_shapes<T>>(plan) : nullptr;
    }

    plan_view plan_;
    std::unique_ptr<run_shapes<T>> run_;
    std::vector<T*> values_, gradients_;
    network_parameters<T> parameters_;
    buffer<T> arena_, shared_, prepared_, scratch_, planes_;
    std::vector<T*> parameter_gradients_;
    std::vector<extent> prepared_offsets_;
    std::vector<T*> prepared_places_;  ///< for each step
    extent prepared_size_ = 0, scratch_size_ = 0, planes_size_ = 0, examples_ = 0, chunk_ = 0, measured_ = 0;
    value_of_owner<bool> planned_ = false;
    bool keeps_room_ = true, all_blobs_ = false;
    extent bound_ = std::numeric_limits<extent>::max();
    std::vector<extent> origins_;  ///< for each blob, the example that lies where its values begin
    buffer<T> ends_;               ///< inputs and outputs of all chunks
    arithmetic how_;
    std::size_t lowered_ = 0;
    std::unique_ptr<thread_pool> own_threads_;
    value_of_owner<thread_pool*> threads_ = nullptr;
};

// Not in the class: what is there is inline, and would be compiled again wherever a network is composed, in spite of
// the explicit instantiation.

template <class T>
network_memory<T>::network_memory(plan_view plan)
    : plan_(plan), run_(shapes_of(plan)), values_(plan.blobs.size()), gradients_(plan.blobs.size()),
      parameters_(plan.parameters, plan.parameters_size), parameter_gradients_(plan.parameters.size()),
      prepared_offsets_(plan.steps.size()), prepared_places_(plan.steps.size()),
      origins_(plan.blobs.size()) {
    if (run_) plan_.blobs = run_->blobs();
}

template <class T>
void network_memory<T>::replan(plan_view plan) {
    auto run = shapes_of(plan);
    for (auto* list : {&values_, &gradients_}) list->reserve(plan.blobs.size());
    origins_.reserve(plan.blobs.size());
    plan_ = plan;  // from here on nothing fails
    parameters_.describe(plan.parameters);
    for (auto* list : {&values_, &gradients_}) list->assign(plan.blobs.size(), nullptr);
    origins_.assign(plan.blobs.size(), 0);
    planned_ = false;
    measured_ = 0;
    run_ = std::move(run);
    if (run_) plan_.blobs = run_->blobs();
}

template <class T>
void network_memory<T>::make_room(extent examples, bool all_blobs) {
    check_owner();
    planned_ = false;
    if (run_) begin_run(examples);
    const extent chunk = all_blobs ? examples : choose_chunk(examples);
    const auto each_end = [&](const auto& visit) {
        for (const auto blobs : {plan_.inputs, plan_.outputs})
            for (std::size_t b : blobs)
                if (plan_.blobs[b].per_example) visit(b, aligned_size<T>(elements_of(b, examples)));
    };
    const extent arena = (all_blobs ? plan_.whole_size : plan_.arena_size) * chunk;
    extent ends = 0;
    take_memory([&] { arena_.reserve(arena), shared_.reserve(plan_.shared_size); }, "the blobs have ",
                arena + plan_.shared_size, " elements (examples at a time: ", chunk, ")");
    if (chunk < examples) {
        each_end([&](std::size_t, extent elements) { ends += elements; });
        take_memory([&] { ends_.reserve(ends); }, "the inputs and outputs have ", ends,
                    " elements (examples at a time: ", examples, ")");
    }
    examples_ = examples;
    chunk_ = chunk;
    all_blobs_ = all_blobs;
    for (std::size_t i = 0; i < plan_.blobs.size(); ++i) {
        const blob_facts& blob = plan_.blobs[i];
        values_[i] = blob.open.any                 ? run_->value(i)
                     : blob.streamed && !all_blobs ? nullptr
                     : chunk_ == 1 && !all_blobs   ? reserved(blob)
                     : blob.per_example            ? arena_.data() + blob.offset * chunk_
                                                   : shared_.data() + blob.offset;
        gradients_[i] = nullptr;
        origins_[i] = 0;
    }
    T* place = ends_.data();
    if (chunk < examples)
        each_end([&](std::size_t b, extent elements) { values_[b] = std::exchange(place, place + elements); });
    planned_ = !run_ && keeps_room_;  // a run begins each time
    whole();
}

template <class T>
void network_memory<T>::begin_run(extent examples, std::span<T* const> gradients) {
    if (examples > 1)
        throw error(errc::unsupported, "one example at a time wanted, as shapes are decided in the run, " +
                                           std::to_string(examples) + " came");
    run_->begin(gradients);
}

/// As many examples as leave room in a cache of the second level, or are as large as the parameters, which each chunk
/// reads again; all where examples look at each other. From 4 up, so that chunks of equal length have 2 or more: one
/// example alone would be summed up in another order by a product.
template <class T>
extent network_memory<T>::choose_chunk(extent examples) const {
    const extent room = std::max<extent>(768 << 10, plan_.parameters_size * static_cast<extent>(sizeof(T)));
    if (std::ranges::any_of(plan_.steps, &step_facts::mixes_examples)) return examples;
    const extent bytes = std::max<extent>(plan_.arena_size * static_cast<extent>(sizeof(T)), 1);
    const extent most = std::max<extent>(room / bytes, 4);
    const extent chunks = (examples + most - 1) / most;
    return chunks <= 1 ? examples : (examples + chunks - 1) / chunks;
}

template <class T>
void network_memory<T>::begin_chunk(extent first, extent end) {
    first_ = first;
    count_ = end - first;
    std::ranges::fill(origins_, first);
    for (const auto blobs : {plan_.inputs, plan_.outputs})  // they hold all examples
        for (std::size_t b : blobs) origins_[b] = 0;
}

template <class T>
void network_memory<T>::place(extent examples, std::span<T* const> values, std::span<T* const> gradients) {
    check_owner();
    std::copy(values.begin(), values.end(), values_.begin());
    std::copy(gradients.begin(), gradients.end(), gradients_.begin());
    if (run_) {
        begin_run(examples, gradients);
        for (std::size_t b = 0; b < values_.size(); ++b)
            if (plan_.blobs[b].open.any) {
                values_[b] = run_->value(b);
                gradients_[b] = run_->gradient(b);
            }
    }
    std::fill(origins_.begin(), origins_.end(), 0);
    examples_ = chunk_ = examples;
    planned_ = false;
    whole();
}

template <class T>
void network_memory<T>::use_threads(std::size_t count) {
    own_threads_.reset(count > 1 ? new thread_pool(count) : nullptr);
    use(own_threads_.get());
}

template <class T>
std::size_t network_memory<T>::find_parameter(std::string_view layer, std::string_view field) const {
    check_owner();
    const std::size_t step = plan_.find_step(layer);
    std::string others;
    for (std::size_t i = 0; step != none && i < plan_.steps[step].parameter_count; ++i) {
        const std::size_t number = plan_.steps[step].first_parameter + i;
        const parameter_facts& facts = plan_.parameters[number];
        if (facts.name == field) return number;
        others += (others.empty() ? "; it has \"" : ", \"") + std::string(facts.name) + "\"";
    }
    throw error(errc::unknown_name, "no layer \"" + std::string(layer) + "\" with a parameter \"" +
                                        std::string(field) + "\" in this network" + others);
}

template <class T>
void network_memory<T>::throw_wrong_input(std::size_t number, extent came, extent examples) const {
    const blob_facts& facts = plan_.blobs[plan_.inputs[number]];
    throw error(wrong_input(plan_[facts.name], facts.dimensions, came, examples));
}

template <class T>
void network_memory<T>::end_measure() {
    const extent chunk = std::exchange(chunk_, 0);  // none, should this fail: the next run says how many it wants
    const bool planned = std::exchange(planned_, false);
    const auto take = [&] {
        prepared_.allocate(prepared_size_);
        scratch_.reserve(scratch_size_);
        planes_.reserve(planes_size_);
    };
    take_memory(take, "the layers work with ", prepared_size_ + scratch_size_ + planes_size_,
                " elements (examples at a time: ", std::max<extent>(chunk, 1), ")");
    chunk_ = chunk;
    planned_ = planned;
    for (std::size_t s = 0; s < prepared_places_.size(); ++s) withhold(s, false);
    measured_ = this->chunk();
}

template <class T>
void network_memory<T>::view_parameter(std::size_t number, dynamic_view<const T>& to) const {
    to.dimensions = plan_.parameters[number].dimensions;
    to.examples = 1;
    to.stride = plan_.parameters[number].dimensions.size();
    to.data = to.stride == 0 ? nullptr : parameters_.read(number);
}

template <class T>
void network_memory<T>::view_parameter_gradient(std::size_t number, dynamic_view<T>& to) const {
    to.dimensions = plan_.parameters[number].dimensions;
    to.examples = 1;
    to.stride = plan_.parameters[number].dimensions.size();
    to.data = to.stride == 0 ? nullptr : parameter_gradients_[number];
}

}  // namespace bespoke
