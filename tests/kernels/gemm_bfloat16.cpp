#include <bespoke/kernels/gemm_bfloat16.hpp>

#include "check.hpp"
#include "low_precision_test.hpp"

#include <bit>
#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

TEST_CASE("gemm_bfloat16: there where the program is compiled for it") {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
    CHECK(kernels::has_bfloat16);
#else
    CHECK_FALSE(kernels::has_bfloat16);
#endif
}

#if BESPOKE_HAS_BFLOAT16

namespace {

float without_subnormal(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

/// To the nearest bfloat16, ties to even.
float rounded(float x) {
    if (std::isnan(x)) return x;
    const auto bits = std::bit_cast<std::uint32_t>(without_subnormal(x));
    return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

/// The element that the header documents.
float chain(const float* a, const float* b, extent k, float start) {
    float c = start;
    const auto add = [&](extent p) {
        const float x = p < k ? rounded(a[p]) : 0, y = p < k ? rounded(b[p]) : 0;
        c = without_subnormal(std::fma(x, y, without_subnormal(c)));
    };
    for (extent p = 0; p < k; p += 2) {
        add(p + 1);
        add(p);
    }
    return c;
}

struct bfloat16_kernel {
    static extent packed_size(extent k, extent n) { return kernels::bfloat16_packed_size(k, n); }
    static void pack(const float* b, extent k, extent n, float* packed, thread_pool* threads) {
        kernels::pack_bfloat16(b, k, n, packed, threads);
    }
    static constexpr auto multiply = kernels::gemm_bfloat16<float>;
    static std::vector<float> expected(const low_precision_test::product& p) {
        std::vector<float> c;
        for (extent i = 0; i < p.m; ++i)
            for (extent j = 0; j < p.n; ++j)
                c.push_back(
                    chain(p.a.data() + i * p.a_row, p.b.data() + j * p.k, p.k, p.with_bias ? p.bias[j] : 0));
        return c;
    }
};

}  // namespace

TEST_CASE("gemm_bfloat16: every element is the documented chain, to the bit") {
    low_precision_test::compare_sizes<bfloat16_kernel>();
}

TEST_CASE("gemm_bfloat16: near to the product in double") {
    const low_precision_test::product p(20, 70, 333, 1);
    const auto c = p.run<bfloat16_kernel>();
    double most = 0;
    for (extent i = 0; i < p.m; ++i)
        for (extent j = 0; j < p.n; ++j) {
            const auto [exact, size] = p.exact(i, j);
            most = std::max(most, std::abs(static_cast<double>(c[i * p.c_row + j]) - exact) / size);
        }
    CHECK(most < 0x1p-8);  // each factor is off by 2^-9 at most
    CHECK(most > 1e-6);    // and some are
}

TEST_CASE("gemm_bfloat16: the number of threads does not change a bit") {
    low_precision_test::compare_threads<bfloat16_kernel>();
}

TEST_CASE("gemm_bfloat16: the epilogue sees every element once, when it is done") {
    low_precision_test::compare_epilogue<bfloat16_kernel>();
}

TEST_CASE("gemm_bfloat16: special values") {
    constexpr float tiny = 1e-40f, large = std::numeric_limits<float>::max();
    low_precision_test::product p(4, 3, 3, 1);
    const float rows[4][3] = {
        {1, check::infinity<float>, 0}, {tiny, 1, 1e-30f}, {check::nan<float>, 0, 1}, {large, -1, 0}};
    for (extent i = 0; i < 4; ++i) std::copy_n(rows[i], 3, p.a.data() + i * p.a_row);
    const float columns[3][3] = {{1, 2, 3}, {1e30f, tiny, 1e-15f}, {1, 0, 0}};
    for (extent j = 0; j < 3; ++j) std::copy_n(columns[j], 3, p.b.data() + j * 3);
    p.with_bias = false;
    const auto c = p.run<bfloat16_kernel>(), expected = p.whole(bfloat16_kernel::expected(p));
    CHECK(c[0] == check::infinity<float>);
    CHECK(std::isnan(c[1]));     // infinity * a subnormal number, which is 0
    CHECK(c[p.c_row + 1] == 0);  // subnormal factors and products are 0
    CHECK(std::isnan(c[2 * p.c_row]));
    CHECK(c[3 * p.c_row + 2] == check::infinity<float>);  // the largest float rounds up
    for (extent i = 0; i < 4; ++i)
        for (extent j = 0; j < 3; ++j) {
            const float x = c[i * p.c_row + j], y = expected[i * p.c_row + j];
            CHECK((x == y || (std::isnan(x) && std::isnan(y))));
        }
}

#endif
