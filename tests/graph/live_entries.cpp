#include <bespoke/graph/live_entries.hpp>

#include <bespoke/graph/inspect.hpp>

#include "graph_test.hpp"

using namespace graph_test;

namespace {

/// Each entry by itself, of inputs of one shape or with 1 entry; y has `columns` in its last axis.
struct by_entries {
    extent columns = 4;

    static constexpr auto key = "byEntries";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{1, 2};
    static constexpr bool runs_epilogue = true;
    constexpr outcome output_shape(std::span<const shape> xs) const {
        shape y = xs[0];
        y.from_end(1) = columns;
        return y;
    }
    constexpr bool entrywise(std::span<const shape> xs) const { return xs[0].rank() > 1; }
    constexpr bool finishes(std::span<const shape> xs) const { return xs.size() == 2; }
    [[maybe_unused]] friend bool operator==(const by_entries&, const by_entries&) = default;
};

/// The same elements, in another shape.
struct recast {
    shape to;

    static constexpr auto key = "recast";
    constexpr void fields(auto&) {}
    static constexpr bool same_elements = true;
    constexpr outcome output_shape(const shape&) const { return to; }
    [[maybe_unused]] friend bool operator==(const recast&, const recast&) = default;
};

/// The first so many entries.
struct first {
    extent entries = 1;

    static constexpr auto key = "first";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const {
        shape y = x;
        y[bespoke::entry_axis(x)] = entries;
        return y;
    }
    constexpr extent entries_read(const shape&) const { return entries; }
    [[maybe_unused]] friend bool operator==(const first&, const first&) = default;
};

const bespoke::step_facts& step(const bespoke::plan& plan, std::string_view output) {
    return plan.steps[blob(plan, output).maker];
}
/// The blob has `entries` of the `all` that its layer makes.
bool has(const bespoke::plan& plan, std::string_view name, extent entries, extent all) {
    const bespoke::blob_facts& b = blob(plan, name);
    return b.dimensions[b.dimensions.rank() - (b.dimensions.rank() > 2 ? 3 : 2)] == entries &&
           b.entries == (entries < all ? all : 0);
}

}  // namespace

TEST_CASE("entries that nobody reads are not there, from the reader back to the layer that needs all") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {9, 4});
        append(p, reshaped{{9, 4}}, {}, {"mixed"});
        append(p, by_entries{200}, {}, {"a"});
        append(p, smooth{}, {}, {"b"});
        append(p, by_entries{}, {"b"}, {"c"});
        append(p, by_entries{}, {"c", "mixed"}, {"d"});
        append(p, first{2}, {}, {"y"});
    });
    CHECK(has(plan, "mixed", 9, 9));
    for (const char* name : {"a", "b", "c", "d"}) CHECK(has(plan, name, 2, 9));
    CHECK(blob(plan, "a").dimensions == shape{2, 200});
    CHECK(has(plan, "y", 2, 2));
    // Those that read a longer blob do it by themselves.
    CHECK(step(plan, "a").shortens == 2);
    CHECK(step(plan, "c").shortens == 0);
    CHECK(step(plan, "d").shortens == 2);
    CHECK_FALSE(step(plan, "d").can_finish);
    CHECK(plan.view().shape_read(1, 0) == shape{2, 4});
    CHECK(plan.view().shape_read(4, 0) == shape{2, 4});
    CHECK(plan.view().shape_read(4, 1) == shape{2, 4});
    CHECK(plan.view().shape_read(5, 0) == shape{2, 4});
    CHECK(plan.arena_size < 9 * 200);
    CHECK_THAT(bespoke::inspect(plan.view()), Catch::Contains("[2, 200] of 9"));
}

TEST_CASE("of several readers the one counts that reads most") {
    const auto two = [](extent a, extent b) {
        return planned([&](planner& p) {
            p.input("x", {9, 4});
            append(p, by_entries{}, {"x"}, {"a"});
            append(p, by_entries{}, {"a"}, {"b"});
            append(p, first{a}, {"b"}, {"c"});
            append(p, first{b}, {"a"}, {"y"});
            p.output("c");
            p.output("y");
        });
    };
    CHECK(has(two(1, 3), "a", 3, 9));
    CHECK(has(two(1, 3), "b", 1, 9));
    CHECK(step(two(1, 3), "b").shortens == 2);
    CHECK(has(two(5, 3), "a", 5, 9));
    CHECK(has(two(5, 3), "b", 5, 9));
    CHECK(step(two(5, 3), "b").shortens == 0);
    CHECK(has(two(9, 1), "a", 9, 9));
    CHECK(step(two(9, 1), "a").shortens == 0);
}

