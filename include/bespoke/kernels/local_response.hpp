#pragma once

#include "../core/threads.hpp"
#include "map.hpp"

#include <algorithm>

namespace bespoke::kernels {

/// Local response normalization of x [outer, channels, inner]: y = x s^-beta, s = k + share * (sum of x_j^2), where j
/// goes over the channels from `before` below to `after` above that of x, as far as there are any. One chain of fma,
/// j ascending.
struct local_response {
    extent outer, channels, inner;
    extent before, after;
    float k, share, beta;
};

namespace detail {

/// Calls body(offset, load, store, first, last) for all elements: the neighbours of those at `offset` are at
/// offset + [first, last] * inner. Channels all of whose neighbours are there are walked as one run.
template <class T, class Body>
void each_neighbourhood(const local_response& g, extent before, extent after, thread_pool* threads,
                        const Body& body) noexcept {
    const extent size = g.channels * g.inner;
    if (g.outer * size * (before + after + 1) < (1 << 15)) threads = nullptr;
    parallel_for(threads, g.outer * g.channels, 1, [&](extent begin, extent end) {
        for (extent row = begin, next; row < end; row = next) {
            const extent c = row % g.channels;
            const bool whole = c >= before && c + after < g.channels;
            next = whole ? std::min(end, row - c + g.channels - after) : row + 1;
            const extent first = -std::min(c, before), last = std::min(g.channels - 1 - c, after);
            for_each_batch<T>(
                (next - row) * g.inner, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    body(row * g.inner + i, in, out, first, last);
                });
        }
    });
}

/// s, and s^-beta.
template <class T, class Load>
[[gnu::always_inline]] inline std::pair<batch<T>, batch<T>> response(const local_response& g, const T* x,
                                                                     const Load& in, extent first,
                                                                     extent last) noexcept {
    batch<T> sum(T(0));
    for (extent j = first; j <= last; ++j) {
        const batch<T> v = in(x + j * g.inner);
        sum = kernels::fma<T>(v, v, sum);
    }
    const batch<T> s = kernels::fma<T>(sum, batch<T>(static_cast<T>(g.share)), batch<T>(static_cast<T>(g.k)));
    return {s, kernels::exp<T>(kernels::log<T>(s) * batch<T>(static_cast<T>(-g.beta)))};
}

}  // namespace detail

template <class T>
[[gnu::noinline]] void local_response_normalization(const local_response& g, const T* x, T* y,
                                                    thread_pool* threads = nullptr) noexcept {
    detail::each_neighbourhood<T>(
        g, g.before, g.after, threads,
        [&](extent at, auto in, auto out, extent first, extent last) __attribute__((always_inline)) {
            out(y + at, in(x + at) * detail::response<T>(g, x + at, in, first, last).second);
        });
}

/// dx += the gradient: dy s^-beta - 2 share beta x (sum of dy_j x_j s_j^(-beta - 1) over the channels j whose sums have
/// x). `scratch`: as many elements as x.
template <class T>
[[gnu::noinline]] void local_response_backward(const local_response& g, const T* x, const T* dy, T* dx, T* scratch,
                                               thread_pool* threads = nullptr) noexcept {
    detail::each_neighbourhood<T>(
        g, g.before, g.after, threads,
        [&](extent at, auto in, auto out, extent first, extent last) __attribute__((always_inline)) {
            const auto [s, power] = detail::response<T>(g, x + at, in, first, last);
            const batch<T> part = in(dy + at) * power;
            out(dx + at, in(dx + at) + part);
            out(scratch + at, part * in(x + at) / s);
        });
    const batch<T> factor(-2 * static_cast<T>(g.share) * static_cast<T>(g.beta));
    detail::each_neighbourhood<T>(
        g, g.after, g.before, threads,
        [&](extent at, auto in, auto out, extent first, extent last) __attribute__((always_inline)) {
            batch<T> sum(T(0));
            for (extent j = first; j <= last; ++j) sum = sum + in(scratch + at + j * g.inner);
            out(dx + at, kernels::fma<T>(in(x + at) * factor, sum, in(dx + at)));
        });
}

}  // namespace bespoke::kernels
