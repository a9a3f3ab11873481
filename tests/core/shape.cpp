#include <bespoke/core/shape.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <vector>

using bespoke::checked_product;
using bespoke::checked_size;
using bespoke::extent;
using bespoke::shape;
using bespoke::static_shape;

TEST_CASE("a shape is read from both ends") {
    constexpr shape s{2, 3, 4};
    static_assert(s.rank() == 3 && s[0] == 2 && s.from_end(1) == 4 && s.from_end(3) == 2);
    CHECK(s.size() == 24);
    CHECK(s.product(0, 1) == 2);
    CHECK(s.product(1, 3) == 12);
    CHECK(s.product(3, 3) == 1);
    CHECK(std::vector<extent>(s.begin(), s.end()) == std::vector<extent>{2, 3, 4});

    shape t = s;
    t[1] = 5;
    t.from_end(1) = 7;
    CHECK(t == shape{2, 5, 7});
    CHECK(s == shape{2, 3, 4});
}

TEST_CASE("rank 0 holds one element, an extent of 0 none") {
    CHECK(shape{}.rank() == 0);
    CHECK(shape{}.size() == 1);
    CHECK(shape{0}.rank() == 1);
    CHECK(shape{0}.size() == 0);
    CHECK(shape{3, 0, 2}.size() == 0);
}

TEST_CASE("equality is rank and extents, not what lies behind them") {
    CHECK(shape{1, 2} == shape{1, 2});
    CHECK_FALSE(shape{1, 2} == shape{2, 1});
    CHECK_FALSE(shape{1, 2} == shape{1, 2, 1});
    CHECK_FALSE(shape{} == shape{0});
}

TEST_CASE("a shape takes no more than max_rank extents") {
    std::vector<extent> many(bespoke::max_rank + 3, 2);
    const shape s{std::span<const extent>(many)};
    CHECK(s.rank() == bespoke::max_rank);
    CHECK(s.size() == 256);
}

TEST_CASE("a static shape reads like a shape") {
    constexpr static_shape<2, 3, 4> s;
    static_assert(s.rank() == 3 && s.size() == 24 && s[1] == 3 && s.from_end(1) == 4 && s.product(0, 2) == 6);
    CHECK(shape(s) == shape{2, 3, 4});
    CHECK(std::vector<extent>(s.begin(), s.end()) == std::vector<extent>{2, 3, 4});
    static_assert(static_shape<>::size() == 1 && static_shape<>::rank() == 0);
    static_assert(static_shape<0, 5>::size() == 0);
    static_assert(sizeof(s) == 1);
}

TEST_CASE("products from files are checked") {
    constexpr extent largest = std::numeric_limits<extent>::max();
    CHECK(checked_product(3, 4, 12) == 12);
    CHECK(checked_product(3, 4, 11) == -1);
    CHECK(checked_product(-3, 4, 100) == -1);
    CHECK(checked_product(3, -4, 100) == -1);
    CHECK(checked_product(-1, -1, 100) == -1);
    CHECK(checked_product(0, largest, 100) == 0);
    CHECK(checked_product(largest, 0, 100) == 0);
    CHECK(checked_product(largest, largest, largest) == -1);
    CHECK(checked_product(std::numeric_limits<extent>::min(), largest, largest) == -1);
    CHECK(checked_product(1, largest, largest) == largest);

    CHECK(checked_size(shape{2, 3, 4}, 24) == 24);
    CHECK(checked_size(shape{2, 3, 4}, 23) == -1);
    CHECK(checked_size(shape{}, 1) == 1);
    CHECK(checked_size(shape{2, -1}, 100) == -1);
    CHECK(checked_size(shape{largest, largest, largest}, largest) == -1);
    CHECK(checked_size(shape{0, 5}, 100) == 0);
    CHECK(checked_size(shape{0, -5}, 100) == -1);
    CHECK(checked_size({0, extent{1} << 40, extent{1} << 40}, extent{1} << 50) == -1);
}
