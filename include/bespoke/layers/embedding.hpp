#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"
#include "../kernels/reduction.hpp"

namespace bespoke {
namespace detail {

/// The row that x names: the nearest integer, at the edge where it lies outside [0, rows), 0 for NaN.
template <class T>
extent table_row(T x, extent rows) {
    const double at = static_cast<double>(x);
    if (!(at > 0)) return 0;
    if (at >= static_cast<double>(rows - 1)) return rows - 1;
    return static_cast<extent>(at + 0.5);
}

/// table [rows, columns] = the weights [columns, rows] reflected, plus the bias (null: none) in each row.
template <class T>
void prepare_table(extent rows, extent columns, const T* weights, const T* bias, T* table) noexcept {
    kernels::transpose(weights, rows, columns, rows, table, columns);
    for (extent r = 0; bias != nullptr && r < rows; ++r) kernels::accumulate(columns, bias, table + r * columns);
}

template <class T>
void look_up(extent count, const T* x, extent rows, extent columns, const T* table, T* y,
             thread_pool* threads) noexcept {
    if (count * columns < (1 << 14)) threads = nullptr;
    parallel_for(threads, count, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i)
            kernels::copy(columns, table + table_row(x[i], rows) * columns, y + i * columns);
    });
}

/// Adds to the gradients of weights [columns, rows] and bias [columns], null where not wanted. An element is summed
/// up in the order of the indices: threads split the columns.
template <class T>
void look_up_backward(extent count, const T* x, extent rows, extent columns, const T* dy, T* weights, T* bias,
                      thread_pool* threads) noexcept {
    if (bias != nullptr) kernels::column_sums(count, columns, dy, columns, bias, threads);
    if (weights == nullptr) return;
    if (count * columns < (1 << 14)) threads = nullptr;
    constexpr extent block = 16;  // columns whose gradients share a cache line
    parallel_for(threads, columns, block, [&](extent first, extent last) {
        for (extent begin = first; begin < last; begin += block) {
            const extent end = std::min(begin + block, last);
            for (extent i = 0; i < count; ++i) {
                T* to = weights + table_row(x[i], rows);
                for (extent c = begin; c < end; ++c) to[c * rows] += dy[i * columns + c];
            }
        }
    });
}

}  // namespace detail

/// Looks vectors up: y is column x of W, plus b.
///
/// W [output_channels, input_dim], b [output_channels].
/// x [.., n, 1, 1, 1] of rank 4 or 5 -> y [.., n, output_channels, 1, 1]; one index [1, 1, 1] goes beyond the
/// specification. x holds indices from 0 to input_dim - 1: another number means the nearest of them, NaN means 0.
/// No gradient passes to x.
/// Core ML specification, EmbeddingLayerParams.
struct embedding {
    extent input_dim = unset;
    extent output_channels = unset;
    bool has_bias = false;

    static constexpr auto key = "embedding";
    static constexpr auto fields = std::tuple{field{"inputDim", &embedding::input_dim},
                                              field{"outputChannels", &embedding::output_channels},
                                              field{"hasBias", &embedding::has_bias}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3 || x.rank() > 5 || x.from_end(3) != 1 || x.from_end(2) != 1 || x.from_end(1) != 1)
            return shape_fault("an input [n, 1, 1, 1] or [m, n, 1, 1, 1] of indices wanted, its shape is ", x);
        if (input_dim < 1) return value_fault("inputDim from 1 up wanted, ", input_dim, " given");
        if (output_channels < 1)
            return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        shape y = x;
        y.from_end(3) = output_channels;
        return y;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.weights = {output_channels, input_dim}, .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    extent prepared_size(const shape&) const {
        return input_dim * output_channels;
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        detail::prepare_table<T>(input_dim, output_channels, p.weights.data, p.bias.data, prepared);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::look_up(x.total(), x.data, input_dim, output_channels, w.prepared, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx, const P&, const Dp& dp, W& w) const noexcept {
        detail::look_up_backward(x.total(), x.data, input_dim, output_channels, dy.data, dp.weights.data,
                                 dp.bias.data, w.threads);
    }
    friend bool operator==(const embedding&, const embedding&) = default;
};

/// Looks vectors up: y is column x of W, plus b.
///
/// W [embedding_size, vocab_size], b [embedding_size]. x [.., 1] -> y [.., embedding_size]; rank 1 goes beyond the
/// specification. x holds indices from 0 to vocab_size - 1: another number means the nearest of them, NaN means 0.
/// No gradient passes to x.
/// Core ML specification, EmbeddingNDLayerParams.
struct embedding_nd {
    extent vocab_size = unset;
    extent embedding_size = unset;
    bool has_bias = false;

    static constexpr auto key = "embeddingND";
    static constexpr auto fields = std::tuple{field{"vocabSize", &embedding_nd::vocab_size},
                                              field{"embeddingSize", &embedding_nd::embedding_size},
                                              field{"hasBias", &embedding_nd::has_bias}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 1 || x.from_end(1) != 1)
            return shape_fault("an input [.., 1] of indices wanted, its shape is ", x);
        if (vocab_size < 1) return value_fault("vocabSize from 1 up wanted, ", vocab_size, " given");
        if (embedding_size < 1) return value_fault("embeddingSize from 1 up wanted, ", embedding_size, " given");
        shape y = x;
        y.from_end(1) = embedding_size;
        return y;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.weights = {embedding_size, vocab_size}, .bias = has_bias ? shape{embedding_size} : absent};
    }

    template <class T>
    extent prepared_size(const shape&) const {
        return vocab_size * embedding_size;
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        detail::prepare_table<T>(vocab_size, embedding_size, p.weights.data, p.bias.data, prepared);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::look_up(extent{x.total()}, x.data, vocab_size, embedding_size, w.prepared, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx, const P&, const Dp& dp, W& w) const noexcept {
        detail::look_up_backward(extent{x.total()}, x.data, vocab_size, embedding_size, dy.data, dp.weights.data,
                                 dp.bias.data, w.threads);
    }
    friend bool operator==(const embedding_nd&, const embedding_nd&) = default;
};

}  // namespace bespoke
