#pragma once

#include <bespoke.hpp>

namespace bespoke::benchmarks {

constexpr pooling halve{.kernel_size = {2, 2}, .stride = {2, 2}};

inline constexpr auto lenet =
    compose(bespoke::input{"image", {1, 28, 28}}, convolution{.output_channels = 32}, relu{}, halve,
            convolution{.output_channels = 64}, relu{}, halve, flatten{}, inner_product{.output_channels = 128}, relu{},
            inner_product{.output_channels = 10}, softmax{});

inline constexpr auto mlp784 =
    compose(bespoke::input{"x", {784}}, inner_product{.output_channels = 256}, relu{},
            inner_product{.output_channels = 128}, relu{}, inner_product{.output_channels = 10});

inline constexpr auto mlp784_512 =
    compose(bespoke::input{"x", {784}}, inner_product{.output_channels = 512}, relu{},
            inner_product{.output_channels = 256}, relu{}, inner_product{.output_channels = 10}, softmax_nd{});

inline constexpr auto mlp32 =
    compose(bespoke::input{"x", {32}}, inner_product{.output_channels = 64}, bespoke::tanh{},
            inner_product{.output_channels = 64}, bespoke::tanh{}, inner_product{.output_channels = 8});

/// x [rows, Inputs] -> x Wᵀ
template <extent Rows, extent Inputs, extent Outputs>
inline constexpr auto product =
    compose(bespoke::input{"x", {Rows, Inputs}}, inner_product{.output_channels = Outputs, .has_bias = false});

}  // namespace bespoke::benchmarks
