#pragma once

#include "../core/threads.hpp"
#include "reduction.hpp"

#include <algorithm>
#include <array>

namespace bespoke::kernels {

// Normalization over the channels of x [outer, channels, inner] and over the rows of x [outer, n].
// Order of the sums over one channel: `lanes` chains (where inner > 1, element i of a run in lane i mod lanes, outer
// ascending), then the lanes as in `sum_lanes`; where inner = 1 one chain, outer ascending. In one row:
// `lanes` chains. All of them in pieces, see pieces.hpp.

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

/// mean and variance [channels] of x over outer and inner: mean first, then the mean of (x - mean)^2, and that of
/// x - mean, which corrects the first one: of a large mean and small differences these are right then (the corrected
/// two passes of Chan, Golub and LeVeque, The American Statistician 37, 1983).
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
                             out(mean, channel(mean) + sum[0] / count);
                             out(variance, sum[1] / count);
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

namespace detail {

/// Mean and 1 / sqrt(variance + epsilon) of each of `Rows` rows of n elements, one behind the other: while one waits
/// for its sum, the others go on. The mean is corrected as in `channel_moments`.
template <std::size_t Rows, class T, class N>
[[gnu::always_inline]] inline void row_moments(N size, const T* x, T epsilon, T (&mean)[Rows],
                                               T (&inverse)[Rows]) noexcept {
    const extent n = size;
    const auto row = [=](std::size_t r) __attribute__((always_inline)) { return x + static_cast<extent>(r) * n; };
    const auto added = [](const batch<T>& a, const batch<T>& b) __attribute__((always_inline)) { return a + b; };
    const auto put = [](const batch<T>& v, T(&to)[Rows]) __attribute__((always_inline)) {
        alignas(64) T copy[lanes<T>];
        v.store_aligned(copy);
        std::copy_n(copy, Rows, to);
    };
    sums_in_pieces<Rows, T> sums;
    sums_in_pieces<2 * Rows, T> differences;  // and their squares
    sums.take_row(size, [&](auto& sum, extent first, auto count) __attribute__((always_inline)) {
        for_each_batch<T>(count, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                sum[r] = sum[r] + in(row(r) + first + i);
            });
        });
    });
    const batch<T> elements(static_cast<T>(n)), about = fold_rows<T>(sums.end(), added) / elements;
    put(about, mean);
    differences.take_row(size, [&](auto& sum, extent first, auto count) __attribute__((always_inline)) {
        const extent part = count, whole = part / lanes<T> * lanes<T>, rest = part - whole;
        for (extent i = 0; i < whole; i += lanes<T>)
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                const batch<T> d = load(row(r) + first + i) - batch<T>(mean[r]);
                sum[r] = sum[r] + d;
                sum[Rows + r] = kernels::fma<T>(d, d, sum[Rows + r]);
            });
        if (rest > 0)
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                alignas(64) T copy[lanes<T>];
                (load_partial(row(r) + first + whole, rest) - batch<T>(mean[r])).store_aligned(copy);
                const batch<T> d = load_partial(copy, rest);
                sum[r] = sum[r] + d;
                sum[Rows + r] = kernels::fma<T>(d, d, sum[Rows + r]);
            });
    });
    batch<T>(&ends)[2 * Rows] = differences.end();
    batch<T> square[Rows], difference[Rows];
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        difference[r] = ends[r];
        square[r] = ends[Rows + r];
    });
    put(about + fold_rows<T>(difference, added) / elements, mean);
    const batch<T> variance = fold_rows<T>(square, added) / elements;
    put(batch<T>(T(1)) / simd::sqrt(variance + batch<T>(epsilon)), inverse);
}

/// `Rows` rows of `layer_normalization`.
template <std::size_t Rows, class T, class N>
[[gnu::always_inline]] inline void normalize_rows(N size, const T* x, const T* gamma, const T* beta, T epsilon,
                                                  T* y) noexcept {
    T mean[Rows], inverse[Rows];
    row_moments<Rows>(size, x, epsilon, mean, inverse);
    for_each_batch<T>(
        size, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> offset = beta ? in(beta + i) : batch<T>(T(0));
            const batch<T> factor = gamma ? in(gamma + i) : batch<T>(T(1));
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                const extent at = static_cast<extent>(r) * size + i;
                const batch<T> h = (in(x + at) - batch<T>(mean[r])) * batch<T>(inverse[r]);
                out(y + at, kernels::fma<T>(h, factor, offset));
            });
        });
}

}  // namespace detail

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta over each row of x [outer, n]; gamma, beta [n], each may be
/// null (1, 0); y may be x.
template <class T, class N>
void layer_normalization(extent outer, N n, const T* x, const T* gamma, const T* beta, T epsilon, T* y,
                         thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    parallel_for(detail::worth_threads(threads, outer * size), outer, 1, [&](extent first, extent last) {
        constexpr extent together = std::is_same_v<N, extent> ? std::min<extent>(4, lanes<T>) : 1;
        for (; first + together <= last; first += together)
            detail::normalize_rows<together>(n, x + first * size, gamma, beta, epsilon, y + first * size);
        for (; first < last; ++first)
            detail::normalize_rows<1>(n, x + first * size, gamma, beta, epsilon, y + first * size);
    });
}

