#pragma once

#include "shape.hpp"

#include <array>
#include <span>
#include <utility>

namespace bespoke {

/// Philox4x32-10: a counter-based generator. Number i of stream s depends on (seed, s, i) alone, so
/// draws are the same whatever the order or the number of threads that make them.
/// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
class philox {
public:
    constexpr explicit philox(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

    /// Four independent 32-bit numbers for each of `Count` counter values from `first` on: word k of value first + i is
    /// [k][i].
    template <std::size_t Count>
    constexpr std::array<std::array<std::uint32_t, Count>, 4> blocks(std::uint64_t first) const {
        std::array<std::array<std::uint32_t, Count>, 4> c{};
        for (std::size_t i = 0; i < Count; ++i) {
            c[0][i] = low(first + i);
            c[1][i] = high(first + i);
            c[2][i] = low(stream_);
            c[3][i] = high(stream_);
        }
        std::uint32_t k0 = low(seed_), k1 = high(seed_);
        for (int round = 0; round < 10; ++round) {
#if !defined(__clang__) && !defined(__AVX512F__)
#pragma GCC unroll 1  // written out early, g++ does not vectorise it for SSE2 and AVX2
#endif
            for (std::size_t i = 0; i < Count; ++i) {
                const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0][i];
                const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2][i];
                c[0][i] = high(p1) ^ c[1][i] ^ k0;
                c[1][i] = low(p1);
                c[2][i] = high(p0) ^ c[3][i] ^ k1;
                c[3][i] = low(p0);
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        return c;
    }

    /// Those of the counter value `index`.
    constexpr std::array<std::uint32_t, 4> block(std::uint64_t index) const {
        const auto words = blocks<1>(index);
        return {words[0][0], words[1][0], words[2][0], words[3][0]};
    }

    /// The next 32 bits. `position` is all the state there is; it can be saved and set.
    constexpr std::uint32_t operator()() {
        const std::uint32_t bits = block(position / 4)[position % 4];
        ++position;
        return bits;
    }

    /// Uniform on [0, 1), 24 bits.
    constexpr double uniform() { return (*this)() / 256 * 0x1p-24; }

    /// Uniform on {0, ..., bound - 1} for 0 < bound < 2^32, without bias (Lemire 2019).
    constexpr std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = std::uint64_t{(*this)()} * bound;
        if (low(product) < bound) {
            const std::uint32_t threshold = (0u - bound) % bound;
            while (low(product) < threshold) product = std::uint64_t{(*this)()} * bound;
        }
        return high(product);
    }

    std::uint64_t position = 0;

private:
    static constexpr std::uint32_t low(std::uint64_t v) { return static_cast<std::uint32_t>(v); }
    static constexpr std::uint32_t high(std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); }

    std::uint64_t seed_, stream_;
};

/// Puts `items` into a random order (Fisher-Yates), the same one for the same state of `generator`.
template <class Item>
constexpr void shuffle(std::span<Item> items, philox& generator) {
    for (std::size_t i = items.size(); i > 1; --i)
        std::swap(items[i - 1], items[generator.below(static_cast<std::uint32_t>(i))]);
}

}  // namespace bespoke
