#pragma once

#include "peers.hpp"

#include <bespoke.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

/// bespoke as one of its peers: every network composed in code, and the same network as a program whose layers are
/// chosen at run time. The works are spread over files own_*.cpp; own.cpp asks them in turn.
namespace bespoke::benchmarks {

/// The works of each file, empty where a work is none of them. `composed`: by which door.
contestant own_layers(const work& w, int threads, bool composed);
contestant own_bert(const work& w, int threads, bool composed);
contestant own_bert_sizes(const work& w, int threads, bool composed);
contestant own_bert_training(const work& w, int threads, bool composed);
contestant own_images(const work& w, int threads, bool composed);
contestant own_streams(const work& w, int threads, bool composed);
contestant own_training(const work& w, int threads, bool composed);
/// Those that are large products of weights, loaded; empty where this machine cannot.
template <low_precision Precision>
contestant own_low_precision(const work& w, int threads);

/// Every peer starts from these parameters.
template <class Network>
void fill_parameters(Network& net) {
    const plan_view plan = net.plan();
    parameter_stream stream;
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const parameter_facts& facts = plan.parameters[i];
        const auto size = static_cast<std::size_t>(facts.dimensions.size());
        if (size == 0) continue;
        const auto first = static_cast<std::size_t>(facts.dimensions[0]);
        const bool scales = facts.name == "gamma" || facts.name == "variance";
        const bool table = plan[plan.steps[facts.step].place].find("embedding") != std::string_view::npos;
        std::ranges::copy(table                          ? stream.table(first, size / first)
                          : facts.dimensions.rank() > 1 ? stream.weights(first, size / first)
                          : scales                       ? stream.scales(size)
                                                         : stream.biases(size),
                          net.core().parameters().fill(i));
    }
    net.prepare();
}

/// A composed network behind the door of loaded ones.
template <const auto& Description>
program chosen_at_run_time(int threads) {
    const plan_view plan = composed_plan<Description>::view();
    std::vector<program::named_shape> inputs;
    for (const std::size_t blob : plan.inputs)
        inputs.push_back({std::string(plan[plan.blobs[blob].name]), plan.blobs[blob].dimensions});
    std::vector<std::string> outputs;
    for (const std::size_t blob : plan.outputs) outputs.emplace_back(plan[plan.blobs[blob].name]);
    program result(bespoke::detail::layers_of<Description>(), std::move(inputs), std::move(outputs));
    result.use_threads(static_cast<std::size_t>(threads));
    return result;
}

/// The values of all inputs of a network, those of each for the whole batch.
using input_values = std::vector<std::vector<float>>;

/// The doors through which a network comes in.
struct composed_door {
    template <const auto& Description>
    static network<Description> make(int threads) {
        return network<Description>(0, static_cast<std::size_t>(threads));
    }
    template <const auto& Description>
    static std::span<const float> predict(network<Description>& net, const input_values& x, int batch) {
        return [&]<std::size_t... I>(std::index_sequence<I...>) -> std::span<const float> {
            if (batch == 1) {
                const auto y = net(x[I]...);
                return {y.data(), y.size()};
            }
            const auto y = net.predict_batch(x[I]...);
            return {y.data(), y.size()};
        }(std::make_index_sequence<network<Description>::plan().inputs.size()>{});
    }
};
struct loaded_door {
    template <const auto& Description>
    static program make(int threads) {
        return chosen_at_run_time<Description>(threads);
    }
    static std::span<const float> predict(program& net, const input_values& x, int batch) {
        auto& core = net.core();
        core.reserve(batch);
        for (std::size_t i = 0; i < x.size(); ++i) std::ranges::copy(x[i], core.value(net.plan().inputs[i]));
        net.forward();
        const std::size_t y = net.plan().outputs[0];
        return {core.value(y), static_cast<std::size_t>(core.elements(y))};
    }
};

/// Predictions of a network through one of the doors.
template <class Door, const auto& Description>
contestant prediction_by(input_values x, int batch, int threads) {
    using network_type = decltype(Door::template make<Description>(1));
    auto net = std::make_shared<network_type>(Door::template make<Description>(threads));
    fill_parameters(*net);
    return [net, x = std::move(x), batch] { return Door::predict(*net, x, batch); };
}
template <const auto& Description>
contestant prediction(input_values x, int batch, int threads, bool composed) {
    return composed ? prediction_by<composed_door, Description>(std::move(x), batch, threads)
                    : prediction_by<loaded_door, Description>(std::move(x), batch, threads);
}
/// With the input that all works have which say nothing else.
template <const auto& Description>
contestant prediction(int batch, int threads, bool composed) {
    constexpr plan_view plan = composed_plan<Description>::view();
    constexpr auto size = static_cast<int>(plan.blobs[plan.inputs[0]].dimensions.size());
    return prediction<Description>({input(batch, size)}, batch, threads, composed);
}

/// A network that learns from `batch` examples whose labels change in every step, as those of the peers do.
template <class Network>
struct training_run {
    static constexpr int label_sets = 10;

    Network net;
    trainer<float> learner;
    std::size_t batch, step = 0;
    std::vector<std::size_t> order;
    float loss = 0;

    training_run(Network network, any_optimizer<float> optimizer, train which, const input_values& x, int batch_size)
        : net(std::move(network)), learner(net, {categorical_cross_entropy{}}, std::move(optimizer), which),
          batch(static_cast<std::size_t>(batch_size)), order(batch * label_sets) {
        fill_parameters(net);
        input_values examples(x.size());
        std::vector<float> labels;
        for (int set = 0; set < label_sets; ++set) {
            for (std::size_t i = 0; i < x.size(); ++i) examples[i].insert(examples[i].end(), x[i].begin(), x[i].end());
            for (int i = 0; i < batch_size; ++i) labels.push_back(static_cast<float>(label(i, set)));
        }
        const std::vector<example_data<float>> inputs(examples.begin(), examples.end());
        learner.load(order.size(), inputs, std::vector<example_data<float>>{labels});
        std::iota(order.begin(), order.end(), std::size_t{0});
    }
    std::span<const float> operator()() {
        const std::size_t set = step++ % label_sets;
        loss = static_cast<float>(learner.step(std::span(order).subspan(set * batch, batch)));
        return {&loss, 1};
    }
};

template <class Door, const auto& Description>
contestant training_by(any_optimizer<float> optimizer, const input_values& x, int batch, int threads) {
    using run = training_run<decltype(Door::template make<Description>(1))>;
    return [run = std::make_shared<run>(Door::template make<Description>(threads), std::move(optimizer),
                                        train::all_layers, x, batch)] { return (*run)(); };
}
template <const auto& Description>
contestant training(any_optimizer<float> optimizer, const input_values& x, int batch, int threads, bool composed) {
    return composed ? training_by<composed_door, Description>(std::move(optimizer), x, batch, threads)
                    : training_by<loaded_door, Description>(std::move(optimizer), x, batch, threads);
}

inline input_values to_values(const bert_inputs& in) { return {in.ids, in.types_of, in.positions_of, in.mask}; }

}  // namespace bespoke::benchmarks
