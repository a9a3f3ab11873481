#include <bespoke/core/random.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

using bespoke::philox;
using words = std::array<std::uint32_t, 4>;

namespace {

constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

/// The block for a counter and a key as Random123 writes them: 32-bit words, the lowest first.
constexpr words block(const words& counter, std::uint32_t key0, std::uint32_t key1) {
    return philox(join(key0, key1), join(counter[2], counter[3])).block(join(counter[0], counter[1]));
}

}  // namespace

TEST_CASE("philox gives Random123's known answers") {
    constexpr std::uint32_t ones = 0xffffffff;
    static_assert(block({0, 0, 0, 0}, 0, 0) == words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(block({0, 0, 0, 0}, 0, 0) == words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(block({ones, ones, ones, ones}, ones, ones) == words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
          words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox gives several blocks at once") {
    const philox random(7, 3);
    const std::uint64_t first = (std::uint64_t{1} << 32) - 2;  // both words of the counter change
    const auto all = random.blocks<5>(first);
    for (std::size_t i = 0; i < 5; ++i)
        for (std::size_t k = 0; k < 4; ++k) CHECK(all[k][i] == random.block(first + i)[k]);
}

TEST_CASE("philox walks through its blocks and goes on where its position says") {
    philox random(7, 3);
    std::vector<std::uint32_t> drawn;
    for (int i = 0; i < 12; ++i) drawn.push_back(random());
    for (std::uint64_t b = 0; b < 3; ++b)
        for (std::size_t i = 0; i < 4; ++i) CHECK(drawn[4 * b + i] == philox(7, 3).block(b)[i]);

    philox later(7, 3);
    later.position = 6;
    CHECK(later() == drawn[6]);
    CHECK(later.position == 7);
}

TEST_CASE("streams and seeds differ") {
    CHECK(philox(1, 0).block(0) != philox(1, 1).block(0));
    CHECK(philox(1, 0).block(0) != philox(2, 0).block(0));
    CHECK(philox(1, 0).block(0) != philox(0, 1).block(0));
    CHECK(philox(std::uint64_t{1} << 32, 0).block(0) != philox(1, 0).block(0));
}

TEST_CASE("uniform numbers fill [0, 1) evenly and are exact as float") {
    philox random(5);
    std::vector<int> bins(10);
    for (int i = 0; i < 10000; ++i) {
        const double u = random.uniform();
        REQUIRE(u >= 0);
        REQUIRE(u < 1);
        REQUIRE(static_cast<double>(static_cast<float>(u)) == u);
        ++bins[static_cast<std::size_t>(u * 10)];
    }
    for (int count : bins) CHECK(std::abs(count - 1000) < 150);  // five standard deviations
}

TEST_CASE("below stays below and is even") {
    philox random(6);
    for (int i = 0; i < 100; ++i) REQUIRE(random.below(1) == 0);
    std::vector<int> bins(6);
    for (int i = 0; i < 6000; ++i) ++bins.at(random.below(6));
    for (int count : bins) CHECK(std::abs(count - 1000) < 150);
    // three quarters of 2^32 is where plain multiplication would be most biased
    const std::uint32_t bound = 0xC0000000u;
    int low = 0;
    for (int i = 0; i < 6000; ++i) {
        const std::uint32_t v = random.below(bound);
        REQUIRE(v < bound);
        low += v < bound / 3;
    }
    CHECK(std::abs(low - 2000) < 200);
}

TEST_CASE("shuffle is a permutation that depends on the state alone") {
    std::vector<int> items(50);
    std::iota(items.begin(), items.end(), 0);
    std::vector<int> again = items, other = items, sorted = items;
    philox a(1), b(1), c(2);
    bespoke::shuffle(std::span(items), a);
    bespoke::shuffle(std::span(again), b);
    bespoke::shuffle(std::span(other), c);
    CHECK(items == again);
    CHECK(items != other);
    CHECK(items != sorted);
    CHECK(std::is_permutation(items.begin(), items.end(), sorted.begin()));

    std::vector<int> none, one{3};
    bespoke::shuffle(std::span(none), a);
    bespoke::shuffle(std::span(one), a);
    CHECK(one == std::vector{3});
}

TEST_CASE("shuffle reaches every order equally often") {
    philox random(9);
    std::vector<int> seen(6);
    for (int i = 0; i < 6000; ++i) {
        std::array<int, 3> items{0, 1, 2};
        bespoke::shuffle(std::span<int>(items), random);
        int number = 0;
        std::array<int, 3> order{0, 1, 2};
        while (order != items) {
            std::next_permutation(order.begin(), order.end());
            ++number;
        }
        ++seen.at(static_cast<std::size_t>(number));
    }
    for (int count : seen) CHECK(std::abs(count - 1000) < 150);
}
