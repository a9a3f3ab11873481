#include <bespoke/kernels/simd.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;
using bespoke::extent;
using check::array;

TEMPLATE_TEST_CASE("simd: partial loads and stores touch what they should", "[simd]", float, double) {
    using T = TestType;
    const extent w = kernels::lanes<T>;
    for (extent offset : {0, 1, 3})
        for (extent n = 0; n <= w; ++n) {
            const array<T> from(n, 1, offset);
            array<T> to(n, 2, offset);
            const auto v = kernels::load_partial(from.data(), n);
            for (extent lane = 0; lane < w; ++lane)
                CHECK(v.get(static_cast<std::size_t>(lane)) == (lane < n ? from[lane] : T(0)));
            using B = kernels::batch<T>;
            const B marked = kernels::simd::select(kernels::first_lanes<T>(n), B(T(1)), B(T(0)));
            for (extent lane = 0; lane < w; ++lane)
                CHECK(marked.get(static_cast<std::size_t>(lane)) == T(lane < n ? 1 : 0));
            kernels::store_partial<T>(to.data(), v, n);
            CHECK(to.intact());
            CHECK(check::same_bits(from, to));
        }
}

TEMPLATE_TEST_CASE("simd: fma rounds as the scalar one", "[simd]", float, double) {
    using T = TestType;
    // (1 + e)^2 - 1 - 2 e = e^2 is lost when the product is rounded first.
    const T e = std::numeric_limits<T>::epsilon(), a = T(1) + e, c = T(-1) - 2 * e;
    const T scalar = kernels::fma(a, a, c);
    CHECK(kernels::first_lane<T>(
              kernels::fma<T>(kernels::batch<T>(a), kernels::batch<T>(a), kernels::batch<T>(c))) == scalar);
    CHECK(scalar == (kernels::has_fma ? e * e : T(0)));
}

TEMPLATE_TEST_CASE("simd: the lanes are added as a balanced tree", "[simd]", float, double) {
    using T = TestType;
    const array<T> x(kernels::lanes<T>, 1);
    std::vector<T> level(x.data(), x.data() + x.size());
    while (level.size() > 1) {
        std::vector<T> next;
        for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(level[i] + level[i + 1]);
        level = next;
    }
    CHECK(kernels::sum_lanes<T>(kernels::load(x.data())) == level[0]);
}

TEMPLATE_TEST_CASE("simd: every element is visited once", "[simd]", float, double) {
    using T = TestType;
    for (extent n : check::sizes<T>()) {
        array<T> x(n, 1, 1);
        const array<T> before = x;
        kernels::for_each_batch<T>(n, [&](extent i, auto in, auto out) {
            out(x.data() + i, in(x.data() + i) + kernels::batch<T>(T(1)));
        });
        CHECK(x.intact());
        for (extent i = 0; i < n; ++i) CHECK(x[i] == before[i] + T(1));
    }
}

TEMPLATE_TEST_CASE("simd: every second lane", "[simd]", float, double) {
    using T = TestType;
    const extent w = kernels::lanes<T>;
    const array<T> x(2 * w, 1);
    const auto a = kernels::load(x.data()), b = kernels::load(x.data() + w);
    for (extent i = 0; i < w; ++i) {
        CHECK(kernels::reversed_lanes<T>(a).get(static_cast<std::size_t>(i)) == x[kernels::lanes<T> - 1 - i]);
        CHECK(kernels::even_lanes<T>(a, b).get(static_cast<std::size_t>(i)) == x[2 * i]);
        CHECK(kernels::odd_lanes<T>(a, b).get(static_cast<std::size_t>(i)) == x[2 * i + 1]);
    }
}

TEMPLATE_TEST_CASE("simd: a bit for each lane", "[simd]", float, double) {
    using T = TestType;
    alignas(64) T x[kernels::lanes<T>];
    for (extent i = 0; i < kernels::lanes<T>; ++i) x[i] = i % 3 == 1 ? T(1) : T(-1);
    const auto bits = kernels::lane_bits<T>(kernels::batch<T>::load_aligned(x) > kernels::batch<T>(T(0)));
    for (extent i = 0; i < 64; ++i) CHECK((bits >> i & 1) == (i < kernels::lanes<T> && i % 3 == 1 ? 1u : 0u));
}

TEMPLATE_TEST_CASE("simd: rows are folded as each of them alone", "", float, double) {
    using T = TestType;
    using kernels::batch, kernels::lanes;
    const auto minus = [](const batch<T>& a, const batch<T>& b) { return a - batch<T>(T(2)) * b; };
    const auto check = [&]<std::size_t Rows>(std::integral_constant<std::size_t, Rows>) {
        if constexpr (Rows <= batch<T>::size) {
            batch<T> rows[Rows];
            for (std::size_t r = 0; r < Rows; ++r) {
                alignas(64) T lane[lanes<T>];
                for (extent i = 0; i < lanes<T>; ++i) lane[i] = static_cast<T>(i * i + 3 * static_cast<extent>(r) + 1);
                rows[r] = batch<T>::load_aligned(lane);
            }
            alignas(64) T folded[lanes<T>];
            kernels::fold_rows<T>(rows, minus).store_aligned(folded);
            for (std::size_t r = 0; r < Rows; ++r) {
                alignas(64) T lane[lanes<T>];
                rows[r].store_aligned(lane);
                for (extent width = 1; width < lanes<T>; width *= 2)
                    for (extent i = 0; i < lanes<T>; i += 2 * width) lane[i] = lane[i] - 2 * lane[i + width];
                REQUIRE(folded[r] == lane[0]);
                REQUIRE(kernels::fold_lanes<T>(rows[r], minus) == lane[0]);
            }
        }
    };
    check(std::integral_constant<std::size_t, 1>{});
    check(std::integral_constant<std::size_t, 2>{});
    check(std::integral_constant<std::size_t, 4>{});
    check(std::integral_constant<std::size_t, 8>{});
}
