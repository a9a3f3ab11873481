#pragma once

#include "../core/buffer.hpp"
#include "../core/concepts.hpp"
#include "gemm_bfloat16.hpp"
#include "gemm_int8.hpp"
#include "unpacked_gemm.hpp"

#include <bit>

namespace bespoke::kernels {

// y = x Wᵀ + bias with the weights W [n, k] of a layer: by `gemm`, or in low precision where the user asked for it. One
// row and few outputs: by W as it is, whose rows are then what is read in vectors.

/// Up to so many weights nothing is gained, and a product stays as it is.
inline constexpr extent least_low_precision_weights = 16384;

/// Whether this program is compiled for a machine that has instructions for it.
constexpr bool has_low_precision(low_precision p) {
    return p == low_precision::none || (p == low_precision::bfloat16 ? has_bfloat16 : has_int8);
}

/// What a product is computed in.
template <class T>
constexpr low_precision weighted_precision(const arithmetic& how, extent k, extent n) {
    const low_precision wanted = how.allow_low_precision_accumulation;
    if (!std::is_same_v<T, float> || !has_low_precision(wanted) || k * n <= least_low_precision_weights)
        return low_precision::none;
    return wanted == low_precision::int8 && k > int8_most_k ? low_precision::none : wanted;
}

/// Elements that `pack_weights` writes.
template <class T>
constexpr extent weights_size(const arithmetic& how, extent k, extent n) {
    switch (weighted_precision<T>(how, k, n)) {
#if BESPOKE_HAS_BFLOAT16
        case low_precision::bfloat16:
            return bfloat16_packed_size(k, n);
#endif
#if BESPOKE_HAS_INT8
        case low_precision::int8:
            return int8_packed_size(k, n);
#endif
        default:
            return packed_size<T>(k, n);
    }
}

/// Prepares W for `weighted_gemm`.
template <class T>
void pack_weights(const arithmetic& how, const T* weights, extent k, extent n, T* packed) noexcept {
    switch (weighted_precision<T>(how, k, n)) {
#if BESPOKE_HAS_BFLOAT16
        case low_precision::bfloat16:
            if constexpr (std::is_same_v<T, float>) pack_bfloat16(weights, k, n, packed);
            return;
#endif
#if BESPOKE_HAS_INT8
        case low_precision::int8:
            if constexpr (std::is_same_v<T, float>) pack_int8(weights, k, n, packed);
            return;
#endif
        default:
            pack(weights, extent{1}, k, k, n, packed);
    }
}

/// What products may do without `pack_weights`. The first: with so many rows of x it takes hardly longer, and there are
/// so many weights that to pack them takes as long as the product. Those of a training, which would pack them for each:
/// where there are fewer, too.
template <class T>
constexpr unprepared can_wait(const arithmetic& how, extent rows, extent k, extent n) {
    const extent computed = (rows + lanes<T> - 1) / lanes<T> * lanes<T>;
    const extent bytes = k * n * static_cast<extent>(sizeof(T)), large = static_cast<extent>(large_memory);
    if (weighted_precision<T>(how, k, n) == low_precision::none && rows >= 64 && 16 * (computed - rows) <= rows &&
        bytes >= large)
        return unprepared::in_first_run;
    return bytes >= large / 4 ? unprepared::in_training : unprepared::never;
}

namespace detail {

/// As W lies; in a training only for few rows: of many each gains more than its share of what it takes to pack W.
template <class T>
[[gnu::noinline]] void unprepared_gemm(extent m, extent n, extent k, const T* x, const T* weights, T* y,
                                       const T* bias, const workspace<T>& w) noexcept {
    if (!w.exact || (m > 1 && m <= 64))
        return unpacked_gemm<T>(m, n, k, x, weights, y, bias, w.scratch, w.threads, w.after);
    pack(weights, extent{1}, k, k, n, w.scratch, w.threads);
    multiply<T>({m, n, k, x, k, 1, w.scratch, y, n, bias, false, w.after}, w.threads);
}

template <class T>
[[gnu::noinline]] void low_precision_gemm([[maybe_unused]] low_precision precision, extent m, extent n,
                                          extent k, const T* x, const T* weights, T* y, const T* bias,
                                          const workspace<T>& w) noexcept {
    if (w.exact) return unprepared_gemm<T>(m, n, k, x, weights, y, bias, w);
#if BESPOKE_HAS_BFLOAT16
    if (precision == low_precision::bfloat16)
        gemm_bfloat16(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
#if BESPOKE_HAS_INT8
    if (precision == low_precision::int8)
        gemm_int8(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
}

/// Whether the product is one row of x, with a W whose rows fill vectors better than its columns.
template <class T>
constexpr bool suits_dots(extent m, extent n, extent k) {
    return m == 1 && 2 * n <= lanes<T> && k >= lanes<T>;
}
/// The power of two from n up: of the rows of W that are added up together.
constexpr extent summed_rows(extent n) {
    return static_cast<extent>(std::bit_ceil(static_cast<std::size_t>(n)));
}

/// y[j] = sum over p of x[p] * w[j * k + p] + bias[j], j in [0, n): sums in the order of `dot`. n <= Rows.
template <extent Rows, class T, class N, class K>
[[gnu::always_inline]] inline void narrow_product(N n, K k, const T* x, const T* w, const T* bias, T* y) noexcept {
    constexpr auto rows = static_cast<std::size_t>(Rows);
    batch<T> sum[rows];
    unroll<rows>([&](std::size_t j) __attribute__((always_inline)) { sum[j] = batch<T>(T(0)); });
    for_each_batch<T>(
        k, [&](extent p, auto in, auto) __attribute__((always_inline)) {
            const batch<T> left = in(x + p);
            unroll<rows>([&](auto j) __attribute__((always_inline)) {
                constexpr auto row = static_cast<extent>(j());
                if (row < n) sum[j] = kernels::fma<T>(left, in(w + row * k + p), sum[j]);
            });
        });
    const batch<T> sums = fold_rows<T>(
        sum, [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) { return a + b; });
    store_partial<T>(y, bias == nullptr ? sums : sums + load_partial(bias, n), n);
}
template <class T>
[[gnu::noinline]] void narrow_product_dynamic(extent n, extent k, const T* x, const T* w, const T* bias,
                                              T* y) noexcept {
    narrow_product<lanes<T> / 2>(n, k, x, w, bias, y);
}

}  // namespace detail

/// y = x Wᵀ + bias: x [m, k], W [n, k], y [m, n], bias [n] or null. `w.prepared` is what `pack_weights` left, or null
/// where it `can_wait`. `w.scratch` has packed_size<T>(k, m) elements then. In a training, `w.exact`, W may be packed
/// there, where what is prepared is nothing or of low precision: packed_size<T>(k, n) elements.
template <class T, class M, class N, class K>
[[gnu::always_inline]] inline void weighted_gemm(M m, N n, K k, const T* x, const T* weights, T* y,
                                                 const T* bias, const workspace<T>& w) noexcept {
    constexpr bool small = [] {
        if constexpr (std::is_same_v<N, extent> || std::is_same_v<K, extent>)
            return false;
        else
            return N::value * K::value <= least_low_precision_weights;
    }();
    if constexpr (!small && std::is_same_v<T, float> && (has_bfloat16 || has_int8))
        if (w.how.allow_low_precision_accumulation != low_precision::none)
            if (const auto precision = weighted_precision<T>(w.how, k, n); precision != low_precision::none)
                return detail::low_precision_gemm<T>(precision, m, n, k, x, weights, y, bias, w);
    if (detail::suits_dots<T>(m, n, k)) {
        if constexpr (std::is_same_v<N, extent> || std::is_same_v<K, extent>)
            detail::narrow_product_dynamic<T>(n, k, x, weights, bias, y);
        else
            detail::narrow_product<std::min(detail::summed_rows(N::value), lanes<T> / 2)>(n, k, x, weights, bias, y);
        if (w.after != nullptr) (*w.after)({y, 1, n, n});
        return;
    }
    if constexpr (!small)
        if (w.prepared == nullptr) return detail::unprepared_gemm<T>(m, n, k, x, weights, y, bias, w);
    gemm(m, n, k, x, extent{k}, extent{1}, w.prepared, y, extent{n}, bias, false, w.threads, w.after);
}

}  // namespace bespoke::kernels
