#include <bespoke/kernels/instruction_set.hpp>

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;

// That files for different sets do not link is tested in tests/static.
TEST_CASE("instruction_set: as the compiler was told", "[instruction_set]") {
    using floats = kernels::simd::batch<float, kernels::simd::default_arch>;
#ifdef __AVX512F__
    CHECK(kernels::is_avx512);
#else
    CHECK_FALSE(kernels::is_avx512);
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
    CHECK(kernels::vector_registers == 32);
#else
    CHECK(kernels::vector_registers == 16);
#endif
#if defined(__AVX512F__)
    CHECK(floats::size == 16);
#elif defined(__AVX__) && !defined(BESPOKE_WITHOUT_XSIMD)
    CHECK(floats::size == 8);
#else
    CHECK(floats::size == 4);
#endif
#if defined(__FMA__) || defined(__aarch64__) || defined(__riscv_flen)
    CHECK(kernels::has_fma);
#else
    CHECK_FALSE(kernels::has_fma);
#endif
}
