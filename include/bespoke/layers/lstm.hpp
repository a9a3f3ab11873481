#pragma once

#include "recurrent.hpp"

namespace bespoke {

/// What both LSTM layers have in common. Core ML specification, LSTMParams.
struct lstm_params {
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vectors = true;
    bool forget_bias = false;  ///< 1 is added to the bias of the forget gate
    bool has_peephole_vectors = false;
    bool coupled_input_and_forget_gate = false;  ///< f = 1 - i; the forget gate's weights are not used
    float cell_clip_threshold = 50;              ///< 0 means 50
    bool has_forget_gate = true;                 ///< its weights are there; only of coupled gates they need not be

    constexpr void fields(auto& field) {
        field("sequenceOutput", sequence_output);
        field("hasBiasVectors", has_bias_vectors);
        field("forgetBias", forget_bias);
        field("hasPeepholeVectors", has_peephole_vectors);
        field("coupledInputAndForgetGate", coupled_input_and_forget_gate);
        field("cellClipThreshold", cell_clip_threshold);
    }
    friend bool operator==(const lstm_params&, const lstm_params&) = default;
};

/// The weights of one direction: a row for each output. PyTorch has those of the gates i, f, g (here the block input)
/// and o one below the other, and two biases, which are added. Core ML specification, LSTMWeightParams.
template <class T, std::size_t Direction = 0>
struct lstm_weights {
    T input_gate_weight_matrix, forget_gate_weight_matrix, block_input_weight_matrix, output_gate_weight_matrix;
    T input_gate_recursion_matrix, forget_gate_recursion_matrix, block_input_recursion_matrix,
        output_gate_recursion_matrix;
    T input_gate_bias_vector, forget_gate_bias_vector, block_input_bias_vector, output_gate_bias_vector;
    T input_gate_peephole_vector, forget_gate_peephole_vector, output_gate_peephole_vector;
};

namespace detail {

/// The arrays of one direction in the order of the specification: W, R and b of i, f, z, o; p of i, f, o.
template <class T, std::size_t D>
inline constexpr std::array lstm_members{
    &lstm_weights<T, D>::input_gate_weight_matrix,     &lstm_weights<T, D>::forget_gate_weight_matrix,
    &lstm_weights<T, D>::block_input_weight_matrix,    &lstm_weights<T, D>::output_gate_weight_matrix,
    &lstm_weights<T, D>::input_gate_recursion_matrix,  &lstm_weights<T, D>::forget_gate_recursion_matrix,
    &lstm_weights<T, D>::block_input_recursion_matrix, &lstm_weights<T, D>::output_gate_recursion_matrix,
    &lstm_weights<T, D>::input_gate_bias_vector,       &lstm_weights<T, D>::forget_gate_bias_vector,
    &lstm_weights<T, D>::block_input_bias_vector,      &lstm_weights<T, D>::output_gate_bias_vector,
    &lstm_weights<T, D>::input_gate_peephole_vector,   &lstm_weights<T, D>::forget_gate_peephole_vector,
    &lstm_weights<T, D>::output_gate_peephole_vector};

/// "weightParams.inputGateWeightMatrix"; with two directions "weightParams.0.inputGateWeightMatrix".
template <std::size_t Directions>
inline constexpr auto lstm_names = [] {
    constexpr std::string_view gates[] = {"inputGate", "forgetGate", "blockInput", "outputGate"};
    constexpr std::string_view kinds[] = {"WeightMatrix", "RecursionMatrix", "BiasVector", "PeepholeVector"};
    std::array<sentence, 15 * Directions> names;
    std::size_t i = 0;
    for (std::size_t direction = 0; direction < Directions; ++direction)
        for (std::size_t kind = 0; kind < 4; ++kind)
            for (std::size_t gate = 0; gate < 4; ++gate)
                if (kind < 3 || gate != 2) {
                    sentence name("weightParams.");
                    if (Directions == 2) name.append(sentence(direction, "."));
                    name.append(sentence(gates[gate], kinds[kind]));
                    names[i++] = name;
                }
    return names;
}();

/// `parameter_fields` of a layer whose Parameters hold the weights of some directions.
template <class T, class Parameters, std::size_t... D>
constexpr auto lstm_fields(std::index_sequence<D...>) {
    std::array<parameter_field<Parameters, T>, 15 * sizeof...(D)> fields{};
    std::size_t i = 0;
    const auto add = [&](const auto& members) {
        for (const auto member : members) {
            fields[i] = {lstm_names<sizeof...(D)>[i].view(), member,
                         i % 15 < 8 ? initial::glorot : initial::zero};
            ++i;
        }
    };
    (add(lstm_members<T, D>), ...);
    return fields;
}

constexpr recurrent_form lstm_form(extent input_size, extent output_size, const lstm_params& params,
                                   std::size_t directions) {
    return {.input_size = input_size,
            .output_size = output_size,
            .gates = 4,
            .states = 2,
            .directions = directions,
            .sequence_output = params.sequence_output,
            .has_peepholes = params.has_peephole_vectors,
            .raised_gate = params.forget_bias ? 1 : -1};
}
constexpr outcome lstm_output_shape(const recurrent_form& form, const lstm_params& params,
                                    std::span<const shape> xs) {
    if (const auto wrong = unless_from_zero_up("cellClipThreshold", params.cell_clip_threshold)) return *wrong;
    if (!params.has_forget_gate && !params.coupled_input_and_forget_gate)
        return value_fault("a forget gate wanted, or one that is coupled to the input gate");
    return form.output_shape(xs);
}
constexpr bool is_of_forget_gate(std::size_t array) { return array == 13 || (array < 12 && array % 4 == 1); }
template <std::size_t D>
constexpr void lstm_shapes(lstm_weights<shape, D>& shapes, extent inputs, extent outputs, const lstm_params& params) {
    for (std::size_t i = 0; i < 15; ++i) {
        shape& s = shapes.*lstm_members<shape, D>[i];
        s = {outputs};
        if (i < 4) s = {outputs, inputs};
        else if (i < 8) s = {outputs, outputs};
        else if (i < 12 ? !params.has_bias_vectors : !params.has_peephole_vectors) s = absent;
        if (is_of_forget_gate(i) && !params.has_forget_gate) s = absent;
    }
}
/// Takes from the lengths of the arrays of a file whether the forget gate has some.
constexpr void set_forget_gate(lstm_params& params, std::span<const extent> lengths) {
    params.has_forget_gate = !params.coupled_input_and_forget_gate;
    for (std::size_t i = 0; i < lengths.size(); ++i)
        params.has_forget_gate |= is_of_forget_gate(i % 15) && lengths[i] != 0;
}
/// The pointers of views of type View on T.
template <class T, std::size_t D, class View>
gate_arrays<T> lstm_arrays(const lstm_weights<View, D>& p) noexcept {
    gate_arrays<T> a;
    for (std::size_t i = 0; i < 15; ++i) {
        T* const data = (p.*lstm_members<View, D>[i]).data;
        (i < 4 ? a.w[i] : i < 8 ? a.r[i - 4] : i < 12 ? a.bias[i - 8] : a.peepholes[i - 12]) = data;
    }
    return a;
}

/// Calls `body(cell)` with a cell compiled for these activations, or with one for any.
template <class Body>
[[gnu::always_inline]] inline void with_lstm_cell(const lstm_params& params,
                                                  const std::array<recurrent_activation, 3>& activations,
                                                  const Body& body) noexcept {
    const auto& [f, g, h] = activations;
    const float clip = params.cell_clip_threshold == 0 ? 50.0F : params.cell_clip_threshold;
    const bool coupled = params.coupled_input_and_forget_gate;
    if (f.is<sigmoid>() && g.is<tanh>() && h.is<tanh>())
        body(kernels::lstm_cell<sigmoid, tanh, tanh>{{}, {}, {}, coupled, clip});
    else
        body(kernels::lstm_cell<recurrent_activation, recurrent_activation, recurrent_activation>{
            f.with_constants(), g.with_constants(), h.with_constants(), coupled, clip});
}

}  // namespace detail

/// Long short-term memory, for each step t, with f, g, h = activations:
///     i = f(W_i x_t + R_i y_{t-1} + p_i c_{t-1} + b_i)    z = g(W_z x_t + R_z y_{t-1} + b_z)
///     f = f(W_f x_t + R_f y_{t-1} + p_f c_{t-1} + b_f)    c_t = clip(c_{t-1} f + i z)
///     o = f(W_o x_t + R_o y_{t-1} + p_o c_t + b_o)        y_t = h(c_t) o
/// Where the gates are coupled, c_t = clip(c_{t-1} (1 - i) + i z).
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], p, b [output_vector_size].
/// Shapes: see recurrent.hpp; the states are y and c.
/// Hochreiter and Schmidhuber, 1997; Gers and Schmidhuber, 2000; Core ML specification,
/// UniDirectionalLSTMLayerParams.
struct uni_directional_lstm {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    std::array<recurrent_activation, 3> activations{sigmoid{}, tanh{}, tanh{}};
    lstm_params params{};
    bool reverse_input = false;
    bool gives_states = false;  ///< also of x alone; a file says it by the outputs that it names

