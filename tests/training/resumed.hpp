#pragma once

#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/add.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/random.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/trainer.hpp>

#include "material.hpp"

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

using training_test::all_weights;
using training_test::equal_bits;
using training_test::examples;
inline const training_test::material kept;

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

/// One step of a training whose order and learning rate follow from the number of the step.
template <class Trainer>
double next_step(Trainer& t) {
    constexpr std::size_t size = 5, batches = (examples + size - 1) / size;
    std::vector<std::size_t> order(examples);
    std::iota(order.begin(), order.end(), std::size_t{0});
    const std::uint64_t number = t.steps();
    philox random(7, number / batches);
    bespoke::shuffle(std::span(order), random);
    const std::size_t first = number % batches * size;
    const double loss = t.step(std::span(order).subspan(first, std::min(size, examples - first)));
    if (double* const rate = learning_rate_of(t.chosen_optimizer().parameters())) *rate *= 0.97;
    return loss;
}
template <class Trainer>
void give_all(Trainer& t) {
    t.load(examples, {{kept.x}}, {{kept.labels}});
}
inline std::vector<any_loss<float>> loss_of() { return {categorical_cross_entropy{.input = "p"}}; }

}  // namespace resumed
