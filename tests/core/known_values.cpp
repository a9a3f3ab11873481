#include <bespoke/core/known_values.hpp>

#include <catch2/catch.hpp>

#include <array>

using namespace bespoke;

TEST_CASE("known values: of an input that is not listed nothing is known") {
    const std::array<double, 2> values{3, 4};
    const std::array<known_values, 2> list{known_values{}, known_values{std::span<const double>(values)}};
    CHECK_FALSE(known_input(list, 0));
    REQUIRE(known_input(list, 1));
    CHECK((*known_input(list, 1))[1] == 4);
    CHECK_FALSE(known_input(list, 2));
    CHECK_FALSE(known_input({}, 0));
}
