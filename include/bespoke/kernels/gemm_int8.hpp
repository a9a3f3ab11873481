#pragma once

#include "group_product.hpp"

#include <cstdint>
#include <numeric>

namespace bespoke::kernels {

// Matrix products in integers of 8 bits, summed in 32: the weights are quantised when they are packed, the other factor
// row by row when it comes. All in float, each operation rounded to nearest, round() ties to even:
//
//     column j of B   t[j] = max |b[., j]| / 127;   v[p, j] = round(b[p, j] * (1 / t[j])), in [-127, 127]
//     row i of A      l = min(0, min a[i, .]), h = max(0, max a[i, .]);   s[i] = h / 255 - l / 255
//                     z[i] = round(-l * (1 / s[i]));   u[i, p] = round(fma(a[i, p], 1 / s[i], z[i])); both in [0, 255]
//     C               c[i, j] = fma(float(sum over p of (u[i, p] - z[i]) v[p, j]), s[i] * t[j], bias[j])
//
// A scale below 2^-126 counts as 0, and so does what it scales; that of a row or column with a number that is not
// finite is NaN. The sum is exact up to `int8_most_k` terms. The same bits for any number of rows, columns and threads.
// Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018.

/// Whether this program is compiled for a machine that has the instruction.
#if defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define BESPOKE_HAS_INT8 1
#else
#define BESPOKE_HAS_INT8 0
#endif
inline constexpr bool has_int8 = BESPOKE_HAS_INT8;

inline constexpr extent int8_most_k = 0x7fffffff / (255 * 127);

#if BESPOKE_HAS_INT8

namespace detail {

struct int8_step {
    [[gnu::always_inline]] static batch<float> run(const batch<float>& a, const batch<float>& b,
                                                   const batch<float>& c) noexcept {
        return _mm512_castsi512_ps(
            _mm512_dpbusd_epi32(_mm512_castps_si512(c), _mm512_castps_si512(a), _mm512_castps_si512(b)));
    }
};

/// Smallest and largest of `k` numbers and 0; NaN where one is not finite.
struct float_range {
    float low, high;

    float_range(const float* x, extent k) noexcept {
        const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
        __m512 lowest = _mm512_setzero_ps(), highest = lowest;
        __m512i largest = _mm512_setzero_si512();
        for (extent p = 0; p < k; p += 16) {
            const __m512 v = load_rest(x + p, k - p);
            lowest = _mm512_min_ps(lowest, v);
            highest = _mm512_max_ps(highest, v);
            largest = _mm512_max_epi32(largest, _mm512_and_si512(_mm512_castps_si512(v), magnitude));
        }
        // Not by the intrinsics that reduce a register: g++ 12 warns of what they are made of.
        alignas(64) float lows[16], highs[16];
        alignas(64) std::int32_t magnitudes[16];
        _mm512_store_ps(lows, lowest);
        _mm512_store_ps(highs, highest);
        _mm512_store_si512(magnitudes, largest);
        low = *std::min_element(lows, lows + 16);
        high = *std::max_element(highs, highs + 16);
        if (*std::max_element(magnitudes, magnitudes + 16) >= 0x7f800000)
            low = high = std::numeric_limits<float>::quiet_NaN();
    }
};

/// What a scale means, and by what to multiply instead of dividing by it.
inline float int8_scale(float scale) noexcept {
    return scale < std::numeric_limits<float>::min() ? 0.0f : scale;
}
inline float int8_inverse(float scale) noexcept { return scale > 0 ? 1 / scale : 0.0f; }

/// 16 groups of round(fma(x, scale, zero)) from group g on, of the row at `x` that has k elements.
template <bool Signed>
[[gnu::always_inline]] inline batch<float> int8_groups(const float* x, extent k, extent g, float scale,
                                                       float zero) noexcept {
    const extent rest = k - 4 * g;
    __m512i part[4];
    unroll<4>([&](auto i) __attribute__((always_inline)) {
        constexpr auto at = 16 * static_cast<extent>(i());
        part[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(load_rest(x + 4 * g + at, rest - at),
                                                     _mm512_set1_ps(scale), _mm512_set1_ps(zero)));
    });
    const __m512i low = _mm512_packs_epi32(part[0], part[1]), high = _mm512_packs_epi32(part[2], part[3]);
    const __m512i bytes = Signed ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
    // Packing keeps to the quarters of a register: group 4 q + i of the result is group q of the quarter i.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi32(order, bytes));
}

class int8_format {
public:
    using step = int8_step;
    static constexpr extent group = 4, most_rows = 64 * tile_rows;
    static constexpr bool finishes = true;

