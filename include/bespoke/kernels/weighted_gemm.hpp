#pragma once

#include "../core/concepts.hpp"
#include "gemm_bfloat16.hpp"
#include "gemm_int8.hpp"

namespace bespoke::kernels {

// y = x Wᵀ + bias with the weights W [n, k] of a layer: by `gemm`, or in low precision where the user asked for it.

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

namespace detail {

template <class T>
[[gnu::noinline]] void low_precision_gemm([[maybe_unused]] low_precision precision, extent m, extent n,
                                          extent k, const T* x, const T* weights, T* y, const T* bias,
                                          const workspace<T>& w) noexcept {
    if (w.exact) {
        pack(weights, extent{1}, k, k, n, w.scratch, w.threads);
        return multiply<T>({m, n, k, x, k, 1, w.scratch, y, n, bias, false, w.after}, w.threads);
    }
#if BESPOKE_HAS_BFLOAT16
    if (precision == low_precision::bfloat16)
        gemm_bfloat16(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
#if BESPOKE_HAS_INT8
    if (precision == low_precision::int8)
        gemm_int8(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
}

}  // namespace detail

/// y = x Wᵀ + bias: x [m, k], W [n, k], y [m, n], bias [n] or null. `w.prepared` is what `pack_weights` left; where it
/// is of low precision and `w.exact`, W is packed anew, into `w.scratch`: packed_size<T>(k, n) elements.
template <class T, class M, class N, class K>
[[gnu::always_inline]] inline void weighted_gemm(M m, N n, K k, const T* x, const T* weights, T* y,
                                                 const T* bias, const workspace<T>& w) noexcept {
    constexpr bool small = [] {
        if constexpr (!std::is_same_v<T, float> || !(has_bfloat16 || has_int8))
            return true;
        else if constexpr (std::is_same_v<N, extent> || std::is_same_v<K, extent>)
            return false;
        else
            return N::value * K::value <= least_low_precision_weights;
    }();
    if constexpr (!small)
        if (w.how.allow_low_precision_accumulation != low_precision::none)
            if (const auto precision = weighted_precision<T>(w.how, k, n); precision != low_precision::none)
                return detail::low_precision_gemm<T>(precision, m, n, k, x, weights, y, bias, w);
    gemm(m, n, k, x, extent{k}, extent{1}, w.prepared, y, extent{n}, bias, false, w.threads, w.after);
}

}  // namespace bespoke::kernels