    static constexpr auto key = "uniDirectionalLSTM";
    constexpr void fields(auto& field) {
        field("inputVectorSize", input_vector_size);
        field("outputVectorSize", output_vector_size);
        field("activations", activations);
        field("params", params);
        field("reverseInput", reverse_input);
    }
    static constexpr input_count inputs{1, 3};

    template <class T>
    using parameters = lstm_weights<T>;
    template <class T>
    static constexpr auto parameter_fields = detail::lstm_fields<T, lstm_weights<T>>(std::index_sequence<0>{});

    constexpr outcome output_shape(std::span<const shape> xs) const {
        return detail::lstm_output_shape(form(), params, xs);
    }
    constexpr void set_lengths(std::span<const extent> lengths) { detail::set_forget_gate(params, lengths); }
    [[gnu::always_inline]] constexpr uni_directional_lstm resolved(std::span<const shape> xs) const {
        uni_directional_lstm result = *this;
        if (input_vector_size == unset) result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr lstm_weights<shape> parameter_shapes(std::span<const shape> xs) const {
        lstm_weights<shape> shapes;
        detail::lstm_shapes(shapes, detail::recurrent_form::inputs(xs[0]), output_vector_size, params);
        return shapes;
    }

    [[gnu::always_inline]] constexpr detail::recurrent_runner<uni_directional_lstm> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const uni_directional_lstm&, const uni_directional_lstm&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        detail::recurrent_form f = detail::lstm_form(input_vector_size, output_vector_size, params, 1);
        f.reverse = reverse_input;
        f.gives_states = gives_states;
        return f;
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return detail::lstm_arrays<T>(p);
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        detail::with_lstm_cell(params, activations, body);
    }
};

