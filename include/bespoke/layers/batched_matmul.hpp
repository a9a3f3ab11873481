#pragma once

#include "../core/buffer.hpp"
#include "../core/entries.hpp"
#include "../kernels/attention.hpp"
#include "../kernels/reduction.hpp"
#include "../kernels/weighted_gemm.hpp"

namespace bespoke {

/// Matrix products over the last two axes.
///
/// Two inputs: y = a b, a [..., m, k], b [..., k, n] -> y [..., m, n]. The leading axes are aligned at the
/// last one and repeated where they are 1 or missing. With `transpose_a`, a is [..., k, m]; with
/// `transpose_b`, b is [..., n, k]. A vector a [k] is a row [1, k], a vector b [k] a column [k, 1],
/// transposed or not; y has rank 2 or more.
///
/// One input: y = a Wᵀ + bias, a [..., X1] -> y [..., X2]. W [X2, X1] is the weight matrix of the
/// specification, [X1, X2] in column-major order. `transpose_a` and `transpose_b` do nothing.
///
/// Core ML specification, BatchedMatMulLayerParams.
struct batched_matmul {
    bool transpose_a = false, transpose_b = false;
    extent weight_matrix_first_dimension = unset;   ///< X1
    extent weight_matrix_second_dimension = unset;  ///< X2
    bool has_bias = false;
    /// Lets who runs it round the input to int8; here it stays exact. The specification wants int8 weights then; a
    /// layer that learned keeps the flag, and is saved in floats.
    bool int8_dynamic_quantize = false;

