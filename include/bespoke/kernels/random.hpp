#pragma once

#include "../core/random.hpp"
#include "map.hpp"

namespace bespoke::kernels {

/// y[i] for i in [first, last), out of the numbers of `source`, which element i has alone whatever the range is.
///
/// `f(v)` is given four batches and changes them: v[k] comes with uniform numbers u on [0, 1) of 24 bits, those of the
/// elements 4 j + k for as many j as a batch has lanes, and goes with these elements. u is what `uniform` gives as
/// number 4 j + k.
template <class T, class F>
[[gnu::noinline]] void draw(const philox& source, extent first, extent last, const F& f, T* y) noexcept {
    constexpr extent count = 16;  // blocks at once
    static_assert(count % lanes<T> == 0);
    for (extent block = first / 4; 4 * block < last; block += count) {
        const auto words = source.blocks<count>(static_cast<std::uint64_t>(block));
        alignas(64) T u[4][count];
        for (std::size_t k = 0; k < 4; ++k)
            for (std::size_t j = 0; j < count; ++j)
                u[k][j] = static_cast<T>(static_cast<std::int32_t>(words[k][j] >> 8)) * T(0x1p-24);
        for (extent j = 0; j < count; j += lanes<T>) {
            batch<T> v[4]{load(u[0] + j), load(u[1] + j), load(u[2] + j), load(u[3] + j)};
            f(v);
            for (std::size_t k = 0; k < 4; ++k) store(u[k] + j, v[k]);
        }
        T drawn[4 * count];
        for (extent j = 0; j < count; ++j)
            for (extent k = 0; k < 4; ++k) drawn[4 * j + k] = u[k][j];
        const extent begin = first > 4 * block ? first : 4 * block;
        const extent end = last < 4 * (block + count) ? last : 4 * (block + count);
        copy(end - begin, drawn + (begin - 4 * block), y + begin);
    }
}

}  // namespace bespoke::kernels
