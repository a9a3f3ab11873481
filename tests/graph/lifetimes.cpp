#include <bespoke/graph/lifetimes.hpp>

#include <bespoke/core/random.hpp>
#include <bespoke/graph/planner.hpp>

#include "graph_test.hpp"

using namespace graph_test;

TEST_CASE("in a chain memory is used again") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {16});
        for (const char* name : {"a", "b", "c", "d"}) append(p, reshaped{{16}}, {}, {}, name);
    });
    CHECK(plan.arena_size == 32);
    CHECK(blob(plan, "b").first == 1);
    CHECK(blob(plan, "b").last == 2);
    CHECK(blob(plan, "d").last == 4);
    CHECK_FALSE(overlap(blob(plan, "a"), blob(plan, "b")));
}

TEST_CASE("a diamond keeps what its other side still reads") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {16});
        append(p, reshaped{{16}}, {"x"}, {"a"});
        append(p, reshaped{{16}}, {"a"}, {"b"});
        append(p, reshaped{{16}}, {"b"}, {"c"});
        append(p, joined{}, {"a", "c"}, {"d"});
    });
    CHECK(blob(plan, "a").last == 3);
    for (const char* name : {"b", "c", "d"}) CHECK_FALSE(overlap(blob(plan, "a"), blob(plan, name)));
    CHECK(plan.arena_size == 48);
}

TEST_CASE("outputs and blobs that nobody reads keep to themselves while they must") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {16});
        p.input("unused", {16});
        append(p, reshaped{{16}}, {"x"}, {"a"});
        append(p, reshaped{{16}}, {"x"}, {"waste"});
        append(p, reshaped{{16}}, {"a"}, {"b"});
        append(p, reshaped{{16}}, {"b"}, {"c"});
        p.output("a");
        p.output("c");
    });
    CHECK(blob(plan, "a").last == 4);
    CHECK_FALSE(overlap(blob(plan, "a"), blob(plan, "b")));
    CHECK_FALSE(overlap(blob(plan, "a"), blob(plan, "c")));
    CHECK_FALSE(overlap(blob(plan, "waste"), blob(plan, "a")));
    CHECK_FALSE(overlap(blob(plan, "unused"), blob(plan, "x")));
}

TEST_CASE("a layer that may works in place, if nobody else wants what it reads") {
    const bespoke::plan chain = planned([](planner& p) {
        p.input("x", {100});
        append(p, smooth{}, {}, {"a"});
        append(p, smooth{}, {}, {"b"});
        append(p, smooth{}, {}, {"c"});
    });
    CHECK(chain.arena_size == 112);
    CHECK(blob(chain, "c").offset == blob(chain, "x").offset);

    const bespoke::plan wanted = planned([](planner& p) {
        p.input("x", {100});
        append(p, smooth{}, {}, {"a"});
        append(p, smooth{}, {"a"}, {"b"});
        append(p, joined{}, {"a", "b"}, {"c"});
    });
    CHECK_FALSE(overlap(blob(wanted, "a"), blob(wanted, "b")));

    const bespoke::plan output = planned([](planner& p) {
        p.input("x", {100});
        append(p, smooth{}, {}, {"a"});
        append(p, smooth{}, {}, {"b"});
        p.output("a");
        p.output("b");
    });
    CHECK_FALSE(overlap(blob(output, "a"), blob(output, "b")));

    const bespoke::plan once = planned([](planner& p) {  // what is stored once is not what each example has
        p.input("x", {100});
        append(p, given{{100}}, {}, {"c"});
        add_loop(p, [&](std::size_t) { append(p, smooth{}, {"c"}, {"d"}); });
        p.output("d");
    });
    CHECK_FALSE(blob(once, "c").per_example);
    CHECK(blob(once, "d").per_example);
}

