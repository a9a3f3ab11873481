/// Random and constant numbers. What is random is not compared.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_random(layer_works& works) {
    const shape size{256, 1024};
    const array like = uniform(size);
    const layer_works::form drawn{.compared = false};
    const auto in_place = [](auto fill) {
        return [fill](const tensors&, tensors& y) {
            if (y[0].numel() == 0) y[0] = at::empty({256, 1024});
            fill(y[0]);
        };
    };
    works.add("random_normal", {like}, random_normal_like{.seed = 1}, in_place([](at::Tensor& y) { y.normal_(); }),
              drawn);
    works.add("random_uniform", {like}, random_uniform_like{.seed = 1}, in_place([](at::Tensor& y) { y.uniform_(); }),
              drawn);
    works.add("random_bernoulli", {like}, random_bernoulli_like{.seed = 1, .prob = 0.3F},
              in_place([](at::Tensor& y) { y.bernoulli_(0.3); }), drawn);
    works.add(
        "categorical", {uniform(size, 0.5, 0.6)}, categorical_distribution{.seed = 1, .num_samples = 64},
        [](const tensors& x, tensors& y) { y[0] = at::multinomial(x[0], 64, true); }, drawn);
    works.add("fill", {like}, fill_like{.value = 2}, in_place([](at::Tensor& y) { y.fill_(2); }));
    works.add("range", {}, range_static{.end_value = 262144},
              [](const tensors&, tensors& y) { at::arange_out(y[0], 0, 262144, 1); });
}

}  // namespace bespoke::benchmarks