    explicit int8_format(const group_product& p) : p_(p) {}
    const float* start(extent j) noexcept {
        constexpr extent width = panel_width<float>;
        std::fill_n(bias_, width, 0.0f);
        if (p_.bias != nullptr) std::copy_n(p_.bias + j, std::min(p_.n - j, width), bias_);
        return none_;
    }
    void look(extent top, extent bottom) noexcept {
        top_ = top;
        for (extent i = 0; i < bottom - top; ++i) {
            const float_range range(p_.a + (top + i) * p_.a_row, p_.k);
            scale_[i] = int8_scale(range.high / 255 - range.low / 255);
            inverse_[i] = int8_inverse(scale_[i]);
            zero_[i] = inverse_[i] > 0 ? std::nearbyint(-range.low * inverse_[i]) : 0.0f;
        }
    }
    [[gnu::always_inline]] batch<float> convert(extent i, extent g) const noexcept {
        return int8_groups<false>(p_.a + i * p_.a_row, p_.k, g, inverse_[i - top_], zero_[i - top_]);
    }
    /// Of the tile that begins at row i and column j.
    void finish(extent i, extent j, extent rows, extent columns, float* sums, extent stride) const noexcept {
        const float* scales = p_.packed + packed_size<float>((p_.k + 3) / 4, p_.n);
        const float* totals = scales + packed_size<float>(1, p_.n);
        for (extent column = 0; column < columns; column += 16) {
            const __m512 scale = _mm512_loadu_ps(scales + j + column), bias = _mm512_load_ps(bias_ + column);
            const __m512i total = _mm512_loadu_si512(totals + j + column);
            for (extent row = 0; row < rows; ++row) {
                float* at = sums + row * stride + column;
                const extent number = i - top_ + row;
                const __m512i zero = _mm512_set1_epi32(static_cast<int>(zero_[number]));
                const __m512i sum = _mm512_sub_epi32(_mm512_loadu_si512(at), _mm512_mullo_epi32(zero, total));
                _mm512_storeu_ps(at,
                                 _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum),
                                                 _mm512_mul_ps(_mm512_set1_ps(scale_[number]), scale), bias));
            }
        }
    }

private:
    const group_product& p_;
    extent top_ = 0;
    alignas(64) float none_[panel_width<float>] = {}, bias_[panel_width<float>];
    float scale_[most_rows], inverse_[most_rows], zero_[most_rows];
};

}  // namespace detail

/// Floats that `pack_int8` writes for a k x n matrix: the panels, then a scale and a total for each of their columns.
constexpr extent int8_packed_size(extent k, extent n) {
    return packed_size<float>((k + 3) / 4, n) + 2 * packed_size<float>(1, n);
}

/// Packs the k x n matrix B, B(i, j) = weights[j * k + i], k <= int8_most_k, for `gemm_int8`.
template <std::same_as<float> T>
void pack_int8(const T* weights, extent k, extent n, float* packed, thread_pool* threads = nullptr) noexcept {
    const extent all = packed_size<float>(1, n);
    float *scales = packed + packed_size<float>((k + 3) / 4, n), *totals = scales + all;
    parallel_for(
        k * n < detail::threaded_elements ? nullptr : threads, all, panel_width<float>,
        [=](extent first, extent last) {
            for (extent j = first; j < last; ++j) {
                const detail::float_range range(weights + j * k, j < n ? k : 0);
                scales[j] = detail::int8_scale(std::max(range.high, -range.low) / 127);
                const float inverse = detail::int8_inverse(scales[j]);
                __m512i total = _mm512_setzero_si512();
                for (extent p = 0; j < n && p < k && inverse > 0; p += 16)
                    total = _mm512_add_epi32(
                        total, _mm512_cvtps_epi32(_mm512_mul_ps(detail::load_rest(weights + j * k + p, k - p),
                                                                _mm512_set1_ps(inverse))));
                alignas(64) std::int32_t parts[16];
                _mm512_store_si512(parts, total);
                const std::int32_t sum = std::accumulate(parts, parts + 16, std::int32_t{0});
                std::memcpy(totals + j, &sum, sizeof sum);
            }
        });
    detail::pack_group_panels(
        (k + 3) / 4, n, packed, threads, [=](extent j, extent g) __attribute__((always_inline)) {
            const float inverse = detail::int8_inverse(scales[j]);
            return inverse > 0 ? detail::int8_groups<true>(weights + j * k, k, g, inverse, 0.0f)
                               : batch<float>(0.0f);
        });
}

/// C = A B + bias: A [m, k], A(i, p) = a[i * a_row + p]; B [k, n] as `pack_int8` left it; C [m, n],
/// C(i, j) = c[i * c_row + j], overlapping neither; bias [n] or null. `after` is run on each block of C.
template <std::same_as<float> T>
void gemm_int8(extent m, extent n, extent k, const T* a, extent a_row, const float* packed_b, float* c,
               extent c_row, const float* bias = nullptr, thread_pool* threads = nullptr,
               const epilogue<float>* after = nullptr) noexcept {
    detail::multiply_low_precision<detail::int8_format>({m, n, k, a, a_row, packed_b, c, c_row, bias, after},
                                                        threads);
}

#endif

}  // namespace bespoke::kernels
