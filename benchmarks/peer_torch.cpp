/// PyTorch's C++ library. Convolutions run in oneDNN's blocked layout, forward and backward: on LeNet at
/// batch 64 that was several times as fast as plain tensors, and faster than channels_last. Forward is in
/// inference mode with weights reordered once; training is autograd and torch::optim.
#include "peer_torch_script.hpp"

#include <ATen/Parallel.h>
#include <memory>
#include <torch/optim.h>
#include <torch/utils.h>

namespace bespoke::benchmarks {
namespace {

struct dense {
    torch::Tensor w, b;

    dense(int layer, int inputs, int outputs)
        : w(tensor(weights(layer, outputs, inputs), {outputs, inputs})),
          b(tensor(biases(layer, outputs), {outputs})) {}
    torch::Tensor operator()(const torch::Tensor& x) const { return at::linear(x, w, b); }
};

struct convolution {
    torch::Tensor w, b;

    convolution(int layer, int inputs, int outputs)
        : w(tensor(weights(layer, outputs, inputs * 9), {outputs, inputs, 3, 3})),
          b(tensor(biases(layer, outputs), {outputs})) {}
    torch::Tensor operator()(const torch::Tensor& x) const { return at::conv2d(x, w, b); }
    void reorder() {
        w = at::mkldnn_reorder_conv2d_weight(w.to_mkldnn(), {0, 0}, {1, 1}, {1, 1});
        b = b.to_mkldnn();
    }
};

struct lenet {
    convolution conv1{0, 1, 32}, conv2{1, 32, 64};
    dense dense1{2, 1600, 128}, dense2{3, 128, 10};

    static torch::Tensor pool(const torch::Tensor& x) {
        return at::max_pool2d(x, {2, 2}, {2, 2}, {0, 0}, {1, 1}); // backward has no defaults for these
    }
    torch::Tensor logits(const torch::Tensor& x) const {
        auto features = pool(conv2(pool(conv1(x.to_mkldnn()).relu_())).relu_());
        return dense2(dense1(features.to_dense().flatten(1)).relu_());
    }
    std::vector<torch::Tensor> parameters() const {
        return {conv1.w, conv1.b, conv2.w, conv2.b, dense1.w, dense1.b, dense2.w, dense2.b};
    }
};

struct mlp {
    std::vector<dense> layers;
    bool tanh;

    mlp(const std::vector<int>& sizes, bool with_tanh) : tanh(with_tanh) {
        for (std::size_t i = 0; i + 1 < sizes.size(); ++i)
            layers.emplace_back(static_cast<int>(i), sizes[i], sizes[i + 1]);
    }
    torch::Tensor logits(torch::Tensor x) const {
        for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
            x = layers[i](x);
            tanh ? x.tanh_() : x.relu_();
        }
        return layers.back()(x);
    }
    std::vector<torch::Tensor> parameters() const {
        std::vector<torch::Tensor> all;
        for (const auto& l : layers) all.insert(all.end(), {l.w, l.b});
        return all;
    }
};

work_function lenet_forward(int batch) {
    c10::InferenceMode guard;
    lenet net;
    net.conv1.reorder();
    net.conv2.reorder();
    return [net, x = tensor(input(batch, 784), {batch, 1, 28, 28}), y = torch::Tensor()]() mutable {
        c10::InferenceMode inference;
        y = at::softmax(net.logits(x), 1);
        return view(y);
    };
}

work_function mlp_forward(int batch, const std::vector<int>& sizes, bool tanh) {
    c10::InferenceMode guard;
    return [net = mlp(sizes, tanh), x = tensor(input(batch, sizes[0]), {batch, sizes[0]}),
            y = torch::Tensor()]() mutable {
        c10::InferenceMode inference;
        y = net.logits(x);
        return view(y);
    };
}

template <class Network> std::vector<torch::Tensor> trainable(const Network& net) {
    auto all = net.parameters();
    for (auto& p : all) p.set_requires_grad(true);
    return all;
}

template <class Network, class Optimizer>
work_function training(const Network& net, torch::Tensor x, std::shared_ptr<Optimizer> optimizer) {
    std::vector<torch::Tensor> labels;
    for (int step = 0; step < 10; ++step) {
        labels.push_back(torch::empty({x.size(0)}, torch::kLong));
        for (int i = 0; i < x.size(0); ++i) labels.back()[i] = label(i, step);
    }
    return [net, x, optimizer, labels, step = std::size_t{0}, loss = torch::Tensor()]() mutable {
        optimizer->zero_grad();
        loss = at::cross_entropy_loss(net.logits(x), labels[step++ % labels.size()]);
        loss.backward();
        optimizer->step();
        return view(loss);
    };
}

contestant make(const work& w, int threads) {
    at::set_num_threads(threads);
    blas_threads(threads);
    keep_freed_memory();
    if (w.name == "lenet") return lenet_forward(w.batch);
    if (w.name == "mlp784") return mlp_forward(w.batch, {784, 256, 128, 10}, false);
    if (w.name == "mlp32_tanh") return mlp_forward(w.batch, {32, 64, 64, 8}, true);
    if (w.name == "train_lenet") {
        lenet net;
        auto options = torch::optim::SGDOptions(0.01).momentum(0.9);
        return training(net, tensor(input(w.batch, 784), {w.batch, 1, 28, 28}),
                        std::make_shared<torch::optim::SGD>(trainable(net), options));
    }
    if (w.name == "train_mlp") {
        mlp net({784, 512, 256, 10}, false);
        auto options = torch::optim::AdamOptions(1e-3);
        return training(net, tensor(input(w.batch, 784), {w.batch, 784}),
                        std::make_shared<torch::optim::Adam>(trainable(net), options));
    }
    if (w.name == "sgemm") {
        c10::InferenceMode guard;
        return [x = tensor(input(w.batch, w.inputs), {w.batch, w.inputs}),
                weights = tensor(weights(0, w.outputs, w.inputs), {w.outputs, w.inputs}),
                y = torch::Tensor()]() mutable {
            c10::InferenceMode inference;
            y = at::linear(x, weights);
            return view(y);
        };
    }
    if (contestant c = torch_script(w)) return c;
    return torch_streams(w);
}

} // namespace

const peer torch_peer{"libtorch", make};

} // namespace bespoke::benchmarks
