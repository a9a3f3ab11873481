#pragma once

#include "reduction.hpp"

namespace bespoke::kernels {

/// Finds in each output the first of the elements that meet which equals y, or is NaN where y is: calls
/// found(offset in x, offset in y, number, width, which) with up to `lanes` neighbouring outputs, of which `which` have
/// it there.
template <class T, class Found>
void find_first(const reduction_walk& walk, const T* x, const T* y, const Found& found, thread_pool* threads) noexcept {
    if (walk.outputs <= 0 || walk.elements <= 0) return;
    const bool rows = !walk.in_columns();
    walk.each_strip(rows ? 1 : lanes<T>, threads, [&](extent from, extent to, extent width) {
        const batch<T> wanted = rows ? batch<T>(y[to]) : load_partial(y + to, width);
        const auto nan = is_nan<T>(wanted);
        auto open = first_lanes<T>(width);
        walk.each_run([&](extent at, extent first, extent n, extent step) {
            const extent taken = rows ? lanes<T> : 1;
            for (extent i = 0; i < n && simd::any(open); i += taken) {
                const T* p = x + from + at + i * step;
                const extent count = rows ? std::min(n - i, lanes<T>) : width;
                const batch<T> v = load_partial(p, count);
                const auto equal = first_lanes<T>(count) & ((v == wanted) | (nan & is_nan<T>(v)));
                if (!simd::any(rows ? equal : open & equal)) continue;
                if (!rows) {
                    found(p - x, to, first + i, width, open & equal);
                    open = open & !equal;
                    continue;
                }
                extent l = 0;
                while (!(p[l] == y[to] || (is_nan(p[l]) && is_nan(y[to])))) ++l;
                found(p - x + l, to, first + i + l, 1, open);
                open = first_lanes<T>(0);
            }
        });
    });
}

/// y = the number, in their order, of the first of the elements of x that meet which is what the reducer f, one that
/// selects, makes of them.
template <class F, class T>
[[gnu::noinline]] void reduce_to_number(const F& f, const reduction_walk& walk, const T* x, T* y,
                                        thread_pool* threads = nullptr) noexcept {
    reduce(f, walk, x, y, threads);
    find_first(
        walk, x, y,
        [&](extent, extent to, extent number, extent width, const auto& which) {
            const batch<T> here(static_cast<T>(number));
            store_partial<T>(y + to, simd::select(which, here, load_partial(y + to, width)), width);
        },
        threads);
}

}  // namespace bespoke::kernels
