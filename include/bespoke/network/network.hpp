#pragma once

#include "../control/sequence.hpp"
#include "../core/error.hpp"
#include "../core/tensor.hpp"
#include "../graph/planner.hpp"
#include "engine.hpp"

#include <filesystem>

namespace bespoke {

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
class model;
}
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model;

/// A text that can be a template argument.
template <std::size_t Size>
struct message {
    char text[Size]{};
};

/// Declared, never defined: when a composed network does not fit together, the compiler's one error names
/// this type, and its argument says which layer, what was wanted and what came.
#ifdef __clang__  // prints an array as numbers, but characters one by one
template <char... Problem>
struct network_error;
#else
template <message Problem>
struct network_error;
#endif

/// The type for a message with static storage.
#ifdef __clang__
template <const auto& Problem, std::size_t... I>
network_error<Problem.text[I]...> spelled_error(std::index_sequence<I...>);
template <const auto& Problem>
using network_error_of = decltype(spelled_error<Problem>(std::make_index_sequence<sizeof(Problem.text) - 1>{}));
#else
template <const auto& Problem>
using network_error_of = network_error<Problem>;
#endif

/// The sentence that `Write` writes.
template <class Write>
constexpr auto message_of(Write write) {
    constexpr std::size_t size = write().view().size();
    message<size + 1> text;
    const sentence written = write();
    for (std::size_t i = 0; i < size; ++i) text.text[i] = written.view()[i];
    return text;
}

/// The plan of a composed network, as a constant of the program.
template <const auto& Description>
struct composed_plan {
    static constexpr planner run() {
        return planned_by("", [](planner& p) {
            Description.plan(p);
            p.finish();
        });
    }
    /// What the compiler has to know before it can keep the plan: one run of the planner for all of it.
    struct outline {
        bool fits;
        plan_sizes sizes;
    };
    static constexpr outline facts = [] {
        const planner p = run();
        return outline{!p.failed(), plan_sizes(p.result())};
    }();
    static constexpr bool fits = facts.fits;

    /// The fault as a template argument.
    static constexpr auto explain() {
        return message_of([] { return run().problem().what; });
    }
    static constexpr auto make() {
        if constexpr (fits) {
            constexpr plan_sizes n = facts.sizes;
            return static_plan<n.steps, n.blobs, n.links, n.parameters, n.inputs, n.outputs, n.text>(run().result());
        } else {
            return static_plan<0, 0, 0, 0, 0, 0, 0>(bespoke::plan{});
        }
    }
    static constexpr auto value = make();
    static constexpr plan_view view() { return value.view(); }
};

/// A network composed in code: `network<digits> net;` where `inline constexpr auto digits = compose(...)`.
///
/// Shapes, offsets and the order of execution are constants of the program. The constructor takes the memory for one
/// example. A call then allocates nothing, but for the first runs, which pack large weights, as the first one after a
/// training or `parameter` does (`prepare` does that before them), for the first `predict_batch` of as many examples,
/// and where shapes are decided in the run. One thread at a time may use a network. What a constructor or a call throws
/// is an `error`, also where the network was moved from, or std::bad_alloc; a call that throws has changed nothing but
/// the values that an earlier result looks at.
template <const auto& Description, class Element = float, bool Fits = composed_plan<Description>::fits>
class network {
    using plan_type = composed_plan<Description>;

public:
    using value_type = Element;
    using engine_type = engine<Element>;
    static constexpr const auto& description = Description;
    static constexpr plan_view plan() { return plan_type::view(); }

    /// Parameters begin as each layer says (Glorot uniform for weights), from `seed`; they are drawn when they are
    /// first looked at. Kernels use `threads` threads, the caller included.
    explicit network(std::uint64_t seed = 0, std::size_t threads = 1) : network(without_parameters{}, threads) {
        initialize(seed);
    }
    /// With the parameters of the model at `path`, see `load`.
    explicit network(const std::filesystem::path& path, std::size_t threads = 1)
        : network(without_parameters{}, threads) {
        read(path);
    }

