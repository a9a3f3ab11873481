#pragma once

#include "normalization.hpp"

namespace bespoke::kernels {

// Normalization over the rows of x [outer, n]. Order of the sums over a row: `lanes` chains, then the lanes as in
// `sum_lanes`, in pieces, see pieces.hpp.

namespace detail {

/// Mean and 1 / sqrt(variance + epsilon) of each of `Rows` rows of n elements, one behind the other: while one waits
/// for its sum, the others go on. Both are corrected as in `channel_moments`.
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
    const auto take = [](auto& sum, std::size_t r, const batch<T>& d) __attribute__((always_inline)) {
        sum[r] = sum[r] + d;
        sum[Rows + r] = kernels::fma<T>(d, d, sum[Rows + r]);
    };
    differences.take_row(size, [&](auto& sum, extent first, auto count) __attribute__((always_inline)) {
        const extent part = count, whole = part / lanes<T> * lanes<T>, rest = part - whole;
        for (extent i = 0; i < whole; i += lanes<T>)
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                take(sum, r, load(row(r) + first + i) - batch<T>(mean[r]));
            });
        if (rest > 0)
            unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
                alignas(64) T copy[lanes<T>];
                (load_partial(row(r) + first + whole, rest) - batch<T>(mean[r])).store_aligned(copy);
                take(sum, r, load_partial(copy, rest));
            });
    });
    batch<T>(&ends)[2 * Rows] = differences.end();
    batch<T> straight[Rows], squared[Rows];
    unroll<Rows>([&](std::size_t r) __attribute__((always_inline)) {
        straight[r] = ends[r];
        squared[r] = ends[Rows + r];
    });
    const batch<T> difference = fold_rows<T>(straight, added) / elements;
    put(about + difference, mean);
    const batch<T> variance = corrected_variance<T>(difference, fold_rows<T>(squared, added) / elements);
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
