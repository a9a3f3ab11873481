#pragma once

#include "../control/node.hpp"
#include "../kernels/weighted_gemm.hpp"
#include "layer_runner.hpp"
#include "unrolled.hpp"

#include <cstring>

namespace bespoke {

/// Runs the layers of a network over the memory that its plan asks for. Knows layers by their concepts; which ones
/// there are, it is told by the network that it is attached to. Both doors have this one engine: a composed network
/// tells its steps as types, so that small layers unroll.
template <class T>
class engine : public engine_state<T> {
public:
    /// The lists behind `plan` must outlive the engine.
    explicit engine(plan_view plan);
    engine(engine&&) noexcept;
    engine& operator=(engine&&) noexcept;
    ~engine();

    /// Takes note of the layers of `network`, which `network.each(0, visit)` walks through. They must outlive the
    /// engine's use of them. `Open`: shapes may be decided in the run.
    template <bool Open = false, class Network>
    void attach(const Network& network) {
        network.each(0, [&]<class Part>(Part&& part, std::size_t step) {
            static_assert(std::is_lvalue_reference_v<Part>, "the engine would keep the address of a temporary");
            attach_part<Open>(part, step);
        });
    }
    template <bool Open = false, class Part>
    void attach_part(const Part& part, std::size_t step) {
        if constexpr (!layer<Part>)
            part.attach(*this, step);  // a layer that was chosen at run time
        else if constexpr (!control_layer<Part>)
            attach_layer(&part, functions_of<T, Part>::value, step, asking<Open, Part>());
    }
    /// `ask` is needed where shapes may be decided in the run.
    void attach_layer(const void* layer, const layer_functions<T>& functions, std::size_t step,
                      asking_function* ask = nullptr) {
        attached_[step] = {layer, &functions, ask};
        this->forget_measure();
        this->network_memory<T>::keep_room(false);
        ready_ = readiness::none;
    }

    /// Parameters begin as each layer says, from numbers that depend on the seed alone.
    void initialize(std::uint64_t seed) {
        measure();
        this->parameters().draw(seed);
        change();
    }
    /// Parameters have changed: the layers prepare anew before the next run.
    void change() {
        reach(readiness::none);
        measure();
    }
    /// Asks every layer for its working memory, where what there is may not be enough. Throws `error` where it is not
    /// there; behind it `change` and `prepare` do not throw.
    void measure();
    /// Lets the layers bring their parameters into the order in which their kernels read them.
    void prepare();
    /// Only those that cannot run without. The others do before the second run: it is not worth the time for one alone.
    void prepare_needed();
    void prepare(std::size_t step);
    /// A training has changed the parameters of this layer: it prepares before the next prediction, where passes of
    /// the training can do without, else now.
    void change(std::size_t step);
    /// Those that did without.
    void prepare_stale() {
        if (!some_stale_) return;
        measure();  // a failure may have taken the place for it
        some_stale_ = false;
        prepare_those([](const attached_layer& attached) { return attached.stale; });
        reach(ready_);
    }

    /// Room for a run, see `network_memory`, for which the layers are prepared and have their working memory.
    void reserve(extent examples, bool all_blobs = false) {
        if (this->has_room(examples, all_blobs)) return;
        settle();
        this->make_room(examples, all_blobs);
        measure();
    }
    /// Room alone: before the first run, and in the midst of one.
    void make_place(extent examples) { engine_state<T>::reserve(examples); }
    /// For a trainer, who comes back.
    void place(extent examples, std::span<T* const> values, std::span<T* const> gradients) {
        if (ready_ != readiness::all) prepare();
        engine_state<T>::place(examples, values, gradients);
        measure();
    }

    /// Copies a result of the run before, which lies at `from`, to the input `number`, behind the inputs before it.
    /// Throws `error` where one of them was written over it.
    void take_result(std::size_t number, const T* from, extent examples);

    using network_memory<T>::parameter;
    /// The parameter array `field` ("weights") of the first layer called `layer`. Throws `error` where there is none.
    std::span<const T> parameter(std::string_view layer, std::string_view field) const {
        const std::size_t number = this->find_parameter(layer, field);
        return {parameter(number), static_cast<std::size_t>(this->plan().parameters[number].dimensions.size())};
    }
    /// The same, to be written before the next run.
    std::span<T> parameter(std::string_view layer, std::string_view field) {
        const std::size_t number = this->find_parameter(layer, field);
        T* const values = parameter(number);
        change();
        return {values, static_cast<std::size_t>(this->plan().parameters[number].dimensions.size())};
    }

