#include <bespoke/kernels/group_product.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

namespace {

/// Groups of one element: the products are those of `gemm`.
struct plain {
    using step = kernels::detail::multiply_add<float>;
    static constexpr extent group = 1, most_rows = 24;
    static constexpr bool finishes = true;

    explicit plain(const kernels::detail::group_product& product) : p(product) {}
    const float* start(extent j) {
        std::fill_n(begin, kernels::panel_width<float>, 0.0f);
        if (p.bias != nullptr) std::copy_n(p.bias + j, std::min(p.n - j, kernels::panel_width<float>), begin);
        return begin;
    }
    void look(extent first, extent last) {
        top = first;
        bottom = last;
    }
    kernels::batch<float> convert(extent i, extent g) const {
        if (i < top || i >= bottom) return kernels::batch<float>(1e30f);
        return kernels::detail::load_rest(p.a + i * p.a_row + g, p.k - g);
    }
    void finish(extent i, extent j, extent rows, extent columns, float* sums, extent stride) const {
        for (extent row = 0; row < rows; ++row)
            for (extent column = 0; column < columns; ++column)
                sums[row * stride + column] += static_cast<float>(1000 * (i + row) + j + column);
    }

    const kernels::detail::group_product& p;
    extent top = 0, bottom = 0;
    float begin[kernels::panel_width<float>];
};

}  // namespace

TEST_CASE("group_product: groups of one element give gemm, what finishes sees every element once") {
    thread_pool three(3);
    for (extent m : {0, 1, 11, 12, 13, 24, 25, 61})
        for (extent n : {0, 1, 15, 16, 17, 31, 33, 64, 100})
            for (extent k : {0, 1, 15, 16, 17, 33, 769, 2000}) {
                const check::array<float> a(m * (k + 3), 1), b(k * n, 2), bias(n, 3);
                check::array<float> packed(kernels::packed_size<float>(k, n), 4),
                    own = packed, c(m * (n + 5), 5), expected = c;
                kernels::pack(b.data(), extent{1}, k, k, n, packed.data());
                kernels::detail::pack_group_panels(k, n, own.data(), &three, [&](extent j, extent g) {
                    return kernels::detail::load_rest(b.data() + j * k + g, k - g);
                });
                CAPTURE(m, n, k);
                REQUIRE(check::same_bits(packed, own));
                REQUIRE(own.intact());
                if (m > 1)
                    kernels::gemm<float>(m, n, k, a.data(), k + 3, extent{1}, packed.data(), expected.data(),
                                         n + 5, bias.data());
                else
                    for (extent j = 0; m == 1 && j < n; ++j) {
                        expected[j] = bias[j];
                        for (extent p = 0; p < k; ++p)
                            expected[j] = kernels::fma(a[p], b[j * k + p], expected[j]);
                    }
                for (extent i = 0; i < m; ++i)
                    for (extent j = 0; j < n; ++j)
                        expected[i * (n + 5) + j] += static_cast<float>(1000 * i + j);
                kernels::detail::multiply_low_precision<plain>(
                    {m, n, k, a.data(), k + 3, own.data(), c.data(), n + 5, bias.data(), nullptr}, nullptr);
                REQUIRE(check::same_bits(c, expected));
                REQUIRE(c.intact());
            }
}

#else

TEST_CASE("group_product: nothing is there without the instructions") { SUCCEED(); }

#endif
