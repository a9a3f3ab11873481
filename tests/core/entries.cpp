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
    constexpr bool entrywise(std::span<const shape> xs) const { return xs[0].rank() == 2; }
    [[maybe_unused]] friend bool operator==(const row_by_row&, const row_by_row&) = default;
};
struct first_two : plain {
    constexpr extent entries_read(const shape& x) const { return x.rank() == 2 ? 2 : x[0]; }
    [[maybe_unused]] friend bool operator==(const first_two&, const first_two&) = default;
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

template <class L>
std::tuple<bool, bool, extent> of(const L& layer, std::span<const shape> xs) {
    const entry_answers a = entries_of(layer, xs);
    return {a.each, a.alike, a.read};
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
    CHECK(of(plain{}, matrix) == std::tuple{false, false, 0});
    CHECK(of(row_by_row{}, matrix) == std::tuple{true, false, 0});
    CHECK(of(row_by_row{}, block) == std::tuple{false, false, 0});
    CHECK(of(first_two{}, matrix) == std::tuple{false, false, 2});
    CHECK(of(first_two{}, block) == std::tuple{false, false, 5});
    CHECK(of(renamed{}, matrix) == std::tuple{true, false, 0});
    CHECK(of(reshaped{}, matrix) == std::tuple{true, true, 0});
    CHECK(of(half{}, matrix) == std::tuple{true, true, 0});
}