    /// Bytes of parameters and blobs, and of what layers prepare and work with, as far as memory was taken for them.
    /// Not counted: the lists of the plan, what a trainer has, files that are read where they lie.
    std::size_t memory_bytes() const {
        const extent decided = this->run() != nullptr ? this->run()->memory_size() : 0;
        return static_cast<std::size_t>(this->parameters().block_size() + this->taken() + decided) * sizeof(T);
    }

    using network_memory<T>::use;
    /// How to compute from now on: the layers prepare anew before the next run.
    void use(const arithmetic& how);
    /// The same arithmetic but for `allow_low_precision_accumulation`. Returns what is in force then.
    low_precision use_low_precision(low_precision wanted);
    /// In what predictions multiply with large matrices of weights, `none` being T; and a sentence why that is not what
    /// was asked for, empty where it is.
    low_precision precision_in_force() {
        measure();
        return this->lowered() > 0 ? this->how().allow_low_precision_accumulation : low_precision::none;
    }
    std::string precision_note();

    template <layer L, class Step>
    flow forward(const L& layer, Step step) {
        if constexpr (control_layer<L>) {
            if (!this->runs(step)) return flow::on;
            const flow result = layer.forward(*this, step);
            this->end_forward(step);
            return result;
        } else if constexpr (std::is_same_v<Step, std::size_t>) {
            forward_layer<T>(*this, functions_of<T, L>::value, &layer, step);
        } else if constexpr (unrolled<T, L, Step>::fits()) {
            unrolled<T, L, Step>::forward(*this, layer);
        } else {
            forward_layer<T>(*this, functions_of<T, L>::value, &layer, Step::value);
        }
        return flow::on;
    }

    template <layer L>
    void backward(const L& layer, std::size_t step) {
        if constexpr (control_layer<L>) {
            if (!this->runs(step)) return;
            this->begin_backward(step, false);
            layer.backward(*this, step);
        } else {
            backward_layer<T>(*this, gradients_of<T, L>::value, &layer, step);
        }
    }

private:
    template <bool Open, class Part>
    static constexpr asking_function* asking() {
        if constexpr (Open)
            return &detail::ask_erased<Part>;
        else
            return nullptr;
    }

    /// Which layers have prepared; `used`: those that are needed, for the first run.
    enum class readiness { none, needed, used, all };
    void settle();
    void reach(readiness ready);
    using typename engine_state<T>::attached_layer;
    using engine_state<T>::attached_;
    template <class Chosen>
    void prepare_those(const Chosen& chosen) {
        parallel_for(this->threads(), static_cast<extent>(attached_.size()), 1, [&](extent first, extent last) {
            for (extent step = first; step < last; ++step)
                if (const auto s = static_cast<std::size_t>(step); chosen(attached_[s])) prepare(s);
        });
    }

    static bool waits(const attached_layer& attached) { return attached.runs == unprepared::in_first_run; }

