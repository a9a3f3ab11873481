#pragma once

#include "../control/node.hpp"
#include "../core/buffer.hpp"
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

/// Below these sizes a composed layer is compiled for its very extents: it unrolls.
inline constexpr extent unrolled_elements = 512, unrolled_parameters = 16384;

/// Runs the layers of a network over the memory that its plan asks for. Knows steps and blobs by number
/// and layers by their concepts; which layers there are, it is told by the network that walks through
/// them. `Plan` is a type with `static constexpr plan_view view` for a composed network, void for a loaded
/// one.
template <class T, class Plan = void>
class engine {
public:
    using value_type = T;
    static constexpr std::size_t none = blob_facts::npos;

    /// The lists behind `plan` must outlive the engine.
    explicit engine(plan_view plan)
        : plan_(plan), values_(plan.blobs.size()), gradients_(plan.blobs.size()),
          parameters_(plan.parameters_size), parameter_gradients_(plan.parameters.size()),
          prepared_offsets_(plan.steps.size()) {}

    const plan_view& plan() const { return plan_; }
    /// Another plan of the same layers, for other input shapes. The parameters stay.
    void replan(plan_view plan) {
        plan_ = plan;
        values_.assign(plan.blobs.size(), nullptr);
        gradients_.assign(plan.blobs.size(), nullptr);
        planned_ = false;
        measured_ = 0;
    }

    // --- memory -----------------------------------------------------------------------------------

    /// The block of all parameters.
    const buffer<T>& parameters() const { return parameters_; }
    T* parameter(std::size_t number) const { return parameters_.data() + plan_.parameters[number].offset; }
    /// Where the gradient of a parameter is summed up; null: nowhere.
    std::vector<T*>& parameter_gradients() { return parameter_gradients_; }

