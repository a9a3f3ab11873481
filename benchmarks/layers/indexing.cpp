/// What looks up by indices, and orders.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_indexing(layer_works& works) {
    const array table = uniform({1024, 256}), rows = indices({1024}, 1024), columns = indices({256}, 256);
    works.add(
        "embedding", {indices({1024, 1}, 10000)}, embedding_nd{.vocab_size = 10000, .embedding_size = 256},
        [w = at::Tensor()](const tensors& x, tensors& y) mutable {
            if (!w.defined()) w = x[1].t().contiguous();
            at::index_select_out(y[0], w, 0, x[0].view({1024}));
        },
        {.parameters = {uniform({256, 10000})}});

    works.add("gather_rows", {table, rows}, gather{.axis = 0},
              [](const tensors& x, tensors& y) { at::index_select_out(y[0], x[0], 0, x[1]); });
    works.add("gather_columns", {table, columns}, gather{.axis = 1},
              [](const tensors& x, tensors& y) { at::index_select_out(y[0], x[0], 1, x[1]); });
    works.add("gather_nd", {table, indices({65536, 2}, 256)}, gather_nd{}, [](const tensors& x, tensors& y) {
        y[0] = at::index(x[0], {x[1].select(1, 0), x[1].select(1, 1)});
    });
    works.add("gather_along_last", {table, indices({1024, 256}, 256)}, gather_along_axis{.axis = 1},
              [](const tensors& x, tensors& y) { at::gather_out(y[0], x[0], 1, x[1]); });
    works.add("gather_along_first", {table, indices({1024, 256}, 1024)}, gather_along_axis{.axis = 0},
              [](const tensors& x, tensors& y) { at::gather_out(y[0], x[0], 0, x[1]); });

    const array updates = uniform({1024, 256});
    works.add("scatter_rows", {table, shuffled(1024), updates}, scatter{.axis = 0},
              [](const tensors& x, tensors& y) { at::index_copy_out(y[0], x[0], 0, x[1], x[2]); });
    works.add("scatter_add_rows", {table, rows, updates}, scatter{.axis = 0, .mode = scatter_mode::add},
              [](const tensors& x, tensors& y) { at::index_add_out(y[0], x[0], 0, x[1], x[2]); });
    works.add("scatter_nd_add", {table, indices({65536, 2}, 256), uniform({65536})},
              scatter_nd{.mode = scatter_mode::add}, [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty_like(x[0]);
                  y[0].copy_(x[0]).index_put_({x[1].select(1, 0), x[1].select(1, 1)}, x[2], true);
              });
    works.add("scatter_along_last", {table, indices({1024, 256}, 256), updates},
              scatter_along_axis{.axis = 1, .mode = scatter_mode::add},
              [](const tensors& x, tensors& y) { at::scatter_add_out(y[0], x[0], 1, x[1], x[2]); });
    works.add("scatter_along_first", {table, indices({1024, 256}, 1024), updates},
              scatter_along_axis{.axis = 0, .mode = scatter_mode::add},
              [](const tensors& x, tensors& y) { at::scatter_add_out(y[0], x[0], 0, x[1], x[2]); });

    works.add("one_hot_last", {indices({4096}, 64)}, one_hot{.one_hot_vector_size = 64},
              [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty({4096, 64});
                  y[0].zero_().scatter_(1, x[0].view({4096, 1}), 1);
              });
    works.add("one_hot_first", {indices({4096}, 64)}, one_hot{.one_hot_vector_size = 64, .axis = 0},
              [](const tensors& x, tensors& y) {
                  if (y[0].numel() == 0) y[0] = at::empty({64, 4096});
                  y[0].zero_().scatter_(0, x[0].view({1, 4096}), 1);
              });

    const auto sorted = [](std::int64_t axis) {
        return [axis, values = at::empty({0})](const tensors& x, tensors& y) mutable {
            if (y[0].scalar_type() != at::kLong) y[0] = at::empty({0}, at::kLong);
            at::sort_out(values, y[0], x[0], true, axis, false);
        };
    };
    const array flat = uniform({256, 1024});
    works.add("arg_sort_last", {flat}, arg_sort{.axis = 1}, sorted(1));
    works.add("arg_sort_first", {flat}, arg_sort{.axis = 0}, sorted(0));
    works.add("arg_sort_long", {uniform({1, 262144})}, arg_sort{.axis = 1}, sorted(1));
    const auto top = [](std::int64_t k, std::int64_t axis) {
        return [k, axis](const tensors& x, tensors& y) {
            if (y.size() == 1) y = {at::empty({0}), at::empty({0}, at::kLong)};
            at::topk_out(y[0], y[1], x[0], k, axis);
        };
    };
    works.add("top_8_last", {flat}, top_k{.axis = 1, .k = 8}, top(8, 1), {.outputs = 2});
    works.add("top_128_last", {flat}, top_k{.axis = 1, .k = 128}, top(128, 1), {.outputs = 2});
    works.add("top_8_first", {flat}, top_k{.axis = 0, .k = 8}, top(8, 0), {.outputs = 2});
}

}  // namespace bespoke::benchmarks
