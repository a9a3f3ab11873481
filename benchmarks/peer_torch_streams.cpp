/// Networks that take one sample a call, in PyTorch: cells, and matrix products over delay lines.
#include "peer_torch_script.hpp"

#include <memory>

namespace bespoke::benchmarks {
namespace {

/// W, R and b of the gates, each array below the one before it. `order`: the gate of ours that stands at each place.
struct gates {
    torch::Tensor w, r, b, no_bias;

    gates(parameter_stream& stream, std::vector<std::size_t> order, int units, std::size_t shared = 99) {
        const auto size = static_cast<std::size_t>(units);
        const auto read = [&](int columns, const auto& next) {
            std::vector<torch::Tensor> ours, placed;
            for (std::size_t gate = 0; gate < order.size(); ++gate) {
                auto t = tensor(next(), {units, columns});
                ours.push_back(gate == shared ? t.slice(0, 0, 1).repeat({units, 1}) : t);
            }
            for (const std::size_t gate : order) placed.push_back(ours[gate]);
            return at::cat(placed);
        };
        w = read(1, [&] { return stream.weights(size, 1); });
        r = read(units, [&] { return stream.weights(size, size); });
        b = read(1, [&] { return stream.biases(size); }).flatten();
        no_bias = torch::zeros_like(b);
    }
};

struct dense {
    torch::Tensor w, b;

    dense(parameter_stream& stream, int inputs, int outputs)
        : w(tensor(stream.weights(static_cast<std::size_t>(outputs), static_cast<std::size_t>(inputs)),
                   {outputs, inputs})),
          b(tensor(stream.biases(static_cast<std::size_t>(outputs)), {outputs})) {}
    torch::Tensor operator()(const torch::Tensor& x) const { return at::linear(x, w, b); }
};

contestant lstm20() {
    parameter_stream stream;
    const gates g(stream, {0, 1, 2, 3}, 20);
    const dense last(stream, 20, 1);
    return [g, last, x = tensor(input(1, 1), {1, 1}), h = torch::zeros({1, 20}), c = torch::zeros({1, 20}),
            y = torch::Tensor()]() mutable {
        c10::InferenceMode guard;
        std::tie(h, c) = at::lstm_cell(x, {h, c}, g.w, g.r, g.b, g.no_bias);
        y = last(h);
        return view(y);
    };
}

contestant gru32() {
    parameter_stream stream;
    const gates g(stream, {1, 0, 2}, 32, 1);
    const dense last(stream, 32, 1);
    return [g, last, x = tensor(input(1, 1), {1, 1}), h = torch::zeros({1, 32}), y = torch::Tensor()]() mutable {
        c10::InferenceMode guard;
        h = at::gru_cell(x, h, g.w, g.r, g.b, g.no_bias);
        y = last(h);
        return view(y);
    };
}

contestant conv1d_stack() {
    constexpr std::size_t layers = 4, longest = 16;
    parameter_stream stream;
    std::vector<dense> convolutions;
    std::vector<std::vector<torch::Tensor>> lines;  // what each layer has read
    for (std::size_t i = 0; i < layers; ++i) {
        const int channels = i == 0 ? 1 : 16;
        convolutions.emplace_back(stream, 3 * channels, 16);
        lines.emplace_back(longest, torch::zeros({1, channels}));
    }
    return [convolutions, lines, x = tensor(input(1, 1), {1, 1}), y = torch::Tensor(), now = std::size_t{0}]() mutable {
        c10::InferenceMode guard;
        now = (now + 1) % longest;
        y = x;
        for (std::size_t i = 0; i < layers; ++i) {
            const std::size_t gap = std::size_t{1} << i;
            auto& line = lines[i];
            const auto oldest = line[(now + longest - 2 * gap) % longest];
            line[now] = y;
            y = convolutions[i](at::cat({oldest, line[(now + longest - gap) % longest], y}, 1)).tanh_();
        }
        return view(y);
    };
}

}  // namespace

contestant torch_streams(const work& w) {
    c10::InferenceMode guard;
    if (w.name == "lstm20") return lstm20();
    if (w.name == "gru32") return gru32();
    if (w.name == "conv1d_stack") return conv1d_stack();
    return {};
}

}  // namespace bespoke::benchmarks