    network(const network& other) : network(without_parameters{}, other.engine_.thread_count()) {
        engine_.parameters().copy(other.engine_.parameters());
        engine_.use(other.engine_.how());
    }
    network(network&&) = default;
    network& operator=(const network& other) { return *this = network(other); }
    network& operator=(network&&) = default;

    /// All parameters as a new network has them, from `seed`.
    void initialize(std::uint64_t seed) { engine_.initialize(seed); }

    /// Runs one example: one argument for each input, each with as many elements as its shape. The result
    /// is a look at the output (a tuple of them where there are several), valid until the next call, which may take it
    /// as it is, or throws where it cannot (an expression of it, `y + 1`, is to be evaluated first). Where a shape is
    /// decided in the run, it has the shape that came, and memory is taken until it is enough; throws `error` where a
    /// layer cannot do what its values ask for.
    template <class... Inputs>
    auto operator()(const Inputs&... inputs) {
        engine_.reserve(1);
        if constexpr (are_inputs<Inputs...>()) set_inputs<0, false>(1, inputs...);
        description.forward(engine_, fixed_step<plan_type, 0>{});
        return results<0>(1);
    }

    /// Runs as many examples as the arguments hold, one after the other along a new first axis. Memory is taken for the
    /// most examples that came so far.
    template <class... Inputs>
    auto predict_batch(const Inputs&... inputs) {
        static_assert(!plan().open, "shapes that are decided in the run differ between examples: run them one by one");
        extent examples = 0;
        if constexpr (are_inputs<Inputs...>()) {
            examples = count_examples(inputs...);
            if (examples > engine_.examples() && ((result_in(inputs) != nullptr) || ...))
                throw error(errc::bad_argument, "a result of the call before came, which had fewer examples and loses "
                                                "its place: copy it before the call");
            engine_.reserve(examples);
            set_inputs<0, true>(examples, inputs...);
        }
        forward();
        engine_.make_place(examples);  // what was lent is given back
        return results<1>(examples);
    }

    /// The parameter array `field` ("weights") of the layer `layer`, to be written before the next run, which prepares
    /// anew; call `prepare` after writing there later. Constant, as what is assigned to it would be lost:
    /// `std::ranges::copy(values, net.parameter("fc", "weights").begin())`.
    const std::span<Element> parameter(std::string_view layer, std::string_view field) {
        return engine_.parameter(layer, field);
    }
    /// The same, to read.
    std::span<const Element> parameter(std::string_view layer, std::string_view field) const {
        return engine_.parameter(layer, field);
    }
    /// Does now what else the next two runs do: lets the kernels bring the parameters, as they are now, into the order
    /// in which they read them.
    void prepare() { engine_.prepare(); }
    /// Bytes that it has taken for parameters, blobs and working memory, see engine. After `prepare` and a call no call
    /// takes more, but for `predict_batch` of more examples than before, and where shapes are decided in the run.
    std::size_t memory_bytes() const { return engine_.memory_bytes(); }
    /// How many threads kernels use from now on, the caller included. Results do not depend on it.
    void use_threads(std::size_t count) { engine_.use_threads(count); }
    std::size_t thread_count() const { return engine_.thread_count(); }
    /// How to compute from now on, where there is a choice.
    void use(const arithmetic& how) { engine_.use(how); }
    /// The same arithmetic but for `allow_low_precision_accumulation`. Returns what is in force then: `none` where the
    /// program is not compiled for such a machine or there is nothing to gain; `precision_note` says why.
    low_precision use_low_precision(low_precision wanted) { return engine_.use_low_precision(wanted); }
    /// What large products with weights are computed in now.
    low_precision precision_in_force() { return engine_.precision_in_force(); }
    /// Why that is not what was asked for, as a sentence; empty where it is.
    std::string precision_note() { return engine_.precision_note(); }

