#include <bespoke/core/open_shape.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

TEST_CASE("what of a shape is open, axis by axis") {
    open_shape o;
    CHECK_FALSE(o.any);
    CHECK_FALSE(o.has(2));
    o.open(2);
    CHECK(o.any);
    CHECK(o.has(2));
    CHECK_FALSE(o.has(1));
    CHECK(closed({4, 5, 6}, o, 9) == shape{4, 5, 9});
    o.open(open_shape{true, false, 1});
    CHECK(closed({4, 5, 6}, o, 0) == shape{0, 5, 0});
    CHECK_FALSE(o.rank);
    o.open(open_shape::all());
    CHECK(o == open_shape{true, true, 5});
    o.open(7);
    CHECK(o.has(7));
}

TEST_CASE("what is open of a shape that may be one or another") {
    CHECK(difference({2, 3}, {2, 3}) == open_shape{});
    CHECK(difference({2, 3}, {4, 3}) == open_shape{true, false, 1});
    CHECK(difference({2, 3}, {4, 5}) == open_shape{true, false, 3});
    CHECK(difference({2, 3}, {2, 3, 1}) == open_shape::all());
    CHECK(difference({}, {}) == open_shape{});
}
