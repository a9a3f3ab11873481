#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "concat.hpp"
#include "convolution.hpp"
#include "copy.hpp"
#include "flatten.hpp"
#include "gelu.hpp"
#include "inner_product.hpp"
#include "layer_normalization.hpp"
#include "multiply.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "reshape_static.hpp"
#include "softmax.hpp"

namespace bespoke {

/// A choice of layer types: what a loader knows.
template <class... Ls>
struct layer_set {};

/// Every layer of this library but for control flow, which a loader adds by itself.
using core_layers = layer_set<linear, relu, leaky_relu, thresholded_relu, prelu, tanh, scaled_tanh, sigmoid,
                              sigmoid_hard, elu, softsign, softplus, parametric_softplus, add, batched_matmul,
                              batchnorm, concat, convolution, copy, flatten, gelu, inner_product,
                              layer_normalization, multiply, pooling, reshape_static, softmax, softmax_nd>;

}  // namespace bespoke
