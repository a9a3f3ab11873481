#pragma once

#include "../core/entries.hpp"
#include "../core/open_shape.hpp"
#include "../core/planes.hpp"
#include "../core/rows.hpp"
#include "../kernels/simd.hpp"

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

// A layer as data. What is made of it is compiled once, and not once a layer type.

namespace bespoke {

/// A layer that has a shape rule with values: see core/known_values.hpp.
template <class L>
concept value_shaped_layer =
    variadic_layer<L> && requires(const L& layer, std::span<const shape> xs, std::span<const known_values> known) {
        { layer.planned_shape(xs, known) } -> std::convertible_to<outcome>;
    };

/// A parameter as its layer type declares it.
struct parameter_rule {
    std::string_view name;
    initial start = initial::zero;
    bool learned = true;
};

/// What there is to know of a layer type.
struct layer_facts {
    std::string_view key, nested_key;  ///< nested_key is empty where the layer is not one of a family
    std::span<const parameter_rule> parameters{};
    input_count inputs{};
    backward_needs needs{};
    bool control = false;
    bool elementwise = false;
    bool in_place = false;
    bool overwrites = false;
    bool differentiable = true;
    bool runs_epilogue = false;
    bool reads_values = true;
    bool shaped_by_values = false;
    bool may_be_infinite = false;  ///< elements of its parameters, in files: `may_be_infinite = true` of a layer
    std::size_t values_from = 0;  ///< the first input whose values it looks at for that
};

/// What is wrong with a layer of `count` inputs, if anything.
constexpr std::optional<fault> wrong_inputs(input_count wanted, std::size_t count) {
    if (count >= wanted.least && count <= wanted.most) return {};
    sentence range(wanted.least);
    if (wanted.most == any_number) range.append(" or more");
    else if (wanted.most != wanted.least) range.append(sentence(" to ", wanted.most));
    const bool one = wanted.least == 1 && wanted.most == 1;
    return value_fault(range, one ? " input wanted, " : " inputs wanted, ", count, " named");
}

/// What a layer says of inputs of given shapes. Only where `outputs` is no fault, the rest means something.
struct layer_answers {
    /// Compiled once, not once a layer type.
    [[gnu::noinline]] constexpr layer_answers(outcome&& given) : outputs(std::move(given)) {}
    [[gnu::noinline]] constexpr void take(outcome&& given) { outputs = std::move(given); }

    outcome outputs;
    std::vector<shape> parameters{};  ///< as many as its `layer_facts` list
    bool same_elements = false;
    bool concatenates = false;  ///< `layer.concatenates(inputs)`: its output is its inputs, one behind the other
    bool can_finish = false;
    row_answers rows{};
    plane_answers planes{};
    entry_answers entries{};
    bool probabilities = false;
    bool mixes_examples = false;
    std::vector<double> values{};  ///< of the one output, where they are known before the network runs; else empty
    std::vector<open_shape> open{};  ///< of each output; empty: all shapes are known. See open_answers.hpp
};

namespace detail {

template <parametric_layer L>
inline constexpr auto parameter_rules_of = [] {
    std::array<parameter_rule, parameter_count<L>> rules{};
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const auto& field = parameter_fields_of<L, shape>[i];
        rules[i] = {field.name, field.start, field.learned};
    }
    return rules;
}();

}  // namespace detail

template <class L>
inline constexpr layer_facts facts_of = [] {
    layer_facts facts{.key = L::key, .nested_key = ""};
    if constexpr (requires { L::nested_key; }) facts.nested_key = L::nested_key;
    if constexpr (parametric_layer<L>) facts.parameters = detail::parameter_rules_of<L>;
    facts.inputs = inputs_of<L>;
    if constexpr (requires { L::may_be_infinite; }) facts.may_be_infinite = L::may_be_infinite;
    if constexpr (control_layer<L>) {
        facts.control = true;
    } else {
        facts.needs = needs_of<L>;
        facts.elementwise = elementwise_layer<L>;
        facts.in_place = is_in_place<L>;
        facts.overwrites = is_overwriting<L>;
        facts.differentiable = is_differentiable<L>;
        facts.runs_epilogue = runs_epilogue<L>;
        facts.reads_values = is_reading_values<L>;
        facts.shaped_by_values = value_shaped_layer<L>;
        if constexpr (requires { L::values_from; }) facts.values_from = L::values_from;
    }
    return facts;
}();

