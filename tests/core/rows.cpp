#include <bespoke/core/rows.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

struct plain {
    [[maybe_unused]] friend bool operator==(const plain&, const plain&) = default;
};

/// Says everything, for rows of more than one element.
template <bool InPlace, bool Batched>
struct talkative {
    static constexpr bool in_place = InPlace, batched = Batched;
    constexpr bool finishes_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
    constexpr bool gives_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
    constexpr bool takes_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
};

constexpr std::array<shape, 1> wide{shape{3, 2}}, narrow{shape{3, 1}};

}  // namespace

TEST_CASE("what a layer says of rows, for the shapes of its inputs; nothing said: no") {
    CHECK(can_finish_rows(talkative<true, false>{}, wide));
    CHECK(can_give_rows(talkative<false, true>{}, wide));
    CHECK(can_take_rows(talkative<false, false>{}, wide));
    CHECK_FALSE(can_finish_rows(talkative<true, true>{}, narrow));
    CHECK_FALSE(can_give_rows(talkative<true, true>{}, narrow));
    CHECK_FALSE(can_take_rows(talkative<true, true>{}, narrow));
    CHECK_FALSE(can_finish_rows(plain{}, wide));
    CHECK_FALSE(can_give_rows(plain{}, wide));
    CHECK_FALSE(can_take_rows(plain{}, wide));
}

TEST_CASE("rows are finished in place, and given by all examples at once") {
    CHECK_FALSE(can_finish_rows(talkative<false, true>{}, wide));
    CHECK_FALSE(can_give_rows(talkative<true, false>{}, wide));
}

TEST_CASE("a layer that says nothing of rows is no row layer") {
    STATIC_REQUIRE(row_layer<talkative<false, false>>);
    STATIC_REQUIRE_FALSE(row_layer<plain>);
}
