#pragma once

#include "combination.hpp"

/// Binary functions of blobs whose shapes are broadcast as numpy does it: see `broadcast_shape`.
/// Core ML specification, the messages whose names end in BroadcastableLayerParams.
namespace bespoke {

/// y = a + b
struct add_broadcastable : detail::broadcastable<detail::addition> {
    static constexpr auto key = "addBroadcastable";
    template <class T>
    bool joins(channel_map<T>& map, const finishing<T>& with) const noexcept {
        return detail::joins_sum(map, with);
    }
    friend bool operator==(const add_broadcastable&, const add_broadcastable&) = default;
};

/// y = a - b
struct subtract_broadcastable : detail::broadcastable<detail::subtraction> {
    static constexpr auto key = "subtractBroadcastable";
    friend bool operator==(const subtract_broadcastable&, const subtract_broadcastable&) = default;
};

/// y = a b
struct multiply_broadcastable : detail::broadcastable<detail::product> {
    static constexpr auto key = "multiplyBroadcastable";
    friend bool operator==(const multiply_broadcastable&, const multiply_broadcastable&) = default;
};

/// y = a / b
struct divide_broadcastable : detail::broadcastable<detail::quotient> {
    static constexpr auto key = "divideBroadcastable";
    friend bool operator==(const divide_broadcastable&, const divide_broadcastable&) = default;
};

/// y = floor(a / b) of the exact quotient, as numpy.floor_divide; a / b where b = 0. No gradient passes it.
struct floor_div_broadcastable : detail::broadcastable<detail::floor_quotient> {
    static constexpr auto key = "floorDivBroadcastable";
    friend bool operator==(const floor_div_broadcastable&, const floor_div_broadcastable&) = default;
};

/// y = a - b floor(a / b), which has the sign of b, as numpy.mod; NaN for b = 0.
struct mod_broadcastable : detail::broadcastable<detail::floor_remainder> {
    static constexpr auto key = "modBroadcastable";
    friend bool operator==(const mod_broadcastable&, const mod_broadcastable&) = default;
};

/// y = a^b, with the special cases of std::pow. The slope for a is 0 where b = 0; that for b is 0 where a = 0 and
/// b >= 0, and NaN where a < 0.
struct pow_broadcastable : detail::broadcastable<detail::power> {
    static constexpr auto key = "powBroadcastable";
    friend bool operator==(const pow_broadcastable&, const pow_broadcastable&) = default;
};

/// y = the smaller one, NaN where either is. The gradient goes to the one that is taken, the first where both are
/// equal.
struct min_broadcastable : detail::broadcastable<detail::smaller> {
    static constexpr auto key = "minBroadcastable";
    friend bool operator==(const min_broadcastable&, const min_broadcastable&) = default;
};

/// y = the larger one, NaN where either is. The gradient goes to the one that is taken, the first where both are equal.
struct max_broadcastable : detail::broadcastable<detail::larger> {
    static constexpr auto key = "maxBroadcastable";
    friend bool operator==(const max_broadcastable&, const max_broadcastable&) = default;
};

/// y = a where the condition is not 0, else b: inputs condition, a, b. NaN is not 0. No gradient passes to the
/// condition.
struct where_broadcastable {
    static constexpr auto key = "whereBroadcastable";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{3, 3};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using batch = kernels::batch<typename Ys::value_type::value_type>;
        detail::map_blobs([](const batch& condition, const batch& a,
                             const batch& b) { return kernels::select(condition == batch(0), b, a); },
                          std::array{xs[0], xs[1], xs[2]}, ys[0], w.threads);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        using batch = kernels::batch<typename Dxs::value_type::value_type>;
        const auto& dy = dys[0];
        for (std::size_t k = 1; k < 3; ++k)
            if (dxs[k])
                detail::reduce_blobs(
                    [k](const batch& sum, const batch& d, const batch& condition) {
                        const batch more = sum + d;
                        return kernels::select(condition == batch(0), k == 1 ? sum : more,
                                               k == 1 ? more : sum);
                    },
                    dy.dimensions, dy.examples, std::array{decltype(xs[0])(dy), xs[0]}, dxs[k], w.threads);
    }
    friend bool operator==(const where_broadcastable&, const where_broadcastable&) = default;
};

}  // namespace bespoke