    readiness ready_ = readiness::none;
    bool some_stale_ = false;
};

template <class T>
engine<T>::engine(plan_view plan) : engine_state<T>(plan) {
    this->network_memory<T>::keep_room(false);
}
template <class T>
engine<T>::engine(engine&&) noexcept = default;
template <class T>
engine<T>& engine<T>::operator=(engine&&) noexcept = default;
template <class T>
engine<T>::~engine() = default;

template <class T>
void engine<T>::measure() {
    if (this->is_measured()) return;
    this->begin_measure();
    std::vector<std::pair<std::size_t, extent>> scattered;
    const auto threads = static_cast<extent>(this->thread_count());
    for (std::size_t step = 0; step < attached_.size(); ++step) {
        auto& [layer, functions, ask, runs, stale] = attached_[step];
        runs = unprepared::never;
        if (layer == nullptr) continue;
        working_memory wanted;
        if (this->plan().steps[step].open) {  // not before the shapes are known
            this->run()->of_step(step).asked = false;
            this->add_work(step, 0, 0);
            continue;
        }
        if (functions->measure != nullptr)
            wanted = functions->measure(layer, this->input_shapes(step), this->how(), this->chunk(), threads);
        const std::size_t end = this->plan().tail_of(step);
        if (functions->measure_rows != nullptr && this->plan().steps[end].streams) {
            const extent columns = this->plan().blobs[this->plan().outputs_of(end)[0]].dimensions.from_end(1);
            wanted.scratch = std::max(wanted.scratch,
                                      functions->measure_rows(layer, this->input_shapes(step), columns, threads));
        }
        detail::check_work(*this, step, wanted.scratch, this->chunk());
        if (wanted.lowered) this->add_lowered();
        if (this->plan().steps[step].takes_from != this->none) {
            const shape& between = this->plan().blobs[this->plan().inputs_of(step)[0]].dimensions;
            this->add_planes(planes_together(between, this->chunk()).elements(between));
        }
        runs = wanted.runs;
        if (wanted.scattered) scattered.emplace_back(step, wanted.prepared);
        this->add_work(step, wanted.prepared, wanted.scratch);
    }
    this->end_measure();
    for (const auto& [step, size] : scattered) this->scatter_prepared(step, size);
    reach(ready_);
}

template <class T>
void engine<T>::take_result(std::size_t number, const T* from, extent examples) {
    const plan_view& p = this->plan();
    const auto size = [&](std::size_t input) { return p.blobs[p.inputs[input]].dimensions.size() * examples; };
    for (std::size_t before = 0; before < number; ++before)
        if (const T* other = this->value(p.inputs[before]); other < from + size(number) && from < other + size(before))
            throw error(fault{errc::bad_argument,
                              sentence("input \"", p[p.blobs[p.inputs[number]].name],
                                       "\": a result of the call before came, which lies where input \"",
                                       p[p.blobs[p.inputs[before]].name], "\" lies now: copy it before the call")});
    std::memmove(this->value(p.inputs[number]), from, static_cast<std::size_t>(size(number)) * sizeof(T));
}

template <class T>
void engine<T>::use(const arithmetic& how) {
    const arithmetic before = this->how();
    network_memory<T>::use(how);
    try {
        change();
    } catch (...) {
        network_memory<T>::use(before);
        throw;
    }
}

template <class T>
low_precision engine<T>::use_low_precision(low_precision wanted) {
    arithmetic how = this->how();
    how.allow_low_precision_accumulation = wanted;
    use(how);
    return precision_in_force();
}

template <class T>
std::string engine<T>::precision_note() {
    const low_precision wanted = this->how().allow_low_precision_accumulation;
    if (precision_in_force() == wanted) return {};
    const std::string name(enumerators(wanted)[static_cast<std::size_t>(wanted)]);
    const std::string type = "float" + std::to_string(8 * sizeof(T));
    const std::string instructions = wanted == low_precision::bfloat16 ? "AVX512-BF16" : "AVX512-VNNI";
    const std::string weights = std::to_string(kernels::least_low_precision_weights);
    const std::string why = !std::is_same_v<T, float> ? "its element type is not float32"
                            : kernels::has_low_precision(wanted)
                                ? "no layer has a product with more than " + weights + " weights"
                                : "the program is not compiled for " + instructions;
    return name + " was asked for, the network computes in " + type + ": " + why;
}

template <class T>
void engine<T>::reach(readiness ready) {
    ready_ = ready;
    network_memory<T>::keep_room(ready == readiness::all && !some_stale_);
    for (std::size_t step = 0; step < attached_.size(); ++step)
        if (const auto& attached = attached_[step]; attached.stale || waits(attached))
            this->withhold(step, attached.stale || ready != readiness::all);
}

template <class T>
void engine<T>::prepare_needed() {
    measure();
    prepare_those([](const attached_layer& attached) { return !waits(attached); });
    const bool some_wait = std::ranges::any_of(attached_, waits);
    reach(some_wait ? readiness::needed : readiness::all);
}

template <class T>
void engine<T>::settle() {
    prepare_stale();
    if (ready_ == readiness::none) prepare_needed();
    if (ready_ == readiness::needed) {
        ready_ = readiness::used;
    } else if (ready_ == readiness::used) {
        measure();
        reach(readiness::all);
        prepare_those(waits);
    }
}

template <class T>
void engine<T>::prepare() {
    measure();
    some_stale_ = false;
    reach(readiness::all);
    prepare_those([](const attached_layer&) { return true; });
}

template <class T>
void engine<T>::prepare(std::size_t step) {
    auto& [layer, functions, ask, runs, stale] = attached_[step];
    if (std::exchange(stale, false)) this->withhold(step, false);
    const step_facts& facts = this->plan().steps[step];
    for (std::size_t i = 0; i < facts.parameter_count; ++i) this->parameters().read(facts.first_parameter + i);
    if (facts.open) {
        this->run()->of_step(step).asked = false;  // it prepares when its shapes are known
        return;
    }
    if (layer != nullptr && functions->prepare != nullptr) functions->prepare(*this, layer, step);
}

template <class T>
void engine<T>::change(std::size_t step) {
    auto& attached = attached_[step];
    const step_facts& facts = this->plan().steps[step];
    if (attached.runs == unprepared::never || facts.open || facts.parent != this->none) return prepare(step);
    attached.stale = some_stale_ = true;
    this->withhold(step, true);
    network_memory<T>::keep_room(false);
}

}  // namespace bespoke
