/// bespoke as one of its peers: every network composed in code, and the same network as a program whose layers
/// are chosen at run time.
#include "peers.hpp"

#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/convolution.hpp>
#include <bespoke/layers/flatten.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/pooling.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/network/program.hpp>
#include <bespoke/training/trainer.hpp>

#include <algorithm>
#include <memory>
#include <numeric>

namespace bespoke::benchmarks {
namespace {

constexpr pooling halve{.kernel_size = {2, 2}, .stride = {2, 2}};

inline constexpr auto lenet =
    compose(bespoke::input{"image", {1, 28, 28}}, convolution{.output_channels = 32}, relu{}, halve,
            convolution{.output_channels = 64}, relu{}, halve, flatten{}, inner_product{.output_channels = 128}, relu{},
            inner_product{.output_channels = 10}, softmax{});

inline constexpr auto mlp784 =
    compose(bespoke::input{"x", {784}}, inner_product{.output_channels = 256}, relu{},
            inner_product{.output_channels = 128}, relu{}, inner_product{.output_channels = 10});

inline constexpr auto mlp784_512 =
    compose(bespoke::input{"x", {784}}, inner_product{.output_channels = 512}, relu{},
            inner_product{.output_channels = 256}, relu{}, inner_product{.output_channels = 10}, softmax_nd{});

inline constexpr auto mlp32 =
    compose(bespoke::input{"x", {32}}, inner_product{.output_channels = 64}, tanh{},
            inner_product{.output_channels = 64}, tanh{}, inner_product{.output_channels = 8});

/// Every peer starts from these parameters.
template <class Network>
void fill_parameters(Network& net) {
    const plan_view plan = net.plan();
    int layer = -1;
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const auto& facts = plan.parameters[i];
        const auto outputs = static_cast<int>(facts.dimensions[0]);
        const auto fan_in = static_cast<int>(facts.dimensions.size() / facts.dimensions[0]);
        const bool is_weights = facts.name == "weights";
        std::ranges::copy(is_weights ? weights(++layer, outputs, fan_in) : biases(layer, outputs),
                          net.core().parameter(i));
    }
    net.prepare();
}

template <class... Parts>
program chosen_at_run_time(const sequence<Parts...>& network, int threads) {
    layer_list layers;
    std::vector<program::named_shape> inputs;
    const auto add = [&]<class Part>(const Part& part) {
        if constexpr (is_node<Part>)
            layers.nodes.push_back(std::make_shared<node_of<decltype(part.layer)>>(part.layer));
        else
            inputs.push_back({std::string(part.name), part.dimensions});
    };
    std::apply([&](const Parts&... part) { (add(part), ...); }, network.parts);
    program result(std::move(layers), std::move(inputs), {});
    result.use_threads(static_cast<std::size_t>(threads));
    return result;
}

/// The door through which a network comes in.
struct composed {
    template <const auto& Description>
    static network<Description> make(int threads) {
        return network<Description>(0, static_cast<std::size_t>(threads));
    }
    template <class Network>
    static std::span<const float> predict(Network& net, const std::vector<float>& x, int batch) {
        if (batch == 1) {
            const auto y = net(x);
            return {y.data(), y.size()};
        }
        const auto y = net.predict_batch(x);
        return {y.data(), y.size()};
    }
};
struct loaded {
    template <const auto& Description>
    static program make(int threads) {
        return chosen_at_run_time(Description, threads);
    }
    static std::span<const float> predict(program& net, const std::vector<float>& x, int batch) {
        auto& core = net.core();
        core.reserve(batch);
        core.measure();
        std::ranges::copy(x, core.value(net.plan().inputs[0]));
        net.forward();
        const std::size_t y = net.plan().outputs[0];
        return {core.value(y), static_cast<std::size_t>(core.elements(y))};
    }
};

template <class Door, const auto& Description>
work_function prediction(int batch, int threads) {
    auto net = std::make_shared<decltype(Door::template make<Description>(1))>(Door::template make<Description>(threads));
    fill_parameters(*net);
    const auto size = static_cast<int>(net->plan().blobs[net->plan().inputs[0]].dimensions.size());
    return [net, x = input(batch, size), batch] { return Door::predict(*net, x, batch); };
}

/// One mini-batch of the same images in every step; the labels change, as those of the peers do.
template <class Network, class Optimizer>
struct training_run {
    static constexpr int label_sets = 10;

    Network net;
    trainer<float> learner;
    std::size_t batch, step = 0;
    std::vector<std::size_t> order;
    float loss = 0;

    training_run(Network network, Optimizer optimizer, int batch_size)
        : net(std::move(network)), learner(net, {categorical_cross_entropy{}}, optimizer, train::all_layers),
          batch(static_cast<std::size_t>(batch_size)), order(batch * label_sets) {
        fill_parameters(net);
        const auto x = input(batch_size, static_cast<int>(net.plan().blobs[net.plan().inputs[0]].dimensions.size()));
        std::vector<float> images, labels;
        for (int set = 0; set < label_sets; ++set) {
            images.insert(images.end(), x.begin(), x.end());
            for (int i = 0; i < batch_size; ++i) labels.push_back(static_cast<float>(label(i, set)));
        }
        const example_data<float> inputs[] = {images}, targets[] = {labels};
        learner.load(order.size(), inputs, targets);
        std::iota(order.begin(), order.end(), std::size_t{0});
    }
    std::span<const float> operator()() {
        const std::size_t set = step++ % label_sets;
        loss = static_cast<float>(learner.step(std::span(order).subspan(set * batch, batch)));
        return {&loss, 1};
    }
};

template <class Door, const auto& Description, class Optimizer>
work_function training(Optimizer optimizer, int batch, int threads) {
    using run = training_run<decltype(Door::template make<Description>(1)), Optimizer>;
    return [run = std::make_shared<run>(Door::template make<Description>(threads), optimizer, batch)] {
        return (*run)();
    };
}

template <class Door>
work_function make(std::string_view work, int batch, int threads) {
    if (work == "lenet_forward") return prediction<Door, lenet>(batch, threads);
    if (work == "mlp_forward") return prediction<Door, mlp784>(batch, threads);
    if (work == "mlp32_tanh") return prediction<Door, mlp32>(batch, threads);
    if (work == "lenet_train")
        return training<Door, lenet>(sgd{.learning_rate = 0.01, .momentum = 0.9}, batch, threads);
    if (work == "mlp_train") return training<Door, mlp784_512>(adam{}, batch, threads);
    return {};
}

}  // namespace

const peer composed_peer{"bespoke composed", make<composed>};
const peer loaded_peer{"bespoke loaded", make<loaded>};

}  // namespace bespoke::benchmarks
