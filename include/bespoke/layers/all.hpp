#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "clip.hpp"
#include "concat.hpp"
#include "convolution.hpp"
#include "copy.hpp"
#include "cum_sum.hpp"
#include "embedding.hpp"
#include "flatten.hpp"
#include "gelu.hpp"
#include "gru.hpp"
#include "hyperbolic.hpp"
#include "inner_product.hpp"
#include "layer_normalization.hpp"
#include "logical_not.hpp"
#include "lstm.hpp"
#include "matrix_band_part.hpp"
#include "multiply.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "reorganize_data.hpp"
#include "reshape_static.hpp"
#include "reverse.hpp"
#include "rounding.hpp"
#include "simple_recurrent.hpp"
#include "slice.hpp"
#include "softmax.hpp"
#include "split.hpp"
#include "squeeze.hpp"
#include "transpose.hpp"
#include "trigonometry.hpp"
#include "unary.hpp"

namespace bespoke {

/// Every layer of this library but for control flow, which a loader adds by itself: X(name) for each.
#define BESPOKE_CORE_LAYERS(X)                                                                                   \
    X(linear) X(relu) X(leaky_relu) X(thresholded_relu) X(prelu) X(tanh) X(scaled_tanh) X(sigmoid)               \
    X(sigmoid_hard) X(elu) X(softsign) X(softplus) X(parametric_softplus) X(add) X(batched_matmul) X(batchnorm)  \
    X(bi_directional_lstm) X(clip) X(concat) X(convolution) X(copy) X(embedding) X(embedding_nd) X(expand_dims)          \
    X(flatten) X(gelu) X(gru) X(inner_product) X(layer_normalization) X(multiply) X(permute) X(pooling)          \
    X(reshape_static) X(simple_recurrent) X(slice) X(slice_static) X(softmax) X(softmax_nd) X(split) X(split_nd) \
    X(squeeze) X(transpose) X(uni_directional_lstm)                                                              \
    X(acos) X(acosh) X(asin) X(asinh) X(atan) X(atanh) X(ceil) X(clamped_relu) X(cos) X(cosh) X(cum_sum) X(erf)  \
    X(exp2) X(flatten_to_2d) X(floor) X(logical_not) X(lower_triangular) X(matrix_band_part) X(reorganize_data)  \
    X(reverse) X(round) X(sign) X(sin) X(sinh) X(tan) X(tanh_layer) X(unary) X(upper_triangular)

/// A choice of layer types: what a loader knows.
template <class... Ls>
struct layer_set {};

namespace detail {
template <class Nothing, class... Ls>
struct listed {
    using type = layer_set<Ls...>;
};
}  // namespace detail

#define BESPOKE_NEXT_LAYER(L) , L
using core_layers = typename detail::listed<void BESPOKE_CORE_LAYERS(BESPOKE_NEXT_LAYER)>::type;
#undef BESPOKE_NEXT_LAYER

}  // namespace bespoke
