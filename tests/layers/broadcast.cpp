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
static_assert(of({{2, 3}, {3}}).shapes()[0] == shape{2, 3});
static_assert(of({{1, 1, 1}, {1}}).shapes()[0] == shape{1, 1, 1});
static_assert(of({{1, 1, 1, 2, 2}, {3, 2, 2}}).shapes()[0] == shape{1, 1, 3, 2, 2});
static_assert(!of({{2, 3}, {2, 2}}));

}  // namespace

TEST_CASE("broadcast_shape: faults") {
    REQUIRE(fault_in({{2, 1}, {1, 3}, {2, 4}}) ==
            "inputs wanted whose extents from the last axis on are equal or 1, input 2 has the shape [2, 4], those "
            "before it "
            "have [2, 3]");
    REQUIRE(
        fault_in({{0}, {2}}) ==
        "inputs wanted whose extents from the last axis on are equal or 1, input 1 has the shape [2], those before it "
        "have [0]");
}

TEST_CASE("broadcast_shape: ranks may differ") {
    REQUIRE(of({{2, 3}, {3}}).shapes()[0] == shape{2, 3});
    REQUIRE(of({{3}, {4, 2, 1}}).shapes()[0] == shape{4, 2, 3});
    REQUIRE(of({{}, {2}, {5, 1}}).shapes()[0] == shape{5, 2});
    REQUIRE(of({{1}, {0}}).shapes()[0] == shape{0});
    REQUIRE(of({{2, 3}, {4, 1, 1, 1}}).shapes()[0] == shape{4, 1, 2, 3});
    REQUIRE(
        of({{2, 3}, {3}, {2}}).problem().what.view() ==
        "inputs wanted whose extents from the last axis on are equal or 1, input 2 has the shape [2], those before it "
        "have [2, 3]");
}
