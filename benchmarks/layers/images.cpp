/// Images: resized, cropped, reorganised.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_images(layer_works& works) {
    const array image = uniform({64, 32, 32}), large = uniform({32, 64, 64});
    const auto nearest = [](std::vector<std::int64_t> size) {
        return [size](const tensors& x, tensors& y) { at::upsample_nearest2d_out(y[0], x[0].unsqueeze(0), size); };
    };
    const auto bilinear = [](std::vector<std::int64_t> size, bool corners) {
        return [=](const tensors& x, tensors& y) {
            at::upsample_bilinear2d_out(y[0], x[0].unsqueeze(0), size, corners);
        };
    };
    works.add("upsample_nearest", {image}, upsample{.scaling_factor = {2, 2}}, nearest({64, 64}));
    upsample twice{.scaling_factor = {2, 2}, .mode = interpolation_mode::bilinear,
                   .linear_upsample_mode = linear_points::align_corners_true};
    works.add("upsample_corners", {image}, twice, bilinear({64, 64}, true));
    twice.linear_upsample_mode = linear_points::align_corners_false;
    works.add("upsample_bilinear", {image}, twice, bilinear({64, 64}, false));
    works.add("resize_up", {image},
              resize_bilinear{.target_size = {96, 96}, .mode = {sampling_method::strict_align_endpoints_mode}},
              bilinear({96, 96}, true));
    works.add("resize_down", {uniform({3, 320, 320})},
              resize_bilinear{.target_size = {224, 224}, .mode = {sampling_method::strict_align_endpoints_mode}},
              bilinear({224, 224}, true));

    works.add("crop", {large}, crop{.crop_amounts = {{edge_sizes{4, 4}, edge_sizes{4, 4}}}},
              [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty({32, 56, 56});
                  y[0].copy_(x[0].slice(1, 4, 60).slice(2, 4, 60));
              });
    works.add("space_to_depth", {large}, reorganize_data{.mode = reorganization_type::space_to_depth, .block_size = 2},
              [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty({2, 2, 32, 32, 32});
                  y[0].copy_(x[0].view({32, 32, 2, 32, 2}).permute({2, 4, 0, 1, 3}));
              });
    works.add("depth_to_space", {large}, reorganize_data{.mode = reorganization_type::depth_to_space, .block_size = 2},
              [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty({8, 64, 2, 64, 2});
                  y[0].copy_(x[0].view({2, 2, 8, 64, 64}).permute({2, 3, 0, 4, 1}));
              });
    works.add("pixel_shuffle", {large}, reorganize_data{.mode = reorganization_type::pixel_shuffle, .block_size = 2},
              [](const tensors& x, tensors& y) { y[0] = at::pixel_shuffle(x[0], 2); });
}

}  // namespace bespoke::benchmarks
