#include "networks/bert.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {
namespace {

any_optimizer<float> adamw(double learning_rate) {
    return chain(adam{.learning_rate = learning_rate}, decay_weights{0.01 * learning_rate});
}

/// The last layers and the head of BERT-base. Where nothing is cached, every step takes new examples, so that the
/// frozen layers run in it.
template <class Door>
contestant head_training(int batch, bool cached, int threads) {
    using network_type = decltype(Door::template make<bert_base_classifier>(1));
    struct run {
        network_type net;
        trainer<float> learner;
        input_values x;
        std::vector<float> labels;
        std::vector<std::size_t> order;
        float loss = 0;

        run(network_type network, int batch_size)
            : net(std::move(network)), learner(net, {categorical_cross_entropy{}}, adamw(1e-5)),
              x(to_values(bert_inputs(batch_size, 128))), order(static_cast<std::size_t>(batch_size)) {
            fill_parameters(net);
            for (int i = 0; i < batch_size; ++i) labels.push_back(static_cast<float>(label(i, 0)));
            std::iota(order.begin(), order.end(), std::size_t{0});
            load();
        }
        void load() {
            const std::vector<example_data<float>> inputs(x.begin(), x.end());
            learner.load(order.size(), inputs, std::vector<example_data<float>>{labels});
        }
    };
    return [run = std::make_shared<run>(Door::template make<bert_base_classifier>(threads), batch), cached] {
        if (!cached) run->load();
        run->loss = static_cast<float>(run->learner.step(run->order));
        return std::span<const float>(&run->loss, 1);
    };
}

}  // namespace

contestant own_bert_training(const work& w, int threads, bool composed) {
    if (w.name == "train_bert_tiny")
        return training<bert_tiny_classifier>(adamw(1e-4), to_values(bert_inputs(w.batch, 128)), w.batch, threads,
                                              composed);
    const bool cached = w.name == "train_bert_base_head_cached";
    if (cached || w.name == "train_bert_base_head")
        return composed ? head_training<composed_door>(w.batch, cached, threads)
                        : head_training<loaded_door>(w.batch, cached, threads);
    return {};
}

}  // namespace bespoke::benchmarks
