#include <bespoke/kernels/unpacked_gemm.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

template <class T>
struct product {
    extent m, n, k;
    array<T> x, weights, bias;

    product(extent m_, extent n_, extent k_, extent offset = 0)
        : m(m_), n(n_), k(k_), x(m_ * k_, 1, offset), weights(n_ * k_, 2, offset), bias(n_, 3, offset) {}

    array<T> by_gemm(bool has_bias = true) const {
        array<T> y(m * n, 4), packed(kernels::packed_size<T>(k, n), 5);
        kernels::pack(weights.data(), extent{1}, k, k, n, packed.data());
        kernels::gemm<T>(m, n, k, x.data(), k, extent{1}, packed.data(), y.data(), n, has_bias ? bias.data() : nullptr);
        return y;
    }
    array<T> run(bool has_bias = true, thread_pool* threads = nullptr, const epilogue<T>* after = nullptr) const {
        array<T> y(m * n, 6), scratch(kernels::packed_size<T>(k, m), 7);
        kernels::unpacked_gemm<T>(m, n, k, x.data(), weights.data(), y.data(), has_bias ? bias.data() : nullptr,
                                  scratch.data(), threads, after);
        REQUIRE(y.intact());
        REQUIRE(scratch.intact());
        return y;
    }
};

}  // namespace

TEMPLATE_TEST_CASE("unpacked_gemm: the bits of gemm, with and without bias", "", float, double) {
    const extent steps = kernels::detail::unpacked_steps<TestType>, rows = kernels::detail::unpacked_rows,
                 columns = kernels::detail::unpacked_columns;
    for (const extent m : {extent{2}, extent{31}, extent{33}, columns, columns + 5, 2 * columns + 1})
        for (const extent n : {extent{1}, extent{12}, extent{50}, rows + 7})
            for (const extent k : {extent{1}, extent{17}, extent{64}}) {
                const product<TestType> p(m, n, k, n % 3);
                REQUIRE(check::same_bits(p.run(), p.by_gemm()));
                REQUIRE(check::same_bits(p.run(false), p.by_gemm(false)));
            }
    for (const extent k : {steps, steps + 1, 2 * steps + 3}) {
        const product<TestType> p(35, 29, k);
        REQUIRE(check::same_bits(p.run(), p.by_gemm()));
        REQUIRE(check::same_bits(p.run(false), p.by_gemm(false)));
    }
}

TEST_CASE("unpacked_gemm: nothing behind the weights is read") {
    for (const extent n : {extent{13}, extent{25}, extent{47}}) {
        product<float> p(64, n, 40);
        const auto clean = p.run();
        for (extent i = 0; i < 64; ++i) p.weights.data()[n * 40 + i] = std::numeric_limits<float>::quiet_NaN();
        REQUIRE(check::same_bits(p.run(), clean));
    }
}

TEST_CASE("unpacked_gemm: the same bits on any number of threads") {
    const product<float> p(130, 400, 70);
    const auto alone = p.run();
    for (const std::size_t threads : {2U, 3U, 5U}) {
        thread_pool pool(threads);
        CHECK(check::same_bits(p.run(true, &pool), alone));
    }
}

TEST_CASE("unpacked_gemm: the epilogue meets every element once, when it is complete") {
    const product<float> p(150, 230, 33);
    auto wanted = p.by_gemm();
    for (extent i = 0; i < wanted.size(); ++i) wanted[i] = 2 * wanted[i] + 1;
    const epilogue<float> twice{[](const void*, const output_block<float>& block) noexcept {
                                    for (extent i = 0; i < block.rows; ++i)
                                        for (extent j = 0; j < block.columns; ++j) {
                                            float& y = block.data[i * block.stride + j];
                                            y = 2 * y + 1;
                                        }
                                },
                                nullptr};
    CHECK(check::same_bits(p.run(true, nullptr, &twice), wanted));
    thread_pool pool(3);
    CHECK(check::same_bits(p.run(true, &pool, &twice), wanted));
}
