#include <bespoke/core/random.hpp>
#include <bespoke/graph/allocate.hpp>

#include <catch2/catch.hpp>

using bespoke::aligned_size;
using bespoke::allocate;
using bespoke::extent;
using bespoke::tenancy;

namespace {

/// What is alive at once at the worst time: no plan can do with less.
extent largest_live_set(const std::vector<tenancy>& all) {
    std::size_t end = 0;
    for (const tenancy& t : all) end = std::max(end, t.last);
    extent largest = 0;
    for (std::size_t time = 0; time <= end; ++time) {
        extent live = 0;
        for (const tenancy& t : all)
            if (t.first <= time && time <= t.last) live += aligned_size<float>(t.size);
        largest = std::max(largest, live);
    }
    return largest;
}

void require_sound(const std::vector<tenancy>& all, extent total) {
    for (std::size_t i = 0; i < all.size(); ++i) {
        REQUIRE(all[i].offset >= 0);
        REQUIRE(all[i].offset % aligned_size<float>(1) == 0);
        REQUIRE(all[i].offset + all[i].size <= total);
        for (std::size_t j = 0; j < i; ++j) {
            const bool at_once = all[i].first <= all[j].last && all[j].first <= all[i].last;
            const bool apart =
                all[i].offset + all[i].size <= all[j].offset || all[j].offset + all[j].size <= all[i].offset;
            INFO("tenancies " << i << " and " << j);
            REQUIRE((!at_once || apart));
        }
    }
}

}  // namespace

TEST_CASE("what lives at once never overlaps") {
    bespoke::philox random(1);
    for (int round = 0; round < 500; ++round) {
        std::vector<tenancy> all(random.below(30));
        const std::uint32_t end = 1 + random.below(20), longest = 1 + random.below(400);
        for (tenancy& t : all) {
            t.size = random.below(longest);
            t.first = random.below(end);
            t.last = t.first + random.below(end);
        }
        const extent total = allocate(all);
        require_sound(all, total);
        REQUIRE(total >= largest_live_set(all));
    }
}

TEST_CASE("the largest live set is that of the worst time") {
    bespoke::philox random(3);
    for (int round = 0; round < 200; ++round) {
        std::vector<tenancy> all(1 + random.below(40));
        std::vector<std::size_t> by_first;
        for (tenancy& t : all) {
            t.size = random.below(100);
            t.first = random.below(20);
            t.last = t.first + random.below(10);
            by_first.push_back(by_first.size());
        }
        std::sort(by_first.begin(), by_first.end(),
                  [&](std::size_t a, std::size_t b) { return all[a].first < all[b].first; });
        REQUIRE(bespoke::largest_live_set(all, by_first) == largest_live_set(all));
    }
    CHECK(bespoke::largest_live_set({}, {}) == 0);
}

TEST_CASE("the whole is near the largest live set") {
    bespoke::philox random(2);
    double sum = 0;
    constexpr int rounds = 300;
    for (int round = 0; round < rounds; ++round) {
        std::vector<tenancy> all;
        const std::size_t layers = 5 + random.below(40);
        // a chain, with skips over two to four layers now and then, whose blobs grow and shrink
        extent size = 64 + random.below(4000);
        for (std::size_t i = 0; i < layers; ++i) {
            if (random.below(4) == 0) size = std::max<extent>(16, random.below(2) ? size / 2 : size * 2);
            const std::size_t last = random.below(5) == 0 ? i + 2 + random.below(3) : i + 1;
            all.push_back({size, i, last});
        }
        const extent total = allocate(all);
        require_sound(all, total);
        const double ratio = static_cast<double>(total) / static_cast<double>(largest_live_set(all));
        REQUIRE(ratio <= 1.5);
        sum += ratio;
    }
    CHECK(sum / rounds <= 1.02);
}

TEST_CASE("networks as they are stay within a fifth of the largest live set") {
    std::vector<tenancy> lenet{{784, 0, 0}, {4704, 0, 1}, {1176, 1, 2}, {1600, 2, 3},
                               {400, 3, 4}, {120, 4, 5},  {84, 5, 6},   {10, 6, 7}};
    std::vector<tenancy> residuals, u_net;
    for (std::size_t block = 0; block < 12; ++block) {
        const extent size = 8192 >> (block / 3);
        residuals.push_back({size, 3 * block, 3 * block + 3});         // skips over two layers
        residuals.push_back({4 * size, 3 * block + 1, 3 * block + 2});
        residuals.push_back({size, 3 * block + 2, 3 * block + 3});
    }
    for (std::size_t depth = 0; depth < 5; ++depth) {  // the way down stays until the way up has reached it
        u_net.push_back({65536 >> depth, 2 * depth, 20 - 2 * depth});
        u_net.push_back({16384 >> depth, 2 * depth + 1, 2 * depth + 2});
        u_net.push_back({65536 >> depth, 19 - 2 * depth, 20 - 2 * depth});
        u_net.push_back({65536 >> depth, 20 - 2 * depth, 21 - 2 * depth});
    }
    for (auto* all : {&lenet, &residuals, &u_net}) {
        const extent total = allocate(*all);
        require_sound(*all, total);
        CHECK(static_cast<double>(total) <= 1.2 * static_cast<double>(largest_live_set(*all)));
    }
}

TEST_CASE("a plain chain takes what its two largest neighbours take") {
    std::vector<tenancy> chain{{100, 0, 1}, {50, 1, 2}, {100, 2, 3}, {30, 3, 4}};
    CHECK(allocate(chain) == aligned_size<float>(100) + aligned_size<float>(50));
    CHECK(chain[0].offset == chain[2].offset);
}

TEST_CASE("nothing, and things of size 0") {
    std::vector<tenancy> none;
    CHECK(allocate(none) == 0);
    std::vector<tenancy> some{{0, 0, 5}, {10, 0, 5}, {0, 2, 3}};
    CHECK(allocate(some) == 16);
    require_sound(some, 16);
}

TEST_CASE("the compiler can do it") {
    static_assert([] {
        std::vector<tenancy> all{{16, 0, 1}, {16, 1, 2}, {16, 2, 3}};
        return allocate(all) == 32 && all[0].offset == all[2].offset && all[1].offset != all[0].offset;
    }());
    SUCCEED();
}