TEST_CASE("what a loop touches lives as long as the loop") {
    std::size_t loop = 0;
    const bespoke::plan plan = planned([&](planner& p) {
        p.input("x", {16});
        append(p, reshaped{{16}}, {"x"}, {"before"});
        add_loop(p, [&](std::size_t step) {
            loop = step;
            append(p, reshaped{{16}}, {"before"}, {"a"});
            append(p, reshaped{{16}}, {"a"}, {"b"});
            append(p, reshaped{{1}}, {"b"}, {"until"});
            p.watch(step, "until");
            append(p, copied{}, {"b"}, {"before"});
        });
        append(p, reshaped{{16}}, {"b"}, {"after"});
        p.output("after");
    });
    CHECK(plan.steps[loop].end == loop + 5);
    CHECK(name_of(plan, plan.steps[loop].watched) == "until");
    for (const char* name : {"a", "b", "before", "until"}) {
        INFO(name);
        CHECK(blob(plan, name).first <= loop);
        CHECK(blob(plan, name).last >= loop + 4);
        for (const char* other : {"a", "b", "before", "until"})
            if (std::string_view(name) != other) CHECK_FALSE(overlap(blob(plan, name), blob(plan, other)));
    }
    CHECK(blob(plan, "b").last == loop + 5);
    CHECK(blob(plan, "a").last == loop + 4);
    for (std::size_t s = loop + 1; s < loop + 5; ++s) {
        CHECK(plan.steps[s].parent == loop);
        CHECK(plan.steps[s].logged);
    }
    CHECK(plan.steps.back().parent == bespoke::blob_facts::npos);
}

TEST_CASE("what a branch touches lives as long as the branch: its examples may come one by one") {
    std::size_t branch = 0;
    const bespoke::plan plan = planned([&](planner& p) {
        p.input("c", {1});
        p.input("x", {16});
        branch = p.step_count();
        add_branch(
            p, "c",
            [&] {
                append(p, reshaped{{64}}, {"x"}, {"a"});
                append(p, reshaped{{32}}, {"a"}, {"b"});
                append(p, reshaped{{16}}, {"b"}, {"y"});
            },
            [&] { append(p, reshaped{{16}}, {"x"}, {"y"}); });
        p.output("y");
    });
    for (const char* name : {"c", "x", "a", "b", "y"}) {
        INFO(name);
        CHECK(blob(plan, name).first <= branch);
        CHECK(blob(plan, name).last >= branch + 4);
        for (const char* other : {"c", "x", "a", "b", "y"})
            if (std::string_view(name) != other) CHECK_FALSE(overlap(blob(plan, name), blob(plan, other)));
    }
}

TEST_CASE("any two blobs that live at once lie apart") {
    bespoke::philox random(3);
    for (int round = 0; round < 200; ++round) {
        const bespoke::plan plan = planned([&](planner& p) {
            p.input("0", {1 + random.below(40)});
            std::vector<std::string> known{"0"};
            const auto pick = [&]() -> std::string_view {
                return known[random.below(static_cast<std::uint32_t>(known.size()))];
            };
            for (int i = 1; i < 20; ++i) {
                const std::string name = std::to_string(i), from(pick()), other(pick());
                if (random.below(2))
                    append(p, smooth{}, {from}, {name});
                else if (random.below(3) == 0)
                    append(p, joined{}, {from, other}, {name});
                else if (random.below(8) == 0)
                    append(p, given{{1 + random.below(40)}}, {}, {name});
                else
                    append(p, reshaped{{14 + random.below(40)}}, {from}, {name});
                if (p.failed()) FAIL(p.problem().what.view());
                known.push_back(name);
            }
        });
        const auto v = plan.view();
        // The values a correct run would see: each place holds the number of the blob that was written last.
        std::vector<std::size_t> arena(static_cast<std::size_t>(plan.arena_size)),
            shared(static_cast<std::size_t>(plan.shared_size));
        const auto each = [&](std::size_t b, const auto& visit) {
            auto& memory = v.blobs[b].per_example ? arena : shared;
            for (extent i = 0; i < v.blobs[b].dimensions.size(); ++i)
                visit(memory.at(static_cast<std::size_t>(v.blobs[b].offset + i)));
        };
        for (std::size_t b : v.inputs) each(b, [&](std::size_t& place) { place = b; });
        for (std::size_t s = 0; s < v.steps.size(); ++s) {
            for (std::size_t b : v.inputs_of(s)) each(b, [&](std::size_t& place) { REQUIRE(place == b); });
            for (std::size_t b : v.outputs_of(s)) each(b, [&](std::size_t& place) { place = b; });
        }
        for (std::size_t b : v.outputs) each(b, [&](std::size_t& place) { REQUIRE(place == b); });
    }
}

// --- once or for each example ---------------------------------------------------------------------------------
