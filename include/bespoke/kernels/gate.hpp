#pragma once

#include "math.hpp"

namespace bespoke::kernels {

// What becomes of the sums of a recurrent layer's gates.

/// What a gate's activation gets is clipped to +-gate_clip.
inline constexpr float gate_clip = 50;

/// 1 / (1 + e^-x) for |x| <= gate_clip, where nothing overflows: a shorter way than `sigmoid`, 2.5 units in the last
/// place.
template <class T>
[[gnu::always_inline]] inline batch<T> clipped_sigmoid(const batch<T>& x) noexcept {
    const batch<T> one(T(1));
    const auto r = detail::reduce_exp<T, -1>(x);
    const batch<T> power = detail::power_of_two<T, -1>(r);
    return one / kernels::fma(power, r.expm1, one - power);
}

namespace detail {

template <class T>
[[gnu::always_inline]] inline batch<T> clipped(const batch<T>& v, T limit) noexcept {
    return kernels::max<T>(batch<T>(-limit), kernels::min<T>(batch<T>(limit), v));
}
/// `slope` where |v| < limit, else 0.
template <class T>
[[gnu::always_inline]] inline batch<T> inside(const batch<T>& v, T limit, const batch<T>& slope) noexcept {
    return kernels::select(kernels::abs(v) < batch<T>(limit), slope, batch<T>(T(0)));
}
/// f of a clipped. An f may have `of_gate`, the same for clipped numbers, or `saturation`, from where on it is flat.
template <class T, class F>
[[gnu::always_inline]] inline batch<T> gate(const F& f, const batch<T>& a) noexcept {
    if constexpr (requires { f.of_gate(a); })
        return f.of_gate(clipped<T>(a, T(gate_clip)));
    else if constexpr (requires { requires F::saturation <= gate_clip; })
        return f(a);
    else
        return f(clipped<T>(a, T(gate_clip)));
}
/// d gate / d a where the gate gave y.
template <class T, class F>
[[gnu::always_inline]] inline batch<T> gate_slope(const F& f, const batch<T>& a, const batch<T>& y) noexcept {
    return inside<T>(a, T(gate_clip), f.derivative(clipped<T>(a, T(gate_clip)), y));
}

}  // namespace detail
}  // namespace bespoke::kernels
