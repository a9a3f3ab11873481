#include <bespoke/model/float16.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace bespoke;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// By the definition of IEEE 754, section 3.4.
double defined_value(unsigned half) {
    const double sign = half >> 15 ? -1 : 1;
    const int exponent = static_cast<int>(half >> 10 & 31);
    const double fraction = half & 1023;
    if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : NAN;
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

}  // namespace

TEST_CASE("float16: all 65,536 have the value of the definition and come back") {
    unsigned wrong = 0, lost = 0;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const float value = float16_to_float(half);
        const double wanted = defined_value(bits);
        const bool is_nan = wanted != wanted;
        const bool same =
            is_nan ? std::isnan(value)
                   : static_cast<double>(value) == wanted && std::signbit(value) == std::signbit(wanted);
        wrong += same ? 0 : 1;
        // The quiet bit is set on the way back.
        lost += float_to_float16(value) == (is_nan ? (bits | 0x200u) : bits) ? 0 : 1;
    }
    CHECK(wrong == 0);
    CHECK(lost == 0);
}

TEST_CASE("float16: between two neighbours the nearer is taken, and the even one in the middle") {
    unsigned wrong = 0;
    for (unsigned bits = 0; bits < 0x7c00;
         ++bits) {  // up to the largest finite, whose neighbour would be 65536
        const double low = defined_value(bits);
        const double high = bits == 0x7bff ? 65536 : defined_value(bits + 1);
        const auto middle = static_cast<float>((low + high) / 2);  // exact
        const unsigned even = bits % 2 == 0 ? bits : bits + 1;
        for (unsigned sign : {0u, 0x8000u}) {
            const float s = sign ? -1.0f : 1.0f;
            wrong += float_to_float16(s * middle) == (sign | even) ? 0 : 1;
            wrong += float_to_float16(s * std::nextafter(middle, 0.0f)) == (sign | bits) ? 0 : 1;
            wrong += float_to_float16(s * std::nextafter(middle, infinity)) == (sign | (bits + 1)) ? 0 : 1;
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("float16: the ends") {
    CHECK(float_to_float16(infinity) == 0x7c00);
    CHECK(float_to_float16(-infinity) == 0xfc00);
    CHECK(float_to_float16(std::numeric_limits<float>::max()) == 0x7c00);
    CHECK(float_to_float16(65519.0f) == 0x7bff);
    CHECK(float_to_float16(65520.0f) == 0x7c00);
    CHECK(float_to_float16(std::numeric_limits<float>::denorm_min()) == 0);
    CHECK(float_to_float16(-std::numeric_limits<float>::denorm_min()) == 0x8000);
    CHECK(float_to_float16(0x1p-25f) == 0);
    CHECK(float_to_float16(0x1.000002p-25f) == 1);
    // A payload below the ten bits that stay must not turn NaN into infinity.
    CHECK(float_to_float16(std::bit_cast<float>(0x7f800001u)) == 0x7e00);
    static_assert(float_to_float16(1.0f) == 0x3c00 && float16_to_float(0xc000) == -2.0f);
}

TEST_CASE("bfloat16: the upper half of a float") {
    CHECK(bfloat16_to_float(0x3f80) == 1.0f);
    CHECK(bfloat16_to_float(0xc049) == -3.140625f);
    CHECK(bfloat16_to_float(0x0001) == 0x1p-133f);
    CHECK(bfloat16_to_float(0xff80) == -infinity);
    CHECK(std::isnan(bfloat16_to_float(0x7fc0)));
}
