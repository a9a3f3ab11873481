#include <bespoke/kernels/weighted_gemm.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

arithmetic in(low_precision p) { return {.allow_low_precision_accumulation = p}; }

template <class T>
struct weighted {
    extent m, n, k;
    array<T> x, weights, bias;

    weighted(extent m_, extent n_, extent k_)
        : m(m_), n(n_), k(k_), x(m_ * k_, 1), weights(n_ * k_, 2), bias(n_, 3) {}

    array<T> run(low_precision wanted, bool exact = false) const {
        array<T> y(m * n, 4), prepared(kernels::weights_size<T>(in(wanted), k, n), 5),
            scratch(kernels::packed_size<T>(k, n), 6);
        kernels::pack_weights(in(wanted), weights.data(), k, n, prepared.data());
        const workspace<T> w{
            .scratch = scratch.data(), .prepared = prepared.data(), .how = in(wanted), .exact = exact};
        kernels::weighted_gemm(m, n, k, x.data(), weights.data(), y.data(), bias.data(), w);
        REQUIRE(y.intact());
        REQUIRE(prepared.intact());
        REQUIRE(scratch.intact());
        return y;
    }
};

/// With constants for sizes: the bits of the other.
template <extent M, extent N, extent K>
void static_sizes(low_precision wanted) {
    const weighted<float> p(M, N, K);
    array<float> y(M * N, 4), prepared(kernels::weights_size<float>(in(wanted), K, N), 5), scratch(1, 6);
    kernels::pack_weights(in(wanted), p.weights.data(), K, N, prepared.data());
    const workspace<float> w{.scratch = scratch.data(), .prepared = prepared.data(), .how = in(wanted)};
    kernels::weighted_gemm(constant<M>{}, constant<N>{}, constant<K>{}, p.x.data(), p.weights.data(),
                           y.data(), p.bias.data(), w);
    CHECK(check::same_bits(y, p.run(wanted)));
}

}  // namespace

TEST_CASE("weighted_gemm: in which precision, by the machine, the type and the size") {
    using kernels::weighted_precision;
    for (low_precision p : {low_precision::bfloat16, low_precision::int8}) {
        const bool can = p == low_precision::int8 ? kernels::has_int8 : kernels::has_bfloat16;
        CHECK(kernels::has_low_precision(p) == can);
        CHECK(weighted_precision<float>(in(p), 128, 129) == (can ? p : low_precision::none));
        CHECK(weighted_precision<float>(in(p), 128, 128) == low_precision::none);
        CHECK(weighted_precision<double>(in(p), 128, 129) == low_precision::none);
        const bool deep = can && p == low_precision::bfloat16;
        CHECK(weighted_precision<float>(in(p), kernels::int8_most_k + 1, 2) ==
              (deep ? p : low_precision::none));
    }
    CHECK(kernels::has_low_precision(low_precision::none));
    CHECK(weighted_precision<float>({}, 1000, 1000) == low_precision::none);
}

TEST_CASE("weighted_gemm: gives what the kernel of the precision gives, or gemm") {
    for (const auto& [m, n, k] : {std::tuple{3, 200, 101}, {1, 130, 129}, {7, 20, 20}}) {
        const weighted<float> p(m, n, k);
        array<float> y(p.m * p.n, 4), packed(kernels::packed_size<float>(p.k, p.n), 5);
        kernels::pack(p.weights.data(), extent{1}, p.k, p.k, p.n, packed.data());
        kernels::gemm<float>(p.m, p.n, p.k, p.x.data(), p.k, extent{1}, packed.data(), y.data(), p.n,
                             p.bias.data());
        for (low_precision wanted : {low_precision::none, low_precision::bfloat16, low_precision::int8}) {
            const bool lowers =
                kernels::weighted_precision<float>(in(wanted), p.k, p.n) != low_precision::none;
            CHECK(check::same_bits(y, p.run(wanted)) == !lowers);
            // A training pass multiplies in float.
            CHECK(check::same_bits(y, p.run(wanted, true)));
        }
        [[maybe_unused]] array<float> low(p.m * p.n, 4), prepared(kernels::packed_size<float>(p.k, p.n), 5);
#if BESPOKE_HAS_BFLOAT16
        if (p.n > 20) {
            kernels::pack_bfloat16(p.weights.data(), p.k, p.n, prepared.data());
            kernels::gemm_bfloat16(p.m, p.n, p.k, p.x.data(), p.k, prepared.data(), low.data(), p.n,
                                   p.bias.data());
            CHECK(check::same_bits(low, p.run(low_precision::bfloat16)));
        }
#endif
#if BESPOKE_HAS_INT8
        if (p.n > 20) {
            kernels::pack_int8(p.weights.data(), p.k, p.n, prepared.data());
            kernels::gemm_int8(p.m, p.n, p.k, p.x.data(), p.k, prepared.data(), low.data(), p.n,
                               p.bias.data());
            CHECK(check::same_bits(low, p.run(low_precision::int8)));
        }
#endif
        const weighted<double> wide(m, n, k);
        CHECK(check::same_bits(wide.run(low_precision::none), wide.run(low_precision::int8)));
    }
    for (low_precision wanted : {low_precision::none, low_precision::bfloat16, low_precision::int8}) {
        static_sizes<1, 33, 17>(wanted);
        static_sizes<1, 150, 140>(wanted);
        static_sizes<5, 150, 140>(wanted);
        static_sizes<1, 1, 32>(wanted);
        static_sizes<1, 3, 37>(wanted);
        static_sizes<1, 8, 64>(wanted);
    }
}