/// dx += the gradient of `layer_normalization`, dgamma += sum over rows of dy h, dbeta += sum over rows of dy, with
/// h = (x - mean) / sqrt(variance + epsilon). Each of gamma, dx, dgamma, dbeta may be null. `moments` is scratch of
/// 2 * outer elements. The sums over rows are one chain for each column, rows ascending.
template <class T, class N>
void layer_normalization_backward(extent outer, N n, const T* x, const T* gamma, T epsilon, const T* dy,
                                  T* dx, T* dgamma, T* dbeta, T* moments,
                                  thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    threads = detail::worth_threads(threads, outer * size);
    parallel_for(threads, outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T *from = x + row * size, *g = dy + row * size;
            T mean[1], inverse[1];
            detail::row_moments<1>(n, from, epsilon, mean, inverse);
            moments[2 * row] = mean[0];
            moments[2 * row + 1] = inverse[0];
            if (!dx) continue;
            const batch<T> centre(mean[0]), factor(inverse[0]);
            detail::sums_in_pieces<2, T> sums;
            sums.take_row(n, [&](auto& sum, extent begin, auto count) __attribute__((always_inline)) {
                for_each_batch<T>(count, [&](extent k, auto in, auto) __attribute__((always_inline)) {
                    const extent i = begin + k;
                    const batch<T> d = in(g + i), weight = gamma ? in(gamma + i) : batch<T>(T(1));
                    sum[1] = kernels::fma<T>(d * weight, in(from + i) - centre, sum[1]);
                    sum[0] = kernels::fma<T>(d, weight, sum[0]);
                });
            });
            const auto& [of_gradients, of_products] = sums.end();
            const T share = T(1) / static_cast<T>(size);
            const batch<T> gradient(sum_lanes<T>(of_gradients) * share);
            const batch<T> product(sum_lanes<T>(of_products) * share * inverse[0] * inverse[0]);
            T* to = dx + row * size;
            for_each_batch<T>(
                n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    const batch<T> weight = gamma ? in(gamma + i) : batch<T>(T(1));
                    const batch<T> inner = kernels::fma<T>(centre - in(from + i), product,
                                                           kernels::fma<T>(in(g + i), weight, -gradient));
                    out(to + i, kernels::fma<T>(inner, factor, in(to + i)));
                });
        }
    });
    if (!dgamma && !dbeta) return;
    parallel_for(threads, size, lanes<T>, [&](extent first, extent last) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                const extent c = first + j;
                batch<T> scale = dgamma ? in(dgamma + c) : batch<T>(T(0)),
                         shift = dbeta ? in(dbeta + c) : batch<T>(T(0));
                for (extent row = 0; row < outer; ++row) {
                    const batch<T> g = in(dy + row * size + c);
                    const batch<T> h = (in(x + row * size + c) - batch<T>(moments[2 * row])) *
                                       batch<T>(moments[2 * row + 1]);
                    scale = kernels::fma<T>(g, h, scale);
                    shift = shift + g;
                }
                if (dgamma) out(dgamma + c, scale);
                if (dbeta) out(dbeta + c, shift);
            });
    });
}

/// y = x - mean of x over each row of x [outer, n]; with `add` y += that, which is its gradient too. y may be x.
template <class T>
void centre_rows(extent outer, extent n, const T* x, T* y, bool add, thread_pool* threads = nullptr) noexcept {
    parallel_for(detail::worth_threads(threads, outer * n), outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T* from = x + row * n;
            T* to = y + row * n;
            const batch<T> mean(sum(n, from) / static_cast<T>(n));
            for_each_batch<T>(
                n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    const batch<T> v = in(from + i) - mean;
                    out(to + i, add ? in(to + i) + v : v);
                });
        }
    });
}

/// y = x / sqrt(sum of x^2 + epsilon) over each row of x [outer, n]; y may be x.
template <class T>
void l2_normalization(extent outer, extent n, const T* x, T epsilon, T* y, thread_pool* threads = nullptr) noexcept {
    parallel_for(detail::worth_threads(threads, outer * n), outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T* from = x + row * n;
            scale(n, T(1) / kernels::sqrt(dot(n, from, from) + epsilon), from, y + row * n);
        }
    });
}

/// dx += the gradient of `l2_normalization`: r (dy - x r^2 (sum of x dy)), r = 1 / sqrt(sum of x^2 + epsilon).
template <class T>
void l2_normalization_backward(extent outer, extent n, const T* x, T epsilon, const T* dy, T* dx,
                               thread_pool* threads = nullptr) noexcept {
    parallel_for(detail::worth_threads(threads, outer * n), outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T *from = x + row * n, *g = dy + row * n;
            T* to = dx + row * n;
            const T inverse = T(1) / kernels::sqrt(dot(n, from, from) + epsilon);
            const batch<T> factor(inverse), along(-(dot(n, from, g) * inverse * inverse));
            for_each_batch<T>(
                n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    out(to + i, kernels::fma<T>(kernels::fma<T>(in(from + i), along, in(g + i)), factor, in(to + i)));
                });
        }
    });
}

}  // namespace bespoke::kernels
