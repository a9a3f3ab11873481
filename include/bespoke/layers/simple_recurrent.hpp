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

    static constexpr auto key = "simpleRecurrent";
    static constexpr auto fields =
        std::tuple{field{"inputVectorSize", &simple_recurrent::input_vector_size},
                   field{"outputVectorSize", &simple_recurrent::output_vector_size},
                   field{"activation", &simple_recurrent::activation},
                   field{"sequenceOutput", &simple_recurrent::sequence_output},
                   field{"hasBiasVector", &simple_recurrent::has_bias_vector},
                   field{"reverseInput", &simple_recurrent::reverse_input}};
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

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
    constexpr simple_recurrent resolved(std::span<const shape> xs) const {
        simple_recurrent result = *this;
        result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent n = output_vector_size;
        return {.weight_matrix = {n, detail::recurrent_form::inputs(xs[0])},
                .recursion_matrix = {n, n},
                .bias_vector = has_bias_vector ? shape{n} : absent};
    }

    template <class T>
    extent prepared_size(std::span<const shape> xs) const {
        return form().prepared_size<T>(detail::recurrent_form::inputs(xs[0]));
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        form().prepare(p.weight_matrix[1], arrays<const T>(p), prepared);
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        return form().scratch_size<T>(xs[0], examples);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P&, W& w) const noexcept {
        each_call(xs[0], ys[0].examples, w, [&](const auto& call) { call.forward(xs, ys); });
    }
    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs,
                  const P&, const Dp& dp, W& w) const noexcept {
        const auto to = arrays<typename X::value_type>(dp);
        each_call(xs[0], dys[0].examples, w, [&](const auto& call) { call.backward(xs, dys, dxs, to); });
    }
    friend bool operator==(const simple_recurrent&, const simple_recurrent&) = default;

private:
    constexpr detail::recurrent_form form() const {
        return {.input_size = input_vector_size,
                .output_size = output_vector_size,
                .gates = 1,
                .late = 0,
                .states = 1,
                .directions = 1,
                .sequence_output = sequence_output};
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p) noexcept {
        return {.w = {p.weight_matrix.data}, .r = {p.recursion_matrix.data}, .bias = {p.bias_vector.data}};
    }
    /// Calls `body(call)` with a cell compiled for the activation, or with one for any.
    template <class X, class W, class Body>
    void each_call(const X& x, extent examples, W& w, const Body& body) const noexcept {
        const auto run = [&](const auto& cell) {
            detail::each_recurrent_call(form(), cell, x, examples, 0, reverse_input, w.prepared, false, w.scratch,
                                        w.threads, body);
        };
        if (activation.is<tanh>())
            run(kernels::simple_cell<tanh>{});
        else
            run(kernels::simple_cell<recurrent_activation>{activation});
    }
};

}  // namespace bespoke
