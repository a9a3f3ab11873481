#pragma once

#include "../core/epilogue.hpp"
#include "map.hpp"

namespace bespoke::kernels::detail {

/// A channel_map for one channel.
template <class T>
struct mapped_channel {
    batch<T> scale, shift, low, high;
    bool scaled;

    mapped_channel() = default;
    [[gnu::always_inline]] mapped_channel(const channel_map<T>& map, extent channel) noexcept
        : low(map.low), high(map.high), scaled(map.scale != nullptr) {
        if (!scaled) return;
        scale = batch<T>(map.scale[channel]);
        shift = batch<T>(map.shift[channel]);
    }
    [[gnu::always_inline]] batch<T> operator()(const batch<T>& x) const noexcept {
        return kernels::min(high, kernels::max(low, scaled ? kernels::fma<T>(x, scale, shift) : x));
    }
};

/// The epilogue of a kernel that knows the channels of its results, in two parts.
template <class T>
struct channel_epilogue {
    const channel_map<T>* map = nullptr;  ///< or null
    const epilogue<T>* rest = nullptr;    ///< or null

    channel_epilogue() = default;
    explicit channel_epilogue(const epilogue<T>* after) noexcept : rest(after) {
        if (after == nullptr || after->map == nullptr) return;
        map = after->map;
        rest = after->rest;
    }
    explicit operator bool() const noexcept { return map != nullptr || rest != nullptr; }

    /// What is left for a block whose elements the kernel has mapped.
    void finish_mapped(const output_block<T>& block) const noexcept {
        if (rest != nullptr) (*rest)(block);
    }
    /// All of it; the rows of the block are channels, from `channel` on.
    void finish(const output_block<T>& block, extent channel) const noexcept {
        if (map != nullptr) apply(*map, block, channel);
        finish_mapped(block);
    }

private:
    [[gnu::noinline]] static void apply(const channel_map<T>& map, const output_block<T>& block,
                                        extent channel) noexcept {
        for (extent i = 0; i < block.rows; ++i) {
            T* const row = block.data + i * block.stride;
            const mapped_channel<T> f(map, channel + i);
            for_each_batch<T>(
                block.columns, [&](extent j, auto in, auto out)
                                   __attribute__((always_inline)) { out(row + j, f(in(row + j))); });
        }
    }
};

}  // namespace bespoke::kernels::detail