    /// Takes over the parameters of the model at `path`, which must describe this very network: the same
    /// layers with the same hyper-parameters, shapes and wires. Throws `error` with the first difference;
    /// nothing has changed then. Of 1 MB of parameters and more, float32 in a safetensors file are read where they lie,
    /// until they are written; those that somebody may look at (`parameter`) are copied to where they are. Defined in
    /// model/network_files.hpp, as is `save`.
    void load(const std::filesystem::path& path) { read(path); }
    /// The same with a model in memory: one that learned, or of `parse`, where there is no file.
    void load(model from);
    /// Writes the network as a model, see `model::save`. Its weights are float32: those of a network of doubles are
    /// rounded, and where a file had them in float16 or quantised, only a `model` keeps that. Throws errc::io with path
    /// and reason, and errc::bad_value for a weight that is not finite.
    void save(const std::filesystem::path& path) const;

    // What a trainer or a loader works with.
    engine_type& core() { return engine_; }
    const engine_type& core() const { return engine_; }
    /// Runs all steps over the inputs that lie in the engine's blobs.
    void forward() {
        engine_.each_chunk([this] { description.forward(engine_, std::size_t{0}); });
    }
    /// Adds to the gradients that the engine has places for, from those of the outputs, after `forward`.
    void backward() { description.backward(engine_, 0); }

private:
    static constexpr std::size_t input_count = plan().inputs.size();

    void read(const std::filesystem::path& path);
    void take(model&& from);

    struct without_parameters {};
    network(without_parameters, std::size_t threads) : engine_(plan()) {
        engine_.template attach<plan().open>(description);
        engine_.use_threads(threads);
        engine_.make_place(1);
    }

    template <class... Inputs>
    static constexpr bool are_inputs() {
        constexpr bool all = sizeof...(Inputs) == input_count, numbers = (array_like<Inputs> && ...);
        static_assert(all, "one argument for each input of the network");
        static_assert(!all || numbers,
                      "each argument is all numbers of an input, in what has begin(), end() and size(): std::array, "
                      "std::vector, std::span(pointer, count), xtensor");
        return all && numbers;
    }

    template <std::size_t Number, extent Came>
    static constexpr auto problem_of_input = message_of([] {
        constexpr blob_facts blob = plan().blobs[plan().inputs[Number]];
        return wrong_input(plan()[blob.name], blob.dimensions, Came, 1).what;
    });

    /// No step writes it, and it is not a result: nobody minds where it lies.
    static constexpr bool is_only_read(std::size_t blob) {
        bool written = std::ranges::count(plan().outputs, blob) > 0;
        for (std::size_t step = 0; step < plan().steps.size(); ++step)
            written |= std::ranges::count(plan().outputs_of(step), blob) > 0;
        return !written;
    }
    /// Where the numbers lie that a result of the call before has; null: they are others.
    template <class X>
    const Element* result_in([[maybe_unused]] const X& x) const {
        if constexpr (row_of<X, Element> && !requires { std::tuple_size<X>::value; })  // a std::array owns them
            if (const Element* from = std::to_address(x.begin()); engine_.holds(from)) return from;
        return nullptr;
    }
    /// `Batch`: it may be read where the caller has it.
    template <std::size_t Number, bool Batch, class First, class... Rest>
    void set_inputs(extent examples, const First& first, const Rest&... rest) {
        constexpr std::size_t blob = plan().inputs[Number];
        constexpr extent size = plan().blobs[blob].dimensions.size();
        if constexpr (constexpr extent came = size_of_type<First>; !Batch && came >= 0 && came != size)
            static_assert(sizeof(network_error_of<problem_of_input<Number, came>>) > 0);
        if (static_cast<extent>(first.size()) != size * examples)
            engine_.throw_wrong_input(Number, static_cast<extent>(first.size()), examples);
        if (const Element* from = result_in(first))
            engine_.take_result(Number, from, examples);
        else if constexpr (Batch && is_only_read(blob) && row_of<First, Element>)
            engine_.lend(blob, std::to_address(first.begin()));
        else
            copy_elements(first, engine_.value(blob), static_cast<std::size_t>(size * examples));
        if constexpr (sizeof...(Rest) > 0) set_inputs<Number + 1, Batch>(examples, rest...);
    }
    template <std::size_t Number, bool Batch>
    void set_inputs(extent) {}

