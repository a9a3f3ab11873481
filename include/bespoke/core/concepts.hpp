#pragma once

#include "arithmetic.hpp"
#include "epilogue.hpp"
#include "fault.hpp"
#include "known_values.hpp"
#include "threads.hpp"
#include "view.hpp"

#include <array>
#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

/// What a layer owes, and the vocabulary in which it says so. This is the reference page for whoever adds
/// a layer: the ones in layers/ have no other means than these.
namespace bespoke {

// --- hyper-parameters -------------------------------------------------------------------------------

enum class field_floats : unsigned char { finite, any };  ///< what a file may give; a third argument of `field`
/// A layer, and each message of the specification inside one, names its hyper-parameters in the specification's JSON
/// mapping: `constexpr void fields(auto& field)` calls `field("outputChannels", output_channels)` for each of them, and
/// `field(padding)` for a `oneof`, a std::variant whose alternatives each carry a `key`. This one does nothing.
struct any_field {
    constexpr void operator()(std::string_view, const auto&, field_floats = field_floats::finite) const {}
    constexpr void operator()(const auto&) const {}
};
template <class L>
concept has_fields = requires(L& layer, any_field& f) { layer.fields(f); };

/// An enumeration of the specification declares `constexpr std::array<std::string_view, N>
/// enumerators(E)`: the names of the values 0 to N - 1.
template <class E>
concept specified_enum = std::is_enum_v<E> && requires(E e) { enumerators(e).size(); };

// --- layers in terms of others ------------------------------------------------------------------------

/// Every layer: a copyable aggregate with its JSON key and its fields. (std::copyable and std::equality_comparable
/// would ask of each type a hundred questions more.)
template <class L>
concept described = std::is_copy_constructible_v<L> && std::is_copy_assignable_v<L> && has_fields<L> &&
                    requires(const L& layer) {
                        { layer == layer } -> std::same_as<bool>;
                        { L::key } -> std::convertible_to<std::string_view>;
                    };

/// A layer that says in other words what another one does: `equivalent(x)` is that one for x, the shape of its first
/// input (`absent` where it has none), which passed the shape rule. Then only names, fields and the shape rule are its
/// own. The other one gets the views that this one would get: their shapes are by this one's rule.
template <class L>
concept rephrased_layer = described<L> && requires(const L& layer, const shape& x) {
    { layer.equivalent(x) } -> described;
};

/// The layer that runs: L, or that in whose terms it is put.
template <class L>
struct performer_of {
    using type = L;
};
template <rephrased_layer L>
struct performer_of<L> {
    using type = decltype(std::declval<const L&>().equivalent(shape{}));
    static_assert(!rephrased_layer<type>, "a layer in terms of one that is itself in terms of another");
};
template <class L>
using performer_t = typename performer_of<L>::type;

// --- parameters -------------------------------------------------------------------------------------

/// What a parameter holds before training or loading.
enum class initial {
    zero,
    one,
    glorot,  ///< uniform on +-sqrt(6 / (fan in + fan out)); Glorot and Bengio, AISTATS 2010
};

/// One array of a layer's `parameters<T>` and its name in the specification.
template <class Parameters, class T>
struct parameter_field {
    std::string_view name;
    T Parameters::*member;
    initial start = initial::zero;
    bool learned = true;  ///< false: never changed by training (running statistics)
};
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*) -> parameter_field<Parameters, T>;
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*, initial) -> parameter_field<Parameters, T>;
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*, initial, bool) -> parameter_field<Parameters, T>;

/// The `parameters<T>` of a layer that has none.
struct no_parameters {};

/// The shape of an array that a layer does without (`has_bias = false`).
inline constexpr shape absent{0};

/// The parameters of most layers: a matrix, or a stack of filters, and a vector that is added.
template <class T>
struct weights_and_bias {
    T weights, bias;
    static constexpr auto fields =
        std::array{parameter_field{"weights", &weights_and_bias::weights, initial::glorot},
                   parameter_field{"bias", &weights_and_bias::bias, initial::zero}};
};

