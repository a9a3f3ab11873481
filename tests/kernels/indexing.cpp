#include <bespoke/kernels/indexing.hpp>

#include <catch2/catch.hpp>

#include <cstring>
#include <limits>
#include <vector>

using namespace bespoke;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(),
                no_number = std::numeric_limits<float>::quiet_NaN();

/// Indices of which some are outside, the same for the same seed.
std::vector<float> some_indices(extent n, extent rows, std::uint64_t seed) {
    std::vector<float> v;
    for (extent i = 0; i < n; ++i) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        v.push_back(static_cast<float>(
            static_cast<extent>((seed >> 33) % static_cast<std::uint64_t>(2 * rows + 3)) - rows - 1));
    }
    return v;
}
std::vector<float> some_numbers(extent n) {
    std::vector<float> v;
    for (extent i = 0; i < n; ++i) v.push_back(0.1f * static_cast<float>(i * 7919 % 1000) - 20);
    return v;
}

}  // namespace

TEST_CASE("indexing: the nearest integer") {
    const auto near = [](auto x) { return kernels::nearest_integer(x); };
    REQUIRE(near(0.0f) == 0);
    REQUIRE(near(-0.0f) == 0);
    REQUIRE(near(2.4f) == 2);
    REQUIRE(near(2.5f) == 3);
    REQUIRE(near(-2.4f) == -2);
    REQUIRE(near(-2.5f) == -3);
    REQUIRE(near(-0.4f) == 0);
    REQUIRE(near(0.49999999999999994) == 0);
    REQUIRE(near(-0.49999999999999994) == 0);
    REQUIRE(near(4503599627370497.0) == 4503599627370497);
    REQUIRE(near(-4503599627370497.0) == -4503599627370497);
    REQUIRE(near(1e30f) == extent{1} << 53);
    REQUIRE(near(infinity) == extent{1} << 53);
    REQUIRE(near(-1e30f) == -(extent{1} << 53));
    REQUIRE(near(-infinity) == -(extent{1} << 53));
    REQUIRE(near(no_number) == -(extent{1} << 53));
}

TEST_CASE("indexing: places, counted from the end where negative") {
    const std::vector<std::pair<float, extent>> expected{
        {0, 0},   {2, 2},          {3, -1},        {-1, 2},         {-3, 0},
        {-4, -1}, {no_number, -1}, {infinity, -1}, {-infinity, -1}, {2.4f, 2}};
    for (const auto& [x, place] : expected) {
        CAPTURE(x);
        REQUIRE(kernels::named_place(x, extent{3}) == place);
    }
    REQUIRE(kernels::named_place(0.0f, extent{0}) == -1);
}

TEST_CASE("indexing: gather and scatter by hand") {
    const kernels::indexing how{.count = 4, .block = 2, .rows = {3}};
    const std::vector<float> whole{1, 2, 3, 4, 5, 6}, indices{2, -3, 3, no_number};
    std::vector<float> part(8, 9);
    kernels::gather(how, whole.data(), indices.data(), part.data(), nullptr);
    REQUIRE(part == std::vector<float>{5, 6, 1, 2, 0, 0, 0, 0});

    const std::vector<float> updates{1, 2, 3, 4, 5, 6, 7, 8}, twice{1, 1, -2, 5};
    const auto scattered = [&](kernels::scatter_mode mode) {
        std::vector<float> to{10, 20, 30, 40, 50, 60};
        kernels::scatter(how, mode, to.data(), updates.data(), twice.data(), to.data(), nullptr);
        REQUIRE((to[0] == 10 && to[1] == 20 && to[4] == 50 && to[5] == 60));
        return std::vector<float>{to[2], to[3]};
    };
    using kernels::scatter_mode;
    REQUIRE(scattered(scatter_mode::update) == std::vector<float>{5, 6});
    REQUIRE(scattered(scatter_mode::add) == std::vector<float>{39, 52});
    REQUIRE(scattered(scatter_mode::sub) == std::vector<float>{21, 28});
    REQUIRE(scattered(scatter_mode::mul) == std::vector<float>{450, 1920});
    REQUIRE(scattered(scatter_mode::div) == std::vector<float>{2, 40.0f / 2 / 4 / 6});
    REQUIRE(scattered(scatter_mode::max) == std::vector<float>{30, 40});
    REQUIRE(scattered(scatter_mode::min) == std::vector<float>{1, 2});
}

TEST_CASE("indexing: the same bits for any number of threads, on one thread in the order of the slots") {
    using kernels::scatter_mode;
    for (const kernels::indexing& how :
         {kernels::indexing{.outer = 3, .count = 700, .block = 40, .rows = {11}},
          kernels::indexing{.outer = 300, .count = 9, .block = 5, .rows = {11}},
          kernels::indexing{.outer = 1000, .count = 20, .lanes = 3, .rows = {13}, .own = true},
          kernels::indexing{.count = 30000, .block = 1, .rows = {7, 5}},
          kernels::indexing{.outer = 2, .count = 90, .lanes = 130, .rows = {13}, .own = true}}) {
        const extent size = how.places() * how.block, updates = how.slots() * how.block;
        const auto depth = static_cast<extent>(how.rows.rank());
        const std::vector<float> indices = some_indices(how.own ? how.slots() : how.count * depth, 7, 3);
        const std::vector<float> whole = some_numbers(size), part = some_numbers(updates),
                                 dy = some_numbers(size);
        for (const auto mode : {scatter_mode::update, scatter_mode::add, scatter_mode::sub, scatter_mode::mul,
                                scatter_mode::div, scatter_mode::max, scatter_mode::min}) {
            const auto run = [&](std::size_t n) {
                thread_pool threads(n);
                std::vector<float> all(whole.size(), 9), gathered(static_cast<std::size_t>(updates)),
                    dwhole(whole.size()), dpart(part.size()),
                    scratch(static_cast<std::size_t>(kernels::scatter_scratch(how, mode)));
                kernels::scatter(how, mode, whole.data(), part.data(), indices.data(), all.data(), &threads);
                kernels::gather(how, whole.data(), indices.data(), gathered.data(), &threads);
                kernels::scatter_backward(how, mode, whole.data(), part.data(), indices.data(), dy.data(),
                                          dwhole.data(), dpart.data(), scratch.data(), &threads);
                for (const auto* more : {&gathered, &dwhole, &dpart})
                    all.insert(all.end(), more->begin(), more->end());
                return all;
            };
            const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
                return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
            };
            const auto alone = run(1);
            REQUIRE(same(alone, run(2)));
            REQUIRE(same(alone, run(5)));
            if (mode != scatter_mode::sub || how.own) continue;
            std::vector<float> expected(whole);
            for (extent o = 0; o < how.outer; ++o)
                for (extent j = 0; j < how.count; ++j) {
                    extent row = 0;
                    for (extent d = 0; d < depth && row >= 0; ++d) {
                        const extent n = how.rows[static_cast<std::size_t>(d)];
                        auto at = static_cast<extent>(indices[static_cast<std::size_t>(j * depth + d)]);
                        if (at < 0) at += n;
                        row = at < 0 || at >= n ? -1 : row * n + at;
                    }
                    for (extent b = 0; row >= 0 && b < how.block; ++b)
                        expected[static_cast<std::size_t>((o * how.rows.size() + row) * how.block + b)] -=
                            part[static_cast<std::size_t>((o * how.count + j) * how.block + b)];
                }
            REQUIRE(std::vector<float>(alone.begin(), alone.begin() + size) == expected);
        }
    }
}
