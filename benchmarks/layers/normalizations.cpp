/// Softmax and normalisations.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_normalizations(layer_works& works) {
    const array flat = uniform({256, 1024}, 3), image = uniform({64, 64, 64});
    const auto soft = [](std::int64_t axis) {
        return [axis](const tensors& x, tensors& y) { at::_softmax_out(y[0], x[0], axis, false); };
    };
    works.add("softmax_last", {flat}, softmax_nd{.axis = -1}, soft(1));
    works.add("softmax_short", {uniform({8192, 32}, 3)}, softmax_nd{.axis = -1}, soft(1));
    works.add("softmax_middle", {uniform({64, 64, 64}, 3)}, softmax_nd{.axis = 1}, soft(1));
    works.add("softmax_channels", {uniform({64, 64, 64}, 3)}, softmax{}, soft(0));

    const array gamma = uniform({64}, 0.5, 1), beta = uniform({64}), mean = uniform({64}),
                variance = uniform({64}, 0.5, 1);
    works.add(
        "batchnorm", {image}, batchnorm{},
        [](const tensors& x, tensors& y) {
            y[0] = at::batch_norm(x[0].unsqueeze(0), x[1], x[2], x[3], x[4], false, 0, 1e-5, false);
        },
        {.parameters = {gamma, beta, mean, variance}});
    works.add(
        "instance_norm", {image}, batchnorm{.compute_mean_var = true, .instance_normalization = true},
        [](const tensors& x, tensors& y) {
            y[0] = at::instance_norm(x[0].unsqueeze(0), x[1], x[2], {}, {}, true, 0, 1e-5, false);
        },
        {.parameters = {gamma, beta}});
    works.add(
        "layer_norm", {uniform({256, 1024})}, layer_normalization{.normalized_shape = {1024}},
        [](const tensors& x, tensors& y) { y[0] = at::layer_norm(x[0], {1024}, x[1], x[2], 1e-5, false); },
        {.parameters = {uniform({1024}, 0.5, 1), uniform({1024})}});
    works.add(
        "layer_norm_short", {uniform({2048, 128})}, layer_normalization{.normalized_shape = {128}},
        [](const tensors& x, tensors& y) { y[0] = at::layer_norm(x[0], {128}, x[1], x[2], 1e-5, false); },
        {.parameters = {uniform({128}, 0.5, 1), uniform({128})}});
    works.add("l2normalize", {image}, l2normalize{}, [norm = at::empty({0})](const tensors& x, tensors& y) mutable {
        at::linalg_vector_norm_out(norm, x[0], 2, c10::nullopt, false);
        at::div_out(y[0], x[0], norm);
    });
    works.add("mvn", {image}, mvn{.normalize_variance = true}, [](const tensors& x, tensors& y) {
        y[0] = at::instance_norm(x[0].unsqueeze(0), {}, {}, {}, {}, true, 0, 1e-6, false);
    });
    works.add("mvn_across", {image}, mvn{.across_channels = true, .normalize_variance = true},
              [](const tensors& x, tensors& y) { y[0] = at::layer_norm(x[0], {64, 64, 64}, {}, {}, 1e-6, false); });
    works.add("lrn", {image}, lrn{.alpha = 1e-2F, .k = 1}, [](const tensors& x, tensors& y) {
        const at::Tensor squares = (x[0] * x[0]).view({1, 1, 64, 64, 64});
        const at::Tensor padded = at::constant_pad_nd(squares, {0, 0, 0, 0, 2, 2});
        const at::Tensor sums = at::avg_pool3d(padded, {5, 1, 1}, 1).squeeze();
        at::div_out(y[0], x[0], sums.mul(1e-2).add_(1).pow_(0.75));
    });
}

}  // namespace bespoke::benchmarks
