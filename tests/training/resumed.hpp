#pragma once

#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/add.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/random.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/trainer.hpp>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

/// What tests of checkpoints share.
namespace resumed {

using namespace bespoke;

/// A frozen layer first, noise, statistics of the batch, layers that learn.
template <class Activation = bespoke::tanh>
constexpr auto network_of(extent width) {
    return compose(
        input{"x", {5}}, inner_product{.output_channels = 6} | named("stem"), bespoke::tanh{} | named("t"),
        random_normal_like{.seed = 3, .mean = 0, .std_dev = 0.25f} | from("t") | named("noise"),
        add{} | from("t", "noise") | named("noisy"),
        inner_product{.output_channels = width} | named("fc1") | updatable, Activation{},
        inner_product{.output_channels = 3} | named("fc2") | updatable, softmax_nd{} | named("p"));
}
inline constexpr auto described = network_of(8), wider = network_of(9);
inline constexpr auto softer = network_of<sigmoid>(8);
using resumed_net = network<described>;

constexpr std::size_t all_examples = 22;

struct kept_material {
    std::vector<float> x = std::vector<float>(all_examples * 5), labels = std::vector<float>(all_examples);

    kept_material() {
        philox random(5);
        for (std::size_t i = 0; i < all_examples; ++i) {
            labels[i] = static_cast<float>(i % 3);
            for (std::size_t j = 0; j < 5; ++j)
                x[i * 5 + j] = static_cast<float>(random.uniform() + (j == i % 3 ? 1 : 0));
        }
    }
};
inline const kept_material kept;

/// A file's name of its own, and nothing there.
struct kept_file {
    std::filesystem::path path;
    explicit kept_file(const std::string& name)
        : path(std::filesystem::temp_directory_path() / ("bespoke_checkpoint_" + name)) {
        std::filesystem::remove(path);
    }
    kept_file(const kept_file&) = delete;
    kept_file& operator=(const kept_file&) = delete;
    ~kept_file() { std::filesystem::remove(path); }
};

template <class Network>
std::vector<float> all_weights(const Network& net) {
    const auto& block = net.core().parameters().block();
    return {block.begin(), block.end()};
}
template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// One step of a training whose order and learning rate follow from the number of the step.
template <class Trainer>
double next_step(Trainer& t) {
    constexpr std::size_t size = 5, batches = (all_examples + size - 1) / size;
    std::vector<std::size_t> order(all_examples);
    std::iota(order.begin(), order.end(), std::size_t{0});
    const std::uint64_t number = t.steps();
    philox random(7, number / batches);
    bespoke::shuffle(std::span(order), random);
    const std::size_t first = number % batches * size;
    const double loss = t.step(std::span(order).subspan(first, std::min(size, all_examples - first)));
    if (double* const rate = learning_rate_of(t.chosen_optimizer().parameters())) *rate *= 0.97;
    return loss;
}
template <class Trainer>
void give_all(Trainer& t) {
    t.load(all_examples, {{kept.x}}, {{kept.labels}});
}
inline std::vector<any_loss<float>> loss_of() { return {categorical_cross_entropy{.input = "p"}}; }

}  // namespace resumed
