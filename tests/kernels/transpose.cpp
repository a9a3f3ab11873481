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

TEMPLATE_TEST_CASE("transpose: rows of a few neighbours are parted and joined", "[transpose]", float, double) {
    using T = TestType;
    for (const extent few : {2, 3, 4, 5})
        for (const extent n : check::sizes<T>()) {
            const extent stride = n + 3;
            const array<T> neighbours(n * few, 1, 1);
            array<T> parted(few * stride, 2, 1), joined(n * few, 3, 1);
            const array<T> before = parted;
            kernels::transpose(neighbours.data(), few, n, few, parted.data(), stride);
            REQUIRE(parted.intact());
            for (extent row = 0; row < few; ++row)
                for (extent i = 0; i < stride; ++i)
                    CHECK(parted[row * stride + i] == (i < n ? neighbours[i * few + row] : before[row * stride + i]));
            kernels::transpose(parted.data(), stride, few, n, joined.data(), few);
            REQUIRE(joined.intact());
            for (extent i = 0; i < n * few; ++i) CHECK(joined[i] == neighbours[i]);
        }
}
