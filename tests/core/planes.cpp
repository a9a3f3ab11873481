#include <bespoke/core/planes.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

struct plain {
    [[maybe_unused]] friend bool operator==(const plain&, const plain&) = default;
};

/// Says everything, for planes of more than one element.
template <bool Batched, bool Epilogue>
struct talkative {
    static constexpr bool batched = Batched, runs_epilogue = Epilogue;
    constexpr bool gives_planes(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
    constexpr bool takes_planes(std::span<const shape> xs) const { return xs[0].from_end(1) > 1; }
};

constexpr std::array<shape, 1> wide{shape{3, 2, 2}}, narrow{shape{3, 1, 1}};
constexpr std::array<shape, 2> two{shape{3, 2, 2}, shape{3, 2, 2}};

std::pair<extent, extent> together(const shape& result, extent examples) {
    const planes_together most(result, examples);
    CHECK(most.elements(result) == most.examples * most.channels * result[1] * result[2]);
    return {most.examples, most.channels};
}

}  // namespace

TEST_CASE("what a layer says of planes, for the shapes of its inputs; nothing said: no") {
    CHECK(can_give_planes(talkative<true, true>{}, wide));
    CHECK(can_take_planes(talkative<true, false>{}, wide));
    CHECK_FALSE(can_give_planes(talkative<true, true>{}, narrow));
    CHECK_FALSE(can_take_planes(talkative<true, true>{}, narrow));
    CHECK_FALSE(can_give_planes(plain{}, wide));
    CHECK_FALSE(can_take_planes(plain{}, wide));
    STATIC_REQUIRE(plane_layer<talkative<false, false>>);
    STATIC_REQUIRE_FALSE(plane_layer<plain>);
}

TEST_CASE("planes are given with an epilogue, and given and taken by many examples at once; those of one input") {
    CHECK_FALSE(can_give_planes(talkative<true, false>{}, wide));
    CHECK_FALSE(can_give_planes(talkative<false, true>{}, wide));
    CHECK_FALSE(can_take_planes(talkative<false, true>{}, wide));
    CHECK_FALSE(can_take_planes(talkative<true, true>{}, two));
}

TEST_CASE("planes together: many examples of small results, some channels of a large one") {
    CHECK(together({32, 26, 26}, 64) == std::pair<extent, extent>{6, 32});
    CHECK(together({32, 26, 26}, 4) == std::pair<extent, extent>{4, 32});
    CHECK(together({32, 64, 64}, 4) == std::pair<extent, extent>{1, 32});  // exactly as many
    CHECK(together({33, 64, 64}, 4) == std::pair<extent, extent>{1, 32});
    CHECK(together({200, 40, 40}, 4) == std::pair<extent, extent>{1, 64});
    CHECK(together({96, 112, 112}, 1) == std::pair<extent, extent>{1, 32});
    CHECK(together({3, 400, 400}, 2) == std::pair<extent, extent>{1, 3});
    CHECK(together({3, 0, 4}, 2) == std::pair<extent, extent>{2, 3});
    CHECK(together({3, 4, 4}, 0) == std::pair<extent, extent>{1, 3});
}
