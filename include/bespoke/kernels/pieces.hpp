#pragma once

#include "simd.hpp"

#include <algorithm>

namespace bespoke::kernels {

// Long sums in pieces: the results of the pieces are merged in pairs, the pairs in pairs and so on, so that the error
// grows with the logarithm of their number (Higham, SIAM J. Sci. Comput. 14, 1993). A sum of one piece is one chain.

namespace detail {

/// Steps of a chain that make a piece of a sum.
inline constexpr extent sum_piece = 128;

/// The merged results of the pieces so far, in Width registers.
template <std::size_t Width, class T>
class merged_pieces {
public:
    /// Takes the result of the next piece.
    template <class Merge>
    void add(batch<T> (&piece)[Width], const Merge& merge) noexcept {
        std::size_t level = 0;
        for (extent rest = count_++; rest & 1; rest >>= 1, ++level) join(level, piece, merge);
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { levels_[level][w] = piece[w]; });
    }
    /// Merges all of them with the result of the last piece.
    template <class Merge>
    void end(batch<T> (&last)[Width], const Merge& merge) const noexcept {
        std::size_t level = 0;
        for (extent rest = count_; rest > 0; rest >>= 1, ++level)
            if (rest & 1) join(level, last, merge);
    }

private:
    template <class Merge>
    void join(std::size_t level, batch<T> (&piece)[Width], const Merge& merge) const noexcept {
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) {
            piece[w] = merge(levels_[level][w], piece[w]);
        });
    }

    extent count_ = 0;
    batch<T> levels_[48][Width];  ///< level i: the result of 2^i pieces, where bit i of count_ is set
};

/// Width sums in pieces.
template <std::size_t Width, class T>
class sums_in_pieces {
public:
    sums_in_pieces() { restart(); }
    /// Calls body(sum, first, last), which adds the steps [first, last) to the Width registers `sum`, for parts of
    /// [0, steps).
    template <class Body>
    [[gnu::always_inline]] void take(extent steps, const Body& body) noexcept {
        for (extent i = 0; i < steps;) {
            if (steps_ == sum_piece) end_piece();
            const extent first = i;
            i += std::min(steps - i, sum_piece - steps_);
            steps_ += i - first;
            add([&](auto& sum) __attribute__((always_inline)) { body(sum, first, i); });
        }
    }
    /// Calls body(sum, first, count), which adds `count` elements to the lanes of `sum`, for parts of a row of n. Of a
    /// row that is one piece `count` is n itself.
    template <class N, class Body>
    [[gnu::always_inline]] void take_row(N n, const Body& body) noexcept {
        const extent size = n;
        if (steps_ == 0 && size <= sum_piece * lanes<T>)
            return add([&](auto& sum) __attribute__((always_inline)) { body(sum, extent{0}, n); });
        take((size + lanes<T> - 1) / lanes<T>,
             [&](auto& sum, extent first, extent last) __attribute__((always_inline)) {
                 body(sum, first * lanes<T>, std::min(last * lanes<T>, size) - first * lanes<T>);
             });
    }
    /// The sums; nothing is taken behind it.
    batch<T> (&end() noexcept)[Width] {
        before_.end(now_, added);
        return now_;
    }

private:
    static batch<T> added(const batch<T>& a, const batch<T>& b) noexcept { return a + b; }
    /// A copy: in the place that `end_piece` knows, the compiler would store each step.
    template <class Body>
    [[gnu::always_inline]] void add(const Body& body) noexcept {
        batch<T> sum[Width];
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { sum[w] = now_[w]; });
        body(sum);
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { now_[w] = sum[w]; });
    }
    [[gnu::always_inline]] void restart() noexcept {
        unroll<Width>([&](std::size_t w) __attribute__((always_inline)) { now_[w] = batch<T>(T(0)); });
    }
    [[gnu::noinline]] void end_piece() noexcept {
        before_.add(now_, added);
        restart();
        steps_ = 0;
    }

    batch<T> now_[Width];
    extent steps_ = 0;  ///< in `now_`
    merged_pieces<Width, T> before_;
};

}  // namespace detail
}  // namespace bespoke::kernels
