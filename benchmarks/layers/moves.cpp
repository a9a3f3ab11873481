/// What takes elements elsewhere: slices, joints, turned and padded blobs. PyTorch's views are copied.
#include "layer_works.hpp"

namespace bespoke::benchmarks {
namespace {

/// Copies the view that `look(x)` is.
template <class F>
torch_function copied(F look) {
    return [look](const tensors& x, tensors& y) {
        const at::Tensor from = look(x[0]);
        if (y[0].numel() == 0) y[0] = at::empty(from.sizes());
        y[0].copy_(from);
    };
}

}  // namespace

void add_moves(layer_works& works) {
    using at::Tensor;
    const array flat = uniform({256, 512}), cube = uniform({32, 64, 64}), image = uniform({32, 60, 60});

    works.add("copy", {flat}, bespoke::copy{}, copied([](const Tensor& x) { return x; }));
    works.add("slice_rows", {flat}, slice_static{.begin_ids = {64, 0}, .end_ids = {192, 512}, .strides = {1, 1}},
              copied([](const Tensor& x) { return x.slice(0, 64, 192); }));
    works.add("slice_columns", {flat}, slice_static{.begin_ids = {0, 50}, .end_ids = {256, 306}, .strides = {1, 1}},
              copied([](const Tensor& x) { return x.slice(1, 50, 306); }));
    works.add("slice_strided", {flat}, slice_static{.begin_ids = {0, 0}, .end_ids = {256, 512}, .strides = {1, 2}},
              copied([](const Tensor& x) { return x.slice(1, 0, 512, 2); }));

    const arrays halves{uniform({128, 512}), uniform({128, 512})};
    works.add("concat_rows", halves, concat_nd{.axis = 0},
              [](const tensors& x, tensors& y) { at::cat_out(y[0], x, 0); });
    works.add("concat_columns", halves, concat_nd{.axis = 1},
              [](const tensors& x, tensors& y) { at::cat_out(y[0], x, 1); });
    works.add("concat_interleaved", halves, concat_nd{.axis = 0, .interleave = true},
              [](const tensors& x, tensors& y) { at::stack_out(y[0], x, 1); });
    works.add("stack_first", halves, stack{.axis = 0}, [](const tensors& x, tensors& y) { at::stack_out(y[0], x, 0); });
    works.add("stack_last", halves, stack{.axis = 2}, [](const tensors& x, tensors& y) { at::stack_out(y[0], x, 2); });
    const auto pieces = [](std::int64_t axis) {
        return [axis](const tensors& x, tensors& y) {
            const tensors parts = at::chunk(x[0], 4, axis);
            if (y.size() == 1)
                for (y.clear(); y.size() < 4;) y.push_back(at::empty(parts[0].sizes()));
            for (std::size_t i = 0; i < 4; ++i) y[i].copy_(parts[i]);
        };
    };
    works.add("split_rows", {flat}, split_nd{.axis = 0, .num_splits = 4}, pieces(0), {.outputs = 4});
    works.add("split_columns", {flat}, split_nd{.axis = 1, .num_splits = 4}, pieces(1), {.outputs = 4});

    works.add("transpose", {flat}, transpose{.axes = {1, 0}}, copied([](const Tensor& x) { return x.t(); }));
    works.add("transpose_021", {cube}, transpose{.axes = {0, 2, 1}},
              copied([](const Tensor& x) { return x.permute({0, 2, 1}); }));
    works.add("transpose_102", {cube}, transpose{.axes = {1, 0, 2}},
              copied([](const Tensor& x) { return x.permute({1, 0, 2}); }));
    works.add("transpose_210", {cube}, transpose{.axes = {2, 1, 0}},
              copied([](const Tensor& x) { return x.permute({2, 1, 0}); }));
    works.add("transpose_120", {cube}, transpose{.axes = {1, 2, 0}},
              copied([](const Tensor& x) { return x.permute({1, 2, 0}); }));
    works.add("transpose_3_channels", {uniform({3, 192, 192})}, transpose{.axes = {1, 2, 0}},
              copied([](const Tensor& x) { return x.permute({1, 2, 0}); }));
    works.add("transpose_heads", {uniform({128, 12, 64})}, transpose{.axes = {1, 0, 2}},
              copied([](const Tensor& x) { return x.permute({1, 0, 2}); }));
    works.add("reverse_last", {flat}, reverse{.reverse_dim = {false, true}},
              [](const tensors& x, tensors& y) { y[0] = at::flip(x[0], 1); });
    works.add("reverse_first", {flat}, reverse{.reverse_dim = {true, false}},
              [](const tensors& x, tensors& y) { y[0] = at::flip(x[0], 0); });
    works.add("sliding_windows", {uniform({1024, 64})}, sliding_windows{.axis = 0, .window_size = 8, .step = 2},
              copied([](const Tensor& x) { return x.unfold(0, 8, 2).transpose(1, 2); }));

    works.add("pad_constant", {flat}, constant_pad{.value = 1, .pad_amounts = {2, 3, 5, 7}},
              [](const tensors& x, tensors& y) { y[0] = at::constant_pad_nd(x[0], {5, 7, 2, 3}, 1); });
    padding border{.padding_amounts = {{edge_sizes{2, 2}, edge_sizes{2, 2}}}};
    works.add("padding_constant", {image}, border,
              [](const tensors& x, tensors& y) { y[0] = at::constant_pad_nd(x[0], {2, 2, 2, 2}); });
    border.padding_type = padding_reflection{};
    works.add("padding_reflection", {image}, border,
              [](const tensors& x, tensors& y) { at::reflection_pad2d_out(y[0], x[0], {2, 2, 2, 2}); });
    border.padding_type = padding_replication{};
    works.add("padding_replication", {image}, border,
              [](const tensors& x, tensors& y) { at::replication_pad2d_out(y[0], x[0], {2, 2, 2, 2}); });

    works.add("lower_triangular", {uniform({4, 256, 256})}, lower_triangular{},
              [](const tensors& x, tensors& y) { at::tril_out(y[0], x[0]); });
    works.add("upper_triangular", {uniform({4, 256, 256})}, upper_triangular{},
              [](const tensors& x, tensors& y) { at::triu_out(y[0], x[0]); });
    works.add("matrix_band_part", {uniform({4, 256, 256})}, matrix_band_part{.num_lower = 8, .num_upper = 8},
              [](const tensors& x, tensors& y) { at::tril_out(y[0], x[0].triu(-8), 8); });
}

}  // namespace bespoke::benchmarks
