#include <bespoke/layers/axis.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

TEST_CASE("axis: from the front and from the end") {
    REQUIRE(detail::axis_among(0, 3) == 0);
    REQUIRE(detail::axis_among(2, 3) == 2);
    REQUIRE(detail::axis_among(-1, 3) == 2);
    REQUIRE(detail::axis_among(-3, 3) == 0);
    const shape x{2, 3, 4};
    for (extent axis = -3; axis < 3; ++axis) REQUIRE(!detail::check_axis(axis, x));
    for (extent axis : {extent{-4}, extent{3}}) {
        const auto wrong = detail::check_axis(axis, x);
        REQUIRE(wrong);
        REQUIRE(wrong->code == errc::bad_value);
        REQUIRE(wrong->what.view() ==
                sentence("an axis of its input wanted, ", axis, " given for the shape [2, 3, 4]").view());
    }
    REQUIRE(detail::check_axis(0, shape{}));
}