/// Two LSTMs over the same sequence, the second from the last step to the first; y_t holds both, one behind the other,
/// for the same x_t. Without sequence_output: what each has after all steps.
/// Shapes: see recurrent.hpp; the states are y and c of the first, then y and c of the second.
/// Core ML specification, BiDirectionalLSTMLayerParams.
struct bi_directional_lstm {
    extent input_vector_size = unset;
    extent output_vector_size = unset;  ///< of each direction
    std::array<recurrent_activation, 3> activations_forward_lstm{sigmoid{}, tanh{}, tanh{}};
    std::array<recurrent_activation, 3> activations_backward_lstm{sigmoid{}, tanh{}, tanh{}};
    lstm_params params{};
    bool gives_states = false;  ///< also of x alone; a file says it by the outputs that it names

    static constexpr auto key = "biDirectionalLSTM";
    constexpr void fields(auto& field) {
        field("inputVectorSize", input_vector_size);
        field("outputVectorSize", output_vector_size);
        field("activationsForwardLSTM", activations_forward_lstm);
        field("activationsBackwardLSTM", activations_backward_lstm);
        field("params", params);
    }
    static constexpr input_count inputs{1, 5};

    template <class T>
    struct parameters : lstm_weights<T, 0>, lstm_weights<T, 1> {};
    template <class T>
    static constexpr auto parameter_fields = detail::lstm_fields<T, parameters<T>>(std::index_sequence<0, 1>{});

    constexpr outcome output_shape(std::span<const shape> xs) const {
        return detail::lstm_output_shape(form(), params, xs);
    }
    constexpr void set_lengths(std::span<const extent> lengths) { detail::set_forget_gate(params, lengths); }
    constexpr bi_directional_lstm resolved(std::span<const shape> xs) const {
        bi_directional_lstm result = *this;
        if (input_vector_size == unset) result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent channels = detail::recurrent_form::inputs(xs[0]);
        parameters<shape> shapes;
        detail::lstm_shapes<0>(shapes, channels, output_vector_size, params);
        detail::lstm_shapes<1>(shapes, channels, output_vector_size, params);
        return shapes;
    }

    constexpr detail::recurrent_runner<bi_directional_lstm> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const bi_directional_lstm&, const bi_directional_lstm&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        detail::recurrent_form f = detail::lstm_form(input_vector_size, output_vector_size, params, 2);
        f.gives_states = gives_states;
        return f;
    }
    template <class T, class View, std::size_t D>
    static detail::gate_arrays<T> arrays(const parameters<View>& p, std::integral_constant<std::size_t, D>) noexcept {
        return detail::lstm_arrays<T, D, View>(p);
    }
    template <class Body>
    void with_cell(std::size_t direction, const Body& body) const noexcept {
        detail::with_lstm_cell(params, direction == 0 ? activations_forward_lstm : activations_backward_lstm, body);
    }
};

}  // namespace bespoke
