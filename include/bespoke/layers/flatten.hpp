#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"

#include <limits>

namespace bespoke {

enum class flatten_order { channel_first, channel_last };
constexpr std::array<std::string_view, 2> enumerators(flatten_order) {
    return {"CHANNEL_FIRST", "CHANNEL_LAST"};
}

/// x [..., C, H, W] -> y [..., C H W, 1, 1], in the order C, H, W (`channel_first`) or H, W, C
/// (`channel_last`).
/// Core ML specification, FlattenLayerParams.
struct flatten {
    flatten_order mode = flatten_order::channel_first;

    static constexpr auto key = "flatten";
    static constexpr auto fields = std::tuple{field{"mode", &flatten::mode}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        const extent columns =
            checked_size({x.from_end(3), x.from_end(2), x.from_end(1)}, std::numeric_limits<extent>::max());
        if (columns < 0) return shape_fault("an input of fewer elements wanted, its shape is ", x);
        shape y = x;
        y.from_end(3) = columns;
        y.from_end(2) = y.from_end(1) = 1;
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        if (mode == flatten_order::channel_first)
            kernels::copy(x.total(), x.data, y.data);
        else
            each_pair(x, w.threads, [&](extent first, extent last) { y.data[last] = x.data[first]; });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        if (mode == flatten_order::channel_first)
            kernels::accumulate(dy.total(), dy.data, dx.data);
        else
            each_pair(dx, w.threads, [&](extent first, extent last) { dx.data[first] += dy.data[last]; });
    }
    friend bool operator==(const flatten&, const flatten&) = default;

private:
    /// Calls body(place of an element with channels first, its place with channels last).
    template <class X, class Body>
    static void each_pair(const X& x, thread_pool* threads, const Body& body) noexcept {
        const shape s = x.dimensions;
        const extent channels = s.from_end(3), pixels = s.product(s.rank() - 2, s.rank());
        const extent outer = s.product(0, s.rank() - 3) * x.examples;
        constexpr extent block = 16;  // pixels whose channels stay in the cache together
        const extent blocks = (pixels + block - 1) / block;
        if (x.total() < (1 << 14)) threads = nullptr;
        parallel_for(threads, outer * blocks, 1, [&](extent first, extent last) {
            for (extent piece = first; piece < last; ++piece) {
                const extent start = piece / blocks * channels * pixels, pixel = piece % blocks * block;
                for (extent c = 0; c < channels; ++c)
                    for (extent p = pixel; p < std::min(pixel + block, pixels); ++p)
                        body(start + c * pixels + p, start + p * channels + c);
            }
        });
    }
};

}  // namespace bespoke
