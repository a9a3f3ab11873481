// This file compiles nothing of what the implementation has: that it links is half of the test.
#ifndef BESPOKE_EXTERN_TEMPLATES
#define BESPOKE_EXTERN_TEMPLATES
#endif
#include <bespoke/bespoke.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

constexpr auto small = compose(input{"x", {1, 6, 6}}, convolution{.output_channels = 4} | named("conv") | updatable,
                               relu{}, flatten{}, inner_product{.output_channels = 3} | named("fc") | updatable,
                               softmax{} | named("p"));

/// Whether each layer of the list links from its name alone, as one step.
template <class... Ls>
bool all_one_step(layer_set<Ls...>) {
    const std::vector<std::shared_ptr<any_node>> nodes{std::make_shared<node_of<Ls>>(Ls{})...};
    for (const auto& node : nodes)
        if (node->step_count() != 1) return false;
    return nodes.size() == sizeof...(Ls);
}

}  // namespace

TEST_CASE("a file without the templates links with one that has them, and learns the same") {
    network<small> net(1);
    std::vector<float> images(10 * 36), labels(10);
    philox random(2);
    for (float& v : images) v = static_cast<float>(random.uniform());
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<float>(i % 3);
    const training_setup<float> setup{.examples = 10,
                                      .inputs = {images},
                                      .losses = {categorical_cross_entropy{}},
                                      .targets = {labels},
                                      .with = adam{.learning_rate = 0.01}};
    const auto learned = update(net, setup, {.epochs = 3, .mini_batch_size = 4, .seed = 5});
    network<small> by_hand = net;
    trainer training(by_hand, {categorical_cross_entropy{}}, adam{.learning_rate = 0.01});
    training.load(10, setup.inputs, setup.targets);
    std::vector<std::size_t> all(10);
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
        philox order(5, epoch);
        shuffle(std::span(all), order);
        for (std::size_t first = 0; first < 10; first += 4)
            training.step(std::span(all).subspan(first, std::min<std::size_t>(4, 10 - first)));
    }
    const auto& a = learned.core().parameters().block();
    const auto& b = by_hand.core().parameters().block();
    REQUIRE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    REQUIRE_FALSE(std::equal(a.begin(), a.end(), net.core().parameters().block().begin()));
}

TEST_CASE("every layer of the list is there to link") { REQUIRE(all_one_step(core_layers{})); }