namespace detail {

/// Not asked by the concept, as its room does not know what a batch is.
template <class L>
concept takes_batches = requires(const L& f, const kernels::batch<float>& v) {
    f(v);
    f.derivative(v, v);
};

template <class L>
constexpr outcome ask_outputs(const L& layer, std::span<const shape> inputs,
                              [[maybe_unused]] std::span<const known_values> known) {
    if constexpr (elementwise_layer<L> && !takes_batches<L>)
        return value_fault("an elementwise layer has functions of a float, a double and a SIMD batch alike: "
                           "template <class V> V operator()(const V& x) const, and derivative(x, y) likewise");
    else if constexpr (value_shaped_layer<L>)
        return layer.planned_shape(inputs, known);
    else
        return output_shapes(layer, inputs);
}

/// The values of a layer that only moves on what it is given.
[[gnu::noinline]] constexpr void pass_values(std::span<const known_values> known, layer_answers& answers) {
    if (!answers.same_elements) return;
    if (const known_values x = known_input(known, 0)) answers.values.assign(x->begin(), x->end());
}

/// The rest, of inputs that passed the shape rule.
template <class L>
constexpr void ask_rest(const L& layer, std::span<const shape> inputs, std::span<const known_values> known,
                        layer_answers& answers) {
    if constexpr (same_elements_layer<L> || requires { layer.same_elements(); })
        answers.same_elements = gives_same_elements(layer);
    if constexpr (requires { layer.concatenates(inputs); }) answers.concatenates = layer.concatenates(inputs);
    answers.can_finish = can_finish(layer, inputs);
    if constexpr (row_layer<L>)
        answers.rows = {can_finish_rows(layer, inputs), can_give_rows(layer, inputs), can_take_rows(layer, inputs)};
    if constexpr (plane_layer<L>) answers.planes = {can_give_planes(layer, inputs), can_take_planes(layer, inputs)};
    if (answers.outputs.shapes().size() == 1)
        answers.entries = entries_of(layer, inputs, answers.outputs.shapes()[0]);
    if constexpr (requires { layer.probabilities(inputs[0]); })
        answers.probabilities = gives_probabilities(layer, inputs);
    if constexpr (requires { layer.known_output(inputs, known); })
        answers.values = layer.known_output(inputs, known);
    else
        pass_values(known, answers);
    if constexpr (requires { layer.mixes_examples(); }) answers.mixes_examples = mixes_examples(layer);
    if constexpr (parametric_layer<L>)
        for (const shape& s : parameter_shapes(layer, inputs)) answers.parameters.push_back(s);
}

}  // namespace detail

/// `known`: what is known of the values of the inputs; may be empty.
template <class L>
[[gnu::always_inline]] constexpr layer_answers ask_layer(const L& layer, std::span<const shape> inputs,
                                                         std::span<const known_values> known = {}) {
    layer_answers answers(detail::ask_outputs(layer, inputs, known));
    if (answers.outputs) detail::ask_rest(layer, inputs, known, answers);
    return answers;
}

namespace detail {

// Where a network is planned: not in a hurry. Nor does each layer type have what takes answers apart again.
template <class L>
[[gnu::cold]] void ask_erased(const void* erased, std::span<const shape> inputs, std::span<const known_values> known,
                              layer_answers& answers) {
    const L& layer = *static_cast<const L*>(erased);
    answers.take(ask_outputs(layer, inputs, known));
    if (answers.outputs) ask_rest(layer, inputs, known, answers);
}

}  // namespace detail

using asking_function = void(const void* layer, std::span<const shape> inputs, std::span<const known_values> known,
                             layer_answers& answers);
/// Asks a layer that comes as `const void*`.
inline layer_answers ask_layer(asking_function* asked, const void* layer, std::span<const shape> inputs,
                               std::span<const known_values> known = {}) {
    layer_answers answers{shape{}};
    asked(layer, inputs, known, answers);
    return answers;
}

struct erased_layer;

template <class L>
concept erasable_layer = !std::derived_from<L, erased_layer> && layer<L> && !control_layer<L>;

/// A layer that stands elsewhere, for whoever need not know its type.
struct erased_layer {
    const void* layer;
    const layer_facts* facts;
    asking_function* asked;

    template <erasable_layer L>
    erased_layer(const L& from) : layer(&from), facts(&facts_of<L>), asked(&detail::ask_erased<L>) {}

    layer_answers ask(std::span<const shape> inputs, std::span<const known_values> known = {}) const {
        return ask_layer(asked, layer, inputs, known);
    }
};

}  // namespace bespoke
