#include <bespoke/graph/fusion.hpp>
#include <bespoke/graph/inspect.hpp>

#include "graph_test.hpp"

using namespace graph_test;

namespace fusion_test {

constexpr extent large = bespoke::unrolled_elements + 1;

/// One input to its own shape, and calls the epilogue.
struct producer {
    static constexpr auto key = "producer";
    constexpr void fields(auto&) {}
    static constexpr bool runs_epilogue = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const producer&, const producer&) = default;
};

/// Two inputs; finishes either.
struct sum {
    static constexpr auto key = "sum";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 2};
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    constexpr bool finishes(std::span<const shape>) const { return true; }
    friend bool operator==(const sum&, const sum&) = default;
};

/// Two inputs to the shape of the first, and gives its rows.
struct giver {
    static constexpr auto key = "giver";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{1, 2};
    static constexpr bool batched = true, runs_epilogue = true;
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    constexpr bool gives_rows(std::span<const shape>) const { return true; }
    friend bool operator==(const giver&, const giver&) = default;
};

/// One input to its own shape, and gives its planes.
struct plane_giver {
    static constexpr auto key = "planeGiver";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true, runs_epilogue = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr bool gives_planes(std::span<const shape>) const { return true; }
    friend bool operator==(const plane_giver&, const plane_giver&) = default;
};

/// Takes the planes of its input, and gives its own.
struct plane_taker {
    static constexpr auto key = "planeTaker";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true, runs_epilogue = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr bool gives_planes(std::span<const shape>) const { return true; }
    constexpr bool takes_planes(std::span<const shape>) const { return true; }
    friend bool operator==(const plane_taker&, const plane_taker&) = default;
};

/// Finishes rows.
struct row_finisher {
    static constexpr auto key = "rowFinisher";
    constexpr void fields(auto&) {}
    static constexpr bool in_place = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr bool finishes_rows(std::span<const shape> xs) const { return xs[0].rank() == 2; }
    friend bool operator==(const row_finisher&, const row_finisher&) = default;
};

/// Two inputs to `to`, takes the rows of the first.
struct taker {
    shape to;

    static constexpr auto key = "taker";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 2};
    static constexpr bool runs_epilogue = true;
    constexpr outcome output_shape(std::span<const shape>) const { return to; }
    constexpr bool takes_rows(std::span<const shape> xs) const { return xs[0].rank() == 2; }
    friend bool operator==(const taker&, const taker&) = default;
};

}  // namespace fusion_test

using namespace fusion_test;

namespace {

/// "head>step>step" for each chain.
std::vector<std::string> chains(const bespoke::plan& plan) {
    const auto p = plan.view();
    std::vector<std::string> all;
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (p.steps[s].head != planner::npos || p.steps[s].next == planner::npos) continue;
        std::string text(p[p.steps[s].name]);
        for (std::size_t next = p.steps[s].next; next != planner::npos; next = p.steps[next].next) {
            CHECK(p.steps[next].head == s);
            text += ">" + std::string(p[p.steps[next].name]);
        }
        CHECK(p.tail_of(s) != s);
        all.push_back(text);
    }
    return all;
}
template <class Tell>
std::vector<std::string> chains_of(const Tell& tell, extent size = large) {
    return chains(planned([&](planner& p) {
        p.input("x", {size});
        p.input("z", {size});
        tell(p);
    }));
}
using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("what finishes the result that it alone reads is an epilogue, one behind the other") {
    CHECK(chains_of([](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              append(p, smooth{}, {}, {}, "a");
              append(p, smooth{}, {}, {}, "b");
              append(p, reshaped{{1, large}}, {}, {}, "r");
              append(p, smooth{}, {}, {}, "c");
          }) == strings{"p>a>b"});
    CHECK(chains_of([](planner& p) {
              append(p, smooth{}, {"x"}, {}, "a");
              append(p, smooth{}, {}, {}, "b");
              append(p, producer{}, {}, {}, "p");
              append(p, smooth{}, {}, {}, "c");
          }) == strings{"a>b", "p>c"});
}

