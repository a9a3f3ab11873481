/// Functions of one number.
#include "layer_works.hpp"

namespace bespoke::benchmarks {

void add_functions(layer_works& works) {
    using enum unary_operation;
    const shape size{128, 1024};
    const array any = uniform(size, 2), inside = uniform(size, 0.9), positive = uniform(size, 0.5, 1.5);

    works.add("exp", any, unary{.type = exp}, at::exp_out);
    works.add("log", positive, unary{.type = log}, at::log_out);
    works.add("sqrt", positive, unary{.type = sqrt}, at::sqrt_out);
    works.add("rsqrt", positive, unary{.type = rsqrt}, at::rsqrt_out);
    works.add("inverse", positive, unary{.type = inverse}, at::reciprocal_out);
    works.add("power", {positive}, unary{.type = power, .alpha = 1.7F},
              [](const tensors& x, tensors& y) { at::pow_out(y[0], x[0], 1.7); });
    works.add("abs", any, unary{.type = abs}, at::abs_out);
    works.add("threshold", {any}, unary{.type = threshold, .alpha = 0.3F},
              [](const tensors& x, tensors& y) { at::clamp_min_out(y[0], x[0], 0.3); });
    works.add("exp2", any, exp2{}, at::exp2_out);
    works.add("erf", any, erf{}, at::erf_out);
    works.add("clip", {any}, clip{.min_val = -0.5F, .max_val = 0.5F},
              [](const tensors& x, tensors& y) { at::clamp_out(y[0], x[0], -0.5, 0.5); });
    works.add("logical_not", {any}, logical_not{}, [](const tensors& x, tensors& y) {
        if (y[0].scalar_type() != at::kBool) y[0] = at::empty({0}, at::kBool);
        at::logical_not_out(y[0], x[0]);
    });

    works.add("ceil", any, ceil{}, at::ceil_out);
    works.add("floor", any, floor{}, at::floor_out);
    works.add("round", any, round{}, at::round_out);
    works.add("sign", any, sign{}, at::sign_out);

    works.add("sin", any, sin{}, at::sin_out);
    works.add("cos", any, cos{}, at::cos_out);
    works.add("tan", inside, tan{}, at::tan_out);
    works.add("asin", inside, asin{}, at::asin_out);
    works.add("acos", inside, acos{}, at::acos_out);
    works.add("atan", any, atan{}, at::atan_out);
    works.add("sinh", any, sinh{}, at::sinh_out);
    works.add("cosh", any, cosh{}, at::cosh_out);
    works.add("asinh", any, asinh{}, at::asinh_out);
    works.add("acosh", uniform(size, 1, 2.5), acosh{}, at::acosh_out);
    works.add("atanh", inside, atanh{}, at::atanh_out);
}

}  // namespace bespoke::benchmarks
