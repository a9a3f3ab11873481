#pragma once

#include "../core/concepts.hpp"
#include "../kernels/broadcast.hpp"
#include "../kernels/map.hpp"

#include <algorithm>

/// What all layers share that take several blobs element by element.
namespace bespoke {

/// The shape of an element-wise function of several blobs, as numpy has it: the ranks may differ, the last axes are
/// aligned, and those that are missing are repeated. Along each axis the extents are equal, or 1 and repeated:
/// [C, H, W] goes with [C, 1, 1], [1, H, W], [H, W] and [1]. The specification allows AddLayerParams,
/// MultiplyLayerParams and the like only some of these shapes, and names them by examples of one rank; the networks of
/// its converters mix ranks.
constexpr outcome broadcast_shape(std::span<const shape> xs) {
    shape y = xs[0];
    for (std::size_t i = 1; i < xs.size(); ++i) {
        const shape& longer = xs[i].rank() > y.rank() ? xs[i] : y;
        shape both = longer;
        for (std::size_t back = 1; back <= std::min(xs[i].rank(), y.rank()); ++back) {
            const extent a = y.from_end(back), b = xs[i].from_end(back);
            if (a != b && a != 1 && b != 1)
                return shape_fault("inputs wanted whose extents from the last axis on are equal or 1, input ",
                                   i, " has the shape ", xs[i], ", those before it have ", y);
            both.from_end(back) = a == 1 ? b : a;
        }
        y = both;
    }
    return y;
}

namespace detail {

/// Calls body(example) for all examples, on several threads if `apart`: they write to different places.
template <class Y, class Body>
void each_example(const Y& y, bool apart, thread_pool* threads, const Body& body) noexcept {
    if (y.total() < (1 << 14)) apart = false;
    parallel_for(apart ? threads : nullptr, y.examples, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) body(i);
    });
}

/// The plan of some blobs as they meet `examples` results of the shape y.
template <class T, std::size_t Count>
kernels::broadcast_plan<Count> plan_blobs(const shape& y, extent examples,
                                          const std::array<dynamic_view<T>, Count>& blobs) noexcept {
    kernels::broadcast_plan<Count> plan;
    std::array<extent, Count> strides{};
    std::array<shape, Count> shapes{};
    for (std::size_t i = 0; i < Count; ++i) {
        strides[i] = blobs[i].stride;
        shapes[i] = blobs[i].dimensions;
    }
    plan.add(examples, strides);
    plan.add(y, shapes);
    return plan;
}

/// Where the blobs lie.
template <class T, std::size_t Count>
std::array<const T*, Count> data_of(const std::array<dynamic_view<const T>, Count>& blobs) noexcept {
    std::array<const T*, Count> data{};
    for (std::size_t i = 0; i < Count; ++i) data[i] = blobs[i].data;
    return data;
}

/// y = f(x0, x1, ...), element by element; `map` is `erased_map` of the type of f.
template <class T, std::size_t Count>
[[gnu::noinline]] void map_blobs(kernels::map_function<T, Count>* map, const void* f,
                                 const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& y,
                                 thread_pool* threads) noexcept {
    const auto plan = plan_blobs(y.dimensions, y.examples, xs);
    const auto data = data_of(xs);
    parallel_for(threads, y.total(), 4096,
                 [&](extent begin, extent end) { map(f, plan, data, y.data, begin, end); });
}
/// `f` maps batches to one.
template <class F, class T, std::size_t Count>
void map_blobs(const F& f, const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& y,
               thread_pool* threads) noexcept {
    map_blobs<T, Count>(&kernels::erased_map<F, T, Count>, &f, xs, y, threads);
}

/// to = f(to, x0, x1, ...) for each element of `examples` results of the shape y; see kernels::reduce_to.
template <class T, std::size_t Count>
[[gnu::noinline]] void reduce_blobs(kernels::reduce_function<T, Count>* reduce, const void* f, const shape& y,
                                    extent examples, const std::array<dynamic_view<const T>, Count>& xs,
                                    const dynamic_view<T>& to, thread_pool* threads) noexcept {
    std::array<dynamic_view<const T>, Count + 1> all{};
    for (std::size_t i = 0; i < Count; ++i) all[i] = xs[i];
    all[Count] = {to.data, to.dimensions, to.examples, to.stride};
    kernels::reduce_to<T, Count>(reduce, f, plan_blobs(y, examples, all), data_of(xs), to.data, threads);
}
template <class F, class T, std::size_t Count>
void reduce_blobs(const F& f, const shape& y, extent examples,
                  const std::array<dynamic_view<const T>, Count>& xs, const dynamic_view<T>& to,
                  thread_pool* threads) noexcept {
    reduce_blobs<T, Count>(&kernels::erased_reduce<F, T, Count>, &f, y, examples, xs, to, threads);
}

/// y = x, repeated to the shape of y.
template <class T>
[[gnu::noinline]] void repeat_to(const dynamic_view<const T>& x, const dynamic_view<T>& y,
                                 thread_pool* threads) noexcept {
    const auto plan = plan_blobs(y.dimensions, y.examples, std::array{x});
    parallel_for(threads, y.total(), 4096, [&](extent begin, extent end) {
        kernels::detail::each_run(plan, begin, end, [&](extent at, extent n, const extent(&offset)[1]) {
            const T* const from = x.data + offset[0];
            T* const to = y.data + at;
            if (!plan.moves(0)) return kernels::fill(n, *from, to);
            kernels::for_each_two_batches<T>(  // most runs are too short for memcpy
                n, [&](extent i, auto in, auto put) __attribute__((always_inline)) { put(to + i, in(from + i)); });
        });
    });
}

}  // namespace detail
}  // namespace bespoke