TEST_CASE("an epilogue waits for all its inputs: it belongs to the last that is made") {
    CHECK(chains_of([](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              append(p, producer{}, {"z"}, {}, "q");
              append(p, sum{}, {"q", "p"}, {}, "s");
              append(p, smooth{}, {}, {}, "a");
          }) == strings{"q>s>a"});
    CHECK(chains_of([](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              append(p, sum{}, {"z", "p"}, {}, "s");
          }) == strings{"p>s"});
    // q is made while the chain of p is still open: it is not there when p runs
    CHECK(chains_of([](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              append(p, reshaped{{large}}, {"z"}, {}, "q");
              append(p, smooth{}, {"p"}, {}, "a");
              append(p, sum{}, {"q", "a"}, {}, "s");
          }) == strings{"p>a"});
}

TEST_CASE("an epilogue does not read an input before a later step has written over it") {
    CHECK(chains_of([](planner& p) {
              p.input("u", {large});
              append(p, producer{}, {"x"}, {}, "p");
              append(p, copied{}, {"u"}, {"z"});
              append(p, sum{}, {"z", "p"}, {}, "s");
          }).empty());
    CHECK(chains_of([](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              add_loop(p, [&](std::size_t) {
                  append(p, smooth{}, {"z"}, {}, "next");
                  append(p, copied{}, {"next"}, {"z"});
              });
              append(p, sum{}, {"p", "z"}, {}, "s");
          }).empty());
    // nor where it would end a chain of rows
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {30, 30});
        p.input("v", {30, 2});
        p.input("u", {30, 2});
        append(p, giver{}, {"x"}, {}, "g");
        append(p, copied{}, {"u"}, {"v"});
        append(p, row_finisher{}, {"g"}, {}, "r");
        append(p, taker{{30, 2}}, {"r", "v"}, {}, "y");
    });
    CHECK(chains(plan).empty());
}

TEST_CASE("no epilogue where somebody else looks, or where it does not pay") {
    const auto two = [](planner& p) {
        append(p, producer{}, {"x"}, {}, "p");
        append(p, smooth{}, {"p"}, {}, "a");
    };
    CHECK(chains_of(two) == strings{"p>a"});
    CHECK(chains_of(two, large - 1).empty());
    CHECK(chains_of([&](planner& p) {
              two(p);
              p.output("p");
              p.output("a");
          }).empty());
    CHECK(chains_of([&](planner& p) {
              two(p);
              append(p, reshaped{{large}}, {"p"}, {}, "b");
          }).empty());
    CHECK(chains_of([&](planner& p) {
              append(p, producer{}, {"x"}, {}, "p");
              append(p, sum{}, {"p", "p"}, {}, "s");
          }).empty());
    CHECK(chains_of([&](planner& p) {
              two(p);
              append(p, copied{}, {"z"}, {"p"});
          }).empty());
    CHECK(chains_of([&](planner& p) {  // a loop comes back to it
              add_loop(p, [&](std::size_t) { two(p); });
              append(p, reshaped{{large}}, {"z"}, {}, "out");
          }).empty());
    CHECK(chains_of([&](planner& p) {  // the input of a network is nobody's result
              append(p, sum{}, {"x", "z"}, {}, "s");
          }).empty());
}

TEST_CASE("an epilogue leaves its blobs one place, and what it reads alive until its head has run") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {large});
        append(p, reshaped{{large}}, {"x"}, {}, "early");
        append(p, reshaped{{large}}, {"early"}, {}, "between");
        append(p, producer{}, {"between"}, {}, "p");
        append(p, smooth{}, {}, {}, "a");
        append(p, sum{}, {"a", "early"}, {}, "s");
        append(p, reshaped{{large}}, {}, {}, "out");
    });
    REQUIRE(chains(plan) == strings{"p>a>s"});
    CHECK(blob(plan, "p").offset == blob(plan, "s").offset);
    CHECK(blob(plan, "a").offset == blob(plan, "s").offset);
    CHECK(blob(plan, "s").first == 2);
    CHECK(blob(plan, "early").offset != blob(plan, "s").offset);
    CHECK(blob(plan, "between").offset != blob(plan, "s").offset);
    CHECK(blob(plan, "early").offset != blob(plan, "between").offset);
}