    static constexpr auto key = "batchedMatmul";
    constexpr void fields(auto& field) {
        field("transposeA", transpose_a);
        field("transposeB", transpose_b);
        field("weightMatrixFirstDimension", weight_matrix_first_dimension);
        field("weightMatrixSecondDimension", weight_matrix_second_dimension);
        field("hasBias", has_bias);
        field("int8DynamicQuantize", int8_dynamic_quantize);
    }
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs.size() == 1) return weighted_shape(xs[0]);  // g++ 12 destroys the result of a ?: too early
        return product_shape(xs[0], xs[1]);
    }
    constexpr batched_matmul resolved(std::span<const shape> xs) const {
        batched_matmul result = *this;
        if (xs.size() == 1 && weight_matrix_first_dimension == unset)
            result.weight_matrix_first_dimension = xs[0].from_end(1);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        if (xs.size() > 1) return {.weights = absent, .bias = absent};
        const extent outputs = weight_matrix_second_dimension;
        return {.weights = {outputs, xs[0].from_end(1)}, .bias = has_bias ? shape{outputs} : absent};
    }

    static constexpr bool entries_of_first = true;
    /// Each row by itself.
    constexpr std::size_t entries_from(std::span<const shape> xs, std::size_t back) const {
        if (xs.size() == 1) return back > 1 ? back : 0;
        return back == 2 ? transpose_a ? 1 : 2 : 0;
    }
    constexpr bool gives_rows(std::span<const shape> xs) const { return xs.size() == 2; }
    constexpr bool takes_rows(std::span<const shape> xs) const {
        if (xs.size() != 2 || transpose_a || xs[0].rank() < 2) return false;
        const shape y = product_shape(xs[0], xs[1]).shapes()[0];
        return y.product(0, y.rank() - 2) == xs[0].product(0, xs[0].rank() - 2);
    }

    template <class T>
    low_precision precision(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() > 1) return low_precision::none;
        return kernels::weighted_precision<T>(how, xs[0].from_end(1), weight_matrix_second_dimension);
    }
    template <class T>
    extent prepared_size(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() > 1) return 0;
        return kernels::weights_size<T>(how, xs[0].from_end(1), weight_matrix_second_dimension);
    }
    template <class T>
    unprepared can_wait(std::span<const shape> xs, const arithmetic& how) const {
        const extent k = xs[0].from_end(1);
        if (xs.size() > 1) return unprepared::never;
        return kernels::can_wait<T>(how, xs[0].size() / k, k, weight_matrix_second_dimension);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        if (p.weights) kernels::pack_weights(how, p.weights.data, p.weights[1], p.weights[0], prepared);
    }

    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent threads) const {
        using kernels::packed_size;
        if (xs.size() == 1) {
            const extent k = xs[0].from_end(1), rows = xs[0].size() / k * examples;
            const extent n = weight_matrix_second_dimension;
            return std::max({packed_size<T>(n, k), packed_size<T>(rows, k), packed_size<T>(k, n),
                             packed_size<T>(k, rows)});
        }
        return slot_size<T>(xs[0], xs[1]) * threads;
    }
    template <class T>
    extent rows_scratch_size(std::span<const shape> xs, extent columns, extent threads) const {
        return rows_slot_size<T>(xs[0], xs[1], columns) * threads;
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P& p, W& w) const noexcept {
        const auto& a = xs[0];
        const auto& y = ys[0];
        if (xs.size() == 1) {
            const extent k = a.dimensions.from_end(1), n = weight_matrix_second_dimension;
            return kernels::weighted_gemm(a.total() / k, n, k, a.data, p.weights.data, y.data, p.bias.data, w);
        }
        using T = typename Ys::value_type::value_type;
        const auto& b = xs[1];
        if (w.then != nullptr) return give_rows<T>(a, b, y, w);
        const matrix left(a.dimensions, transpose_a, true), right(b.dimensions, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        each_product(a, b, y, true, w, slot_size<T>(a.dimensions, b.dimensions),
                     [&, packed_b = static_cast<const T*>(nullptr)](extent i, extent j, extent o, T* packed,
                                                                    thread_pool* threads) mutable {
                         if (packed_b != b.data + j) {  // once for all matrices that meet the same one
                             packed_b = b.data + j;
                             kernels::pack(packed_b, right.row_step, right.column_step, k, n, packed,
                                           threads);
                         }
                         kernels::gemm(m, n, k, a.data + i, left.row_step, left.column_step, packed,
                                       y.data + o, n, static_cast<const T*>(nullptr), false, threads, w.after);
                     });
    }
    template <class T>
    row_product<T> row_product_of(const dynamic_view<const T>& b, const dynamic_view<T>& y,
                                  extent index) const noexcept {
        const matrix right(b.dimensions, transpose_b, false);
        const shape& s = y.dimensions;
        const extent products = s.product(0, s.rank() - 2), matrix_size = s.from_end(2) * s.from_end(1);
        return {b.data + index / products * b.stride + offset(b.dimensions, s, s.rank() - 2, index % products),
                right.row_step, right.column_step, right.columns, y.data + index * matrix_size, right.columns};
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        constexpr const T* no_bias = nullptr;
        const auto& a = xs[0];
        const auto& dy = dys[0];
        if (xs.size() == 1) {
            const extent k = p.weights[1], n = p.weights[0], rows = dy.total() / n;
            if (dp.weights) {
                kernels::pack(a.data, k, extent{1}, rows, k, w.scratch, w.threads);
                kernels::gemm(n, k, rows, dy.data, extent{1}, n, w.scratch, dp.weights.data, k, no_bias, true,
                              w.threads);
            }
            if (dp.bias) kernels::column_sums(rows, n, dy.data, n, dp.bias.data, w.threads);
            if (dxs[0]) {
                kernels::pack(p.weights.data, k, extent{1}, n, k, w.scratch, w.threads);
                kernels::gemm(rows, k, n, dy.data, n, extent{1}, w.scratch, dxs[0].data, k, no_bias, true,
                              w.threads);
            }
            return;
        }
        const auto& b = xs[1];
        const matrix left(a.dimensions, transpose_a, true), right(b.dimensions, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        // a product whose gradients meet those of no other can run beside the others
        const bool apart = is_apart(a, dy, m * k) && is_apart(b, dy, k * n);
        each_product(a, b, dy, apart, w, slot_size<T>(a.dimensions, b.dimensions),
                     [&](extent i, extent j, extent o, T* packed, thread_pool* threads) {
                         const T *at = a.data + i, *bt = b.data + j, *g = dy.data + o;
                         if (dxs[0] && !left.transposed) {  // da += dy bᵀ
                             kernels::pack(bt, right.column_step, right.row_step, n, k, packed, threads);
                             kernels::gemm(m, k, n, g, n, extent{1}, packed, dxs[0].data + i, k, no_bias,
                                           true, threads);
                         } else if (dxs[0]) {  // daᵀ += b dyᵀ
                             kernels::pack(g, extent{1}, n, n, m, packed, threads);
                             kernels::gemm(k, m, n, bt, right.row_step, right.column_step, packed,
                                           dxs[0].data + i, m, no_bias, true, threads);
                         }
                         if (dxs[1] && !right.transposed) {  // db += aᵀ dy
                             kernels::pack(g, n, extent{1}, m, n, packed, threads);
                             kernels::gemm(k, n, m, at, left.column_step, left.row_step, packed,
                                           dxs[1].data + j, n, no_bias, true, threads);
                         } else if (dxs[1]) {  // dbᵀ += dyᵀ a
                             kernels::pack(at, left.row_step, left.column_step, m, k, packed, threads);
                             kernels::gemm(n, k, m, g, extent{1}, n, packed, dxs[1].data + j, k, no_bias,
                                           true, threads);
                         }
                     });
    }
    friend bool operator==(const batched_matmul&, const batched_matmul&) = default;

private:
    /// The last two axes of a blob, as the product reads them.
    struct matrix {
        extent rows, columns, row_step, column_step;
        bool transposed;

        constexpr matrix(const shape& s, bool transpose, bool is_left)
            : transposed(transpose && s.rank() > 1) {
            const bool vector = s.rank() == 1;
            const extent first = !vector ? s.from_end(2) : is_left ? 1 : s[0];
            const extent second = !vector ? s.from_end(1) : is_left ? s[0] : 1;
            rows = transposed ? second : first;
            columns = transposed ? first : second;
            row_step = transposed ? 1 : second;
            column_step = transposed ? second : 1;
        }
    };

    constexpr outcome weighted_shape(const shape& a) const {
        if (a.rank() < 1) return shape_fault("an input of rank 1 or more wanted, its shape is ", a);
        const extent k = a.from_end(1), n = weight_matrix_second_dimension;
        if (n < 1) return value_fault("weightMatrixSecondDimension from 1 up wanted, ", n, " given");
        if (k < 1) return shape_fault("an input that is not empty wanted, its shape is ", a);
        if (weight_matrix_first_dimension != unset && weight_matrix_first_dimension != k)
            return shape_fault("a last axis of ", weight_matrix_first_dimension,
                               " (weightMatrixFirstDimension) wanted, the shape of its input is ", a);
        shape y = a;
        y.from_end(1) = n;
        return y;
    }
    constexpr outcome product_shape(const shape& a, const shape& b) const {
        if (a.rank() < 1 || b.rank() < 1)
            return shape_fault("inputs of rank 1 or more wanted, their shapes are ", a, " and ", b);
        const matrix left(a, transpose_a, true), right(b, transpose_b, false);
        if (left.columns != right.rows)
            return shape_fault("a matrix of ", left.columns, left.columns == 1 ? " row" : " rows",
                               " wanted on the right, it has ", right.rows, " (shapes ", a,
                               transpose_a ? " transposed" : "", " and ", b, transpose_b ? " transposed" : "",
                               ")");
        shape y;
        const std::size_t rank = leading(a, b);
        for (std::size_t axis = 0; axis < rank; ++axis) {
            const extent s = leading_extent(a, rank - axis), t = leading_extent(b, rank - axis);
            if (s != t && s != 1 && t != 1)
                return shape_fault("leading axes wanted that are equal or 1, the shapes are ", a, " and ", b);
            y.push_back(s == 1 ? t : s);
        }
        y.push_back(left.rows);
        y.push_back(right.columns);
        return y;
    }
    /// Number of axes before the matrices.
    static constexpr std::size_t leading(const shape& a, const shape& b) {
        return std::max({a.rank(), b.rank(), std::size_t{2}}) - 2;
    }
    /// The extent `back` axes before the matrix; 1 where there is none.
    static constexpr extent leading_extent(const shape& s, std::size_t back) {
        return s.rank() >= back + 2 ? s.from_end(back + 2) : 1;
    }
    /// Elements of the largest packed matrix, in both directions.
    template <class T>
    extent slot_size(const shape& a, const shape& b) const {
        using kernels::packed_size;
        const matrix left(a, transpose_a, true), right(b, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        return std::max({packed_size<T>(k, n), left.transposed ? packed_size<T>(n, m) : packed_size<T>(n, k),
                         right.transposed ? packed_size<T>(m, k) : packed_size<T>(m, n)});
    }
    /// For one thread of `give_rows`: both packed matrices and some rows.
    template <class T>
    extent rows_slot_size(const shape& a, const shape& b, extent columns) const {
        const extent k = matrix(a, transpose_a, true).columns, n = matrix(b, transpose_b, false).columns;
        return kernels::packed_size<T>(k, n) + kernels::packed_size<T>(n, columns) +
               aligned_size<T>(kernels::attention_size<T>(n));
    }
    /// The rows of a b, a few at a time, for `w.then`; y is only asked for its examples.
    template <class T, class A, class B, class Y, class W>
    void give_rows(const A& a, const B& b, const Y& y, W& w) const noexcept {
        const matrix left(a.dimensions, transpose_a, true), right(b.dimensions, transpose_b, false);
        const shape s = product_shape(a.dimensions, b.dimensions).shapes()[0];
        const std::size_t rank = s.rank() - 2;
        const extent m = left.rows, k = left.columns, n = right.columns, products = s.product(0, rank);
        const extent some = kernels::attention_rows<T>(n), blocks = (m + some - 1) / some;
        const extent all = products * y.examples * blocks, slot = rows_slot_size<T>(a.dimensions, b.dimensions,
                                                                                    y.dimensions.from_end(1));
        const bool small = products * y.examples * m * n * k < kernels::detail::threaded_work;
        const extent slots = small || !w.threads ? 1 : std::min(static_cast<extent>(w.threads->size()), all);
        parallel_for(small ? nullptr : w.threads, slots, 1, [&](extent first, extent last) {
            for (extent slot_number = first; slot_number < last; ++slot_number) {
                T* const packed_b = w.scratch + slot_number * slot;
                T* const packed_c = packed_b + kernels::packed_size<T>(k, n);
                T* const rows = packed_c + kernels::packed_size<T>(n, y.dimensions.from_end(1));
                kernels::attention<T> head{m,        n,        k,       0, nullptr, left.row_step, left.column_step,
                                           packed_b, packed_c, nullptr, 0};
                const T *b_there = nullptr, *c_there = nullptr;
                extent current = -1;
                for (extent i = all * slot_number / slots; i < all * (slot_number + 1) / slots; ++i) {
                    const extent index = i / blocks, row = i % blocks * some;
                    if (index != current) {
                        const auto at = [&](const auto& x) {
                            return x.data + index / products * x.stride +
                                   offset(x.dimensions, s, rank, index % products);
                        };
                        const row_product<T> then = (*w.then)(index);
                        head.a = at(a);
                        head.y = then.y;
                        head.y_row = then.y_row;
                        head.columns = then.columns;
                        if (std::exchange(b_there, at(b)) != at(b))
                            kernels::pack(b_there, right.row_step, right.column_step, k, n, packed_b);
                        if (std::exchange(c_there, then.b) != then.b)
                            kernels::pack(c_there, then.b_row, then.b_column, n, then.columns, packed_c);
                        current = index;
                    }
                    kernels::attend(head, row, std::min(row + some, m), index * m * n, rows, *w.after);
                }
            }
        });
    }
    /// Whether each of y's matrices has one of x to itself.
    template <class X, class Y>
    static bool is_apart(const X& x, const Y& y, extent matrix_size) {
        const shape s = y.dimensions;
        return x.dimensions.size() == matrix_size * s.product(0, s.rank() - 2) &&
               (x.stride != 0 || y.examples == 1);
    }

    /// Calls body(offset of the matrix in a, in b, in y, scratch, threads) for each matrix of y in order,
    /// a copy of `body` for each thread; or one after the other, where each may use all threads.
    template <class A, class B, class Y, class W, class T, class Body>
    void each_product(const A& a, const B& b, const Y& y, bool apart, W& w, T slot,
                      const Body& body) const noexcept {
        const shape s = y.dimensions;
        const std::size_t rank = s.rank() - 2;
        const extent products = s.product(0, rank), all = products * y.examples;
        const extent matrix_size = s.from_end(2) * s.from_end(1);
        const extent count = w.threads && apart ? std::min(static_cast<extent>(w.threads->size()), all) : 1;
        const bool spread = count > 1 && all >= 2 * count;
        const extent slots = spread ? count : 1;
        parallel_for(spread ? w.threads : nullptr, slots, 1, [&](extent first, extent last) {
            for (extent slot_number = first; slot_number < last; ++slot_number) {
                Body mine = body;
                for (extent i = all * slot_number / slots; i < all * (slot_number + 1) / slots; ++i)
                    mine(i / products * a.stride + offset(a.dimensions, s, rank, i % products),
                         i / products * b.stride + offset(b.dimensions, s, rank, i % products),
                         i * matrix_size, w.scratch + slot_number * slot, spread ? nullptr : w.threads);
            }
        });
    }
    /// Where matrix number `index` of y finds its factor in a blob of shape x.
    static extent offset(const shape& x, const shape& y, std::size_t rank, extent index) noexcept {
        if (x.rank() < 3) return 0;
        extent result = 0, step = x.from_end(2) * x.from_end(1);
        for (std::size_t back = 1; back <= rank && x.rank() >= back + 2; ++back) {
            const extent size = leading_extent(x, back), mine = index % y.from_end(back + 2);
            index /= y.from_end(back + 2);
            if (size != 1) result += mine * step;
            step *= size;
        }
        return result;
    }
};

}  // namespace bespoke
