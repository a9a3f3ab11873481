#include <bespoke/core/entries.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

struct plain {
    static constexpr auto key = "plain";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    [[maybe_unused]] friend bool operator==(const plain&, const plain&) = default;
};
struct row_by_row : plain {
    constexpr std::size_t entries_from(std::span<const shape> xs, std::size_t back) const {
        return back == xs[0].rank() ? back : 0;
    }
    [[maybe_unused]] friend bool operator==(const row_by_row&, const row_by_row&) = default;
};
struct first_two : plain {
    constexpr extent entries_read(const shape& x) const { return x.rank() == 2 ? 2 : x[0]; }
    [[maybe_unused]] friend bool operator==(const first_two&, const first_two&) = default;
};
struct first_turned : plain {
    static constexpr bool entries_of_first = true;
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return 3 - back; }
    [[maybe_unused]] friend bool operator==(const first_turned&, const first_turned&) = default;
};
struct renamed : plain {
    constexpr row_by_row equivalent(const shape&) const { return {}; }
    [[maybe_unused]] friend bool operator==(const renamed&, const renamed&) = default;
};
struct reshaped : plain {
    static constexpr bool same_elements = true;
    [[maybe_unused]] friend bool operator==(const reshaped&, const reshaped&) = default;
};
struct half {
    static constexpr auto key = "half";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const {
        return x / V(2);
    }
    template <class V>
    V derivative(const V&, const V&) const {
        return V(0.5f);
    }
    [[maybe_unused]] friend bool operator==(const half&, const half&) = default;
};

constexpr std::array<shape, 1> matrix{shape{5, 3}}, block{shape{5, 3, 2}};
constexpr std::array<shape, 2> two{shape{5, 3}, shape{5, 3}};
using axes = std::vector<int>;

/// Of a y of the shape of the first input.
template <class L>
std::tuple<axes, bool, extent> of(const L& layer, std::span<const shape> xs) {
    const entry_answers a = entries_of(layer, xs, xs[0]);
    return {axes(a.from.begin() + 1, a.from.begin() + 1 + static_cast<std::ptrdiff_t>(xs[0].rank())), a.alike, a.read};
}

}  // namespace

TEST_CASE("entries lie along the first axis that is longer than 1") {
    CHECK(entry_axis({5, 3}) == 0);
    CHECK(entry_axis({1, 1, 3, 1}) == 2);
    CHECK(entry_axis({0, 3}) == 0);
    CHECK(entry_axis({1, 1}) == 2);
    CHECK(entry_axis({}) == 0);
}

TEST_CASE("what a layer says of entries, for the shapes of its inputs; nothing said: all are read, none by itself") {
    CHECK(of(plain{}, matrix) == std::tuple{axes{0, 0}, false, 0});
    CHECK(of(row_by_row{}, matrix) == std::tuple{axes{0, 2}, false, 0});
    CHECK(of(row_by_row{}, block) == std::tuple{axes{0, 0, 3}, false, 0});
    CHECK(of(first_two{}, matrix) == std::tuple{axes{0, 0}, false, 2});
    CHECK(of(first_two{}, block) == std::tuple{axes{0, 0, 0}, false, 5});
    CHECK(of(first_turned{}, matrix) == std::tuple{axes{2, 1}, false, 0});
    CHECK(of(first_turned{}, two) == std::tuple{axes{2, 1}, true, 0});
    CHECK(of(renamed{}, matrix) == std::tuple{axes{0, 2}, false, 0});
    CHECK(of(reshaped{}, matrix) == std::tuple{axes{1, 2}, true, 0});
    CHECK(of(half{}, matrix) == std::tuple{axes{1, 2}, true, 0});
}

TEST_CASE("the same elements in another shape have the entries of an axis with as many elements behind it") {
    CHECK(same_entries({6, 8}, {6, 2, 4}, 3) == 2);
    CHECK(same_entries({6, 8}, {6, 2, 4}, 2) == 0);
    CHECK(same_entries({6, 8}, {6, 2, 4}, 1) == 0);
    CHECK(same_entries({6, 2, 4}, {1, 6, 1, 8}, 3) == 3);
    CHECK(same_entries({2, 6, 4}, {2, 6, 2, 2}, 3) == 2);
    CHECK(same_entries({2, 6, 4}, {12, 4}, 2) == 0);
    CHECK(same_entries({2, 6, 4}, {12, 4}, 1) == 1);
    CHECK(same_entries({5}, {5, 1, 1}, 3) == 1);
}