TEMPLATE_TEST_CASE("weighted_gemm: one row and few outputs are dots with the rows of W", "[gemm]", float, double) {
    using T = TestType;
    constexpr extent w = kernels::lanes<T>;
    for (extent n = 1; 2 * n <= w; ++n)
        for (extent k : {w, w + 1, 3 * w - 1, 8 * w}) {
            CAPTURE(n, k);
            const weighted<T> p(1, n, k);
            const array<T> y = p.run(low_precision::none);
            for (extent j = 0; j < n; ++j) {
                T sum[w] = {};  // element i in lane i mod lanes, then the lanes as a tree
                for (extent i = 0; i < k; ++i) sum[i % w] = kernels::fma(p.x[i], p.weights[j * k + i], sum[i % w]);
                for (extent width = 1; width < w; width *= 2)
                    for (extent i = 0; i < w; i += 2 * width) sum[i] += sum[i + width];
                REQUIRE(y[j] == sum[0] + p.bias[j]);
            }
            array<T> bare(n, 4), prepared(kernels::packed_size<T>(k, n), 5);
            kernels::pack_weights({}, p.weights.data(), k, n, prepared.data());
            struct count {
                extent blocks = 0, columns = 0;
                static void run(const void* context, const output_block<T>& block) noexcept {
                    auto& self = *static_cast<count*>(const_cast<void*>(context));
                    ++self.blocks;
                    self.columns += block.columns * block.rows;
                }
            } counted;
            const epilogue<T> after{&count::run, &counted};
            const workspace<T> with{.prepared = prepared.data(), .after = &after};
            kernels::weighted_gemm(extent{1}, n, k, p.x.data(), p.weights.data(), bare.data(),
                                   static_cast<const T*>(nullptr), with);
            for (extent j = 0; j < n; ++j) REQUIRE(bare[j] + p.bias[j] == y[j]);
            REQUIRE((counted.blocks == 1 && counted.columns == n && bare.intact()));
        }
}

TEST_CASE("weighted_gemm: which products may do without packed weights") {
    using kernels::can_wait;
    constexpr auto in_training = unprepared::in_training, in_first_run = unprepared::in_first_run;
    const extent enough = static_cast<extent>(large_memory / sizeof(float)) / 512;
    CHECK(can_wait<float>({}, 128, 512, enough) == in_first_run);
    CHECK(can_wait<float>({}, 128, 512, enough - 1) == in_training);
    CHECK(can_wait<double>({}, 128, 512, enough / 2) == in_first_run);
    CHECK(can_wait<float>({}, 64, 512, enough) == in_first_run);
    CHECK(can_wait<float>({}, 63, 512, enough) == in_training);
    CHECK(can_wait<float>({}, 1, 512, enough) == in_training);
    CHECK(can_wait<float>({}, 256 + kernels::lanes<float> - 1, 512, enough) == in_first_run);
    CHECK((can_wait<float>({}, 64 + 1, 512, enough) == in_first_run) == (kernels::lanes<float> <= 4));
    CHECK(can_wait<float>({}, 1, 128, enough) == in_training);
    CHECK(can_wait<float>({}, 1, 127, enough) == unprepared::never);
    for (low_precision p : {low_precision::bfloat16, low_precision::int8})
        CHECK(can_wait<float>(in(p), 128, 512, enough) == (kernels::has_low_precision(p) ? in_training : in_first_run));
}

TEST_CASE("weighted_gemm: without packed weights, the same bits") {
    const weighted<float> p(64, 140, 130);
    const auto wanted = p.run(low_precision::none);
    array<float> y(p.m * p.n, 4), scratch(kernels::packed_size<float>(p.k, p.m), 6);
    const workspace<float> w{.scratch = scratch.data()};
    kernels::weighted_gemm(p.m, p.n, p.k, p.x.data(), p.weights.data(), y.data(), p.bias.data(), w);
    CHECK(check::same_bits(y, wanted));
    CHECK(scratch.intact());
}

TEST_CASE("weighted_gemm: in a training without packed weights, the same bits for any number of rows") {
    for (extent m : {1, 2, 17, 64, 65}) {
        const weighted<float> p(m, 140, 130);
        const auto wanted = p.run(low_precision::none);
        array<float> y(m * p.n, 4),
            scratch(std::max(kernels::packed_size<float>(p.k, m), kernels::packed_size<float>(p.k, p.n)), 6);
        const workspace<float> w{.scratch = scratch.data(), .exact = true};
        kernels::weighted_gemm(m, p.n, p.k, p.x.data(), p.weights.data(), y.data(), p.bias.data(), w);
        CHECK(check::same_bits(y, wanted));
        CHECK(scratch.intact());
    }
}
