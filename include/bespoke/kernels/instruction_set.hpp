#pragma once

#include "portable.hpp"

#include <cstddef>
#include <type_traits>

// What vectors are made of. Of the instruction set: whether it is AVX-512, how many vector registers there are (tile
// sizes follow from it), whether a multiply-add is rounded once. BESPOKE_WITHOUT_XSIMD: x86 as other machines.
#if defined(__SSE2__) && !defined(BESPOKE_WITHOUT_XSIMD)
#include <xsimd/xsimd.hpp>

namespace bespoke::kernels {
namespace simd = xsimd;
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, xsimd::default_arch>;
inline constexpr std::size_t vector_registers = is_avx512 ? 32 : 16;
inline constexpr bool has_fma = is_avx512 || XSIMD_WITH_FMA3_AVX2 || XSIMD_WITH_FMA3_AVX || XSIMD_WITH_FMA3_SSE ||
                                XSIMD_WITH_FMA4;
}  // namespace bespoke::kernels
#elif defined(__AVX512F__)
#error "bespoke: BESPOKE_WITHOUT_XSIMD is for x86 without AVX-512"
#else
namespace bespoke::kernels {
namespace simd = portable;
inline constexpr bool is_avx512 = false;
inline constexpr std::size_t vector_registers = portable::vector_registers;
inline constexpr bool has_fma = portable::has_fma;
}  // namespace bespoke::kernels
#endif

// Files of one program that are compiled for different instruction sets would share functions that differ: weights
// packed by one would be read by another. So that the linker says so, each file needs a symbol with the name of its
// set, which it brings in a section group that is one for all: of a group the linker keeps what comes first. Not with
// clang, which loses the group under -flto.
#if defined(__ELF__) && !defined(__clang__)
#ifdef BESPOKE_WITHOUT_XSIMD
#define BESPOKE_WIDTH "_without_xsimd"
#elif defined(__AVX512F__)
#define BESPOKE_WIDTH "_avx512"
#elif defined(__AVX2__)
#define BESPOKE_WIDTH "_avx2"
#elif defined(__AVX__)
#define BESPOKE_WIDTH "_avx"
#elif defined(__SSE4_1__)
#define BESPOKE_WIDTH "_sse4"
#else
#define BESPOKE_WIDTH ""
#endif
#ifdef __FMA__
#define BESPOKE_FMA "_fma"
#else
#define BESPOKE_FMA ""
#endif
#ifdef __AVX512BF16__
#define BESPOKE_BFLOAT16 "_bf16"
#else
#define BESPOKE_BFLOAT16 ""
#endif
#ifdef __AVX512VNNI__
#define BESPOKE_VNNI "_vnni"
#else
#define BESPOKE_VNNI ""
#endif
#define BESPOKE_SET \
    "bespoke_wants_all_files_of_a_program_for_one_instruction_set" BESPOKE_WIDTH BESPOKE_FMA BESPOKE_BFLOAT16 \
        BESPOKE_VNNI
asm(".ifndef " BESPOKE_SET "\n"
    ".pushsection .rodata.bespoke,\"aG\",%progbits,bespoke_instruction_set,comdat\n"
    ".globl " BESPOKE_SET "\n"
    ".hidden " BESPOKE_SET "\n" BESPOKE_SET ":\n"
    ".long 0\n"
    ".popsection\n"
    ".endif\n"
    ".pushsection .rodata\n"
    ".balign 4\n"
    ".long " BESPOKE_SET " - .\n"
    ".popsection\n");
#undef BESPOKE_WIDTH
#undef BESPOKE_FMA
#undef BESPOKE_BFLOAT16
#undef BESPOKE_VNNI
#undef BESPOKE_SET
#endif
