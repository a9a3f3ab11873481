#pragma once

#include <bit>
#include <cstdint>

/// The 16-bit formats in which files keep weights. Calculations are never done in them.
namespace bespoke {

/// The value of an IEEE 754 binary16. Exact; NaN keeps its payload.
constexpr float float16_to_float(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t exponent = half >> 10 & 0x1fu;
    const std::uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) {  // zero and subnormal: fraction x 2^-24
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    const std::uint32_t wider = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
    return std::bit_cast<float>(sign | wider << 23 | fraction << 13);
}

/// The nearest IEEE 754 binary16, ties to even; beyond 65520 infinity. NaN stays NaN.
constexpr std::uint16_t float_to_float16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t half = 0;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u | (magnitude >> 13 & 0x3ffu);  // the quiet bit, so that no payload is lost to infinity
    } else if (magnitude >= 0x47800000u) {            // 65536
        half = 0x7c00u;
    } else if (magnitude >=
               0x38800000u) {  // 2^-14, the smallest normal: drop 13 bits; a carry moves the exponent
        half = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    } else if (magnitude > 0x33000000u) {  // 2^-25, which is a tie between 0 and 2^-24 and goes to 0
        const std::uint32_t dropped = 126 - (magnitude >> 23);
        const std::uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        half = (fraction + ((1u << (dropped - 1)) - 1) + (fraction >> dropped & 1u)) >> dropped;
    }
    return static_cast<std::uint16_t>(sign | half);
}

/// The value of a bfloat16: the upper half of a float's bits. Exact.
constexpr float bfloat16_to_float(std::uint16_t upper) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
}

}  // namespace bespoke
