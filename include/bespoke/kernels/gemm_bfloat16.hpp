#pragma once

#include "group_product.hpp"

namespace bespoke::kernels {

// Matrix products in bfloat16: the upper 16 bits of a float, 8 bits of precision and the range of a float.
//
// Both factors are rounded to the nearest bfloat16, ties to even. Every element of C is one chain over pairs of k:
//     c = bias (or 0);  c = fma(a[i, 1], b[1, j], c);  c = fma(a[i, 0], b[0, j], c);
//                       c = fma(a[i, 3], b[3, j], c);  c = fma(a[i, 2], b[2, j], c);  ...
// each fma in float, rounded to nearest; an odd k ends with zeros. Subnormal numbers count as 0 wherever they appear.
// Intel 64 and IA-32 Architectures Software Developer's Manual, VDPBF16PS and VCVTNE2PS2BF16. The same bits for any
// number of rows, columns and threads.

/// Whether this program is compiled for a machine that has the instruction.
#if defined(__AVX512BF16__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define BESPOKE_HAS_BFLOAT16 1
#else
#define BESPOKE_HAS_BFLOAT16 0
#endif
inline constexpr bool has_bfloat16 = BESPOKE_HAS_BFLOAT16;

#if BESPOKE_HAS_BFLOAT16

namespace detail {

struct bfloat16_step {
    [[gnu::always_inline]] static batch<float> run(const batch<float>& a, const batch<float>& b,
                                                   const batch<float>& c) noexcept {
        return _mm512_dpbf16_ps(c, (__m512bh)(__m512)a, (__m512bh)(__m512)b);
    }
};

/// 16 pairs of the row at `x` that has k elements, from pair g on.
[[gnu::always_inline]] inline batch<float> bfloat16_pairs(const float* x, extent k, extent g) noexcept {
    const extent rest = k - 2 * g;
    const __m512 low = load_rest(x + 2 * g, rest), high = load_rest(x + 2 * g + 16, rest - 16);
    return (__m512)_mm512_cvtne2ps_pbh(high, low);
}

class bfloat16_format {
public:
    using step = bfloat16_step;
    static constexpr extent group = 2, most_rows = std::numeric_limits<extent>::max();
    static constexpr bool finishes = false;

    explicit bfloat16_format(const group_product& p) : p_(p) {}
    const float* start(extent j) noexcept {
        constexpr extent width = panel_width<float>;
        std::fill_n(start_, width, 0.0f);
        if (p_.bias != nullptr) std::copy_n(p_.bias + j, std::min(p_.n - j, width), start_);
        return start_;
    }
    void look(extent, extent) const noexcept {}
    [[gnu::always_inline]] batch<float> convert(extent i, extent g) const noexcept {
        return bfloat16_pairs(p_.a + i * p_.a_row, p_.k, g);
    }

private:
    const group_product& p_;
    alignas(64) float start_[panel_width<float>];
};

}  // namespace detail

/// Floats that `pack_bfloat16` writes for a k x n matrix.
constexpr extent bfloat16_packed_size(extent k, extent n) { return packed_size<float>((k + 1) / 2, n); }

/// Packs the k x n matrix B, B(i, j) = weights[j * k + i], for `gemm_bfloat16`.
template <std::same_as<float> T>
void pack_bfloat16(const T* weights, extent k, extent n, float* packed,
                   thread_pool* threads = nullptr) noexcept {
    detail::pack_group_panels((k + 1) / 2, n, packed,
                              threads, [=](extent j, extent g) __attribute__((always_inline)) {
                                  return detail::bfloat16_pairs(weights + j * k, k, g);
                              });
}

/// C = A B + bias: A [m, k], A(i, p) = a[i * a_row + p]; B [k, n] as `pack_bfloat16` left it; C [m, n],
/// C(i, j) = c[i * c_row + j], overlapping neither; bias [n] or null. `after` is run on each block of C.
template <std::same_as<float> T>
void gemm_bfloat16(extent m, extent n, extent k, const T* a, extent a_row, const float* packed_b, float* c,
                   extent c_row, const float* bias = nullptr, thread_pool* threads = nullptr,
                   const epilogue<float>* after = nullptr) noexcept {
    detail::multiply_low_precision<detail::bfloat16_format>(
        {m, n, k, a, a_row, packed_b, c, c_row, bias, after}, threads);
}

#endif

}  // namespace bespoke::kernels
