#pragma once

#include "simd.hpp"

namespace bespoke::kernels::detail {

// Minimal filtering F(Tile, 3) along one axis, y = Aᵀ [(G w) ∘ (Bᵀ x)]: `Tile` outputs of Tile + 2 inputs with as many
// multiplications. A. Lavin, S. Gray: Fast algorithms for convolutional neural networks (2015).

template <extent Tile>
struct winograd_axis;

/// Points 0, ±3/4, ±3/2 and infinity: with them the error is about one and a half times that of the direct sums, with
/// 0, ±1, ±2 it is four times as large.
template <>
struct winograd_axis<4> {
    /// Bᵀ d.
    template <class T>
    [[gnu::always_inline]] static void input(const batch<T> (&d)[6], batch<T> (&v)[6]) noexcept {
        v[0] = kernels::fma<T>(number<T>(81. / 64), d[0], kernels::fma<T>(number<T>(-45. / 16), d[2], d[4]));
        v[5] = kernels::fma<T>(number<T>(81. / 64), d[1], kernels::fma<T>(number<T>(-45. / 16), d[3], d[5]));
        const batch<T> inner_even = kernels::fma<T>(number<T>(-9. / 4), d[2], d[4]),
                       inner_odd = kernels::fma<T>(number<T>(-27. / 16), d[1], number<T>(3. / 4) * d[3]),
                       outer_even = kernels::fma<T>(number<T>(-9. / 16), d[2], d[4]),
                       outer_odd = kernels::fma<T>(number<T>(-27. / 32), d[1], number<T>(3. / 2) * d[3]);
        v[1] = inner_even + inner_odd;
        v[2] = inner_even - inner_odd;
        v[3] = outer_even + outer_odd;
        v[4] = outer_even - outer_odd;
    }
    /// Aᵀ m.
    template <class T>
    [[gnu::always_inline]] static void output(const batch<T> (&m)[6], batch<T> (&y)[4]) noexcept {
        const batch<T> inner_even = m[1] + m[2], inner_odd = m[1] - m[2], outer_even = m[3] + m[4],
                       outer_odd = m[3] - m[4];
        y[0] = m[0] + (inner_even + outer_even);
        y[1] = kernels::fma<T>(number<T>(3. / 2), outer_odd, number<T>(3. / 4) * inner_odd);
        y[2] = kernels::fma<T>(number<T>(9. / 4), outer_even, number<T>(9. / 16) * inner_even);
        y[3] = kernels::fma<T>(number<T>(27. / 8), outer_odd,
                               kernels::fma<T>(number<T>(27. / 64), inner_odd, m[5]));
    }
    /// G w.
    template <class T>
    [[gnu::always_inline]] static void weights(const batch<T> (&w)[3], batch<T> (&u)[6]) noexcept {
        u[0] = number<T>(64. / 81) * w[0];
        u[5] = w[2];
        // 1 / (2 a² (a² - b²)) of the points a, b.
        const batch<T> inner = number<T>(-128. / 243), outer = number<T>(32. / 243);
        const batch<T> inner_even = kernels::fma<T>(number<T>(9. / 16), w[2], w[0]),
                       outer_even = kernels::fma<T>(number<T>(9. / 4), w[2], w[0]);
        const batch<T> inner_odd = number<T>(3. / 4) * w[1], outer_odd = number<T>(3. / 2) * w[1];
        u[1] = inner * (inner_even + inner_odd);
        u[2] = inner * (inner_even - inner_odd);
        u[3] = outer * (outer_even + outer_odd);
        u[4] = outer * (outer_even - outer_odd);
    }

private:
    template <class T>
    [[gnu::always_inline]] static batch<T> number(double value) noexcept {
        return batch<T>(static_cast<T>(value));
    }
};

/// Points 0, ±1 and infinity.
template <>
struct winograd_axis<2> {
    template <class T>
    [[gnu::always_inline]] static void input(const batch<T> (&d)[4], batch<T> (&v)[4]) noexcept {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
    }
    template <class T>
    [[gnu::always_inline]] static void output(const batch<T> (&m)[4], batch<T> (&y)[2]) noexcept {
        y[0] = m[0] + (m[1] + m[2]);
        y[1] = (m[1] - m[2]) + m[3];
    }
    template <class T>
    [[gnu::always_inline]] static void weights(const batch<T> (&w)[3], batch<T> (&u)[4]) noexcept {
        const batch<T> half(static_cast<T>(0.5)), even = w[0] + w[2];
        u[0] = w[0];
        u[1] = half * (even + w[1]);
        u[2] = half * (even - w[1]);
        u[3] = w[2];
    }
};

}  // namespace bespoke::kernels::detail
