#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "arg_max.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "clip.hpp"
#include "concat.hpp"
#include "convolution.hpp"
#include "copy.hpp"
#include "embedding.hpp"
#include "flatten.hpp"
#include "gelu.hpp"
#include "gru.hpp"
#include "inner_product.hpp"
#include "l2normalize.hpp"
#include "layer_normalization.hpp"
#include "lrn.hpp"
#include "lstm.hpp"
#include "multiply.hpp"
#include "mvn.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "pooling3d.hpp"
#include "reduce.hpp"
#include "reshape_static.hpp"
#include "simple_recurrent.hpp"
#include "slice.hpp"
#include "softmax.hpp"
#include "split.hpp"
#include "squeeze.hpp"
#include "transpose.hpp"

namespace bespoke {

/// Every layer of this library but for control flow, which a loader adds by itself: X(name) for each.
#define BESPOKE_CORE_LAYERS(X)                                                                                   \
    X(linear) X(relu) X(leaky_relu) X(thresholded_relu) X(prelu) X(tanh) X(scaled_tanh) X(sigmoid)               \
    X(sigmoid_hard) X(elu) X(softsign) X(softplus) X(parametric_softplus) X(add) X(batched_matmul) X(batchnorm)  \
    X(bi_directional_lstm) X(clip) X(concat) X(convolution) X(copy) X(embedding) X(embedding_nd) X(expand_dims)          \
    X(flatten) X(gelu) X(gru) X(inner_product) X(layer_normalization) X(multiply) X(permute) X(pooling)          \
    X(reshape_static) X(simple_recurrent) X(slice) X(slice_static) X(softmax) X(softmax_nd) X(split) X(split_nd) \
    X(squeeze) X(transpose) X(uni_directional_lstm)                                                             \
    X(arg_max) X(arg_min) X(global_pooling3d) X(l2normalize) X(lrn) X(mvn) X(pooling3d) X(reduce)                \
    X(reduce_l1) X(reduce_l2) X(reduce_log_sum) X(reduce_log_sum_exp) X(reduce_max) X(reduce_mean)               \
    X(reduce_min) X(reduce_prod) X(reduce_sum) X(reduce_sum_square)

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
