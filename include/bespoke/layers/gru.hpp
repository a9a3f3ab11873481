#pragma once

#include "recurrent.hpp"

namespace bespoke {

/// Gated recurrent unit, for each step t, with f, g = activations:
///     z = f(W_z x_t + R_z y_{t-1} + b_z)    r = f(W_r x_t + R_r y_{t-1} + b_r)
///     o = g(W_o x_t + R_o (r y_{t-1}) + b_o)    y_t = (1 - z) o + z y_{t-1}
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], b [output_vector_size].
/// Shapes: see recurrent.hpp; the state is y. Cho et al., EMNLP 2014; Core ML specification, GRULayerParams.
/// So is Keras's GRU with reset_after=False. Not so PyTorch's, where r scales R_o y_{t-1} + a bias of its own: its
/// weights give other numbers here.
struct gru {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    std::array<recurrent_activation, 2> activations{sigmoid{}, tanh{}};
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vectors = true;
    bool reverse_input = false;
    bool gives_states = false;  ///< also of x alone; a file says it by the outputs that it names

    static constexpr auto key = "gru";
    constexpr void fields(auto& field) {
        field("inputVectorSize", input_vector_size);
        field("outputVectorSize", output_vector_size);
        field("activations", activations);
        field("sequenceOutput", sequence_output);
        field("hasBiasVectors", has_bias_vectors);
        field("reverseInput", reverse_input);
    }
    static constexpr input_count inputs{1, 2};

    template <class T>
    struct parameters {
        T update_gate_weight_matrix, reset_gate_weight_matrix, output_gate_weight_matrix;
        T update_gate_recursion_matrix, reset_gate_recursion_matrix, output_gate_recursion_matrix;
        T update_gate_bias_vector, reset_gate_bias_vector, output_gate_bias_vector;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{
        parameter_field{"updateGateWeightMatrix", &parameters<T>::update_gate_weight_matrix, initial::glorot},
        parameter_field{"resetGateWeightMatrix", &parameters<T>::reset_gate_weight_matrix, initial::glorot},
        parameter_field{"outputGateWeightMatrix", &parameters<T>::output_gate_weight_matrix, initial::glorot},
        parameter_field{"updateGateRecursionMatrix", &parameters<T>::update_gate_recursion_matrix, initial::glorot},
        parameter_field{"resetGateRecursionMatrix", &parameters<T>::reset_gate_recursion_matrix, initial::glorot},
        parameter_field{"outputGateRecursionMatrix", &parameters<T>::output_gate_recursion_matrix, initial::glorot},
        parameter_field{"updateGateBiasVector", &parameters<T>::update_gate_bias_vector},
        parameter_field{"resetGateBiasVector", &parameters<T>::reset_gate_bias_vector},
        parameter_field{"outputGateBiasVector", &parameters<T>::output_gate_bias_vector}};

    constexpr outcome output_shape(std::span<const shape> xs) const { return form().output_shape(xs); }
    [[gnu::always_inline]] constexpr gru resolved(std::span<const shape> xs) const {
        gru result = *this;
        if (input_vector_size == unset) result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent n = output_vector_size;
        const shape w{n, detail::recurrent_form::inputs(xs[0])}, r{n, n}, b = has_bias_vectors ? shape{n} : absent;
        return {w, w, w, r, r, r, b, b, b};
    }

    [[gnu::always_inline]] constexpr detail::recurrent_runner<gru> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const gru&, const gru&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        return {.input_size = input_vector_size,
                .output_size = output_vector_size,
                .gates = 3,
                .late = 1,
                .sequence_output = sequence_output,
                .reverse = reverse_input,
                .gives_states = gives_states};
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return {.w = {p.reset_gate_weight_matrix.data, p.update_gate_weight_matrix.data,
                      p.output_gate_weight_matrix.data},
                .r = {p.reset_gate_recursion_matrix.data, p.update_gate_recursion_matrix.data,
                      p.output_gate_recursion_matrix.data},
                .bias = {p.reset_gate_bias_vector.data, p.update_gate_bias_vector.data,
                         p.output_gate_bias_vector.data}};
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        if (activations[0].is<sigmoid>() && activations[1].is<tanh>())
            body(kernels::gru_cell<sigmoid, tanh>{});
        else
            body(kernels::gru_cell<recurrent_activation, recurrent_activation>{activations[0].with_constants(),
                                                                           activations[1].with_constants()});
    }
};

}  // namespace bespoke
