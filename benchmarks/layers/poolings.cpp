/// Pooling.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_pooling(layer_works& works) {
    const array image = uniform({64, 64, 64}), volume = uniform({16, 16, 32, 32});
    const auto largest = [](std::int64_t kernel, std::int64_t stride) {
        return [kernel, stride](const tensors& x, tensors& y) { y[0] = at::max_pool2d(x[0], kernel, stride); };
    };
    const auto mean = [](std::int64_t kernel, std::int64_t stride) {
        return [kernel, stride](const tensors& x, tensors& y) { at::avg_pool2d_out(y[0], x[0], kernel, stride); };
    };
    works.add("max_pool_2", {image}, pooling{.kernel_size = {2, 2}, .stride = {2, 2}}, largest(2, 2));
    works.add("max_pool_3", {image}, pooling{.kernel_size = {3, 3}, .stride = {2, 2}}, largest(3, 2));
    works.add("max_pool_3_dense", {image}, pooling{.kernel_size = {3, 3}}, largest(3, 1));
    works.add("average_pool_2", {image},
              pooling{.type = pooling_type::average, .kernel_size = {2, 2}, .stride = {2, 2}}, mean(2, 2));
    works.add("average_pool_3", {image},
              pooling{.type = pooling_type::average, .kernel_size = {3, 3}, .stride = {2, 2}}, mean(3, 2));
    works.add("average_pool_3_dense", {image}, pooling{.type = pooling_type::average, .kernel_size = {3, 3}},
              mean(3, 1));
    works.add("l2_pool_2", {image}, pooling{.type = pooling_type::l2, .kernel_size = {2, 2}, .stride = {2, 2}},
              [](const tensors& x, tensors& y) {
                  at::avg_pool2d_out(y[0], x[0] * x[0], 2, 2);
                  y[0].mul_(4).sqrt_();
              });
    works.add("global_max_pool", {image}, pooling{.global_pooling = true},
              [](const tensors& x, tensors& y) { at::amax_out(y[0], x[0], {1, 2}); });
    works.add("global_average_pool", {image}, pooling{.type = pooling_type::average, .global_pooling = true},
              [](const tensors& x, tensors& y) { at::mean_out(y[0], x[0], at::IntArrayRef{1, 2}, true); });

    pooling3d cube{.kernel_depth = 2, .kernel_height = 2, .kernel_width = 2, .stride_depth = 2, .stride_height = 2,
                   .stride_width = 2};
    works.add("max_pool3d", {volume}, cube, [](const tensors& x, tensors& y) { y[0] = at::max_pool3d(x[0], 2, 2); });
    cube.type = pooling_type3d::average;
    works.add("average_pool3d", {volume}, cube,
              [](const tensors& x, tensors& y) { at::avg_pool3d_out(y[0], x[0], 2, 2); });
    works.add("global_average_pool3d", {volume}, global_pooling3d{.type = pooling_type3d::average},
              [](const tensors& x, tensors& y) { at::mean_out(y[0], x[0], at::IntArrayRef{1, 2, 3}, true); });
}

}  // namespace bespoke::benchmarks
