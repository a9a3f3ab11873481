#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "average.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "broadcastable.hpp"
#include "clip.hpp"
#include "compare.hpp"
#include "concat.hpp"
#include "convolution.hpp"
#include "copy.hpp"
#include "dot.hpp"
#include "embedding.hpp"
#include "flatten.hpp"
#include "gelu.hpp"
#include "gru.hpp"
#include "inner_product.hpp"
#include "layer_normalization.hpp"
#include "lstm.hpp"
#include "multiply.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "reshape_static.hpp"
#include "scale.hpp"
#include "simple_recurrent.hpp"
#include "slice.hpp"
#include "softmax.hpp"
#include "split.hpp"
#include "squeeze.hpp"
#include "tile.hpp"
#include "transpose.hpp"

namespace bespoke {

/// Every layer of this library but for control flow, which a loader adds by itself: X(name) for each.
#define BESPOKE_CORE_LAYERS(X)                                                                                   \
    X(linear) X(relu) X(leaky_relu) X(thresholded_relu) X(prelu) X(tanh) X(scaled_tanh) X(sigmoid)               \
    X(sigmoid_hard) X(elu) X(softsign) X(softplus) X(parametric_softplus) X(add) X(batched_matmul) X(batchnorm)  \
    X(bi_directional_lstm) X(clip) X(concat) X(convolution) X(copy) X(embedding) X(embedding_nd) X(expand_dims)          \
    X(flatten) X(gelu) X(gru) X(inner_product) X(layer_normalization) X(multiply) X(permute) X(pooling)          \
    X(reshape_static) X(simple_recurrent) X(slice) X(slice_static) X(softmax) X(softmax_nd) X(split) X(split_nd) \
    X(squeeze) X(transpose) X(uni_directional_lstm)                                                              \
    X(add_broadcastable) X(average) X(bias) X(broadcast_to_like) X(broadcast_to_static) X(concat_nd)             \
    X(divide_broadcastable) X(dot) X(equal) X(floor_div_broadcastable) X(greater_equal) X(greater_than)          \
    X(less_equal) X(less_than) X(logical_and) X(logical_or) X(logical_xor) X(max) X(max_broadcastable) X(min)    \
    X(min_broadcastable) X(mod_broadcastable) X(multiply_broadcastable) X(not_equal) X(pow_broadcastable)        \
    X(scale) X(sequence_repeat) X(stack) X(subtract_broadcastable) X(tile) X(where_broadcastable)

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
