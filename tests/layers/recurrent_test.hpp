#pragma once

#include <bespoke/layers/lstm.hpp>

#include "torch_numbers.hpp"

/// Recurrent layers by their definition, in double, element by element.
namespace recurrent_test {

using namespace bespoke;
using namespace layer_test;
using numbers_list = std::vector<double>;

inline double activate(const recurrent_activation& a, double v) {
    if (const auto* f = std::get_if<linear>(&a.type))
        return static_cast<double>(f->alpha) * v + static_cast<double>(f->beta);
    if (a.is<relu>()) return std::max(0.0, v);
    if (a.is<bespoke::tanh>()) return std::tanh(v);
    if (const auto* f = std::get_if<scaled_tanh>(&a.type))
        return static_cast<double>(f->alpha) * std::tanh(static_cast<double>(f->beta) * v);
    if (const auto* f = std::get_if<sigmoid_hard>(&a.type))
        return std::clamp(static_cast<double>(f->alpha) * v + static_cast<double>(f->beta), 0.0, 1.0);
    return 1 / (1 + std::exp(-v));
}
inline double gate(const recurrent_activation& a, double v) { return activate(a, std::clamp(v, -50.0, 50.0)); }

/// Sum over k of m[row * n + k] v[k].
inline double row_dot(const numbers_list& m, std::size_t row, const double* v, std::size_t n) {
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sum += m[row * n + k] * v[k];
    return sum;
}
inline double at(const numbers_list& v, std::size_t i) { return v.empty() ? 0 : v[i]; }

/// [steps, batch, n] of one example, in the order in which it is processed, and the states behind the last step.
struct naive_result {
    numbers_list y, h, c;
};

/// x [steps, batch, inputs] of one example; w in the order of `parameter_fields`; h, c [batch, n], empty: 0.
inline naive_result naive_lstm(const lstm_params& p, const std::array<recurrent_activation, 3>& a, bool reverse,
                               std::size_t steps, std::size_t batch, std::size_t n, const double* x,
                               const numbers_list* w, numbers_list h, numbers_list c) {
    const std::size_t inputs = w[0].size() / n;
    const double clip = p.cell_clip_threshold == 0 ? 50 : static_cast<double>(p.cell_clip_threshold);
    h.resize(batch * n);
    c.resize(batch * n);
    naive_result result;
    for (std::size_t s = 0; s < steps; ++s) {
        const std::size_t t = reverse ? steps - 1 - s : s;
        const numbers_list old_h = h;
        for (std::size_t b = 0; b < batch; ++b)
            for (std::size_t j = 0; j < n; ++j) {
                const auto sum = [&](std::size_t k) {
                    return row_dot(w[k], j, x + (t * batch + b) * inputs, inputs) +
                           row_dot(w[4 + k], j, old_h.data() + b * n, n) + at(w[8 + k], j);
                };
                double& cell = c[b * n + j];
                const double i = gate(a[0], sum(0) + at(w[12], j) * cell), z = gate(a[1], sum(2));
                double f = gate(a[0], sum(1) + (p.forget_bias ? 1 : 0) + at(w[13], j) * cell);
                if (p.coupled_input_and_forget_gate) f = 1 - i;
                cell = std::clamp(cell * f + i * z, -clip, clip);
                const double o = gate(a[0], sum(3) + at(w[14], j) * cell);
                h[b * n + j] = activate(a[2], cell) * o;
            }
        result.y.insert(result.y.end(), h.begin(), h.end());
    }
    result.h = h;
    result.c = c;
    return result;
}

template <class T>
numbers_list to_doubles(const std::vector<T>& v) {
    return numbers_list(v.begin(), v.end());
}

/// Random parameters for a layer and an input, in [-size, size).
template <class T, class L>
std::vector<std::vector<T>> random_parameters(const L& layer, const shape& x, double size = 1) {
    const auto shapes = parameter_shapes(layer, std::span(&x, 1));
    std::vector<std::vector<T>> values;
    for (const shape& s : shapes) {
        values.push_back(numbers<T>(s.size(), 50 + values.size()));
        for (T& v : values.back()) v *= static_cast<T>(size);
    }
    return values;
}

/// The same for parameters, in double.
template <class T>
std::vector<numbers_list> to_doubles(const std::vector<std::vector<T>>& all) {
    std::vector<numbers_list> result;
    for (const auto& v : all) result.push_back(to_doubles(v));
    return result;
}

/// x of one example as the layers take it.
inline std::vector<shape> sequence_shapes(extent steps, extent batch, extent channels) {
    std::vector<shape> shapes{{steps, batch, channels}, {steps, batch, channels, 1, 1}};
    if (batch == 1) shapes.push_back({steps, channels});
    return shapes;
}

}  // namespace recurrent_test
