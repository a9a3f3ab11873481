#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"

#include <limits>

namespace bespoke {

/// Joins blobs along axis -3 (channels), or -5 (sequence) with `sequence_concat`. All other extents are
/// equal.
/// Core ML specification, ConcatLayerParams.
struct concat {
    bool sequence_concat = false;

    static constexpr auto key = "concat";
    static constexpr auto fields = std::tuple{field{"sequenceConcat", &concat::sequence_concat}};
    static constexpr input_count inputs{2, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        shape y = xs[0];
        if (y.rank() < back())
            return shape_fault("inputs of rank ", back(), " or more wanted, the first has the shape ", y);
        for (std::size_t i = 1; i < xs.size(); ++i) {
            shape rest = xs[i];
            bool fits = rest.rank() == y.rank();
            if (fits) {
                const extent more = rest.from_end(back());
                if (more > std::numeric_limits<extent>::max() - y.from_end(back()))
                    return shape_fault("its output would be too large");
                rest.from_end(back()) = y.from_end(back());
                fits = rest == y;
                y.from_end(back()) += more;
            }
            if (!fits)
                return shape_fault("shapes wanted that differ in axis -", back(), " only, the first is ",
                                   xs[0], ", input ", i, " has ", xs[i]);
        }
        return y;
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        each_row(xs, ys[0], w.threads,
                 [](extent n, const auto* from, auto* to) { kernels::copy(n, from, to); });
    }
    template <class... X, class Y, class P, class W>
    [[gnu::always_inline]] void forward_unrolled(const std::tuple<X...>& xs, const std::tuple<Y>& ys,
                                                 const P&, W&) const noexcept {
        constexpr std::size_t rank = decltype(Y::dimensions)::rank();
        const auto join = [&]<std::size_t Axis>(std::integral_constant<std::size_t, Axis>)
            __attribute__((always_inline)) {
            constexpr extent outer = decltype(Y::dimensions)::product(0, Axis);
            auto* at = std::get<0>(ys).data;
            const auto part = [&]<class One>(const One& x, extent r) __attribute__((always_inline)) {
                constexpr extent n = decltype(One::dimensions)::product(Axis, rank);
                kernels::copy(n, x.data + r * n, at);
                at += n;
            };
            for (extent r = 0; r < outer; ++r) std::apply([&](const X&... x) { (part(x, r), ...); }, xs);
        };
        if (!sequence_concat)
            join(std::integral_constant<std::size_t, rank - 3>{});
        else if constexpr (rank >= 5)
            join(std::integral_constant<std::size_t, rank - 5>{});
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        bool apart = true;
        for (const auto& dx : dxs) apart &= dx.stride != 0;
        for (std::size_t i = 0; i < dxs.size(); ++i)  // the same blob may come twice
            for (std::size_t k = 0; k < i; ++k) apart &= dxs[i].data != dxs[k].data;
        each_row(dxs, dys[0], apart ? w.threads : nullptr,
                 [](extent n, auto* to, const auto* from) { kernels::accumulate(n, from, to); });
    }
    friend bool operator==(const concat&, const concat&) = default;

private:
    constexpr std::size_t back() const { return sequence_concat ? 5 : 3; }

    /// Calls body(elements, part of xs[i], part of y) for each contiguous piece.
    template <class Xs, class Y, class Body>
    void each_row(const Xs& xs, const Y& y, thread_pool* threads, const Body& body) const noexcept {
        const shape& s = y.dimensions;
        const std::size_t axis = s.rank() - back();
        const extent outer = s.product(0, axis), row = s.product(axis, s.rank());
        if (y.total() < (1 << 14)) threads = nullptr;
        parallel_for(threads, outer * y.examples, 1, [&](extent first, extent last) {
            for (extent r = first; r < last; ++r) {
                auto* at = y.data + r * row;
                for (const auto& x : xs) {
                    const extent n = x.dimensions.product(axis, s.rank());
                    if (x) body(n, x.example(r / outer) + r % outer * n, at);
                    at += n;
                }
            }
        });
    }
};

}  // namespace bespoke
