#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "clip.hpp"
#include "concat.hpp"
#include "convolution.hpp"
#include "copy.hpp"
#include "crop.hpp"
#include "embedding.hpp"
#include "flatten.hpp"
#include "gather.hpp"
#include "gelu.hpp"
#include "gru.hpp"
#include "inner_product.hpp"
#include "layer_normalization.hpp"
#include "lstm.hpp"
#include "multiply.hpp"
#include "non_maximum_suppression.hpp"
#include "one_hot.hpp"
#include "pad.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "reshape_static.hpp"
#include "reverse_seq.hpp"
#include "scatter.hpp"
#include "simple_recurrent.hpp"
#include "slice.hpp"
#include "slice_by_size.hpp"
#include "sliding_windows.hpp"
#include "softmax.hpp"
#include "sort.hpp"
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
    X(arg_sort) X(constant_pad) X(crop) X(gather) X(gather_along_axis) X(gather_nd) X(non_maximum_suppression)  \
    X(one_hot) X(padding) X(reverse_seq) X(scatter) X(scatter_along_axis) X(scatter_nd) X(slice_by_size)        \
    X(sliding_windows) X(top_k)

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
