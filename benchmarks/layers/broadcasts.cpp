/// Functions of two numbers and more, and what repeats blobs.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_broadcasts(layer_works& works) {
    const shape size{128, 1024};
    const array a = uniform(size), b = uniform(size, 0.5, 1), row = uniform({1024}), column = uniform({128, 1});
    const array whole = indices(size, 4), other = indices(size, 4);
    const arrays both{a, b};
    const arrays ints{{whole.values, size}, {other.values, size}};
    const auto sum = [](const tensors& x, tensors& y) { at::add_out(y[0], x[0], x[1]); };

    works.add("add", both, add{}, sum);
    works.add("add_row", {a, row}, add_broadcastable{}, sum);
    works.add("add_column", {a, column}, add_broadcastable{}, sum);
    works.add("add_middle", {uniform({32, 64, 64}), uniform({32, 1, 64})}, add_broadcastable{}, sum);
    works.add("add_outer", {uniform({128, 1}), uniform({1, 1024})}, add_broadcastable{}, sum);
    works.add("add_3", {a, b, uniform(size)}, add{}, [](const tensors& x, tensors& y) {
        at::add_out(y[0], x[0], x[1]);
        y[0].add_(x[2]);
    });
    works.add("average", both, average{}, [](const tensors& x, tensors& y) {
        at::add_out(y[0], x[0], x[1]);
        y[0].mul_(0.5);
    });
    works.add("multiply", both, multiply{}, at::mul_out);
    works.add("max", both, bespoke::max{}, at::maximum_out);
    works.add("min", both, bespoke::min{}, at::minimum_out);
    works.add("subtract", both, subtract_broadcastable{},
              [](const tensors& x, tensors& y) { at::sub_out(y[0], x[0], x[1]); });
    works.add("divide", both, divide_broadcastable{},
              [](const tensors& x, tensors& y) { at::div_out(y[0], x[0], x[1]); });
    works.add("floor_div", both, floor_div_broadcastable{},
              [](const tensors& x, tensors& y) { at::floor_divide_out(y[0], x[0], x[1]); });
    works.add("mod", both, mod_broadcastable{},
              [](const tensors& x, tensors& y) { at::remainder_out(y[0], x[0], x[1]); });
    works.add("pow", {b, a}, pow_broadcastable{}, [](const tensors& x, tensors& y) { at::pow_out(y[0], x[0], x[1]); });

    works.add("equal", ints, equal{}, at::eq_out, at::kBool);
    works.add("not_equal", ints, not_equal{}, at::ne_out, at::kBool);
    works.add("less_than", both, less_than{}, at::lt_out, at::kBool);
    works.add("greater_equal", both, greater_equal{}, at::ge_out, at::kBool);
    works.add("logical_and", ints, logical_and{}, at::logical_and_out, at::kBool);
    works.add("logical_or", ints, logical_or{}, at::logical_or_out, at::kBool);
    works.add("logical_xor", ints, logical_xor{}, at::logical_xor_out, at::kBool);
    works.add("where", {truths(size), a, b}, where_broadcastable{},
              [c = at::Tensor()](const tensors& x, tensors& y) mutable {
                  if (!c.defined()) c = x[0].to(at::kBool);
                  at::where_out(y[0], c, x[1], x[2]);
              });

    const array image = uniform({32, 64, 64}), scales = uniform({32}, 0.5, 1), biases = uniform({32});
    works.add(
        "scale", {image}, scale{.shape_scale = {32}, .has_bias = true, .shape_bias = {32}},
        [](const tensors& x, tensors& y) {
            at::mul_out(y[0], x[0], x[1].view({32, 1, 1}));
            y[0].add_(x[2].view({32, 1, 1}));
        },
        {.parameters = {scales, biases}});
    works.add(
        "bias", {image}, bias{.shape = {32}},
        [](const tensors& x, tensors& y) { at::add_out(y[0], x[0], x[1].view({32, 1, 1})); }, {.parameters = {biases}});

    const auto expanded = [](std::vector<std::int64_t> to) {
        return [to](const tensors& x, tensors& y) {
            if (y[0].numel() == 0) y[0] = at::empty(to);
            y[0].copy_(x[0].expand(to));
        };
    };
    works.add("broadcast_rows", {row}, broadcast_to_static{.target_shape = size}, expanded({128, 1024}));
    works.add("broadcast_columns", {column}, broadcast_to_static{.target_shape = size}, expanded({128, 1024}));
    works.add("tile", {uniform({64, 64, 16})}, tile{.reps = {1, 2, 2}},
              [](const tensors& x, tensors& y) { y[0] = x[0].repeat({1, 2, 2}); });
    works.add("sequence_repeat", {uniform({16, 64, 16, 1, 1})}, sequence_repeat{.n_repetitions = 16},
              [](const tensors& x, tensors& y) { y[0] = x[0].repeat({16, 1, 1, 1, 1}); });
}

}  // namespace bespoke::benchmarks