    template <class First, class... Rest>
    extent count_examples(const First& first, const Rest&...) const {
        constexpr extent size = plan().blobs[plan().inputs[0]].dimensions.size();
        const extent came = static_cast<extent>(first.size());
        if (size == 0 || came % size != 0)
            engine_.throw_wrong_input(0, came, std::max<extent>(size == 0 ? 0 : came / size, 1));
        return came / size;
    }

    template <std::size_t Leading, std::size_t Number>
    auto result(extent examples) const {
        constexpr std::size_t blob = plan().outputs[Number];
        if constexpr (plan().blobs[blob].open.any)
            return decided_result(blob);
        else
            return planned_result<Leading, blob>(examples);
    }
    auto decided_result(std::size_t blob) const {
        if (!engine_.run()->is_decided(blob))
            throw error(shape_fault("output \"", plan()[plan().blobs[blob].name],
                                    "\" has no shape: the loop that makes it has not run"));
        const shape& s = engine_.plan().blobs[blob].dimensions;
        return adapt(static_cast<const Element*>(engine_.value(blob)), std::vector<std::size_t>(s.begin(), s.end()));
    }
    template <std::size_t Leading, std::size_t Blob>
    auto planned_result(extent examples) const {
        constexpr std::size_t blob = Blob;
        constexpr shape s = plan().blobs[blob].dimensions;
        std::array<std::size_t, s.rank() + Leading> extents{};
        // what does not depend on an input is there once, for all examples
        if constexpr (Leading == 1)
            extents[0] = plan().blobs[blob].per_example ? static_cast<std::size_t>(examples) : 1;
        for (std::size_t axis = 0; axis < s.rank(); ++axis) extents[axis + Leading] = static_cast<std::size_t>(s[axis]);
        return adapt(static_cast<const Element*>(engine_.value(blob)), extents);
    }
    template <std::size_t Leading>
    auto results(extent examples) const {
        constexpr std::size_t count = plan().outputs.size();
        if constexpr (count == 1)
            return result<Leading, 0>(examples);
        else
            return [&]<std::size_t... I>(std::index_sequence<I...>) {
                return std::tuple{result<Leading, I>(examples)...};
            }(std::make_index_sequence<count>{});
    }

    engine_type engine_;
};

/// A network that does not fit together: one error, and nothing that follows from it. Its members are never defined.
template <const auto& Description, class Element>
class network<Description, Element, false> {
    static constexpr auto problem = composed_plan<Description>::explain();
    static_assert(sizeof(network_error_of<problem>) > 0);

public:
    using value_type = Element;
    using engine_type = engine<Element>;
    static constexpr const auto& description = Description;
    static constexpr plan_view plan() { return composed_plan<Description>::view(); }

    explicit network(const auto&...) {}
    tensor<Element> operator()(const auto&...);
    tensor<Element> predict_batch(const auto&...);
    const std::span<Element> parameter(std::string_view, std::string_view);
    std::span<const Element> parameter(std::string_view, std::string_view) const;
    void initialize(std::uint64_t);
    void prepare();
    void use_threads(std::size_t);
    std::size_t thread_count() const;
    void use(const arithmetic&);
    low_precision use_low_precision(low_precision);
    low_precision precision_in_force();
    std::string precision_note();
    std::size_t memory_bytes() const;
    void load(const std::filesystem::path&);
    void load(model);
    void save(const std::filesystem::path&) const;
    engine_type& core();
    const engine_type& core() const;
    void forward();
    void backward();
};

}  // namespace bespoke
