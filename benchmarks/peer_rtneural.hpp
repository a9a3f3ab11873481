#pragma once

/// RTNeural: networks for audio whose sizes the compiler knows. The file that includes this says first which of its
/// backends it wants: they do not go together in one file, and their classes need names of their own in one program.
#include "peers.hpp"

#include <RTNeural/RTNeural.h>

#include <memory>

namespace bespoke::benchmarks {
namespace {

namespace rt = RTNEURAL_NAMESPACE;
using rows = std::vector<std::vector<float>>;

/// [outputs, inputs] as `outputs` rows.
rows matrix(const std::vector<float>& values, std::size_t outputs) {
    rows result(outputs);
    const std::size_t inputs = values.size() / outputs;
    for (std::size_t o = 0; o < outputs; ++o)
        result[o].assign(values.begin() + static_cast<std::ptrdiff_t>(o * inputs),
                         values.begin() + static_cast<std::ptrdiff_t>((o + 1) * inputs));
    return result;
}

template <class Layer>
void fill_dense(Layer& layer, parameter_stream& stream, std::size_t inputs, std::size_t outputs) {
    layer.setWeights(matrix(stream.weights(outputs, inputs), outputs));
    layer.setBias(stream.biases(outputs).data());
}

/// Matrices [units, inputs] of the gates, side by side and transposed: [inputs, gates * units].
rows side_by_side(const std::vector<rows>& gates) {
    const std::size_t units = gates[0].size(), inputs = gates[0][0].size();
    rows result(inputs, std::vector<float>(gates.size() * units));
    for (std::size_t gate = 0; gate < gates.size(); ++gate)
        for (std::size_t unit = 0; unit < units; ++unit)
            for (std::size_t i = 0; i < inputs; ++i) result[i][gate * units + unit] = gates[gate][unit][i];
    return result;
}
std::vector<float> joined(const std::vector<std::vector<float>>& parts) {
    std::vector<float> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

/// W, R and b of `count` gates of a layer that reads one number. `shared`: the gate that is the same for all units.
struct gates {
    std::vector<rows> w, r;
    std::vector<std::vector<float>> b;

    gates(parameter_stream& stream, std::size_t count, std::size_t units, std::size_t shared = 99) {
        for (std::size_t i = 0; i < count; ++i) w.push_back(matrix(stream.weights(units, 1), units));
        for (std::size_t i = 0; i < count; ++i) r.push_back(matrix(stream.weights(units, units), units));
        for (std::size_t i = 0; i < count; ++i) b.push_back(stream.biases(units));
        if (shared >= count) return;
        for (std::size_t unit = 1; unit < units; ++unit) {
            w[shared][unit] = w[shared][0];
            r[shared][unit] = r[shared][0];
            b[shared][unit] = b[shared][0];
        }
    }
};

template <class Layer>
void fill_lstm(Layer& layer, parameter_stream& stream, std::size_t units) {
    const gates g(stream, 4, units);
    layer.setWVals(side_by_side(g.w));
    layer.setUVals(side_by_side(g.r));
    layer.setBVals(joined(g.b));
}
template <class Layer>
void fill_gru(Layer& layer, parameter_stream& stream, std::size_t units) {
    const gates g(stream, 3, units, 1);
    layer.setWVals(side_by_side(g.w));
    layer.setUVals(side_by_side(g.r));
    layer.setBVals({joined(g.b), std::vector<float>(3 * units)});
}
/// Weights [outputs, taps, inputs].
template <class Layer>
void fill_convolution(Layer& layer, parameter_stream& stream, std::size_t inputs, std::size_t outputs) {
    constexpr std::size_t taps = 3;
    const rows from = matrix(stream.weights(outputs, taps * inputs), outputs);
    std::vector<rows> weights(outputs, rows(inputs, std::vector<float>(taps)));
    for (std::size_t o = 0; o < outputs; ++o)
        for (std::size_t i = 0; i < inputs; ++i)
            for (std::size_t tap = 0; tap < taps; ++tap) weights[o][i][tap] = from[o][tap * inputs + i];
    layer.setWeights(weights);
    layer.setBias(stream.biases(outputs));
}

template <class Model>
struct running {
    Model model;
    alignas(64) float x[64]{};

    explicit running(int inputs) {
        const auto values = input(1, inputs);
        std::copy(values.begin(), values.end(), x);
        model.reset();
    }
    std::span<const float> operator()() {
        model.forward(x);
        return {model.getOutputs(), static_cast<std::size_t>(Model::output_size)};
    }
};
template <class Model, class Fill>
contestant run(int inputs, const Fill& fill) {
    auto r = std::make_shared<running<Model>>(inputs);
    parameter_stream stream;
    fill(r->model, stream);
    return [r] { return (*r)(); };
}

using mlp32 = rt::ModelT<float, 32, 8, rt::DenseT<float, 32, 64>, rt::TanhActivationT<float, 64>,
                         rt::DenseT<float, 64, 64>, rt::TanhActivationT<float, 64>, rt::DenseT<float, 64, 8>>;
using lstm20 = rt::ModelT<float, 1, 1, rt::LSTMLayerT<float, 1, 20>, rt::DenseT<float, 20, 1>>;
using gru32 = rt::ModelT<float, 1, 1, rt::GRULayerT<float, 1, 32>, rt::DenseT<float, 32, 1>>;
using conv1d_stack =
    rt::ModelT<float, 1, 16, rt::Conv1DT<float, 1, 16, 3, 1>, rt::TanhActivationT<float, 16>,
               rt::Conv1DT<float, 16, 16, 3, 2>, rt::TanhActivationT<float, 16>, rt::Conv1DT<float, 16, 16, 3, 4>,
               rt::TanhActivationT<float, 16>, rt::Conv1DT<float, 16, 16, 3, 8>, rt::TanhActivationT<float, 16>>;

contestant make(const work& w, int threads) {
    if (threads > 1) return {};
    if (w.name == "mlp32_tanh")
        return run<mlp32>(32, [](auto& m, auto& s) {
            fill_dense(m.template get<0>(), s, 32, 64);
            fill_dense(m.template get<2>(), s, 64, 64);
            fill_dense(m.template get<4>(), s, 64, 8);
        });
    if (w.name == "lstm20")
        return run<lstm20>(1, [](auto& m, auto& s) {
            fill_lstm(m.template get<0>(), s, 20);
            fill_dense(m.template get<1>(), s, 20, 1);
        });
    if (w.name == "gru32")
        return run<gru32>(1, [](auto& m, auto& s) {
            fill_gru(m.template get<0>(), s, 32);
            fill_dense(m.template get<1>(), s, 32, 1);
        });
    if (w.name == "conv1d_stack")
        return run<conv1d_stack>(1, [](auto& m, auto& s) {
            fill_convolution(m.template get<0>(), s, 1, 16);
            fill_convolution(m.template get<2>(), s, 16, 16);
            fill_convolution(m.template get<4>(), s, 16, 16);
            fill_convolution(m.template get<6>(), s, 16, 16);
        });
    return {};
}

}  // namespace
}  // namespace bespoke::benchmarks
