#include <bespoke/graph/joins.hpp>

#include <bespoke/graph/inspect.hpp>
#include <bespoke/graph/planner.hpp>

#include "graph_test.hpp"

using namespace graph_test;

namespace {

/// Two inputs or more, one behind the other, or each in two halves.
struct side_by_side {
    extent pieces = 1;

    static constexpr auto key = "sideBySide";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, bespoke::any_number};
    constexpr outcome output_shape(std::span<const shape> xs) const {
        extent size = 0;
        for (const shape& x : xs) size += x.size();
        return shape{size};
    }
    constexpr bool concatenates(std::span<const shape>) const { return pieces == 1; }
    [[maybe_unused]] friend bool operator==(const side_by_side&, const side_by_side&) = default;
};

extent at(const bespoke::plan& plan, std::string_view name) { return blob(plan, name).single_offset; }

/// Whether b is written at its place in y.
bool lies(const bespoke::plan& plan, std::string_view b, std::string_view y, extent place) {
    return at(plan, b) == at(plan, y) + place;
}

}  // namespace

TEST_CASE("joins: what is joined is written where it will be") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {32});
        append(p, reshaped{{48}}, {"x"}, {"a"});
        append(p, reshaped{{16}}, {"x"}, {"b"});
        append(p, smooth{}, {"b"}, {"c"});
        append(p, side_by_side{}, {"a", "c", "x"}, {"y"});
        append(p, reshaped{{5}}, {"y"}, {"z"});
    });
    CHECK(lies(plan, "a", "y", 0));
    CHECK(lies(plan, "b", "y", 48));  // and what it is computed in place of
    CHECK(lies(plan, "c", "y", 48));
    CHECK(lies(plan, "x", "y", 64));
    CHECK(at(plan, "z") >= at(plan, "y") + 96);
    CHECK(plan.arena_size >= 96 + 5);
    // Many examples of each are contiguous, so each has a place of its own.
    for (const char* name : {"a", "c", "x"}) CHECK_FALSE(overlap(blob(plan, name), blob(plan, "y")));
}

TEST_CASE("joins: a chain of them lies in the last one") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {16});
        append(p, reshaped{{16}}, {"x"}, {"a"});
        append(p, side_by_side{}, {"x", "a"}, {"xa"});
        append(p, reshaped{{32}}, {"xa"}, {"b"});
        append(p, side_by_side{}, {"b", "xa"}, {"bxa"});
        append(p, reshaped{{1}}, {"bxa"}, {"y"});
    });
    CHECK(lies(plan, "b", "bxa", 0));
    CHECK(lies(plan, "xa", "bxa", 32));
    CHECK(lies(plan, "x", "bxa", 32));
    CHECK(lies(plan, "a", "bxa", 48));
    CHECK(bespoke::largest_live_set(plan.view()) <= plan.arena_size * 4);
}

TEST_CASE("joins: what cannot lie there keeps its place") {
    const auto apart = [](const auto& tell, const char* b, const char* y) {
        const bespoke::plan plan = planned(tell);
        const bespoke::blob_facts& part = blob(plan, b);
        return part.single_offset + part.dimensions.size() <= at(plan, y) ||
               at(plan, y) + blob(plan, y).dimensions.size() <= part.single_offset;
    };
    const auto start = [](planner& p) {
        p.input("x", {16});
        append(p, reshaped{{16}}, {"x"}, {"a"});
        append(p, reshaped{{20}}, {"x"}, {"b"});
    };
    // not at the beginning of a cache line
    const auto unaligned = [&](planner& p) {
        start(p);
        append(p, side_by_side{}, {"b", "a"}, {"y"});
    };
    CHECK(apart(unaligned, "a", "y"));
    CHECK_FALSE(apart(unaligned, "b", "y"));
    // in pieces
    CHECK(apart([&](planner& p) { start(p); append(p, side_by_side{2}, {"a", "b"}, {"y"}); }, "a", "y"));
    // the second time
    const bespoke::plan twice = planned([&](planner& p) {
        start(p);
        append(p, side_by_side{}, {"a", "a"}, {"y"});
    });
    CHECK(lies(twice, "a", "y", 0));
    // y is written over while a is wanted
    const auto over = [&](bool wanted) {
        return [&, wanted](planner& p) {
            start(p);
            append(p, side_by_side{}, {"a", "b"}, {"y"});
            append(p, smooth{}, {"y"}, {"z"});
            append(p, reshaped{{4}}, {wanted ? "a" : "x"}, {"w"});
            append(p, side_by_side{2}, {"z", "w"}, {"end"});
        };
    };
    CHECK(apart(over(true), "a", "y"));
    CHECK_FALSE(apart(over(false), "a", "y"));
    // a is written over behind the step
    CHECK(apart(
        [&](planner& p) {
            start(p);
            append(p, side_by_side{}, {"a", "b"}, {"y"});
            append(p, smooth{}, {"a"}, {"z"});
            append(p, joined{}, {"y", "z"}, {"end"});
        },
        "a", "y"));
    CHECK(apart(
        [&](planner& p) {
            start(p);
            append(p, side_by_side{}, {"a", "b"}, {"y"});
            append(p, copied{}, {"x"}, {"a"});
            append(p, joined{}, {"y", "a"}, {"end"});
        },
        "a", "y"));
    // in a loop
    CHECK(apart(
        [&](planner& p) {
            start(p);
            add_loop(p, [&](std::size_t) { append(p, side_by_side{}, {"a", "b"}, {"y"}); });
            append(p, reshaped{{4}}, {"x"}, {"end"});
        },
        "a", "y"));
    // stored once
    CHECK(planned([](planner& p) {
              p.input("x", {16});
              append(p, given{{16}}, {}, {"a"});
              append(p, side_by_side{}, {"a", "x"}, {"y"});
          }).shared_size == 16);
}

TEST_CASE("joins: thousands of them are placed at once") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {16});
        for (int i = 0; i < 3000; ++i) {
            const std::string n = std::to_string(i);
            append(p, reshaped{{16}}, {"x"}, {"a" + n});
            append(p, side_by_side{}, {"x", "a" + n}, {"y" + n});
        }
    });
    CHECK(lies(plan, "a2999", "y2999", 16));
}
