#include <bespoke/kernels/tile.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
namespace inner = bespoke::kernels::detail;

TEMPLATE_TEST_CASE("tile: rows and steps anywhere, columns of one or two batches", "[gemm]", float, double) {
    using T = TestType;
    constexpr extent width = kernels::panel_width<T>;
    for (extent rows = 1; rows <= 3 * inner::tile_rows + 1; ++rows)
        for (extent columns : {extent{1}, width / 2, width / 2 + 1, width})
            for (extent steps : {0, 1, 9})
                for (const bool from_c : {false, true}) {
                    CAPTURE(rows, columns, steps, from_c);
                    const array<T> a(400, 1, 1), b(steps * width, 2, 1), start(width, 3, 1);
                    array<T> c((rows + 1) * width * 2, 4, 1);
                    const array<T> before = c;
                    std::vector<extent> a_rows, c_rows, a_steps;
                    for (extent i = 0; i < rows; ++i) {
                        a_rows.push_back(i * 7 % 200);
                        c_rows.push_back((rows - i) * 2 * width);  // in any order
                    }
                    for (extent p = 0; p < steps; ++p) a_steps.push_back(p * 13 % 100);
                    inner::multiply_panel<T>({steps, a.data(), a_steps.data(), b.data(), c.data(),
                                              from_c ? nullptr : start.data()},
                                             rows, a_rows.data(), c_rows.data(), columns);
                    CHECK(c.intact());
                    const extent written = columns > width / 2 ? width : width / 2;
                    bool same = true;
                    for (extent i = 0; i <= rows; ++i)
                        for (extent j = 0; j < 2 * width; ++j) {
                            const extent at = i * 2 * width + j, row = rows - i;
                            T chain = before[at];
                            if (i > 0 && j < written) {
                                if (!from_c) chain = start[j];
                                for (std::size_t p = 0; p < a_steps.size(); ++p)
                                    chain =
                                        kernels::fma(a[a_rows[static_cast<std::size_t>(row)] + a_steps[p]],
                                                     b[static_cast<extent>(p) * width + j], chain);
                            }
                            same = same && c[at] == chain;
                        }
                    CHECK(same);
                }
}

TEMPLATE_TEST_CASE("tile: a row in interleaved sums", "[gemm]", float, double) {
    using T = TestType;
    constexpr extent width = kernels::panel_width<T>;
    const auto check_row = [&]<extent Batches, extent Chains>(constant<Batches>, constant<Chains>) {
        for (extent k : {0, 1, 3, 4, 7})
            for (extent valid : {extent{1}, Batches * kernels::lanes<T> - 1, Batches * kernels::lanes<T>})
                for (const bool bias : {false, true}) {
                    const array<T> a(3 * k + 1, 1), b((Batches + 1) / 2 * width * k, 2, 1),
                        start(valid, 3, 1);
                    array<T> c(valid, 4, 1);
                    inner::row_product<T, Batches, Chains>(k, valid, a.data(), extent{3}, b.data(),
                                                           bias ? start.data() : nullptr, c.data());
                    CHECK(c.intact());
                    for (extent j = 0; j < valid; ++j) {
                        T sum[4] = {bias ? start[j] : T(0), 0, 0, 0};
                        for (extent p = 0; p < k; ++p)
                            sum[p % Chains] = kernels::fma(
                                a[3 * p], b[j / width * width * k + p * width + j % width], sum[p % Chains]);
                        CHECK(c[j] == (Chains == 4   ? (sum[0] + sum[1]) + (sum[2] + sum[3])
                                       : Chains == 2 ? sum[0] + sum[1]
                                                     : sum[0]));
                    }
                }
    };
    check_row(constant<8>{}, constant<1>{});
    check_row(constant<2>{}, constant<1>{});
    check_row(constant<4>{}, constant<2>{});
    check_row(constant<2>{}, constant<4>{});
    check_row(constant<1>{}, constant<4>{});
}