/// A layer with weights: `template <class T> struct parameters`, an aggregate of T such as `weights_and_bias`, serves
/// for the weights (views), their gradient (views) and their shapes; `parameter_fields<T>` lists the members and
/// `parameter_shapes(x)` gives their shapes for the input shape (or span of shapes) x.
template <class L>
concept parametric_layer = requires {
    typename performer_t<L>::template parameters<shape>;
    performer_t<L>::template parameter_fields<shape>.size();
};

/// Its `parameter_fields<T>`.
template <parametric_layer L, class T>
inline constexpr auto parameter_fields_of = performer_t<L>::template parameter_fields<T>;

template <class L>
inline constexpr std::size_t parameter_count = [] {
    if constexpr (parametric_layer<L>)
        return parameter_fields_of<L, shape>.size();
    else
        return std::size_t{0};
}();

template <class L, class T>
struct parameters_of {
    using type = no_parameters;
};
template <parametric_layer L, class T>
struct parameters_of<L, T> {
    using type = typename performer_t<L>::template parameters<T>;
};
template <class L, class T>
using parameters_t = typename parameters_of<L, T>::type;

// --- what a layer may say about itself ----------------------------------------------------------------

/// How many inputs a layer takes. Not declared: exactly one.
struct input_count {
    std::size_t least = 1, most = 1;
};
inline constexpr std::size_t any_number = static_cast<std::size_t>(-1);

/// Which values of the forward pass `backward` reads. Not declared: both.
struct backward_needs {
    bool input = true, output = true;
};

/// When a layer can run before it has prepared, as `unprepared can_wait<T>(x, how) const` says: in a training, whose
/// next step changes its parameters again; in the first prediction too.
enum class unprepared { never, in_training, in_first_run };

/// What a layer works with besides its blobs and parameters: the last argument of `forward(x, y, p, w)` and
/// `backward(x, y, dy, dx, p, dp, w)`, which get views, or spans of views where there may be several. Gradients are
/// added to what is there; that of what nobody wants is a null view.
///
/// `extent scratch_size<T>(x, examples, threads) const` says how much scratch memory both need for so many examples.
/// `extent prepared_size<T>(x) const` and `prepare(p, T* to) const` are for what the layer makes of its parameters,
/// once for many runs. One that computes in more than one way may take `arithmetic` as the last argument of these two,
/// so that it prepares for that one. x is the input shape, or the span of shapes.
template <class T>
struct workspace {
    T* scratch = nullptr;         ///< `scratch_size` elements, contents undefined
    T* prepared = nullptr;  ///< what `prepare` wrote for the parameters as they are; null where it `can_wait`: nothing
    thread_pool* threads = nullptr;
    const epilogue<T>* after = nullptr;  ///< only for a layer that says `runs_epilogue`
    arithmetic how{};
    bool exact = false;  ///< a pass of a training: in T, also where `prepare` was for low precision
    std::size_t step = 0;  ///< the number of the layer in its network
    const row_products<T>* then = nullptr;  ///< only for a layer that says `gives_rows`
    bool begins = false;  ///< only for a layer that says `begins_gradient`: dx is undefined, it writes all of it
};

/// What a layer works with that finishes another one's result, see `finishes`.
template <class T>
struct finishing {
    const shape* dimensions = nullptr;  ///< of the result
    extent offset = 0;                  ///< of the block in the result, all examples
    const T* other = nullptr;           ///< the input that is not the result; null: there is none
    const shape* other_dimensions = nullptr;
    const T* prepared = nullptr;
    const T* result = nullptr;  ///< where it begins, all examples
    const shape* first_dimensions = nullptr;  ///< of the first input
};

// --- the ladder of concepts ---------------------------------------------------------------------------

/// y = f(x) for each element: `f(v)` and `f.derivative(x, y)` for a float, a double or a SIMD batch of
/// them alike, templates with functions of kernels/math.hpp in the place of those of <cmath>. Nothing else is needed:
/// shapes, loops, gradients and fusion follow.
template <class L>
concept elementwise_layer = described<L> && requires(const L& f, float x) {
    { f(x) } -> std::convertible_to<float>;
    { f.derivative(x, x) } -> std::convertible_to<float>;
};

