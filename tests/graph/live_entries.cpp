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
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back > 1 ? back : 0; }
    constexpr bool finishes(std::span<const shape> xs) const { return xs.size() == 2; }
    [[maybe_unused]] friend bool operator==(const by_entries&, const by_entries&) = default;
};

/// x [a, b, c] -> [b, a, c].
struct turned {
    static constexpr auto key = "turned";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return shape{x[1], x[0], x[2]}; }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const {
        return back > 1 ? 5 - back : 0;
    }
    [[maybe_unused]] friend bool operator==(const turned&, const turned&) = default;
};

/// x [.., a, b] and all of another input -> [.., a, `columns`].
struct met {
    extent columns = 4;

    static constexpr auto key = "met";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 2};
    static constexpr bool entries_of_first = true;
    constexpr outcome output_shape(std::span<const shape> xs) const {
        shape y = xs[0];
        y.from_end(1) = columns;
        return y;
    }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back == 2 ? 2 : 0; }
    [[maybe_unused]] friend bool operator==(const met&, const met&) = default;
};

/// x [.., a, b] and all of another input -> [.., a, `columns`], by rows, which the second of three layers finishes.
struct row_giver {
    extent columns = 4;

    static constexpr auto key = "rowGiver";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 2};
    static constexpr bool batched = true, entries_of_first = true;
    constexpr outcome output_shape(std::span<const shape> xs) const { return met{columns}.output_shape(xs); }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back > 1 ? back : 0; }
    constexpr bool gives_rows(std::span<const shape>) const { return true; }
    [[maybe_unused]] friend bool operator==(const row_giver&, const row_giver&) = default;
};
struct share_finisher {
    static constexpr auto key = "rowFinisher";
    constexpr void fields(auto&) {}
    static constexpr bool in_place = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back > 1 ? back : 0; }
    constexpr bool finishes_rows(std::span<const shape>) const { return true; }
    [[maybe_unused]] friend bool operator==(const share_finisher&, const share_finisher&) = default;
};
struct row_taker {
    extent columns = 4;

    static constexpr auto key = "rowTaker";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 2};
    static constexpr bool entries_of_first = true;
    constexpr outcome output_shape(std::span<const shape> xs) const { return met{columns}.output_shape(xs); }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back > 1 ? back : 0; }
    constexpr bool takes_rows(std::span<const shape>) const { return true; }
    [[maybe_unused]] friend bool operator==(const row_taker&, const row_taker&) = default;
};

/// Each entry by itself; says all that a layer can say of how it runs together with others.
struct sociable {
    static constexpr auto key = "sociable";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true, runs_epilogue = true, in_place = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back; }
    constexpr bool finishes(std::span<const shape>) const { return true; }
    constexpr bool concatenates(std::span<const shape>) const { return true; }
    constexpr bool finishes_rows(std::span<const shape>) const { return true; }
    constexpr bool gives_rows(std::span<const shape>) const { return true; }
    constexpr bool takes_rows(std::span<const shape>) const { return true; }
    constexpr bool gives_planes(std::span<const shape>) const { return true; }
    constexpr bool takes_planes(std::span<const shape>) const { return true; }
    [[maybe_unused]] friend bool operator==(const sociable&, const sociable&) = default;
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
    CHECK_THAT(bespoke::inspect(plan.view()), Catch::Contains("[2 of 9, 200]"));
}

namespace {

/// x [9, 8], turned to heads, which meet all of x.
template <class Middle>
bespoke::plan with_heads(extent read, const Middle& middle) {
    return planned([&](planner& p) {
        p.input("x", {9, 8});
        p.input("rows", {1, 9, 9});
        append(p, by_entries{8}, {"x"}, {"query"});
        append(p, recast{{9, 2, 4}}, {}, {"split"});
        append(p, turned{}, {}, {"heads"});
        append(p, met{9}, {"heads", "x"}, {"scores"});
        middle(p);
        append(p, met{4}, {"shares", "x"}, {"mixed"});
        append(p, turned{}, {}, {"back"});
        append(p, recast{{9, 8}}, {}, {"context"});
        append(p, first{read}, {}, {"y"});
    });
}

}  // namespace

