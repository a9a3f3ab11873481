/// Activations. What PyTorch has no operator for is written as its users write it.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_activations(layer_works& works) {
    const array x = uniform({32, 64, 64}, 3), alpha = uniform({32}, 0.5, 1), beta = uniform({32}, 0.5, 1);

    works.add("relu", {x}, relu{}, [](const tensors& xs, tensors& y) { at::clamp_min_out(y[0], xs[0], 0); });
    works.add("leaky_relu", {x}, leaky_relu{}, [](const tensors& xs, tensors& y) { at::leaky_relu_out(y[0], xs[0]); });
    works.add("thresholded_relu", {x}, thresholded_relu{},
              [](const tensors& xs, tensors& y) { at::threshold_out(y[0], xs[0], 1, 0); });
    works.add("tanh", x, bespoke::tanh{}, at::tanh_out);
    works.add("scaled_tanh", {x}, scaled_tanh{.alpha = 1.7F, .beta = 0.7F}, [](const tensors& xs, tensors& y) {
        at::mul_out(y[0], xs[0], at::scalar_tensor(0.7F));
        y[0].tanh_().mul_(1.7F);
    });
    works.add("sigmoid", x, sigmoid{}, at::sigmoid_out);
    works.add("sigmoid_hard", {x}, sigmoid_hard{.alpha = 1.0F / 6, .beta = 0.5F},
              [](const tensors& xs, tensors& y) { at::hardsigmoid_out(y[0], xs[0]); });
    works.add("elu", {x}, elu{}, [](const tensors& xs, tensors& y) { at::elu_out(y[0], xs[0]); });
    works.add("softsign", {x}, softsign{}, [](const tensors& xs, tensors& y) {
        at::abs_out(y[0], xs[0]);
        at::div_out(y[0], xs[0], y[0].add_(1));
    });
    works.add("softplus", {x}, softplus{}, [](const tensors& xs, tensors& y) { at::softplus_out(y[0], xs[0]); });
    works.add("linear", {x}, linear{.alpha = 2, .beta = 0.5F}, [](const tensors& xs, tensors& y) {
        at::mul_out(y[0], xs[0], at::scalar_tensor(2.0F));
        y[0].add_(0.5);
    });
    works.add("gelu", {x}, gelu{}, [](const tensors& xs, tensors& y) { at::gelu_out(y[0], xs[0]); });
    works.add("gelu_tanh", {x}, gelu{.mode = gelu_mode::tanh_approximation},
              [](const tensors& xs, tensors& y) { at::gelu_out(y[0], xs[0], "tanh"); });
    works.add("gelu_sigmoid", {x}, gelu{.mode = gelu_mode::sigmoid_approximation}, [](const tensors& xs, tensors& y) {
        at::mul_out(y[0], xs[0], at::scalar_tensor(1.702F));
        y[0].sigmoid_().mul_(xs[0]);
    });
    works.add(
        "prelu", {x}, prelu{}, [](const tensors& xs, tensors& y) { y[0] = at::prelu(xs[0].unsqueeze(0), xs[1]); },
        {.parameters = {alpha}});
    works.add(
        "parametric_softplus", {x}, parametric_softplus{},
        [](const tensors& xs, tensors& y) {
            at::mul_out(y[0], xs[0], xs[2].view({32, 1, 1}));
            at::softplus_out(y[0], y[0]).mul_(xs[1].view({32, 1, 1}));
        },
        {.parameters = {alpha, beta}});
}

}  // namespace bespoke::benchmarks
