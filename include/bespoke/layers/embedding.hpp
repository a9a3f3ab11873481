#pragma once

#include "../core/concepts.hpp"
#include "../kernels/indexing.hpp"
#include "../kernels/reduction.hpp"

#include <algorithm>

namespace bespoke {
namespace detail {

/// The row that x names: the nearest integer, at the edge where it lies outside [0, rows), 0 for NaN.
template <class T>
extent table_row(T x, extent rows) {
    return std::clamp<extent>(kernels::nearest_integer(x), 0, rows - 1);
}

/// The vectors that were looked up since the weights changed, where they lie side by side: in the weights
/// [columns, rows] an element of a vector lies a whole row behind the one before it.
template <class T>
struct vector_table {
    static constexpr extent block = 16;  ///< columns that share a cache line

    extent rows, columns;
    T* memory;  ///< the vectors [rows, columns], and for each whether it is there: 0 or 1

    static constexpr extent size(extent rows, extent columns) { return rows * (columns + 1); }
    const T* vector(extent row) const { return memory + row * columns; }
    T& present(extent row) const { return memory[rows * columns + row]; }

    void clear() const noexcept { kernels::fill(rows, T(0), &present(0)); }
    /// Fetches the vectors that x names: columns of weights, plus the bias (null: none).
    void fetch(extent count, const T* x, const T* weights, const T* bias, thread_pool* threads) const noexcept {
        bool complete = true;
        for (extent i = 0; i < count; ++i) complete = complete && present(table_row(x[i], rows)) != T(0);
        if (complete) return;
        parallel_for(threads, columns, block, [&](extent first, extent last) {
            for (extent begin = first; begin < last; begin += block) {
                const extent end = std::min(begin + block, last);
                for (extent i = 0; i < count; ++i) {
                    const extent row = table_row(x[i], rows);
                    if (present(row) != T(0)) continue;
                    T* to = memory + row * columns;
                    for (extent c = begin; c < end; ++c)
                        to[c] = bias == nullptr ? weights[c * rows + row] : weights[c * rows + row] + bias[c];
                }
            }
        });
        for (extent i = 0; i < count; ++i) present(table_row(x[i], rows)) = T(1);
    }
};

}  // namespace detail

/// Looks vectors up: y is column x of W, plus b.
///
/// W [embedding_size, vocab_size], b [embedding_size]. x [.., 1] -> y [.., embedding_size]; rank 1 goes beyond the
/// specification. x holds indices from 0 to vocab_size - 1: another number means the nearest of them, NaN means 0.
/// No gradient passes to x. PyTorch's Embedding has the transpose of W.
/// Core ML specification, EmbeddingNDLayerParams.
struct embedding_nd {
    extent vocab_size = unset;
    extent embedding_size = unset;
    bool has_bias = false;

    static constexpr auto key = "embeddingND";
    constexpr void fields(auto& field) {
        field("vocabSize", vocab_size);
        field("embeddingSize", embedding_size);
        field("hasBias", has_bias);
    }
    static constexpr bool batched = true;
    static constexpr bool prepares_on_demand = true;
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
        return detail::vector_table<T>::size(vocab_size, embedding_size);
    }
    template <class P, class T>
    void prepare(const P&, T* prepared) const noexcept {
        detail::vector_table<T>{vocab_size, embedding_size, prepared}.clear();
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const extent count = x.total(), columns = embedding_size;
        thread_pool* threads = count * columns < (1 << 14) ? nullptr : w.threads;
        const detail::vector_table<T> table{vocab_size, columns, w.prepared};
        table.fetch(count, x.data, p.weights.data, p.bias.data, threads);
        parallel_for(threads, count, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i) {
                if (i + 2 < last)
                    kernels::prefetch(table.vector(detail::table_row(x.data[i + 2], vocab_size)), columns);
                kernels::copy(columns, table.vector(detail::table_row(x.data[i], vocab_size)), y.data + i * columns);
            }
        });
    }
    /// An element is summed up in the order of the indices: threads split the columns.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx, const P&, const Dp& dp, W& w) const noexcept {
        const extent count = x.total(), columns = embedding_size;
        if (dp.bias) kernels::column_sums(count, columns, dy.data, columns, dp.bias.data, w.threads);
        if (!dp.weights) return;
        constexpr extent block = detail::vector_table<typename X::value_type>::block;
        thread_pool* threads = count * columns < (1 << 14) ? nullptr : w.threads;
        parallel_for(threads, columns, block, [&](extent first, extent last) {
            for (extent begin = first; begin < last; begin += block) {
                const extent end = std::min(begin + block, last);
                for (extent i = 0; i < count; ++i) {
                    auto* to = dp.weights.data + detail::table_row(x.data[i], vocab_size);
                    for (extent c = begin; c < end; ++c) to[c * vocab_size] += dy.data[i * columns + c];
                }
            }
        });
    }
    friend bool operator==(const embedding_nd&, const embedding_nd&) = default;
};

/// `embedding_nd` for indices that stand alone on three axes: W [output_channels, input_dim], b [output_channels];
/// x [.., n, 1, 1, 1] of rank 4 or 5 -> y [.., n, output_channels, 1, 1]. One index [1, 1, 1] goes beyond the
/// specification.
/// Core ML specification, EmbeddingLayerParams.
struct embedding {
    extent input_dim = unset;
    extent output_channels = unset;
    bool has_bias = false;

    static constexpr auto key = "embedding";
    constexpr void fields(auto& field) {
        field("inputDim", input_dim);
        field("outputChannels", output_channels);
        field("hasBias", has_bias);
    }

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
    constexpr embedding_nd equivalent(const shape&) const {
        return {.vocab_size = input_dim, .embedding_size = output_channels, .has_bias = has_bias};
    }
    friend bool operator==(const embedding&, const embedding&) = default;
};

}  // namespace bespoke
