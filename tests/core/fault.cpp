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

TEST_CASE("a sentence has floats, with six digits") {
    static_assert(sentence(0.5f, " ", -2.5).view() == "0.5 -2.5");
    constexpr double infinite = std::numeric_limits<double>::infinity();
    const std::pair<double, const char*> cases[] = {
        {0, "0"},           {1, "1"},           {100000, "100000"},      {123456.4, "123456"},
        {999999.6, "1e6"},  {1e6, "1e6"},       {-0.00123456789, "-0.00123457"}, {1.5e-5, "0.000015"},
        {1e-6, "1e-6"},     {1.25e-7, "1.25e-7"}, {9.999999, "10"},      {100.25, "100.25"},
        {1e300, "1e300"},   {5e-324, "4.94066e-324"}, {infinite, "Infinity"}, {-infinite, "-Infinity"},
        {infinite - infinite, "NaN"}};
    for (const auto& [value, text] : cases) CHECK(sentence(value).view() == text);
}

TEST_CASE("a number from 0 up: what is none is said, with the name") {
    constexpr float largest = std::numeric_limits<float>::max(), infinite = std::numeric_limits<float>::infinity();
    static_assert(!bespoke::unless_from_zero_up("eps", 1e-5f));
    for (const float right : {0.0f, -0.0f, 1.5f, largest}) CHECK_FALSE(bespoke::unless_from_zero_up("eps", right));
    for (const float wrong : {-1e-30f, -1.0f, infinite, -infinite, infinite - infinite}) {
        const auto problem = bespoke::unless_from_zero_up("eps", wrong);
        REQUIRE(problem);
        CHECK(problem->code == errc::bad_value);
        CHECK(problem->what.view() ==
              "a finite eps from 0 up wanted, " + std::string(sentence(wrong).view()) + " given");
    }
}