TEST_CASE("what works element by element has the entries of its input") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {9, 4});
        append(p, smooth{}, {"x"}, {"a"});
        append(p, recast{{9, 2, 2}}, {}, {"b"});
        append(p, recast{{1, 9, 4}}, {}, {"c"});
        append(p, by_entries{}, {}, {"d"});
        append(p, recast{{9, 2, 2}}, {}, {"e"});
        append(p, smooth{}, {}, {"f"});
        append(p, first{}, {}, {"y"});
    });
    CHECK(has(plan, "a", 9, 9));
    CHECK(has(plan, "b", 9, 9));
    CHECK(blob(plan, "c").dimensions == shape{1, 9, 4});
    CHECK(blob(plan, "d").dimensions == shape{1, 1, 4});
    CHECK(blob(plan, "d").entries == 9);
    CHECK(step(plan, "d").shortens == 2);
    CHECK(has(plan, "e", 1, 9));
    CHECK(has(plan, "f", 1, 9));
}

TEST_CASE("a blob of other entries, or one that goes with each of them, is read whole") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {9, 4});
        p.input("one", {1, 4});
        p.input("none", {4});
        append(p, by_entries{}, {"x", "one"}, {"a"});
        append(p, by_entries{}, {"a", "none"}, {"b"});
        append(p, first{}, {}, {"y"});
    });
    CHECK(has(plan, "a", 1, 9));
    CHECK(has(plan, "b", 1, 9));
    CHECK(plan.view().shape_read(0, 1) == shape{1, 4});
    CHECK(plan.view().shape_read(1, 1) == shape{4});
    // so that the entries of its own, of which it is made, stay
    const bespoke::plan made = planned([](planner& p) {
        p.input("x", {9, 28});
        p.input("z", {1, 28});
        append(p, by_entries{28}, {"z"}, {"one"});
        append(p, by_entries{28}, {"x", "one"}, {"a"});
        append(p, first{2}, {}, {"y"});
    });
    CHECK(blob(made, "a").dimensions == shape{2, 28});
    CHECK(blob(made, "one").dimensions == shape{1, 28});
    const auto other = [](const shape& beside) {
        return planned([&](planner& p) {
            p.input("x", {9, 4});
            p.input("z", beside);
            append(p, by_entries{}, {"x", "z"}, {"a"});
            append(p, first{}, {}, {"y"});
        });
    };
    CHECK(has(other({9, 1}), "a", 1, 9));
    CHECK(has(other({3, 4}), "a", 9, 9));
    CHECK(has(other({2, 9, 4}), "a", 9, 9));
    // A recast whose entries are others.
    CHECK(has(planned([](planner& p) {
                  p.input("x", {9, 4});
                  append(p, by_entries{}, {}, {"a"});
                  append(p, recast{{4, 9}}, {}, {"b"});
                  append(p, first{}, {}, {"y"});
              }),
              "a", 9, 9));
}

TEST_CASE("what has to be whole") {
    const auto whole = [](const auto& tell) {
        return has(planned([&](planner& p) {
                       p.input("x", {9, 4});
                       tell(p);
                   }),
                   "a", 9, 9);
    };
    const auto shortened = [](planner& p) {
        append(p, by_entries{}, {"x"}, {"a"});
        append(p, first{}, {"a"}, {"y"});
    };
    CHECK_FALSE(whole(shortened));
    // an output
    CHECK(whole([&](planner& p) { shortened(p); p.output("y"); p.output("a"); }));
    // what nobody reads
    CHECK(whole([&](planner& p) {
        append(p, by_entries{}, {"x"}, {"a"});
        append(p, first{}, {"x"}, {"y"});
    }));
    // what a layer reads that says nothing, or its own other reader
    CHECK(whole([&](planner& p) { shortened(p); append(p, reshaped{{3}}, {"a"}, {"z"}); }));
    // what is overwritten
    CHECK(whole([&](planner& p) {
        shortened(p);
        append(p, copied{}, {"x"}, {"a"});
        append(p, first{}, {"a"}, {"z"});
    }));
    // what is read or written in a loop or branch
    CHECK(whole([&](planner& p) {
        shortened(p);
        add_loop(p, [&](std::size_t) { append(p, smooth{}, {"a"}, {"b"}); });
        p.output("y");
    }));
    CHECK(whole([&](planner& p) {
        add_loop(p, [&](std::size_t) { append(p, by_entries{}, {"x"}, {"a"}); });
        append(p, first{}, {"a"}, {"y"});
    }));
    // shapes that are decided in the run
    CHECK(whole([&](planner& p) {
        p.input("n", {1});
        shortened(p);
        append(p, stretched{}, {"n"}, {"b"});
    }));
    // one entry, and none, or some of nothing
    CHECK(has(planned([](planner& p) {
                  p.input("x", {9, 0});
                  append(p, smooth{}, {}, {"a"});
                  append(p, by_entries{0}, {}, {"b"});
                  append(p, recast{{9, 0}}, {}, {"c"});
                  append(p, first{}, {}, {"y"});
              }),
              "c", 1, 9));
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {1, 1});
        p.input("empty", {0, 4});
        append(p, by_entries{1}, {"x"}, {"a"});
        append(p, by_entries{4}, {"empty"}, {"b"});
        append(p, by_entries{4}, {"b"}, {"y"});
    });
    CHECK(has(plan, "a", 1, 1));
    CHECK(has(plan, "b", 0, 0));
}