TEST_CASE("entries along another axis than the first one: where the layers before have no more of them") {
    const auto plain = [](planner& p) { append(p, by_entries{9}, {"scores"}, {"shares"}); };
    for (extent read : {1, 2}) {
        const bespoke::plan plan = with_heads(read, plain);
        CHECK(blob(plan, "query").dimensions == shape{read, 8});
        CHECK(blob(plan, "split").dimensions == shape{read, 2, 4});
        CHECK(blob(plan, "heads").dimensions == shape{2, read, 4});
        CHECK(blob(plan, "scores").dimensions == shape{2, read, 9});
        CHECK(blob(plan, "shares").dimensions == shape{2, read, 9});
        CHECK(blob(plan, "mixed").dimensions == shape{2, read, 4});
        CHECK(blob(plan, "back").dimensions == shape{read, 2, 4});
        CHECK(blob(plan, "context").dimensions == shape{read, 8});
        for (const char* name : {"query", "heads", "mixed"}) CHECK(blob(plan, name).entries == 9);
        CHECK(step(plan, "query").shortens == 2);
        for (const char* name : {"split", "heads", "scores", "shares", "mixed"}) CHECK(step(plan, name).shortens == 0);
        CHECK(plan.view().shape_read(3, 1) == shape{9, 8});
        CHECK_THAT(bespoke::inspect(plan.view()), Catch::Contains("[2, " + std::to_string(read) + " of 9, 4]"));
    }
    // What goes with each head has its rows one behind the other.
    const bespoke::plan masked =
        with_heads(2, [](planner& p) { append(p, by_entries{9}, {"scores", "rows"}, {"shares"}); });
    CHECK(blob(masked, "query").dimensions == shape{2, 8});
    CHECK(step(masked, "shares").shortens == 2);
    CHECK(masked.view().shape_read(4, 0) == shape{2, 2, 9});
    CHECK(masked.view().shape_read(4, 1) == shape{1, 2, 9});
    // Another reader of the heads needs all, so that all of what is made of them is there.
    const bespoke::plan needed = with_heads(2, [](planner& p) {
        append(p, met{9}, {"x", "heads"}, {"other"});
        append(p, by_entries{9}, {"scores"}, {"shares"});
    });
    for (const char* name : {"query", "context"}) CHECK(blob(needed, name).dimensions == shape{9, 8});
    for (const char* name : {"scores", "shares"}) CHECK(blob(needed, name).dimensions == shape{2, 9, 9});
    // One that reads more of them than the last layer does.
    const bespoke::plan more = with_heads(2, [](planner& p) {
        append(p, recast{{9, 2, 4}}, {"query"}, {"again"});
        append(p, first{3}, {}, {"some"});
        append(p, by_entries{9}, {"scores"}, {"shares"});
    });
    CHECK(blob(more, "query").dimensions == shape{3, 8});
    CHECK(blob(more, "heads").dimensions == shape{2, 3, 4});
    CHECK(blob(more, "context").dimensions == shape{3, 8});
    // Entries along two axes.
    const bespoke::plan both = with_heads(2, [](planner& p) {
        append(p, first{1}, {"scores"}, {"head"});
        append(p, by_entries{9}, {"scores"}, {"shares"});
    });
    CHECK(blob(both, "scores").dimensions == shape{2, 9, 9});
    CHECK(blob(both, "query").dimensions == shape{9, 8});
}

TEST_CASE("rows that are left may run as a chain, a single one is made whole") {
    const auto streams = [](const shape& queries, extent read) {
        const bespoke::plan plan = planned([&](planner& p) {
            p.input("x", queries);
            p.input("z", {600, 4});
            append(p, by_entries{}, {"x"}, {"q"});
            append(p, row_giver{600}, {"q", "z"}, {"scores"});
            append(p, share_finisher{}, {}, {"shares"});
            append(p, row_taker{}, {"shares", "z"}, {"mixed"});
            append(p, first{read}, {}, {"y"});
        });
        CHECK(blob(plan, "scores").entries > 0);
        CHECK(blob(plan, "scores").streamed == step(plan, "mixed").streams);
        return step(plan, "mixed").streams;
    };
    CHECK(streams({9, 4}, 2));
    CHECK_FALSE(streams({9, 4}, 1));
    CHECK(streams({3, 9, 4}, 2));
    CHECK(streams({3, 9, 4}, 1));  // all rows of one matrix
    CHECK_FALSE(streams({3, 1, 4}, 2));
}

TEST_CASE("a step that shortens what it reads runs by itself") {
    for (const bool shortens : {true, false}) {
        const bespoke::plan plan = planned([&](planner& p) {
            p.input("x", {9, 4, 2});
            if (!shortens) append(p, sociable{}, {}, {"before"});
            append(p, sociable{}, {}, {"a"});
            append(p, first{2}, {}, {"y"});
        });
        const bespoke::step_facts& a = step(plan, "a");
        CHECK(blob(plan, "a").dimensions == shape{2, 4, 2});
        CHECK((a.shortens == 3) == shortens);
        CHECK(a.can_finish == !shortens);
        CHECK(a.concatenates == !shortens);
        CHECK((a.rows.finishes && a.rows.gives && a.rows.takes) == !shortens);
        CHECK((a.planes.gives && a.planes.takes) == !shortens);
        CHECK((a.rows.finishes || a.rows.gives || a.rows.takes) == !shortens);
        CHECK((a.planes.gives || a.planes.takes) == !shortens);
    }
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
