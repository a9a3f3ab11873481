#include <bespoke/core/rows.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

struct no_rows {
    [[maybe_unused]] friend bool operator==(const no_rows&, const no_rows&) = default;
};

/// Says everything, for rows of more than one element.
template <bool InPlace, bool Batched>
struct row_talkative {
    static constexpr bool in_place = InPlace, batched = Batched;
    constexpr bool finishes_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
    constexpr bool gives_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
    constexpr bool takes_rows(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
};

constexpr std::array<shape, 1> wide_rows{shape{3, 2}}, narrow_rows{shape{3, 1}};

}  // namespace

TEST_CASE("what a layer says of rows, for the shapes of its inputs; nothing said: no") {
    CHECK(can_finish_rows(row_talkative<true, false>{}, wide_rows));
    CHECK(can_give_rows(row_talkative<false, true>{}, wide_rows));
    CHECK(can_take_rows(row_talkative<false, false>{}, wide_rows));
    CHECK_FALSE(can_finish_rows(row_talkative<true, true>{}, narrow_rows));
    CHECK_FALSE(can_give_rows(row_talkative<true, true>{}, narrow_rows));
    CHECK_FALSE(can_take_rows(row_talkative<true, true>{}, narrow_rows));
    CHECK_FALSE(can_finish_rows(no_rows{}, wide_rows));
    CHECK_FALSE(can_give_rows(no_rows{}, wide_rows));
    CHECK_FALSE(can_take_rows(no_rows{}, wide_rows));
}

TEST_CASE("rows are finished in place, and given by all examples at once") {
    CHECK_FALSE(can_finish_rows(row_talkative<false, true>{}, wide_rows));
    CHECK_FALSE(can_give_rows(row_talkative<true, false>{}, wide_rows));
}

TEST_CASE("a layer that says nothing of rows is no row layer") {
    STATIC_REQUIRE(row_layer<row_talkative<false, false>>);
    STATIC_REQUIRE_FALSE(row_layer<no_rows>);
}
