/// dlib's deep learning layers with its BLAS. dlib has threads only there.
#include "peers.hpp"

#include <algorithm>
#include <array>
#include <dlib/dnn.h>
#include <memory>

namespace bespoke::benchmarks {
namespace {

template <long Channels, class Below>
using valid_convolution = dlib::add_layer<dlib::con_<Channels, 3, 3, 1, 1, 0, 0>, Below>;
template <class Below> using pool = dlib::max_pool<2, 2, 2, 2, Below>;
using pixels = dlib::input<dlib::matrix<float>>;

// Layer 0 is the last one.
template <class Below>
using lenet_layers = dlib::fc<10, dlib::relu<dlib::fc<128, pool<dlib::relu<valid_convolution<64,
                     pool<dlib::relu<valid_convolution<32, Below>>>>>>>>>;
using lenet = dlib::softmax<lenet_layers<pixels>>;
using lenet_with_loss = dlib::loss_multiclass_log<lenet_layers<pixels>>;
using mlp = dlib::fc<10, dlib::relu<dlib::fc<128, dlib::relu<dlib::fc<256, pixels>>>>>;
using mlp_with_loss = dlib::loss_multiclass_log<
    dlib::fc<10, dlib::relu<dlib::fc<256, dlib::relu<dlib::fc<512, pixels>>>>>>;
using mlp32 = dlib::fc<8, dlib::htan<dlib::fc<64, dlib::htan<dlib::fc<64, pixels>>>>>;

dlib::resizable_tensor tensor(int batch, int channels, int rows, int columns) {
    dlib::resizable_tensor x(batch, channels, rows, columns);
    std::ranges::copy(input(batch, channels * rows * columns), x.host_write_only());
    return x;
}

/// The parameters of a dlib layer are its weights, [outputs, inputs] for convolutions and [inputs, outputs]
/// for fully connected ones, and then its biases.
template <class Layer> void fill(Layer& layer, int index, int outputs, int inputs, bool convolution) {
    auto& p = layer.layer_details().get_layer_params();
    const auto w = weights(index, outputs, inputs), b = biases(index, outputs);
    DLIB_CASSERT(p.size() == w.size() + b.size());
    auto* to = p.host_write_only();
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i)
            to[convolution ? o * inputs + i : i * outputs + o] = w[static_cast<std::size_t>(o * inputs + i)];
    std::ranges::copy(b, to + w.size());
}

/// Fills a LeNet whose last fully connected layer is layer `Top`.
template <std::size_t Top, class Network> void fill_lenet(Network& net) {
    fill(dlib::layer<Top + 8>(net), 0, 32, 9, true);
    fill(dlib::layer<Top + 5>(net), 1, 64, 32 * 9, true);
    fill(dlib::layer<Top + 2>(net), 2, 128, 1600, false);
    fill(dlib::layer<Top>(net), 3, 10, 128, false);
}

template <std::size_t Top, class Network> void fill_mlp(Network& net, std::array<int, 4> sizes) {
    fill(dlib::layer<Top + 4>(net), 0, sizes[1], sizes[0], false);
    fill(dlib::layer<Top + 2>(net), 1, sizes[2], sizes[1], false);
    fill(dlib::layer<Top>(net), 2, sizes[3], sizes[2], false);
}

/// dlib takes tensors only after it has seen one example of its input type.
template <class Network> void accept_tensors(Network& net) {
    const dlib::matrix<float> example = dlib::zeros_matrix<float>(1, 1);
    dlib::resizable_tensor x;
    net.to_tensor(&example, &example + 1, x);
}

template <class Network, class Fill> work_function forward(dlib::resizable_tensor x, Fill fill) {
    auto net = std::make_shared<Network>();
    accept_tensors(*net);
    net->forward(x); // allocates the parameters
    fill(*net);
    return [net, x] {
        const dlib::tensor& y = net->forward(x);
        return std::span<const float>(y.host(), y.size());
    };
}

template <class Network, class Solver, class Fill>
work_function training(dlib::resizable_tensor x, Solver solver, double learning_rate, Fill fill) {
    auto net = std::make_shared<Network>();
    accept_tensors(*net);
    net->subnet().forward(x);
    fill(*net);
    std::vector<std::vector<unsigned long>> labels(10);
    for (int step = 0; step < 10; ++step)
        for (int i = 0; i < x.num_samples(); ++i)
            labels[static_cast<std::size_t>(step)].push_back(static_cast<unsigned long>(label(i, step)));
    std::vector<Solver> solvers(Network::num_computational_layers, solver);
    return [net, x, learning_rate, labels, solvers, step = std::size_t{0}, loss = 0.0F]() mutable {
        const auto wanted = labels[step++ % labels.size()].begin();
        loss = static_cast<float>(net->compute_parameter_gradients(x, wanted));
        net->update_parameters(dlib::make_sstack(solvers), learning_rate);
        return std::span<const float>(&loss, 1);
    };
}

contestant make(const work& w, int threads) {
    blas_threads(threads);
    keep_freed_memory();
    if (w.name == "lenet")
        return forward<lenet>(tensor(w.batch, 1, 28, 28), [](auto& net) { fill_lenet<1>(net); });
    if (w.name == "train_lenet")
        return training<lenet_with_loss>(tensor(w.batch, 1, 28, 28), dlib::sgd(0.0F, 0.9F), 0.01,
                                         [](auto& net) { fill_lenet<1>(net); });
    if (w.name == "mlp784")
        return forward<mlp>(tensor(w.batch, 784, 1, 1),
                            [](auto& net) { fill_mlp<0>(net, {784, 256, 128, 10}); });
    if (w.name == "train_mlp")
        return training<mlp_with_loss>(tensor(w.batch, 784, 1, 1), dlib::adam(0.0F, 0.9F, 0.999F), 1e-3,
                                       [](auto& net) { fill_mlp<1>(net, {784, 512, 256, 10}); });
    if (w.name == "mlp32_tanh")
        return forward<mlp32>(tensor(w.batch, 32, 1, 1),
                              [](auto& net) { fill_mlp<0>(net, {32, 64, 64, 8}); });
    return {};
}

} // namespace

const peer dlib_peer{"dlib", make};

} // namespace bespoke::benchmarks
