#pragma once

#include "../core/threads.hpp"
#include "reduction.hpp"

#include <algorithm>
#include <array>

namespace bespoke::kernels {

// Normalization over the channels of x [outer, channels, inner].
// Order of the sums over one channel: `lanes` chains (where inner > 1, element i of a run in lane i mod lanes, outer
// ascending), then the lanes as in `sum_lanes`; where inner = 1 one chain, outer ascending. All of them in pieces, see
// pieces.hpp.

namespace detail {

/// Threads for an element-wise pass over `size` elements.
inline thread_pool* worth_threads(thread_pool* threads, extent size) noexcept {
    return size < (1 << 15) ? nullptr : threads;
}

/// For each channel c in [first, last): `Count` sums over outer and inner. term(sums, offset, load, channel) adds the
/// elements at `offset`; load(p) reads them, channel(p) the value p[c]; put(sums, channel, store) gets the result.
/// Where inner = 1 a batch holds neighbouring channels.
template <std::size_t Count, class T, class Term, class Put>
[[gnu::always_inline]] inline void sum_channels(extent outer, extent channels, extent inner, extent first,
                                                extent last, const Term& term, const Put& put) noexcept {
    if (inner == 1) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                const extent c = first + j;
                sums_in_pieces<Count, T> sums;
                sums.take(outer, [&](auto& sum, extent o, extent end) __attribute__((always_inline)) {
                    for (; o < end; ++o)
                        term(sum, o * channels + c, in,
                             [&](const T* p) __attribute__((always_inline)) { return in(p + c); });
                });
                put(
                    sums.end(), [&](const T* p) __attribute__((always_inline)) { return in(p + c); },
                    [&](T * p, const batch<T>& v) __attribute__((always_inline)) { out(p + c, v); });
            });
        return;
    }
    for (extent c = first; c < last; ++c) {
        const auto of_channel = [&](const T* p) __attribute__((always_inline)) { return batch<T>(p[c]); };
        sums_in_pieces<Count, T> sums;
        for (extent o = 0; o < outer; ++o) {
            const extent start = (o * channels + c) * inner, steps = inner / lanes<T>, rest = inner % lanes<T>;
            sums.take(steps, [&](auto& sum, extent i, extent end) __attribute__((always_inline)) {
                for (; i < end; ++i)
                    term(sum, start + i * lanes<T>,
                         [](const T* p) __attribute__((always_inline)) { return kernels::load(p); }, of_channel);
            });
            if (rest == 0) continue;
            sums.take(1, [&](auto& sum, extent, extent) __attribute__((always_inline)) {
                // A term of zeros may not be zero (x - mean), so the lanes beyond the run keep their sums.
                batch<T> kept[Count];
                std::copy(sum, sum + Count, kept);
                term(sum, start + steps * lanes<T>,
                     [rest](const T* p) __attribute__((always_inline)) { return load_partial(p, rest); }, of_channel);
                for (std::size_t s = 0; s < Count; ++s)
                    sum[s] = simd::select(first_lanes<T>(rest), sum[s], kept[s]);
            });
        }
        auto& sum = sums.end();
        for (auto& s : sum) s = batch<T>(sum_lanes<T>(s));
        put(
            sum, of_channel, [&](T * p, const batch<T>& v) __attribute__((always_inline)) {
                store_partial<T>(p + c, v, 1);
            });
    }
}

/// The variance where x - m, with m about the mean, has this mean and its square that: 0 where rounding says less.
template <class T>
[[gnu::always_inline]] inline batch<T> corrected_variance(const batch<T>& difference, const batch<T>& square) noexcept {
    return kernels::running_max<T>(batch<T>(T(0)), kernels::fma<T>(-difference, difference, square));
}

/// Calls body(offset, load, store, known) for all elements of [outer, channels, inner]. `known`, which knows(channel)
/// returns, is what the elements of a channel share; channel(p) reads p[c].
template <class T, class Known, class Body>
[[gnu::always_inline]] inline void each_channel(extent outer, extent channels, extent inner, thread_pool* threads,
                                                const Known& knows, const Body& body) noexcept {
    threads = worth_threads(threads, outer * channels * inner);
    if (inner == 1) {
        parallel_for(threads, outer, 1, [&](extent first, extent last) {
            for (extent o = first; o < last; ++o)
                for_each_batch<T>(
                    channels, [&](extent c, auto in, auto out) __attribute__((always_inline)) {
                        body(o * channels + c, in, out,
                             knows([&](const T* p) __attribute__((always_inline)) { return in(p + c); }));
                    });
        });
        return;
    }
    parallel_for(threads, outer * channels, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const extent c = row % channels;
            const auto known = knows([&](const T* p) __attribute__((always_inline)) { return batch<T>(p[c]); });
            for_each_batch<T>(inner, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                body(row * inner + i, in, out, known);
            });
        }
    });
}

}  // namespace detail

/// y = scale_c * x + shift_c, one fma; scale, shift [channels]; y may be x.
template <class T>
void channel_affine(extent outer, extent channels, extent inner, const T* x, const T* scale, const T* shift,
                    T* y, thread_pool* threads = nullptr) noexcept {
    detail::each_channel<T>(
        outer, channels, inner, threads,
        [&](auto channel) __attribute__((always_inline)) { return std::array{channel(scale), channel(shift)}; },
        [&](extent at, auto in, auto out, const auto& known) __attribute__((always_inline)) {
            out(y + at, kernels::fma<T>(in(x + at), known[0], known[1]));
        });
}