    /// Makes room for a prediction of `examples` at once and points the blobs there.
    void reserve(extent examples) {
        if (examples == examples_ && planned_) return;
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
    /// Blobs are where the caller (a trainer) says.
    void place(extent examples, std::span<T* const> values, std::span<T* const> gradients) {
        std::copy(values.begin(), values.end(), values_.begin());
        std::copy(gradients.begin(), gradients.end(), gradients_.begin());
        examples_ = examples;
        planned_ = false;
        whole();
    }
    extent examples() const { return examples_; }
    T* value(std::size_t blob) const { return values_[blob]; }
    T* gradient(std::size_t blob) const { return gradients_[blob]; }
    extent elements(std::size_t blob) const {
        return plan_.blobs[blob].dimensions.size() * (plan_.blobs[blob].per_example ? examples_ : 1);
    }

    /// Threads for the kernels; null: the caller's alone. The pool must outlive the engine's use of it.
    void use(thread_pool* threads) {
        threads_ = threads;
        measured_ = 0;
    }
    thread_pool* threads() const { return threads_; }

    /// Asks every layer for its working memory. `network` walks through the layers.
    template <class Network>
    void measure(const Network& network) {
        if (measured_ >= examples_ && measured_ > 0) return;
        prepared_size_ = scratch_size_ = 0;
        network.each(0, [&](const auto& part, std::size_t step) { measure_step(part, step); });
        if (prepared_.size() != prepared_size_) prepared_.resize(prepared_size_);
        scratch_.reserve(scratch_size_);
        measured_ = std::max<extent>(examples_, 1);
    }
    template <class Part>
    void measure_step(const Part& part, std::size_t step) {
        if constexpr (!layer<Part>) {
            part.measure(*this, step);  // a layer behind a virtual call
        } else if constexpr (!control_layer<Part>) {
            const std::vector<shape> shapes = input_shapes(step);
            const auto ask = [&](const auto& question) -> extent {
                if constexpr (variadic_layer<Part>)
                    return question(std::span<const shape>(shapes));
                else
                    return question(shapes[0]);
            };
            prepared_offsets_[step] = prepared_size_;
            prepared_size_ += aligned_size<T>(ask([&](const auto& x) {
                if constexpr (requires { part.template prepared_size<T>(x); })
                    return part.template prepared_size<T>(x);
                else
                    return extent{0};
            }));
            const extent threads = threads_ ? static_cast<extent>(threads_->size()) : 1;
            scratch_size_ = std::max(scratch_size_, ask([&](const auto& x) {
                if constexpr (requires { part.template scratch_size<T>(x, examples_, threads); })
                    return part.template scratch_size<T>(x, std::max<extent>(examples_, 1), threads);
                else
                    return extent{0};
            }));
        }
    }

    /// Lets a layer bring its parameters into the order in which its kernel reads them. To be done whenever
    /// they have changed.
    template <class Part>
    void prepare(const Part& part, std::size_t step) {
        if constexpr (!layer<Part>)
            part.prepare(*this, step);
        else if constexpr (requires(T* to) {
                               part.prepare(std::declval<const parameters_t<Part, dynamic_view<const T>>&>(), to);
                           })
            part.prepare(parameter_views<Part>(step), prepared_.data() + prepared_offsets_[step]);
    }
    template <class Network>
    void prepare_all(const Network& network) {
        measure(network);
        network.each(0, [&](const auto& part, std::size_t step) { prepare(part, step); });
    }

    /// Fills the parameters as each layer says, from numbers that depend on the seed alone.
    void initialize(std::uint64_t seed) {
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

    // --- running ----------------------------------------------------------------------------------

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

    template <layer L, class Step>
    flow forward(const L& layer, Step step) {
        if (!runs(step)) return flow::on;
        flow result = flow::on;
        if constexpr (control_layer<L>)
            result = layer.forward(*this, step);
        else if constexpr (unrolls<L, Step>())
            run_static(layer, step);
        else
            run(layer, static_cast<std::size_t>(step));
        if (pass_ == pass::frozen && plan_.steps[step].parent == none) hook_(hook_context_, step);
        return result;
    }

    template <layer L>
    void backward(const L& layer, std::size_t step) {
        if (!runs(step)) return;
        for (std::size_t blob : births(step)) kernels::fill(elements(blob), T(0), gradients_[blob]);
        if constexpr (control_layer<L>) {
            layer.backward(*this, step);
        } else {
            if constexpr (is_differentiable<L>) run_backward(layer, step);
            if (plan_.steps[step].logged) undo(step);
        }
    }
    /// `births(s)` lists the blobs whose gradient begins to be summed up at step s (the last that reads them).
    void set_births(std::span<const std::vector<std::size_t>> births) { births_ = births; }

    // --- for control layers ------------------------------------------------------------------------

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
    bool agrees(std::size_t blob) const {
        if (count_ == 0) return false;
        for (extent i = 1; i < count_; ++i)
            if (!(scalar(blob, first_ + i) == scalar(blob, first_))) return false;
        return true;
    }
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
    void clear_made_in(std::size_t step) {
        each_made_in(step, [&](std::size_t blob) {
            if (pass_ == pass::trainable) log_values(blob);
            const extent size = window_size(blob);
            kernels::fill(size, T(0), window(values_[blob], blob));
        });
    }
    void restore_made_in(std::size_t step) {
        each_made_in_backward(step, [&](std::size_t blob) { undo_blob(blob); });
    }

private:
    void whole() {
        first_ = 0;
        count_ = examples_;
    }

    bool runs(std::size_t step) const {
        return pass_ == pass::all || (pass_ == pass::trainable) == (trained_[step] != 0);
    }
    std::span<const std::size_t> births(std::size_t step) const {
        return births_.empty() ? std::span<const std::size_t>{} : births_[step];
    }

    T scalar(std::size_t blob, extent example) const {
        return values_[blob][plan_.blobs[blob].per_example ? example : 0];
    }

    // The window: the examples that run now. Control layers narrow it.
    template <class U>
    U* window(U* values, std::size_t blob) const {
        if (values == nullptr) return nullptr;
        const blob_facts& facts = plan_.blobs[blob];
        return facts.per_example ? values + first_ * facts.dimensions.size() : values;
    }
    extent window_size(std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return facts.dimensions.size() * (facts.per_example ? count_ : 1);
    }
    template <class U>
    dynamic_view<U> blob_view(U* values, std::size_t blob, extent examples) const {
        const blob_facts& facts = plan_.blobs[blob];
        return {window(values, blob), facts.dimensions, examples,
                facts.per_example || examples == 1 ? facts.dimensions.size() : 0};
    }
    extent step_examples(std::size_t step) const {
        for (std::size_t blob : plan_.outputs_of(step))
            if (plan_.blobs[blob].per_example) return count_;
        return 1;
    }

    std::vector<shape> input_shapes(std::size_t step) const {
        std::vector<shape> shapes;
        for (std::size_t blob : plan_.inputs_of(step)) shapes.push_back(plan_.blobs[blob].dimensions);
        return shapes;
    }

    template <class L>
    parameters_t<L, dynamic_view<const T>> parameter_views(std::size_t step) const {
        parameters_t<L, dynamic_view<const T>> views;
        if constexpr (parametric_layer<L>)
            for (std::size_t i = 0; i < parameter_count<L>; ++i) {
                const std::size_t number = plan_.steps[step].first_parameter + i;
                const shape& s = plan_.parameters[number].dimensions;
                views.*(L::template parameter_fields<dynamic_view<const T>>[i].member) = {
                    s.size() == 0 ? nullptr : parameter(number), s, 1, s.size()};
            }
        return views;
    }
    template <class L>
    parameters_t<L, dynamic_view<T>> gradient_views(std::size_t step) const {
        parameters_t<L, dynamic_view<T>> views;
        if constexpr (parametric_layer<L>)
            for (std::size_t i = 0; i < parameter_count<L>; ++i) {
                const std::size_t number = plan_.steps[step].first_parameter + i;
                const shape& s = plan_.parameters[number].dimensions;
                views.*(L::template parameter_fields<dynamic_view<T>>[i].member) = {
                    s.size() == 0 ? nullptr : parameter_gradients_[number], s, 1, s.size()};
            }
        return views;
    }
    workspace<T> work(std::size_t step) const {
        return {scratch_.data(), prepared_.data() + prepared_offsets_[step], threads_};
    }

    /// Views of all inputs or outputs of a step, without allocating where there are few.
    template <class U>
    class view_list {
    public:
        void push_back(const dynamic_view<U>& v) {
            if (count_ < few_.size()) few_[count_] = v;
            else {
                if (many_.empty()) many_.assign(few_.begin(), few_.end());
                many_.push_back(v);
            }
            ++count_;
        }
        dynamic_view<U>& operator[](std::size_t i) { return many_.empty() ? few_[i] : many_[i]; }
        std::size_t size() const { return count_; }
        operator std::span<const dynamic_view<U>>() const {
            return {many_.empty() ? few_.data() : many_.data(), count_};
        }

    private:
        std::array<dynamic_view<U>, 8> few_{};
        std::vector<dynamic_view<U>> many_;
        std::size_t count_ = 0;
    };
    template <class U>
    view_list<U> views(std::span<const std::size_t> blobs, const std::vector<T*>& base, extent examples) const {
        view_list<U> list;
        for (std::size_t blob : blobs) list.push_back(blob_view<U>(base[blob], blob, examples));
        return list;
    }

    /// Whether a layer of one input would read a blob that is stored once and write one example after the other:
    /// then it runs example by example, so that layers need not know of it.
    template <class L>
    bool spreads(std::size_t step, extent examples) const {
        return !variadic_layer<L> && examples > 1 && !plan_.blobs[plan_.inputs_of(step)[0]].per_example;
    }
    /// Calls `body` once for all examples (-1), or once for each where the layer wants it so.
    template <class L, class Body>
    void by_examples(std::size_t step, extent examples, const Body& body) const {
        if (is_batched<L> && !spreads<L>(step, examples))
            body(extent{-1});
        else
            for (extent i = 0; i < examples; ++i) body(i);
    }
    /// Calls `body(x, y, n)` with the first elements of the first input and output of an element-wise layer and
    /// their number.
    template <class L, class Body>
    void by_elements(std::size_t step, extent examples, const Body& body) const {
        const extent size = plan_.blobs[plan_.outputs_of(step)[0]].dimensions.size();
        if (!spreads<L>(step, examples)) return body(extent{0}, extent{0}, size * examples);
        for (extent i = 0; i < examples; ++i) body(extent{0}, i * size, size);
    }
    template <class U>
    static dynamic_view<U> only(dynamic_view<U> v, extent example) {
        if (example < 0) return v;
        if (v.data != nullptr) v.data = v.example(example);
        v.examples = 1;
        v.stride = v.dimensions.size();
        return v;
    }
    template <class U>
    static view_list<U> only(view_list<U> list, extent example) {
        for (std::size_t i = 0; i < list.size(); ++i) list[i] = only(list[i], example);
        return list;
    }

    template <class L>
    void run(const L& layer, std::size_t step) {
        if (plan_.steps[step].logged && pass_ == pass::trainable)
            for (std::size_t blob : plan_.outputs_of(step)) log_values(blob);
        const extent examples = step_examples(step);
        const auto inputs = plan_.inputs_of(step), outputs = plan_.outputs_of(step);
        if constexpr (elementwise_layer<L>) {
            by_elements<L>(step, examples, [&](extent x_first, extent y_first, extent size) {
                const T* x = window<const T>(values_[inputs[0]], inputs[0]) + x_first;
                T* y = window(values_[outputs[0]], outputs[0]) + y_first;
                parallel_for(threads_, size, 4096, [&](extent begin, extent end) {
                    kernels::map(end - begin, layer, x + begin, y + begin);
                });
            });
        } else {
            const auto p = parameter_views<L>(step);
            workspace<T> w = work(step);
            by_examples<L>(step, examples, [&](extent i) {
                if constexpr (variadic_layer<L>) {
                    const auto xs = only(views<const T>(inputs, values_, examples), i);
                    const auto ys = only(views<T>(outputs, values_, examples), i);
                    layer.forward(std::span<const dynamic_view<const T>>(xs), std::span<const dynamic_view<T>>(ys), p,
                                  w);
                } else {
                    layer.forward(only(blob_view<const T>(values_[inputs[0]], inputs[0], examples), i),
                                  only(blob_view<T>(values_[outputs[0]], outputs[0], examples), i), p, w);
                }
            });
        }
    }

    template <class L>
    void run_backward(const L& layer, std::size_t step) {
        const extent examples = step_examples(step);
        const auto inputs = plan_.inputs_of(step), outputs = plan_.outputs_of(step);
        if constexpr (elementwise_layer<L>) {
            const std::size_t x = inputs[0], y = outputs[0];
            if (gradients_[x] == nullptr || gradients_[y] == nullptr) return;
            by_elements<L>(step, examples, [&](extent x_first, extent y_first, extent size) {
                parallel_for(threads_, size, 4096, [&](extent begin, extent end) {
                    const extent in = x_first + begin, out = y_first + begin;
                    kernels::map_backward(end - begin, layer, window(values_[x], x) + in, window(values_[y], y) + out,
                                          window(gradients_[y], y) + out, window(gradients_[x], x) + in);
                });
            });
        } else {
            bool any = false;
            for (std::size_t blob : outputs) any |= gradients_[blob] != nullptr;
            if (!any) return;
            const auto p = parameter_views<L>(step);
            const auto dp = gradient_views<L>(step);
            workspace<T> w = work(step);
            by_examples<L>(step, examples, [&](extent i) {
                if constexpr (variadic_layer<L>) {
                    const auto xs = only(views<const T>(inputs, values_, examples), i);
                    const auto ys = only(views<const T>(outputs, values_, examples), i);
                    const auto dys = only(views<const T>(outputs, gradients_, examples), i);
                    const auto dxs = only(views<T>(inputs, gradients_, examples), i);
                    layer.backward(std::span<const dynamic_view<const T>>(xs),
                                   std::span<const dynamic_view<const T>>(ys),
                                   std::span<const dynamic_view<const T>>(dys), std::span<const dynamic_view<T>>(dxs),
                                   p, dp, w);
                } else {
                    layer.backward(only(blob_view<const T>(values_[inputs[0]], inputs[0], examples), i),
                                   only(blob_view<const T>(values_[outputs[0]], outputs[0], examples), i),
                                   only(blob_view<const T>(gradients_[outputs[0]], outputs[0], examples), i),
                                   only(blob_view<T>(gradients_[inputs[0]], inputs[0], examples), i), p, dp, w);
                }
            });
        }
    }

    // --- small composed networks: extents in the type ------------------------------------------------

    template <class L, class Step>
    static constexpr bool unrolls() {
        if constexpr (std::is_void_v<Plan> || std::is_same_v<Step, std::size_t> || variadic_layer<L>) {
            return false;
        } else {
            constexpr plan_view p = Plan::view();
            constexpr std::size_t x = p.inputs_of(Step::value)[0], y = p.outputs_of(Step::value)[0];
            extent parameters = 0;
            for (const auto& facts : p.parameters_of(Step::value)) parameters += facts.dimensions.size();
            return p.blobs[x].dimensions.size() <= unrolled_elements &&
                   p.blobs[y].dimensions.size() <= unrolled_elements && parameters <= unrolled_parameters &&
                   p.steps[Step::value].parent == none;
        }
    }
    template <std::size_t Blob>
    static constexpr auto shape_type() {
        constexpr shape s = Plan::view().blobs[Blob].dimensions;
        return [&]<std::size_t... Axis>(std::index_sequence<Axis...>) {
            return static_shape<s[Axis]...>{};
        }(std::make_index_sequence<s.rank()>{});
    }
    template <class L, std::size_t Step>
    [[gnu::always_inline]] parameters_t<L, dynamic_view<const T>> static_parameter_views() const {
        parameters_t<L, dynamic_view<const T>> views;
        if constexpr (parametric_layer<L>)
            kernels::unroll<parameter_count<L>>([&](auto i) __attribute__((always_inline)) {
                constexpr std::size_t number = Plan::view().steps[Step].first_parameter + i;
                constexpr parameter_facts facts = Plan::view().parameters[number];
                constexpr extent size = facts.dimensions.size();
                views.*(L::template parameter_fields<dynamic_view<const T>>[i].member) = {
                    size == 0 ? nullptr : parameters_.data() + facts.offset, facts.dimensions, 1, size};
            });
        return views;
    }
    template <class L, class Step>
    [[gnu::always_inline]] void run_static(const L& layer, Step) {
        constexpr std::size_t step = Step::value;
        constexpr std::size_t x = Plan::view().inputs_of(step)[0], y = Plan::view().outputs_of(step)[0];
        constexpr blob_facts x_facts = Plan::view().blobs[x], y_facts = Plan::view().blobs[y];
        using x_shape = decltype(shape_type<x>());
        using y_shape = decltype(shape_type<y>());
        const view<const T, x_shape, constant<1>> from{
            (x_facts.per_example ? arena_ : shared_).data() + x_facts.offset, {}, {}, x_shape::size()};
        const view<T, y_shape, constant<1>> to{
            (y_facts.per_example ? arena_ : shared_).data() + y_facts.offset, {}, {}, y_shape::size()};
        if constexpr (elementwise_layer<L>) {
            kernels::map(to.size(), layer, from.data, to.data);
        } else {
            workspace<T> w = work(step);
            layer.forward(from, to, static_parameter_views<L, step>(), w);
        }
    }

    // --- the log: values that were overwritten while recording -----------------------------------------

    void log_values(std::size_t blob) {
        const T* from = window(values_[blob], blob);
        log_.insert(log_.end(), from, from + window_size(blob));
    }
    void undo_blob(std::size_t blob) {
        const extent size = window_size(blob);
        if (gradients_[blob] != nullptr) kernels::fill(size, T(0), window(gradients_[blob], blob));
        std::copy(log_.end() - size, log_.end(), window(values_[blob], blob));
        log_.resize(log_.size() - static_cast<std::size_t>(size));
    }
    void undo(std::size_t step) {
        const auto outputs = plan_.outputs_of(step);
        for (std::size_t i = outputs.size(); i-- > 0;) undo_blob(outputs[i]);
    }
    template <class Body>
    void each_made_in(std::size_t step, const Body& body) {
        for (std::size_t blob = 0; blob < plan_.blobs.size(); ++blob)
            if (made_in(step, blob)) body(blob);
    }
    template <class Body>
    void each_made_in_backward(std::size_t step, const Body& body) {
        for (std::size_t blob = plan_.blobs.size(); blob-- > 0;)
            if (made_in(step, blob)) body(blob);
    }
    bool made_in(std::size_t step, std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return facts.maker != none && facts.maker > step && facts.maker < plan_.steps[step].end &&
               facts.last >= plan_.steps[step].end;
    }

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
    void (*hook_)(const void*, std::size_t) = nullptr;
    const void* hook_context_ = nullptr;
};

}  // namespace bespoke
