#pragma once

#include "find_first.hpp"

namespace bespoke::kernels {

namespace detail {

/// dx += dy of the first element that equals y.
template <class T>
[[gnu::noinline]] void select_backward(const reduction_walk& walk, const T* x, const T* y, const T* dy, T* dx,
                                       thread_pool* threads) noexcept {
    find_first(
        walk, x, y,
        [&](extent from, extent to, extent, extent width, const auto& which) {
            const batch<T> part = simd::select(which, load_partial(dy + to, width), batch<T>(T(0)));
            store_partial<T>(dx + from, load_partial(dx + from, width) + part, width);
        },
        threads);
}

/// Of each output that is 0 the product of all elements but its one zero, or 0 where it has more: one chain.
template <class T>
[[gnu::noinline]] void products_beside_zero(const reduction_walk& walk, const T* x, const T* y, T* products,
                                            thread_pool* threads) noexcept {
    walk.each_strip(walk.in_columns() ? lanes<T> : 1, threads, [&](extent from, extent to, extent width) {
        for (extent i = 0; i < width; ++i) {
            T product = 1;
            extent zeros = 0;
            walk.each_run([&](extent at, extent, extent n, extent step) {
                const T* p = x + from + at + i;
                for (extent l = 0; l < n && y[to + i] == T(0); ++l) {
                    zeros += p[l * step] == T(0) ? 1 : 0;
                    product *= p[l * step] == T(0) ? T(1) : p[l * step];
                }
            });
            products[to + i] = zeros > 1 ? T(0) : product;
        }
    });
}

}  // namespace detail

/// dx += the gradient of y = reduce(x). `scratch`: as many elements as y has, for the product only.
template <class F, class T>
[[gnu::noinline]] void reduce_backward(const F& f, const reduction_walk& walk, const T* x, const T* y, const T* dy,
                                       T* dx, [[maybe_unused]] T* scratch, thread_pool* threads = nullptr) noexcept {
    if (walk.outputs <= 0 || walk.elements <= 0) return;
    if constexpr (requires { F::selects; }) {
        detail::select_backward(walk, x, y, dy, dx, threads);
    } else {
        constexpr bool needs_extra = std::is_same_v<F, product_of>;
        if constexpr (needs_extra) detail::products_beside_zero(walk, x, y, scratch, threads);
        const batch<T> elements(static_cast<T>(walk.elements)), zero(T(0));
        const bool rows = !walk.in_columns();
        walk.each_strip(rows ? 1 : 16 * lanes<T>, threads, [&](extent from, extent to, extent width) {
            walk.each_run([&](extent at, extent, extent n, extent step) {
                for (extent row = 0; row < (rows ? 1 : n); ++row) {
                    const extent place = from + at + row * step;
                    for_each_batch<T>(
                        rows ? n : width, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                            const auto of_output = [&](const T* p) __attribute__((always_inline)) {
                                return rows ? batch<T>(p[to]) : in(p + to + i);
                            };
                            batch<T> v = zero, result = zero, extra = zero;
                            if constexpr (F::reads.x) v = in(x + place + i);
                            if constexpr (F::reads.y) result = of_output(y);
                            if constexpr (needs_extra) extra = of_output(scratch);
                            const batch<T> slope = f.template slope<batch<T>>(v, result, extra, elements);
                            out(dx + place + i, kernels::fma<T>(of_output(dy), slope, in(dx + place + i)));
                        });
                }
            });
        });
    }
}

}  // namespace bespoke::kernels