/// mean and variance [channels] of x over outer and inner: about the mean first, then the means of x - mean and of its
/// square, which correct it: where differences are small beside the mean, they are right then (the corrected two passes
/// of Chan, Golub and LeVeque, The American Statistician 37, 1983).
template <class T>
void channel_moments(extent outer, extent channels, extent inner, const T* x, T* mean, T* variance,
                     thread_pool* threads = nullptr) noexcept {
    const batch<T> count(static_cast<T>(outer * inner));
    parallel_for(detail::worth_threads(threads, outer * channels * inner), channels, lanes<T>,
                 [&](extent first, extent last) {
                     detail::sum_channels<1, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto)
                             __attribute__((always_inline)) { sum[0] = sum[0] + in(x + at); },
                         [&](auto& sum, auto, auto out)
                             __attribute__((always_inline)) { out(mean, sum[0] / count); });
                     detail::sum_channels<2, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto channel) __attribute__((always_inline)) {
                             const batch<T> d = in(x + at) - channel(mean);
                             sum[0] = sum[0] + d;
                             sum[1] = kernels::fma<T>(d, d, sum[1]);
                         },
                         [&](auto& sum, auto channel, auto out) __attribute__((always_inline)) {
                             const batch<T> difference = sum[0] / count;
                             out(mean, channel(mean) + difference);
                             out(variance, detail::corrected_variance<T>(difference, sum[1] / count));
                         });
                 });
}

/// dgamma_c += sum of dy * (x - mean_c) * inverse_c, dbeta_c += sum of dy; inverse = 1 / sqrt(variance + epsilon).
template <class T>
void batch_normalization_backward_parameters(extent outer, extent channels, extent inner, const T* x,
                                             const T* dy, const T* mean, const T* inverse, T* dgamma,
                                             T* dbeta, thread_pool* threads = nullptr) noexcept {
    parallel_for(detail::worth_threads(threads, outer * channels * inner), channels, lanes<T>,
                 [&](extent first, extent last) {
                     detail::sum_channels<2, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto channel) __attribute__((always_inline)) {
                             const batch<T> g = in(dy + at);
                             sum[0] = kernels::fma<T>(g, in(x + at) - channel(mean), sum[0]);
                             sum[1] = sum[1] + g;
                         },
                         [&](auto& sum, auto channel, auto out) __attribute__((always_inline)) {
                             out(dgamma, kernels::fma<T>(sum[0], channel(inverse), channel(dgamma)));
                             out(dbeta, channel(dbeta) + sum[1]);
                         });
                 });
}

/// dx of y = gamma (x - mean) inverse + beta where mean and variance are constants: dx += dy * (gamma_c * inverse_c).
/// gamma may be null for 1.
template <class T>
void batch_normalization_backward_fixed(extent outer, extent channels, extent inner, const T* dy,
                                        const T* inverse, const T* gamma, T* dx,
                                        thread_pool* threads = nullptr) noexcept {
    detail::each_channel<T>(
        outer, channels, inner, threads,
        [&](auto channel) __attribute__((always_inline)) {
            return gamma ? channel(inverse) * channel(gamma) : channel(inverse);
        },
        [&](extent at, auto in, auto out, const batch<T>& scale) __attribute__((always_inline)) {
            out(dx + at, kernels::fma<T>(in(dy + at), scale, in(dx + at)));
        });
}

/// dx of y = gamma (x - mean) inverse + beta where mean and variance are those of x:
/// dx += gamma_c inverse_c (dy - mean of dy - h * mean of dy h), h = (x - mean_c) inverse_c.
/// gamma may be null for 1; `sums` is scratch of 2 * channels elements.
template <class T>
void batch_normalization_backward_computed(extent outer, extent channels, extent inner, const T* x,
                                           const T* dy, const T* mean, const T* inverse, const T* gamma,
                                           T* dx, T* sums, thread_pool* threads = nullptr) noexcept {
    if (outer * channels * inner <= 0) return;
    std::fill(sums, sums + 2 * channels, T(0));
    T* of_products = sums;
    T* of_gradients = sums + channels;
    batch_normalization_backward_parameters(outer, channels, inner, x, dy, mean, inverse, of_products,
                                            of_gradients, threads);
    const batch<T> share(T(1) / static_cast<T>(outer * inner));
    struct shared {
        batch<T> mean, factor, gradient, scale;
    };
    detail::each_channel<T>(
        outer, channels, inner, threads,
        [&](auto channel) __attribute__((always_inline)) {
            return shared{channel(mean), channel(inverse) * (channel(of_products) * share), -channel(of_gradients),
                          gamma ? channel(inverse) * channel(gamma) : channel(inverse)};
        },
        [&](extent at, auto in, auto out, const shared& known) __attribute__((always_inline)) {
            const batch<T> centred = kernels::fma<T>(-(in(x + at) - known.mean), known.factor,
                                                     kernels::fma<T>(known.gradient, share, in(dy + at)));
            out(dx + at, kernels::fma<T>(centred, known.scale, in(dx + at)));
        });
}
}  // namespace bespoke::kernels