namespace {

constexpr shape square{30, 30}, narrow{30, 2};

bespoke::plan attention(const auto& tell) {
    return planned([&](planner& p) {
        p.input("x", square);
        p.input("z", square);
        p.input("v", {30, 2});
        tell(p);
    });
}

}  // namespace

TEST_CASE("a chain of whole rows ends where they are multiplied, and is nowhere in memory") {
    const auto middle = [](planner& p) {
        append(p, reshaped{square}, {"x"}, {}, "q");
        append(p, giver{}, {"q", "z"}, {}, "scores");
        append(p, smooth{}, {}, {}, "scaled");
        append(p, sum{}, {"z", "scaled"}, {}, "masked");
        append(p, row_finisher{}, {}, {}, "shares");
    };
    const bespoke::plan plan = attention([&](planner& p) {
        middle(p);
        append(p, smooth{}, {}, {}, "kept");
        append(p, taker{narrow}, {"kept", "v"}, {}, "y");
        append(p, smooth{}, {}, {}, "behind");
    });
    REQUIRE(chains(plan) == strings{"scores>scaled>masked>shares>kept>y"});
    for (const char* name : {"scores", "scaled", "masked", "shares", "kept"}) {
        INFO(name);
        CHECK(blob(plan, name).streamed);
        CHECK(blob(plan, name).offset >= plan.arena_size);
        CHECK(blob(plan, name).offset + square.size() <= plan.whole_size);
    }
    CHECK(plan.whole_size == plan.arena_size + bespoke::aligned_size<float>(square.size()));
    CHECK_FALSE(blob(plan, "y").streamed);
    CHECK(blob(plan, "y").first == plan.view().find_step("scores"));
    for (const char* name : {"q", "z", "v"}) {
        INFO(name);
        CHECK_FALSE(overlap(blob(plan, name), blob(plan, "y")));  // read as long as it is written
    }
    CHECK(plan.arena_size == 3 * bespoke::aligned_size<float>(square.size()) + bespoke::aligned_size<float>(60));
    const auto p = plan.view();
    CHECK(p.steps[p.find_step("y")].streams);
    CHECK_FALSE(p.steps[p.find_step("shares")].streams);
    CHECK(bespoke::largest_live_set(p) == plan.arena_size * 4);

    const bespoke::plan whole = attention([&](planner& q) {  // somebody looks at the shares
        middle(q);
        append(q, taker{narrow}, {"shares", "v"}, {}, "y");
        append(q, taker{narrow}, {"shares", "y"}, {}, "again");
    });
    CHECK(chains(whole) == strings{"scores>scaled>masked"});
    CHECK(whole.whole_size == whole.arena_size);
}

