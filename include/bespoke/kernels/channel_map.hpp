#pragma once

#include "../core/epilogue.hpp"
#include "map.hpp"
#include "transpose.hpp"

namespace bespoke::kernels::detail {

/// A channel_map for one channel.
template <class T>
struct mapped_channel {
    batch<T> scale = batch<T>(T(0)), shift = scale, low = scale, high = scale;
    bool scaled = false;

    mapped_channel() = default;
    [[gnu::always_inline]] mapped_channel(const channel_map<T>& map, extent channel) noexcept
        : low(map.low), high(map.high), scaled(map.scale != nullptr) {
        if (!scaled) return;
        scale = batch<T>(map.scale[channel]);
        shift = batch<T>(map.shift[channel]);
    }
    /// Without what is added.
    [[gnu::always_inline]] batch<T> operator()(const batch<T>& x) const noexcept { return bounded(affine(x)); }
    [[gnu::always_inline]] batch<T> operator()(const batch<T>& x, const batch<T>& added) const noexcept {
        return bounded(affine(x) + added);
    }

private:
    [[gnu::always_inline]] batch<T> affine(const batch<T>& x) const noexcept {
        return scaled ? kernels::fma<T>(x, scale, shift) : x;
    }
    [[gnu::always_inline]] batch<T> bounded(const batch<T>& x) const noexcept {
        return kernels::min(high, kernels::max(low, x));
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

    /// The map, for a kernel that adds nothing; null where there is none, or something is to be added.
    const channel_map<T>* without_added() const noexcept {
        return map != nullptr && map->added == nullptr ? map : nullptr;
    }
    /// What is left for a block whose elements the kernel has mapped.
    void finish_mapped(const output_block<T>& block) const noexcept {
        if (rest != nullptr) (*rest)(block);
    }
    /// What is left where the kernel has applied `without_added`.
    void finish_behind(const output_block<T>& block, extent channel) const noexcept {
        without_added() != nullptr ? finish_mapped(block) : finish(block, channel);
    }
    /// The block becomes the transpose of `from`, or with `add` the sum with it, and all of this is done to it.
    void transposed(const T* from, extent from_stride, const output_block<T>& block, extent channel,
                    bool add = false) const noexcept {
        if (map == nullptr)
            transpose(from, from_stride, block.columns, block.rows, block.data, block.stride, add);
        else
            transpose_mapped(*map, from, from_stride, block, channel, add);
        finish_mapped(block);
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
            if (map.added == nullptr)
                for_each_batch<T>(
                    block.columns, [&](extent j, auto in, auto out)
                                       __attribute__((always_inline)) { out(row + j, f(in(row + j))); });
            else
                for_each_batch<T>(block.columns, [&, added = map.added_to(row)](extent j, auto in, auto out)
                                                     __attribute__((always_inline)) {
                                                         out(row + j, f(in(row + j), in(added + j)));
                                                     });
        }
    }
    [[gnu::noinline]] static void transpose_mapped(const channel_map<T>& map, const T* from, extent from_stride,
                                                   const output_block<T>& block, extent channel, bool add) noexcept {
        transpose(from, from_stride, block.columns, block.rows, block.data, block.stride, add,
                  [&](extent i, const T* at, extent count, const batch<T>& v) __attribute__((always_inline)) {
                      const mapped_channel<T> f(map, channel + i);
                      if (map.added == nullptr) return f(v);
                      const T* added = map.added_to(at);
                      return f(v, count == lanes<T> ? load(added) : load_partial(added, count));
                  });
    }
};

}  // namespace bespoke::kernels::detail
