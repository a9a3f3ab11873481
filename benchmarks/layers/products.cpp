/// Convolutions and matrix products. PyTorch gets dense weights, as its eager mode does.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_products(layer_works& works) {
    const array image = uniform({64, 56, 56}), bias = uniform({64});
    const auto convolved = [](std::int64_t stride, std::int64_t padding, std::int64_t dilation, std::int64_t groups) {
        return [=](const tensors& x, tensors& y) {
            y[0] = at::conv2d(x[0].unsqueeze(0), x[1], x[2], stride, padding, dilation, groups);
        };
    };
    const array pointwise = uniform({64, 64, 1, 1}, 0.1), square = uniform({64, 64, 3, 3}, 0.05),
                each = uniform({64, 1, 3, 3}, 0.3);
    works.add("convolution_1x1", {image}, convolution{.output_channels = 64, .kernel_size = {1, 1}},
              convolved(1, 0, 1, 1), {.parameters = {pointwise, bias}});
    works.add("convolution_3x3", {image}, convolution{.output_channels = 64, .padding = same}, convolved(1, 1, 1, 1),
              {.parameters = {square, bias}, .tolerance = 1e-3});
    works.add("convolution_3x3_stride_2", {image},
              convolution{.output_channels = 64, .stride = {2, 2}, .padding = padded(1, 1, 1, 1)},
              convolved(2, 1, 1, 1), {.parameters = {square, bias}, .tolerance = 1e-3});
    works.add("convolution_dilated", {image},
              convolution{.output_channels = 64, .dilation_factor = {2, 2}, .padding = same}, convolved(1, 2, 2, 1),
              {.parameters = {square, bias}});
    works.add("convolution_depthwise", {image}, convolution{.output_channels = 64, .n_groups = 64, .padding = same},
              convolved(1, 1, 1, 64), {.parameters = {each, bias}});
    works.add("convolution_groups", {image}, convolution{.output_channels = 64, .n_groups = 4, .padding = same},
              convolved(1, 1, 1, 4), {.parameters = {uniform({64, 16, 3, 3}, 0.1), bias}});
    works.add(
        "convolution_transposed", {uniform({64, 32, 32})},
        convolution{.output_channels = 32, .kernel_size = {4, 4}, .stride = {2, 2}, .padding = padded(1, 1, 1, 1),
                    .is_deconvolution = true},
        [](const tensors& x, tensors& y) {
            y[0] = at::conv_transpose2d(x[0].unsqueeze(0), x[1], x[2], at::IntArrayRef(2), at::IntArrayRef(1));
        },
        {.parameters = {uniform({64, 32, 4, 4}, 0.05), uniform({32})}});
    works.add(
        "convolution3d", {uniform({16, 16, 32, 32})},
        convolution3d{.output_channels = 16, .padding_type = padding_type_3d::same},
        [](const tensors& x, tensors& y) { y[0] = at::conv3d(x[0].unsqueeze(0), x[1], x[2], 1, 1); },
        {.parameters = {uniform({16, 16, 3, 3, 3}, 0.05), uniform({16})}});

    works.add(
        "inner_product", {uniform({256, 1024})}, inner_product{.output_channels = 256},
        [](const tensors& x, tensors& y) { y[0] = at::linear(x[0], x[1], x[2]); },
        {.parameters = {uniform({256, 1024}, 0.05), uniform({256})}});
    works.add(
        "inner_product_1", {uniform({1, 1024})}, inner_product{.output_channels = 256},
        [](const tensors& x, tensors& y) { y[0] = at::linear(x[0], x[1], x[2]); },
        {.parameters = {uniform({256, 1024}, 0.05), uniform({256})}});
    works.add("batched_matmul", {uniform({16, 128, 64}), uniform({16, 64, 128})}, batched_matmul{},
              [](const tensors& x, tensors& y) { at::bmm_out(y[0], x[0], x[1]); });
    works.add("matmul_512", {uniform({512, 512}), uniform({512, 512})}, batched_matmul{},
              [](const tensors& x, tensors& y) { at::mm_out(y[0], x[0], x[1]); });
    works.add("matmul_transposed", {uniform({512, 512}), uniform({512, 512})}, batched_matmul{.transpose_b = true},
              [](const tensors& x, tensors& y) { at::mm_out(y[0], x[0], x[1].t()); });
}

}  // namespace bespoke::benchmarks
