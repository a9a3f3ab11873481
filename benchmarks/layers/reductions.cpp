/// Reductions along the last axis, a middle one, and all.
#include "layer_works.hpp"

namespace bespoke::benchmarks {
namespace {

const array& flat() {
    static const array x = uniform({256, 1024});
    return x;
}
const array& cube() {
    static const array x = uniform({64, 64, 64});
    return x;
}

/// `names`: for the last axis, a middle one, all. `f(x, axes, y)`.
template <layer L, class F>
void add_axes(layer_works& works, std::array<std::string_view, 3> names, F f, L = {}) {
    const auto along = [f](std::vector<std::int64_t> axes) {
        return [f, axes](const tensors& x, tensors& y) { f(x[0], axes, y[0]); };
    };
    works.add(names[0], {flat()}, L{.axes = {1}}, along({1}));
    works.add(names[1], {cube()}, L{.axes = {1}}, along({1}));
    works.add(names[2], {flat()}, L{.reduce_all = true}, along({0, 1}));
}

}  // namespace

void add_reductions(layer_works& works) {
    using axes_type = at::IntArrayRef;
    using at::Tensor;
    add_axes<reduce_sum>(works, {"sum_last", "sum_middle", "sum_all"},
                         [](const Tensor& x, axes_type axes, Tensor& y) { at::sum_out(y, x, axes, false); });
    add_axes<reduce_mean>(works, {"mean_last", "mean_middle", "mean_all"},
                          [](const Tensor& x, axes_type axes, Tensor& y) { at::mean_out(y, x, axes, false); });
    add_axes<reduce_max>(works, {"max_last", "max_middle", "max_all"},
                         [](const Tensor& x, axes_type axes, Tensor& y) { at::amax_out(y, x, axes, false); });
    add_axes<reduce_min>(works, {"min_last", "min_middle", "min_all"},
                         [](const Tensor& x, axes_type axes, Tensor& y) { at::amin_out(y, x, axes, false); });
    add_axes<reduce_l1>(works, {"l1_last", "l1_middle", "l1_all"}, [](const Tensor& x, axes_type axes, Tensor& y) {
        at::linalg_vector_norm_out(y, x, 1, axes, false);
    });
    add_axes<reduce_l2>(works, {"l2_last", "l2_middle", "l2_all"}, [](const Tensor& x, axes_type axes, Tensor& y) {
        at::linalg_vector_norm_out(y, x, 2, axes, false);
    });
    add_axes<reduce_sum_square>(works, {"sum_square_last", "sum_square_middle", "sum_square_all"},
                                [](const Tensor& x, axes_type axes, Tensor& y) {
                                    at::linalg_vector_norm_out(y, x, 2, axes, false);
                                    y.mul_(y);
                                });
    add_axes<reduce_log_sum_exp>(works, {"log_sum_exp_last", "log_sum_exp_middle", "log_sum_exp_all"},
                                 [](const Tensor& x, axes_type axes, Tensor& y) {
                                     at::logsumexp_out(y, x, axes, false);
                                 });
    const array positive = uniform({256, 1024}, 0.5, 1), near_one = uniform({64, 64, 64}, 0.1, 1);
    works.add("log_sum_last", {positive}, reduce_log_sum{.axes = {1}}, [](const tensors& x, tensors& y) {
        at::sum_out(y[0], x[0], 1, false);
        y[0].log_();
    });
    works.add("prod_last", {near_one}, reduce_prod{.axes = {2}},
              [](const tensors& x, tensors& y) { at::prod_out(y[0], x[0], 2); });
    works.add("prod_middle", {near_one}, reduce_prod{.axes = {1}},
              [](const tensors& x, tensors& y) { at::prod_out(y[0], x[0], 1); });

    using arg_function = Tensor& (*)(Tensor&, const Tensor&, c10::optional<std::int64_t>, bool);
    const auto arg = [](arg_function f, std::int64_t axis) {
        return [f, axis](const tensors& x, tensors& y) {
            if (y[0].scalar_type() != at::kLong) y[0] = at::empty({0}, at::kLong);
            f(y[0], x[0], axis, true);
        };
    };
    works.add("arg_max_last", {flat()}, arg_max{.axis = 1}, arg(at::argmax_out, 1));
    works.add("arg_max_middle", {cube()}, arg_max{.axis = 1}, arg(at::argmax_out, 1));
    works.add("arg_min_last", {flat()}, arg_min{.axis = 1}, arg(at::argmin_out, 1));
    works.add("arg_min_middle", {cube()}, arg_min{.axis = 1}, arg(at::argmin_out, 1));

    const auto sums = [](std::int64_t axis) {
        return [axis](const tensors& x, tensors& y) { at::cumsum_out(y[0], x[0], axis); };
    };
    works.add("cum_sum_last", {flat()}, cum_sum{.axis = 1}, sums(1));
    works.add("cum_sum_middle", {cube()}, cum_sum{.axis = 1}, sums(1));
    works.add("cum_sum_first", {flat()}, cum_sum{.axis = 0}, sums(0));

    const array a = uniform({1024, 1, 256, 1, 1}), b = uniform({1024, 1, 256, 1, 1});
    const arrays vectors{{a.values, {256, 1024, 1, 1}}, {b.values, {256, 1024, 1, 1}}};
    works.add("dot", vectors, dot{}, [](const tensors& x, tensors& y) {
        y[0] = at::bmm(x[0].view({256, 1, 1024}), x[1].view({256, 1024, 1}));
    });
    works.add("cosine", vectors, dot{.cosine_similarity = true},
              [](const tensors& x, tensors& y) { y[0] = at::cosine_similarity(x[0], x[1], 1); });
}

}  // namespace bespoke::benchmarks
