#pragma once

#include "recurrent.hpp"

namespace bespoke {

/// Recurrent layer without gates: y_t = activation(W x_t + R y_{t-1} + b).
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], b [output_vector_size].
/// Shapes: see recurrent.hpp; the state is y. Core ML specification, SimpleRecurrentLayerParams.
struct simple_recurrent {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    recurrent_activation activation = tanh{};
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vector = true;
    bool reverse_input = false;
    bool gives_states = false;  ///< also of x alone; a file says it by the outputs that it names

    static constexpr auto key = "simpleRecurrent";
    constexpr void fields(auto& field) {
        field("inputVectorSize", input_vector_size);
        field("outputVectorSize", output_vector_size);
        field("activation", activation);
        field("sequenceOutput", sequence_output);
        field("hasBiasVector", has_bias_vector);
        field("reverseInput", reverse_input);
    }
    static constexpr input_count inputs{1, 2};

    template <class T>
    struct parameters {
        T weight_matrix, recursion_matrix, bias_vector;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"weightMatrix", &parameters<T>::weight_matrix, initial::glorot},
                   parameter_field{"recursionMatrix", &parameters<T>::recursion_matrix, initial::glorot},
                   parameter_field{"biasVector", &parameters<T>::bias_vector}};

    constexpr outcome output_shape(std::span<const shape> xs) const { return form().output_shape(xs); }
    [[gnu::always_inline]] constexpr simple_recurrent resolved(std::span<const shape> xs) const {
        simple_recurrent result = *this;
        if (input_vector_size == unset) result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent n = output_vector_size;
        return {.weight_matrix = {n, detail::recurrent_form::inputs(xs[0])},
                .recursion_matrix = {n, n},
                .bias_vector = has_bias_vector ? shape{n} : absent};
    }

    [[gnu::always_inline]] constexpr detail::recurrent_runner<simple_recurrent> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const simple_recurrent&, const simple_recurrent&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        return {.input_size = input_vector_size,
                .output_size = output_vector_size,
                .gates = 1,
                .sequence_output = sequence_output,
                .reverse = reverse_input,
                .gives_states = gives_states};
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return {.w = {p.weight_matrix.data}, .r = {p.recursion_matrix.data}, .bias = {p.bias_vector.data}};
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        if (activation.is<tanh>())
            body(kernels::simple_cell<tanh>{});
        else
            body(kernels::simple_cell<recurrent_activation>{activation.with_constants()});
    }
};

}  // namespace bespoke
