#include <bespoke/layers/number_input.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <limits>
#include <string>
#include <vector>

using namespace bespoke;

namespace {

std::string wrong(const shape& s, std::size_t least, std::size_t most, const std::vector<double>& values = {}) {
    known_values known;
    if (!values.empty()) known = std::span<const double>(values);
    const auto f = detail::check_numbers("things", s, least, most, known);
    return f ? std::string(f->what.view()) : std::string();
}

}  // namespace

TEST_CASE("inputs of a few whole numbers: their shapes and values") {
    CHECK(wrong({3}, 1, 4).empty());
    CHECK(wrong({}, 1, 1).empty());
    CHECK(wrong({1, 1}, 1, 1).empty());
    CHECK(wrong({0}, 0, 2).empty());
    CHECK(wrong({5}, 1, 4) == "an input of 1 to 4 numbers wanted for things, its shape is [5]");
    CHECK(wrong({2}, 1, 1) == "an input of 1 number wanted for things, its shape is [2]");
    CHECK(wrong({2, 1}, 2, 2) == "an input of 2 numbers wanted for things, its shape is [2, 1]");
    CHECK(wrong({2}, 2, 2, {3, -4}).empty());
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
    for (double v : {0.5, nan, infinity, -infinity, 1e300})
        CHECK(wrong({2}, 2, 2, {1, v}) == "things of whole numbers wanted");
}

TEST_CASE("inputs of a few whole numbers: as a list and as a shape") {
    const std::array<double, 3> values{2, -1, 0x1p53};
    const detail::number_list numbers = detail::numbers_of(std::span<const double>(values));
    CHECK(detail::as_shape(numbers) == shape{2, -1, extent{1} << 53});
    const std::array<float, 2> rounded{1.4F, -0.6F};
    const dynamic_view<const float> view{rounded.data(), {2}, 1, 2};
    CHECK(detail::as_shape(detail::numbers_of(view)) == shape{1, -1});
}
