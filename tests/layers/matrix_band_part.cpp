#include <bespoke/layers/matrix_band_part.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(lower_triangular)
FLOAT_IN_IMPLEMENTATION(matrix_band_part)
FLOAT_IN_IMPLEMENTATION(upper_triangular)

using namespace bespoke;
using namespace layer_test;

namespace {

/// x where `keeps(row, column)`, else 0; matrices one after the other.
template <class Keeps>
std::vector<float> kept(extent rows, extent columns, const std::vector<float>& x, const Keeps& keeps) {
    std::vector<float> y;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const extent at = static_cast<extent>(i);
        y.push_back(keeps(at / columns % rows, at % columns) ? x[i] : 0);
    }
    return y;
}

}  // namespace

TEST_CASE("matrix_band_part, lower_triangular, upper_triangular: a matrix") {
    // np.tril(np.arange(1, 10).reshape(3, 3)), np.triu of it, and both with k = 1
    const std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8, 9};
    const shape s{3, 3};
    REQUIRE(evaluate<float>(lower_triangular{}, {{s, x}}).first() ==
            std::vector<float>{1, 0, 0, 4, 5, 0, 7, 8, 9});
    REQUIRE(evaluate<float>(upper_triangular{}, {{s, x}}).first() ==
            std::vector<float>{1, 2, 3, 0, 5, 6, 0, 0, 9});
    REQUIRE(evaluate<float>(lower_triangular{1}, {{s, x}}).first() ==
            std::vector<float>{1, 2, 0, 4, 5, 6, 7, 8, 9});
    REQUIRE(evaluate<float>(upper_triangular{1}, {{s, x}}).first() ==
            std::vector<float>{0, 2, 3, 0, 0, 6, 0, 0, 0});
    REQUIRE(evaluate<float>(matrix_band_part{0, 1}, {{s, x}}).first() ==
            std::vector<float>{1, 2, 0, 0, 5, 6, 0, 0, 9});
    REQUIRE(evaluate<float>(matrix_band_part{-1, 0}, {{s, x}}).first() ==
            evaluate<float>(lower_triangular{}, {{s, x}}).first());
}

TEST_CASE("matrix_band_part, lower_triangular, upper_triangular: by their formulas") {
    for (const auto& [rows, columns] :
         std::vector<std::pair<extent, extent>>{{1, 1}, {4, 7}, {7, 4}, {1, 19}, {19, 1}}) {
        const auto x = numbers<float>(6 * rows * columns);
        const shape s{3, rows, columns};
        for (extent k = -9; k <= 9; ++k) {
            CAPTURE(rows, columns, k);
            REQUIRE(evaluate_with<float>(nullptr, lower_triangular{k}, {{s, x}}).first() ==
                    kept(rows, columns, x, [&](extent m, extent n) { return n - m <= k; }));
            REQUIRE(evaluate_with<float>(nullptr, upper_triangular{k}, {{s, x}}).first() ==
                    kept(rows, columns, x, [&](extent m, extent n) { return n - m >= k; }));
            for (extent lower : {-1, 0, 1, 3, 8})
                REQUIRE(evaluate_with<float>(nullptr, matrix_band_part{lower, k}, {{s, x}}).first() ==
                        kept(rows, columns, x, [&](extent m, extent n) {
                            return (lower < 0 || m - n <= lower) && (k < 0 || n - m <= k);
                        }));
        }
    }
}

TEST_CASE("matrix_band_part: what is outside does not count, be it NaN; threads; nothing") {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(evaluate<float>(matrix_band_part{}, {{{2, 2}, {1, nan, nan, 2}}}).first() ==
            std::vector<float>{1, 0, 0, 2});
    const auto x = numbers<float>(2 * 130 * 150);
    REQUIRE(evaluate<float>(lower_triangular{3}, {{{130, 150}, x}}).first() ==
            kept(130, 150, x, [](extent m, extent n) { return n - m <= 3; }));
    REQUIRE(evaluate<float>(upper_triangular{}, {{{0, 3}, {}}}).dimensions() == shape{0, 3});
    REQUIRE(evaluate<float>(upper_triangular{}, {{{3, 0}, {}}}).dimensions() == shape{3, 0});
}

TEST_CASE("matrix_band_part, lower_triangular, upper_triangular: gradients") {
    require_gradients(matrix_band_part{1, 0}, {{4, 3}});
    require_gradients(lower_triangular{-1}, {{2, 3, 4}});
    require_gradients(upper_triangular{1}, {{3, 5}});
}

TEST_CASE("matrix_band_part, lower_triangular, upper_triangular: faults") {
    const std::string wanted = "an input of rank 2 or more wanted, its shape is [3]";
    REQUIRE(fault_of(matrix_band_part{}, {{3}}) == "layers/0 \"layer\" (matrixBandPart): " + wanted);
    REQUIRE(fault_of(lower_triangular{}, {{3}}) == "layers/0 \"layer\" (lowerTriangular): " + wanted);
    REQUIRE(fault_of(upper_triangular{}, {{3}}) == "layers/0 \"layer\" (upperTriangular): " + wanted);
    const auto x = numbers<float>(6);
    for (extent k : hostile_extents()) {
        ask_everything(lower_triangular{k});
        evaluate_with<float>(nullptr, lower_triangular{k}, {{{2, 3}, x}});
        evaluate_with<float>(nullptr, upper_triangular{k}, {{{2, 3}, x}});
        evaluate_with<float>(nullptr, matrix_band_part{k, k}, {{{2, 3}, x}});
    }
}

namespace {
inline constexpr auto band =
    compose(input{"x", {5, 6}}, lower_triangular{2}, upper_triangular{-2}, matrix_band_part{1, -1});
}

TEST_CASE("matrix_band_part: the same bits composed and at run time, in place") {
    network<band> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(30)));
}
