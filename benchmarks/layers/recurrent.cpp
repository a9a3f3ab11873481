/// Recurrent layers over one sequence of 128 steps.
#include "layer_works.hpp"

namespace bespoke::benchmarks {
namespace {

constexpr extent steps = 128, inputs = 256, units = 128;

/// These of the parameters as one tensor, as PyTorch keeps them.
at::Tensor joined(const tensors& x, std::vector<std::size_t> which) {
    tensors parts;
    for (const std::size_t i : which) parts.push_back(x[i]);
    return at::cat(parts);
}

}  // namespace

void add_recurrent(layer_works& works) {
    const array x = uniform({steps, inputs});
    const auto w = [] { return uniform({units, inputs}, 0.1); };
    const auto r = [] { return uniform({units, units}, 0.1); };
    const auto b = [] { return uniform({units}, 0.1); };
    // PyTorch adds two biases; the second one is 0.
    works.add(
        "simple_recurrent", {x}, simple_recurrent{.output_vector_size = units, .sequence_output = true},
        [p = tensors()](const tensors& xs, tensors& y) mutable {
            if (p.empty()) p = {xs[1], xs[2], xs[3], at::zeros_like(xs[3])};
            y[0] = std::get<0>(at::rnn_tanh(xs[0].unsqueeze(1), at::zeros({1, 1, units}), p, true, 1, 0, false, false,
                                            false));
        },
        {.parameters = {w(), r(), b()}});
    works.add(
        "lstm", {x}, uni_directional_lstm{.output_vector_size = units, .params = {.sequence_output = true}},
        [p = tensors()](const tensors& xs, tensors& y) mutable {
            if (p.empty()) {
                p = {joined(xs, {1, 2, 3, 4}), joined(xs, {5, 6, 7, 8}), joined(xs, {9, 10, 11, 12})};
                p.push_back(at::zeros_like(p[2]));
            }
            const at::Tensor zero = at::zeros({1, 1, units});
            y[0] = std::get<0>(at::lstm(xs[0].unsqueeze(1), {zero, zero}, p, true, 1, 0, false, false, false));
        },
        {.parameters = {w(), w(), w(), w(), r(), r(), r(), r(), b(), b(), b(), b()}});
    // All units have the reset gate of the first, so that both conventions of it agree.
    const auto alike = [](array a) {
        const std::size_t row = a.values.size() / static_cast<std::size_t>(units);
        for (std::size_t i = row; i < a.values.size(); ++i) a.values[i] = a.values[i - row];
        return a;
    };
    works.add(
        "gru", {x}, gru{.output_vector_size = units, .sequence_output = true},
        [p = tensors()](const tensors& xs, tensors& y) mutable {
            if (p.empty()) {
                p = {joined(xs, {2, 1, 3}), joined(xs, {5, 4, 6}), joined(xs, {8, 7, 9})};
                p.push_back(at::zeros_like(p[2]));
            }
            const at::Tensor zero = at::zeros({1, 1, units});
            y[0] = std::get<0>(at::gru(xs[0].unsqueeze(1), zero, p, true, 1, 0, false, false, false));
        },
        {.parameters = {w(), alike(w()), w(), r(), alike(r()), r(), b(), alike(b()), b()}});
}

}  // namespace bespoke::benchmarks
