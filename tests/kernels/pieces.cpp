#include <bespoke/kernels/pieces.hpp>
#include <bespoke/kernels/reduction.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// The sum of `count` pieces from `first` on: in pairs from the front.
template <class T>
T merged(const std::vector<T>& pieces, std::size_t first, std::size_t count) {
    if (count == 1) return pieces[first];
    std::size_t left = 1;
    while (2 * left < count) left *= 2;
    return merged(pieces, first, left) + merged(pieces, first + left, count - left);
}

}  // namespace

TEMPLATE_TEST_CASE("pieces: a piece is one chain, and pieces are merged in pairs", "[pieces]", float, double) {
    using T = TestType;
    constexpr extent lanes = kernels::lanes<T>, piece = kernels::detail::sum_piece;
    for (const extent steps : {extent{0}, extent{1}, piece - 1, piece, piece + 1, 2 * piece, 3 * piece, 7 * piece + 5,
                               8 * piece, 13 * piece + 1})
        for (const extent rest : {extent{0}, lanes - 1}) {
            CAPTURE(steps, rest);
            const extent n = steps * lanes + rest;
            const array<T> x(n, 1, 1);
            std::vector<std::vector<T>> chains(static_cast<std::size_t>(lanes));
            for (extent i = 0; i < n; ++i) {
                auto& chain = chains[static_cast<std::size_t>(i % lanes)];
                if (i / lanes % piece == 0) chain.push_back(T(0));
                chain.back() += x[i];
            }
            alignas(64) T lane[lanes];
            for (extent l = 0; l < lanes; ++l) {
                auto& chain = chains[static_cast<std::size_t>(l)];
                // a lane that the last piece does not reach takes part with 0
                if (chain.size() < chains[0].size()) chain.push_back(T(0));
                lane[l] = chain.empty() ? T(0) : merged(chain, 0, chain.size());
            }
            const T wanted = kernels::sum_lanes<T>(kernels::batch<T>::load_aligned(lane));
            REQUIRE(kernels::sum(n, x.data()) == wanted);

            // taken in parts, it is the same
            kernels::detail::sums_in_pieces<2, T> sums;
            const auto add = [&](extent from) {
                return [&x, from](auto& sum, extent first, extent last) {
                    for (extent i = from + first; i < from + last; ++i) {
                        sum[0] = sum[0] + kernels::load(x.data() + i * lanes);
                        sum[1] = sum[1] - kernels::load(x.data() + i * lanes);
                    }
                };
            };
            sums.take(steps / 3, add(0));
            sums.take(steps - steps / 3, add(steps / 3));
            const auto& both = sums.end();
            const T whole = kernels::sum(steps * lanes, x.data());
            REQUIRE(kernels::sum_lanes<T>(both[0]) == whole);
            REQUIRE(kernels::sum_lanes<T>(both[1]) == -whole);
        }
}

TEST_CASE("pieces: the error of a long sum does not grow with it", "[pieces]") {
    constexpr extent n = extent{1} << 20;
    const std::vector<float> x(static_cast<std::size_t>(n), 0.7F);
    CHECK(std::abs(kernels::sum(n, x.data()) / static_cast<float>(n) - 0.7F) < 2e-6F);
    CHECK(std::abs(kernels::dot(n, x.data(), x.data()) / static_cast<float>(n) - 0.49F) < 2e-6F);
}
