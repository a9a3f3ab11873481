#include <bespoke/layers/broadcast.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <string>

using namespace bespoke;

namespace {

constexpr outcome of(std::initializer_list<shape> xs) {
    return broadcast_shape(std::span<const shape>(xs.begin(), xs.size()));
}
std::string fault_in(std::initializer_list<shape> xs) { return std::string(of(xs).problem().what.view()); }

static_assert(of({{2, 3}}).shapes()[0] == shape{2, 3});
static_assert(of({{2, 3, 4}, {2, 1, 1}}).shapes()[0] == shape{2, 3, 4});
static_assert(of({{1, 3, 1}, {2, 1, 1}, {1, 1, 4}}).shapes()[0] == shape{2, 3, 4});
static_assert(of({{1, 0}, {5, 1}}).shapes()[0] == shape{5, 0});
static_assert(of({{}, {}}).shapes()[0] == shape{});
static_assert(!of({{2, 3}, {3}}));
static_assert(!of({{2, 3}, {2, 2}}));

}  // namespace

TEST_CASE("broadcast_shape: faults") {
    REQUIRE(fault_in({{2, 3}, {2, 3}, {3}}) == "inputs of one rank wanted, their shapes are [2, 3] and [3]");
    REQUIRE(fault_in({{2, 1}, {1, 3}, {2, 4}}) ==
            "inputs wanted whose extents are equal or 1, input 2 has the shape [2, 4], those before it have "
            "[2, 3]");
    REQUIRE(
        fault_in({{0}, {2}}) ==
        "inputs wanted whose extents are equal or 1, input 1 has the shape [2], those before it have [0]");
}

TEST_CASE("walk_together: equal shapes, example after example") {
    using blob = dynamic_view<const float>;
    const blob y{nullptr, {2, 3}, 4, 6}, once{nullptr, {2, 3}, 4, 0}, column{nullptr, {2, 1}, 4, 2};
    REQUIRE(detail::walk_together(std::vector<blob>{y, y}, y));
    REQUIRE_FALSE(detail::walk_together(std::vector<blob>{y, once}, y));
    REQUIRE_FALSE(detail::walk_together(std::vector<blob>{column, y}, y));
    const blob alone{nullptr, {2, 3}, 1, 6};
    REQUIRE(detail::walk_together(std::vector<blob>{{nullptr, {2, 3}, 1, 0}, alone}, alone));
}
