#include <bespoke/graph/known_blobs.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

using numbers = std::vector<std::size_t>;

/// The values of one blob, or {-1} where they are not known.
constexpr std::vector<double> values_of(const known_blobs& known, std::size_t blob) {
    const auto list = known.of(numbers{blob});
    if (list.empty() || !list[0]) return {-1};
    return {list[0]->begin(), list[0]->end()};
}
const std::vector<double> unknown{-1};

}  // namespace

TEST_CASE("known blobs: what was added is found, if it is small") {
    known_blobs known;
    CHECK(known.of(numbers{1, 2}).empty());
    known.add(1, {5, 6}, {});
    known.add(2, std::vector<double>(known_blobs::most, 1), {});
    known.add(3, std::vector<double>(known_blobs::most + 1, 1), {});
    CHECK(values_of(known, 1) == std::vector<double>{5, 6});
    CHECK(values_of(known, 2).size() == known_blobs::most);
    CHECK(values_of(known, 3) == unknown);
    CHECK(values_of(known, 4) == unknown);
    static_assert([] {
        known_blobs k;
        k.add(1, {5, 6}, {});
        return values_of(k, 1)[1] == 6;
    }());
}

TEST_CASE("known blobs: only numbers that a float holds, as the run finds no others") {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    known_blobs known;
    known.add(1, {16777216}, {});
    known.add(2, {1, 16777217}, {});
    known.add(3, {1e300}, {});
    known.add(4, {-infinity}, {});
    known.add(5, {std::numeric_limits<double>::quiet_NaN()}, {});
    known.add(6, {0.1}, {});
    CHECK(values_of(known, 1) == std::vector<double>{16777216});
    CHECK(values_of(known, 2) == unknown);
    CHECK(values_of(known, 3) == unknown);
    CHECK(values_of(known, 4) == std::vector<double>{-infinity});
    CHECK(values_of(known, 5) != unknown);
    CHECK(values_of(known, 6) == unknown);
}

TEST_CASE("known blobs: what is overwritten takes along what follows from it") {
    known_blobs known;
    known.add(1, {1}, {});
    known.add(2, {2}, numbers{1});
    known.add(3, {3}, numbers{2, 7});
    known.add(4, {4}, {});
    CHECK(known.overwrite(2));
    CHECK(values_of(known, 1) == std::vector<double>{1});
    CHECK(values_of(known, 2) == unknown);
    CHECK(values_of(known, 3) == unknown);
    CHECK(values_of(known, 4) == std::vector<double>{4});
    CHECK(known.overwrite(9));
    known.forget_from(4);
    CHECK(values_of(known, 1) == std::vector<double>{1});
    CHECK(values_of(known, 4) == unknown);
}

TEST_CASE("known blobs: what decided a shape must not be overwritten, nor what it follows from") {
    known_blobs known;
    known.add(1, {1}, {});
    known.add(2, {2}, numbers{1});
    known.add(3, {3}, numbers{2});
    known.add(4, {4}, {});
    known.decide(numbers{2, 8});
    CHECK(known.overwrite(3));
    CHECK(known.overwrite(4));
    CHECK_FALSE(known.overwrite(2));
    CHECK_FALSE(known.overwrite(1));
}

TEST_CASE("known blobs: those that follow from others twice cost no more than those that follow once") {
    known_blobs known;
    known.add(0, {1}, {});
    for (std::size_t b = 1; b <= 64; ++b) known.add(b, {1}, numbers{b - 1, b - 1});
    known.decide(numbers(64, 64));
    CHECK(known.overwrite(70));
    CHECK(values_of(known, 64) == std::vector<double>{1});
    CHECK_FALSE(known.overwrite(0));
    CHECK(values_of(known, 64) == unknown);
    CHECK_FALSE(known.overwrite(64));
}
