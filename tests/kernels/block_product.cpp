#include <bespoke/kernels/block_product.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
namespace inner = bespoke::kernels::detail;

TEMPLATE_TEST_CASE("block product: rows packed in strips, the last one repeated", "[gemm]", float, double) {
    using T = TestType;
    constexpr extent w = kernels::lanes<T>;
    for (const bool transposed : {false, true})
        for (extent rows = 1; rows <= 2 * inner::tile_rows + 1; ++rows)
            for (extent k : {extent{0}, extent{1}, w - 1, w, w + 1, 3 * w + 2}) {
                CAPTURE(transposed, rows, k);
                const extent row = transposed ? 1 : k + 3, column = transposed ? rows + 2 : 1;
                const array<T> a((rows - 1) * row + (k > 0 ? (k - 1) * column : 0) + 1, 1, 1);
                array<T> packed(inner::packed_left_size<T>(rows, k), 2, 1);
                inner::pack_left(a.data(), row, column, rows, k, packed.data());
                CHECK(packed.intact());
                constexpr extent height = inner::tile_rows;
                bool same = true;
                for (extent i = 0; i < (rows + height - 1) / height * height; ++i)
                    for (extent p = 0; p < k; ++p)
                        same = same && packed[(i / height * k + p) * height + i % height] ==
                                           a[std::min(i, rows - 1) * row + p * column];
                CHECK(same);
            }
}

TEMPLATE_TEST_CASE("block product: strips of any height, columns of one or two batches", "[gemm]", float, double) {
    using T = TestType;
    constexpr extent width = kernels::panel_width<T>;
    for (extent rows = 1; rows <= inner::tall_tile_rows; ++rows)
        for (extent columns : {extent{1}, width / 2, width / 2 + 1, width})
            for (extent steps : {0, 1, 2, 9})
                for (const bool from_c : {false, true})
                    for (const bool transposed : {false, true}) {
                        CAPTURE(rows, columns, steps, from_c, transposed);
                        constexpr extent c_row = width + 3, b_row = width + 5;
                        const extent a_row = transposed ? 1 : 11, a_column = transposed ? inner::tall_tile_rows + 4 : 1;
                        const array<T> a(400, 1, 1), b(steps * b_row + width, 2, 1), start(width, 3, 1);
                        array<T> c((rows + 1) * c_row, 4, 1);
                        const array<T> before = c;
                        inner::multiply_strip<T>({steps, a.data(), a_row, a_column, b.data(), b_row, c.data(), c_row,
                                                  from_c ? c.data() : start.data(), from_c ? c_row : 0, b.data(), 1,
                                                  c.data(), 0},
                                                 rows, columns);
                        CHECK(c.intact());
                        const extent written = columns > width / 2 ? width : width / 2;
                        bool same = true;
                        for (extent i = 0; i <= rows; ++i)
                            for (extent j = 0; j < c_row; ++j) {
                                T chain = before[i * c_row + j];
                                if (i < rows && j < written) {
                                    if (!from_c) chain = start[j];
                                    for (extent p = 0; p < steps; ++p)
                                        chain = kernels::fma(a[i * a_row + p * a_column], b[p * b_row + j], chain);
                                }
                                same = same && c[i * c_row + j] == chain;
                            }
                        CHECK(same);
                    }
}

TEST_CASE("block_product: strips are whole tiles but for the last, and compute few rows beyond", "[gemm]") {
    for (extent rows = 1; rows < 200; ++rows) {
        extent left = rows, computed = 0, count = 0;
        while (left > 0) {
            const extent strip = inner::strip_rows(left);
            CAPTURE(rows, left, strip);
            REQUIRE((strip > 0 && strip <= left && strip <= inner::tall_tile_rows));
            REQUIRE((strip == left || inner::next_tile_rows(strip) == strip));
            computed += inner::next_tile_rows(strip);
            left -= strip;
            ++count;
        }
        constexpr extent small = inner::small_tile_rows, tall = inner::tall_tile_rows, half = inner::half_tile_rows;
        CAPTURE(rows, computed, count);
        CHECK(left == 0);
        CHECK(inner::count_strips(rows).rows == computed);
        CHECK(inner::count_strips(rows).strips == count);
        CHECK((computed >= rows && computed <= (rows + small - 1) / small * small));
        CHECK(count <= (rows + small - 1) / small);
        if (rows % half == 0) CHECK((computed == rows && count == (rows + tall - 1) / tall));
    }
    CHECK(inner::count_strips(0).rows == 0);
}
