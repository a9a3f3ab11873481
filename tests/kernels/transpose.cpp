#include <bespoke/kernels/transpose.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;
using bespoke::extent;
using check::array;

TEMPLATE_TEST_CASE("transpose: rows become columns", "[transpose]", float, double) {
    using T = TestType;
    for (extent rows : check::sizes<T>())
        for (extent columns : check::sizes<T>()) {
            const extent from_stride = columns + 2, to_stride = rows + 3;
            const array<T> from(rows * from_stride, 1, 1);
            array<T> to(columns * to_stride, 2, 1);
            const array<T> before = to;
            kernels::transpose(from.data(), from_stride, rows, columns, to.data(), to_stride);
            REQUIRE(to.intact());
            bool moved = true, kept = true;
            for (extent j = 0; j < columns; ++j)
                for (extent i = 0; i < to_stride; ++i)
                    if (i < rows)
                        moved = moved && to[j * to_stride + i] == from[i * from_stride + j];
                    else
                        kept = kept && to[j * to_stride + i] == before[j * to_stride + i];
            CHECK(moved);
            CHECK(kept);
        }
}

TEMPLATE_TEST_CASE("transpose: pairs are parted and joined", "[transpose]", float, double) {
    using T = TestType;
    for (const extent n : check::sizes<T>()) {
        const auto size = static_cast<std::size_t>(n);
        std::vector<T> pairs(2 * size), parted(2 * size + 3, T(-1)), joined(2 * size, T(-1));
        for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = static_cast<T>(i);
        kernels::transpose(pairs.data(), 2, n, 2, parted.data(), n + 3);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(parted[i] == pairs[2 * i]);
            CHECK(parted[size + 3 + i] == pairs[2 * i + 1]);
        }
        for (std::size_t i = size; i < size + 3; ++i) CHECK(parted[i] == T(-1));
        kernels::transpose(parted.data(), n + 3, 2, n, joined.data(), 2);
        CHECK(joined == pairs);
    }
}
