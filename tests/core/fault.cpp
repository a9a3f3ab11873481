#include <bespoke/core/fault.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <string>

using bespoke::errc;
using bespoke::extent;
using bespoke::outcome;
using bespoke::sentence;
using bespoke::shape;

TEST_CASE("a sentence joins text, numbers and shapes, at compile time too") {
    static_assert(sentence("a ", 5, " b ", shape{1, 2}).view() == "a 5 b [1, 2]");
    CHECK(sentence(extent{-17}, "/", std::size_t{18}, "/", 0).view() == "-17/18/0");
    CHECK(sentence(std::numeric_limits<extent>::min()).view() == "-9223372036854775808");
    CHECK(sentence(std::numeric_limits<extent>::max()).view() == "9223372036854775807");
    CHECK(sentence(shape{}).view() == "[]");
    CHECK(sentence(shape{7}).view() == "[7]");
    CHECK(sentence().view().empty());
    CHECK(sentence("\"", std::string_view{}, "\"").view() == "\"\"");
    static_assert(sentence(std::string_view{}).view().empty());
    CHECK(sentence(sentence("in"), std::string_view("out")).view() == "inout");
}

TEST_CASE("a long sentence is cut at its end") {
    const std::string text(500, 'x');
    sentence s(text);
    CHECK(s.view() == std::string(sentence::capacity, 'x'));
    s.append("y");
    s.append(extent{12});
    CHECK(s.view() == std::string(sentence::capacity, 'x'));
}

TEST_CASE("an outcome holds shapes or a fault") {
    const outcome one = shape{2, 3};
    CHECK(one);
    CHECK(one.shapes() == std::vector{shape{2, 3}});
    const outcome two = std::vector{shape{1}, shape{2}};
    CHECK(two.shapes().size() == 2);

    const outcome wrong = bespoke::shape_fault("rank ", 2, " wanted");
    CHECK_FALSE(wrong);
    CHECK(wrong.shapes().empty());
    CHECK(wrong.problem().code == errc::shape_mismatch);
    CHECK(wrong.problem().what.view() == "rank 2 wanted");
    CHECK(bespoke::value_fault("x").code == errc::bad_value);
}