TEST_CASE("no such chain where something is missing") {
    const auto found = [](const auto& tell) {
        for (const auto& step : attention(tell).steps)
            if (step.streams) return true;
        return false;
    };
    CHECK(found([](planner& p) {
        append(p, giver{}, {"x"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // nothing finishes rows
        append(p, giver{}, {"x"}, {}, "g");
        append(p, smooth{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // nothing gives them
        append(p, producer{}, {"x"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // a single row
        append(p, reshaped{{1, 900}}, {"x"}, {}, "one");
        append(p, giver{}, {"one"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // small
        append(p, reshaped{{16, 32}}, {"x"}, {}, "small");
        append(p, giver{}, {"small"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // the other input comes later
        append(p, giver{}, {"x"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, reshaped{narrow}, {"v"}, {}, "late");
        append(p, taker{narrow}, {"r", "late"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // it is the second input
        append(p, giver{}, {"x"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"x", "r"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {  // what gives them gives none that depend on an example
        append(p, given{square}, {}, {"constant"});
        append(p, giver{}, {"constant"}, {}, "g");
        append(p, row_finisher{}, {}, {}, "r");
        append(p, taker{narrow}, {"r", "v"}, {}, "y");
    }));
    CHECK_FALSE(found([](planner& p) {
        add_loop(p, [&](std::size_t) {
            append(p, giver{}, {"x"}, {}, "g");
            append(p, row_finisher{}, {}, {}, "r");
            append(p, taker{narrow}, {"r", "v"}, {}, "y");
        });
        append(p, reshaped{{1}}, {"x"}, {}, "out");
    }));
}

namespace {

/// "giver>taker" for each pair that runs together.
template <class Tell>
strings pairs_of(const Tell& tell, const shape& size = {3, 20, 20}) {
    const bespoke::plan plan = planned([&](planner& p) {
        p.input("x", size);
        p.input("z", size);
        tell(p);
    });
    const auto p = plan.view();
    strings all;
    for (const auto& step : p.steps)
        if (step.takes_from != planner::npos) {
            CHECK(p.steps[step.takes_from].feeds);
            all.push_back(std::string(p[p.steps[step.takes_from].name]) + ">" + std::string(p[step.name]));
        }
    return all;
}

}  // namespace

TEST_CASE("planes that one layer alone takes are nowhere in memory") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {3, 20, 20});
        p.input("z", {3, 20, 20});
        append(p, reshaped{{3, 20, 20}}, {"x"}, {}, "r");
        append(p, plane_giver{}, {}, {}, "g");
        append(p, smooth{}, {}, {}, "a");
        append(p, sum{}, {"a", "z"}, {}, "s");
        append(p, plane_taker{}, {}, {}, "t");
        append(p, smooth{}, {}, {}, "b");
    });
    CHECK(chains(plan) == strings{"g>a>s", "t>b"});
    for (const char* name : {"g", "a", "s"}) {
        INFO(name);
        CHECK(blob(plan, name).streamed);
        CHECK(blob(plan, name).offset == plan.arena_size);
    }
    CHECK(plan.whole_size == plan.arena_size + bespoke::aligned_size<float>(1200));
    CHECK_FALSE(blob(plan, "t").streamed);
    for (const char* name : {"r", "z"}) {
        INFO(name);
        CHECK_FALSE(overlap(blob(plan, name), blob(plan, "b")));  // read as long as it is written
    }
    CHECK(plan.arena_size == 3 * bespoke::aligned_size<float>(1200));
}

TEST_CASE("no planes are taken where something is missing") {
    const auto pair = [](planner& p) {
        append(p, plane_giver{}, {"x"}, {}, "g");
        append(p, plane_taker{}, {"g"}, {}, "t");
    };
    CHECK(pairs_of(pair) == strings{"g>t"});
    CHECK(pairs_of(pair, {2, 16, 16}).empty());  // small
    CHECK(pairs_of([&](planner& p) {  // who takes does not give to a third
              pair(p);
              append(p, plane_taker{}, {}, {}, "again");
          }) == strings{"g>t"});
    CHECK(pairs_of([](planner& p) {  // nothing gives them
              append(p, producer{}, {"x"}, {}, "g");
              append(p, plane_taker{}, {}, {}, "t");
          }).empty());
    CHECK(pairs_of([](planner& p) {  // what lies between is no epilogue
              append(p, plane_giver{}, {"x"}, {}, "g");
              append(p, reshaped{{3, 20, 20}}, {}, {}, "r");
              append(p, plane_taker{}, {}, {}, "t");
          }).empty());
    CHECK(pairs_of([](planner& p) {  // something runs between them
              append(p, plane_giver{}, {"x"}, {}, "g");
              append(p, reshaped{{3, 20, 20}}, {"z"}, {}, "r");
              append(p, plane_taker{}, {"g"}, {}, "t");
          }).empty());
    CHECK(pairs_of([&](planner& p) {  // somebody else looks
              pair(p);
              p.output("g");
              p.output("t");
          }).empty());
    CHECK(pairs_of([&](planner& p) {
              pair(p);
              append(p, sum{}, {"g", "t"}, {}, "s");
          }).empty());
    CHECK(pairs_of([](planner& p) {  // the planes of an input, and of a constant
              append(p, plane_taker{}, {"x"}, {}, "t");
              append(p, given{{3, 20, 20}}, {}, {"constant"});
              append(p, plane_giver{}, {"constant"}, {}, "g");
              append(p, plane_taker{}, {}, {}, "u");
          }).empty());
    CHECK(pairs_of([&](planner& p) {
              add_loop(p, [&](std::size_t) { pair(p); });
              append(p, reshaped{{1}}, {"x"}, {}, "out");
          }).empty());
}