/// One input and a shape rule for it.
template <class L>
concept unary_layer = described<L> && requires(const L& layer, const shape& x) {
    { layer.output_shape(x) } -> std::convertible_to<outcome>;
};

/// y has the elements of x in their order: `static constexpr bool same_elements = true`. Nothing is needed but the
/// shape rule.
template <class L>
concept same_elements_layer = unary_layer<L> && requires {
    { L::same_elements } -> std::convertible_to<bool>;
    requires bool{L::same_elements};
};

/// Any number of inputs (`static constexpr input_count inputs`) and a shape rule for them. One that looks at values
/// as well: known_values.hpp.
template <class L>
concept variadic_layer = described<L> && requires(const L& layer, std::span<const shape> xs) {
    { layer.output_shape(xs) } -> std::convertible_to<outcome>;
    { L::inputs } -> std::convertible_to<input_count>;
};

/// Branches, loops and what leaves them: `plan`, `forward` and `backward` over an engine.
template <class L>
concept control_layer = described<L> && requires {
    { L::control } -> std::convertible_to<bool>;
};

/// What can stand in a network. `static_assert(unary_layer<my_layer>)` shows what a layer misses. What only a few say
/// stands in rows.hpp, planes.hpp, entries.hpp, known_values.hpp and graph/layer_facts.hpp.
template <class L>
concept layer = elementwise_layer<L> || unary_layer<L> || variadic_layer<L> || control_layer<L>;

namespace detail {
/// What a layer says by a constant. One of another type than bool is an error here: a `requires` alone would take it
/// for not said.
template <class Said>
constexpr bool says(Said value) {
    static_assert(std::is_same_v<Said, bool>, "true or false wanted of what a layer says about itself");
    return value;
}
}  // namespace detail

/// `batched = true`: forward and backward take all examples in one call. Else they run one by one.
template <class L>
inline constexpr bool is_batched =
    elementwise_layer<L> || same_elements_layer<L> || requires { requires detail::says(performer_t<L>::batched); };

/// `runs_epilogue = true`: forward calls `w.after`, where it is given, on each block of its one output.
template <class L>
inline constexpr bool runs_epilogue =
    elementwise_layer<L> || requires { requires detail::says(performer_t<L>::runs_epilogue); };

/// `begins_gradient = true`: where `w.begins`, backward, of one input, writes dx in place of adding to it. The first
/// layer of a pass that has a gradient for a blob spares the blob zeros so.
template <class L>
inline constexpr bool begins_gradient = requires { requires detail::says(performer_t<L>::begins_gradient); };

/// `overwrites = true`: the output may be a blob that exists already (copy).
template <class L>
inline constexpr bool is_overwriting = requires { requires detail::says(L::overwrites); };

/// `reads_values = false`: the result depends on the shapes of the inputs alone, so it is one for all examples.
template <class L>
inline constexpr bool is_reading_values = !requires { requires !detail::says(performer_t<L>::reads_values); };

/// `in_place = true`: forward may write y over x.
template <class L>
inline constexpr bool is_in_place =
    elementwise_layer<L> || (same_elements_layer<L> && !is_overwriting<L>) ||
    (!same_elements_layer<L> && requires { requires detail::says(performer_t<L>::in_place); });

template <class L>
inline constexpr input_count inputs_of = [] {
    if constexpr (requires { L::inputs; })
        return input_count{L::inputs};
    else
        return input_count{};
}();

template <class L>
inline constexpr backward_needs needs_of = [] {
    if constexpr (same_elements_layer<L>)
        return backward_needs{.input = false, .output = false};
    else if constexpr (requires { performer_t<L>::needs; })
        return backward_needs{performer_t<L>::needs};
    else
        return backward_needs{};
}();

/// `differentiable = false`: no gradient passes this layer.
template <class L>
inline constexpr bool is_differentiable = !requires { requires !detail::says(performer_t<L>::differentiable); };

// --- asking a layer, whatever rung it stands on ---------------------------------------------------------

