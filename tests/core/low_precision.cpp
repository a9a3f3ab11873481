#include <bespoke/core/low_precision.hpp>

#include <catch2/catch.hpp>

using bespoke::low_precision;

TEST_CASE("low_precision: every value has its name") {
    const auto name = [](low_precision p) { return enumerators(p)[static_cast<std::size_t>(p)]; };
    CHECK(name(low_precision::none) == "none");
    CHECK(name(low_precision::bfloat16) == "bfloat16");
    CHECK(name(low_precision::int8) == "int8");
}
