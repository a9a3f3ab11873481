#include <bespoke/kernels/gemm_int8.hpp>

#include "check.hpp"
#include "low_precision_test.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

TEST_CASE("gemm_int8: there where the program is compiled for it") {
#if defined(__AVX512VNNI__) && defined(__AVX512F__)
    CHECK(kernels::has_int8);
#else
    CHECK_FALSE(kernels::has_int8);
#endif
}

#if BESPOKE_HAS_INT8

namespace {

struct quantised {
    float scale;
    std::int64_t zero;
    std::vector<std::int64_t> values;
};

/// As the header documents. `size`: a row of A has 255 steps, a column of B 127 on both sides of 0.
quantised quantise(const float* x, extent k, float size) {
    float low = 0, high = 0;
    bool finite = true;
    for (extent p = 0; p < k; ++p) {
        low = std::min(low, x[p]);
        high = std::max(high, x[p]);
        finite = finite && std::isfinite(x[p]);
    }
    const bool row = size == 255;
    quantised q{row ? high / size - low / size : std::max(high, -low) / size, 0,
                std::vector<std::int64_t>(static_cast<std::size_t>(k))};
    if (q.scale < std::numeric_limits<float>::min()) q.scale = 0;
    if (!finite) q.scale = check::nan<float>;
    if (!(q.scale > 0)) return q;
    const float inverse = 1 / q.scale, zero = row ? std::nearbyint(-low * inverse) : 0.0f;
    q.zero = static_cast<std::int64_t>(zero);
    for (extent p = 0; p < k; ++p)
        q.values[static_cast<std::size_t>(p)] = std::clamp<std::int64_t>(
            std::llrint(std::fma(x[p], inverse, zero)), row ? 0 : -127, row ? 255 : 127);
    return q;
}

struct int8_kernel {
    static extent packed_size(extent k, extent n) { return kernels::int8_packed_size(k, n); }
    static void pack(const float* b, extent k, extent n, float* packed, thread_pool* threads) {
        kernels::pack_int8(b, k, n, packed, threads);
    }
    static constexpr auto multiply = kernels::gemm_int8<float>;
    static std::vector<float> expected(const low_precision_test::product& p) {
        std::vector<quantised> columns;
        for (extent j = 0; j < p.n; ++j) columns.push_back(quantise(p.b.data() + j * p.k, p.k, 127));
        std::vector<float> c;
        for (extent i = 0; i < p.m; ++i) {
            const quantised row = quantise(p.a.data() + i * p.a_row, p.k, 255);
            for (extent j = 0; j < p.n; ++j) {
                const quantised& column = columns[static_cast<std::size_t>(j)];
                std::int64_t sum = 0;
                for (std::size_t q = 0; q < row.values.size(); ++q)
                    sum += (row.values[q] - row.zero) * column.values[q];
                c.push_back(std::fma(static_cast<float>(sum), row.scale * column.scale,
                                     p.with_bias ? p.bias[j] : 0.0f));
            }
        }
        return c;
    }
};

}  // namespace

TEST_CASE("gemm_int8: every element is the documented one, to the bit") {
    low_precision_test::compare_sizes<int8_kernel>();
}

TEST_CASE("gemm_int8: near to the product in double") {
    const low_precision_test::product p(20, 70, 333, 1);
    const auto c = p.run<int8_kernel>();
    double most = 0;
    for (extent i = 0; i < p.m; ++i)
        for (extent j = 0; j < p.n; ++j)
            most = std::max(most, std::abs(static_cast<double>(c[i * p.c_row + j]) - p.exact(i, j).first));
    CHECK(most < 333 * (1.0 / 255 + 1.0 / 254));  // half a step of each factor, whose size is at most 1
    CHECK(most > 1e-4);
}

TEST_CASE("gemm_int8: the sum holds as many terms as it says") {
    const extent k = kernels::int8_most_k;
    low_precision_test::product p(2, 2, k);
    std::fill_n(p.a.data(), 2 * p.a_row, 1.0f);
    std::fill_n(p.b.data(), k, 1.0f);
    std::fill_n(p.b.data() + k, k, -1.0f);
    p.a[p.a_row] = -1e-3f;
    low_precision_test::compare<int8_kernel>(p);
}

TEST_CASE("gemm_int8: the number of threads does not change a bit") {
    low_precision_test::compare_threads<int8_kernel>();
}

TEST_CASE("gemm_int8: the epilogue sees every element once, when it is done") {
    low_precision_test::compare_epilogue<int8_kernel>();
}

TEST_CASE("gemm_int8: special values") {
    constexpr float large = std::numeric_limits<float>::max(), tiny = 1e-40f;
    low_precision_test::product p(6, 5, 3, 1);
    const float rows[6][3] = {{0, 0, 0},
                              {1, 2, 3},
                              {-large, large, 1},
                              {1, check::nan<float>, 1},
                              {1, 2, -check::infinity<float>},
                              {tiny, tiny, -tiny}};
    for (extent i = 0; i < 6; ++i) std::copy_n(rows[i], 3, p.a.data() + i * p.a_row);
    const float columns[5][3] = {
        {0, 0, 0}, {1, -2, 3}, {1, check::nan<float>, 0}, {tiny, 0, 0}, {large, 1, -large}};
    for (extent j = 0; j < 5; ++j) std::copy_n(columns[j], 3, p.b.data() + j * 3);
    const auto c = p.run<int8_kernel>(), expected = p.whole(int8_kernel::expected(p));
    for (extent i = 0; i < 6; ++i)
        for (extent j = 0; j < 5; ++j) {
            CAPTURE(i, j);
            const float x = c[i * p.c_row + j], y = expected[i * p.c_row + j];
            CHECK((x == y || (std::isnan(x) && std::isnan(y))));
            CHECK(std::isnan(x) == (i == 3 || i == 4 || j == 2 || std::isnan(y)));  // nowhere else
        }
    CHECK(c[0] == p.bias[0]);
    CHECK(c[5 * p.c_row + 1] == p.bias[1]);
}

#endif