/// The specification's key, with the nested one of a family behind a dot: "activation.ReLU".
constexpr sentence key_of(std::string_view key, std::string_view nested_key) {
    sentence name(key);
    if (!nested_key.empty()) name.append(sentence(".", nested_key));
    return name;
}
template <class L>
constexpr sentence key_of() {
    if constexpr (requires { L::nested_key; })
        return key_of(L::key, L::nested_key);
    else
        return key_of(L::key, "");
}

/// The layer that runs for inputs of which the first has the shape x.
template <class L>
[[gnu::always_inline]] constexpr decltype(auto) performer(const L& layer, [[maybe_unused]] const shape& x) {
    if constexpr (rephrased_layer<L>)
        return layer.equivalent(x);
    else
        return (layer);
}

/// The shape by which a layer says what performs it.
constexpr shape first_of(std::span<const shape> inputs) { return inputs.empty() ? absent : inputs[0]; }

/// The shape rule: the same question for the compiler and for the loader.
template <class L>
constexpr outcome output_shapes(const L& layer, std::span<const shape> inputs) {
    if constexpr (variadic_layer<L>)
        return layer.output_shape(inputs);
    else if constexpr (unary_layer<L>)
        return layer.output_shape(inputs[0]);
    else
        return inputs[0];
}

/// `constexpr bool probabilities(const shape& x) const`: whether y is a softmax of x over the whole example,
/// so that a cross-entropy loss may be taken from x directly. Asked for shapes that passed the shape rule.
template <class L>
constexpr bool gives_probabilities(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.probabilities(inputs[0]); })
        return inputs.size() == 1 && layer.probabilities(inputs[0]);
    else
        return false;
}

/// Whether y has the elements of x in their order; says `constexpr bool same_elements() const` where only some do.
template <class L>
constexpr bool gives_same_elements([[maybe_unused]] const L& layer) {
    if constexpr (requires { layer.same_elements(); })
        return layer.same_elements();
    else
        return same_elements_layer<L>;
}

/// `constexpr bool mixes_examples() const`: whether the result of one example depends on the others that run
/// with it, so that a training cannot run the layer once an example.
template <class L>
constexpr bool mixes_examples(const L& layer) {
    if constexpr (requires { layer.mixes_examples(); })
        return layer.mixes_examples();
    else
        return false;
}

/// `bool finishes(std::span<const shape> xs) const`: whether the layer can be the epilogue of the one that makes one of
/// its inputs, of the shape of y, by `finish(block, finishing)`: that turns a block of this input into y, in place. Of
/// several inputs it must not matter which. Element-wise layers need not say so.
///
/// `bool joins(channel_map<T>& map, const finishing<T>&) const`: whether an epilogue that begins with `map` and this
/// layer may begin with a larger map, which it then makes of it. Not to be asked for one that does not finish anything.
template <class L>
constexpr bool can_finish(const L& layer, std::span<const shape> inputs) {
    if constexpr (elementwise_layer<L>)
        return true;
    else if constexpr (requires { performer(layer, first_of(inputs)).finishes(inputs); })
        return performer(layer, first_of(inputs)).finishes(inputs);
    else
        return false;
}

/// Shapes of the parameters, in the order of `parameter_fields`, for inputs that passed the shape rule.
template <parametric_layer L>
constexpr std::array<shape, parameter_count<L>> parameter_shapes(const L& layer, std::span<const shape> inputs) {
    parameters_t<L, shape> shapes;
    if constexpr (variadic_layer<performer_t<L>>)
        shapes = performer(layer, first_of(inputs)).parameter_shapes(inputs);
    else
        shapes = performer(layer, inputs[0]).parameter_shapes(inputs[0]);
    std::array<shape, parameter_count<L>> list{};
    for (std::size_t i = 0; i < list.size(); ++i) list[i] = shapes.*(parameter_fields_of<L, shape>[i].member);
    return list;
}

/// Neither a list nor an iterator: what is given in the place of one loss or optimizer, and is told what it lacks.
template <class X>
concept single_object = std::is_class_v<X> && !requires(const X& x) { x.begin(); } && !requires(const X& x) { *x; };

}  // namespace bespoke
