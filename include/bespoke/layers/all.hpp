#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "arg_max.hpp"
#include "average.hpp"
#include "batched_matmul.hpp"
#include "batchnorm.hpp"
#include "broadcastable.hpp"
#include "categorical_distribution.hpp"
#include "clip.hpp"
#include "compare.hpp"
#include "concat.hpp"
#include "constant.hpp"
#include "convolution.hpp"
#include "convolution3d.hpp"
#include "copy.hpp"
#include "crop.hpp"
#include "cum_sum.hpp"
#include "dot.hpp"
#include "dynamic.hpp"
#include "embedding.hpp"
#include "fill.hpp"
#include "flatten.hpp"
#include "gather.hpp"
#include "gelu.hpp"
#include "gru.hpp"
#include "hyperbolic.hpp"
#include "inner_product.hpp"
#include "l2normalize.hpp"
#include "layer_normalization.hpp"
#include "logical_not.hpp"
#include "lrn.hpp"
#include "lstm.hpp"
#include "matrix_band_part.hpp"
#include "multiply.hpp"
#include "mvn.hpp"
#include "non_maximum_suppression.hpp"
#include "one_hot.hpp"
#include "pad.hpp"
#include "parametric_activation.hpp"
#include "pooling.hpp"
#include "pooling3d.hpp"
#include "random.hpp"
#include "reduce.hpp"
#include "reorganize_data.hpp"
#include "reshape.hpp"
#include "reshape_static.hpp"
#include "resize.hpp"
#include "reverse.hpp"
#include "reverse_seq.hpp"
#include "rounding.hpp"
#include "scale.hpp"
#include "scatter.hpp"
#include "simple_recurrent.hpp"
#include "slice.hpp"
#include "slice_by_size.hpp"
#include "slice_dynamic.hpp"
#include "sliding_windows.hpp"
#include "softmax.hpp"
#include "sort.hpp"
#include "split.hpp"
#include "squeeze.hpp"
#include "tile.hpp"
#include "transpose.hpp"
#include "trigonometry.hpp"
#include "unary.hpp"
#include "where_non_zero.hpp"

namespace bespoke {

/// Every layer of this library but for control flow, which a loader adds by itself: X(name) for each.
#define BESPOKE_CORE_LAYERS(X)                                                                                       \
    X(acos) X(acosh) X(add) X(add_broadcastable) X(arg_max) X(arg_min) X(arg_sort) X(asin) X(asinh) X(atan) X(atanh) \
    X(average) X(batched_matmul) X(batchnorm) X(bi_directional_lstm) X(bias) X(broadcast_to_dynamic)                 \
    X(broadcast_to_like) X(broadcast_to_static) X(categorical_distribution) X(ceil) X(clamped_relu) X(clip)          \
    X(concat) X(concat_nd) X(constant_pad) X(convolution) X(convolution3d) X(copy) X(cos) X(cosh) X(crop)            \
    X(crop_resize) X(cum_sum) X(divide_broadcastable) X(dot) X(elu) X(embedding) X(embedding_nd) X(equal) X(erf)     \
    X(exp2) X(expand_dims) X(fill_dynamic) X(fill_like) X(fill_static) X(flatten) X(flatten_to_2d) X(floor)          \
    X(floor_div_broadcastable) X(gather) X(gather_along_axis) X(gather_nd) X(gelu) X(get_shape) X(global_pooling3d)  \
    X(greater_equal) X(greater_than) X(gru) X(inner_product) X(l2normalize) X(layer_normalization) X(leaky_relu)     \
    X(less_equal) X(less_than) X(linear) X(load_constant) X(load_constant_nd) X(logical_and) X(logical_not)          \
    X(logical_or) X(logical_xor) X(lower_triangular) X(lrn) X(matrix_band_part) X(max) X(max_broadcastable) X(min)   \
    X(min_broadcastable) X(mod_broadcastable) X(multiply) X(multiply_broadcastable) X(mvn)                           \
    X(non_maximum_suppression) X(not_equal) X(one_hot) X(padding) X(parametric_softplus) X(permute) X(pooling)       \
    X(pooling3d) X(pow_broadcastable) X(prelu) X(random_bernoulli_dynamic) X(random_bernoulli_like)                  \
    X(random_bernoulli_static) X(random_normal_dynamic) X(random_normal_like) X(random_normal_static)                \
    X(random_uniform_dynamic) X(random_uniform_like) X(random_uniform_static) X(range_dynamic) X(range_static)       \
    X(rank_preserving_reshape) X(reduce) X(reduce_l1) X(reduce_l2) X(reduce_log_sum) X(reduce_log_sum_exp)           \
    X(reduce_max) X(reduce_mean) X(reduce_min) X(reduce_prod) X(reduce_sum) X(reduce_sum_square) X(relu)             \
    X(reorganize_data) X(reshape) X(reshape_dynamic) X(reshape_like) X(reshape_static) X(resize_bilinear) X(reverse) \
    X(reverse_seq) X(round) X(scale) X(scaled_tanh) X(scatter) X(scatter_along_axis) X(scatter_nd)                   \
    X(sequence_repeat) X(sigmoid) X(sigmoid_hard) X(sign) X(simple_recurrent) X(sin) X(sinh) X(slice)                \
    X(slice_by_size) X(slice_dynamic) X(slice_static) X(sliding_windows) X(softmax) X(softmax_nd) X(softplus)        \
    X(softsign) X(split) X(split_nd) X(squeeze) X(stack) X(subtract_broadcastable) X(tan) X(tanh) X(tanh_layer)      \
    X(thresholded_relu) X(tile) X(top_k) X(transpose) X(unary) X(uni_directional_lstm) X(upper_triangular)           \
    X(upsample) X(where_broadcastable) X(where_non_zero)

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
