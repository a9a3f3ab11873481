#include <bespoke/core/random.hpp>
#include <bespoke/graph/planner.hpp>

#include "graph_test.hpp"

#include <functional>

using namespace graph_test;
using bespoke::errc;

namespace {

std::string after_input(const std::function<void(planner&)>& tell) {
    return problem([&](planner& p) {
        p.input("x", {4});
        tell(p);
    });
}
errc code_after_input(const std::function<void(planner&)>& tell) {
    planner p;
    p.input("x", {4});
    tell(p);
    p.finish();
    REQUIRE(p.failed());
    return p.problem().code;
}

}  // namespace

// --- names and edges --------------------------------------------------------------------------------------

TEST_CASE("a layer reads the one before and is called after its key and number") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, reshaped{{2, 2}});
        append(p, weighted{}, {}, {}, "w");
        append(p, smooth{}, {}, {"out"});
    });
    const auto v = plan.view();
    CHECK(name_of(plan, v.inputs_of(0)[0]) == "x");
    CHECK(name_of(plan, v.outputs_of(0)[0]) == "reshaped_0");
    CHECK(name_of(plan, v.inputs_of(1)[0]) == "reshaped_0");
    CHECK(name_of(plan, v.outputs_of(1)[0]) == "w");
    CHECK(name_of(plan, v.outputs_of(2)[0]) == "out");
    CHECK(v[v.steps[2].name] == "smooth_2");
    REQUIRE(v.outputs.size() == 1);
    CHECK(name_of(plan, v.outputs[0]) == "out");
    CHECK(blob(plan, "reshaped_0").dimensions == shape{2, 2});
    CHECK(v[v.steps[1].place] == "layers/1 \"w\" (weighted)");
}

TEST_CASE("named edges make any graph") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        p.input("y", {4});
        append(p, smooth{}, {"x"}, {"a"});
        append(p, smooth{}, {"x"}, {"b"});
        append(p, joined{}, {"b", "a", "y"}, {"c"});
        p.output("c");
        p.output("b");
    });
    const auto v = plan.view();
    REQUIRE(v.inputs.size() == 2);
    CHECK(name_of(plan, v.inputs_of(2)[0]) == "b");
    CHECK(name_of(plan, v.inputs_of(2)[1]) == "a");
    CHECK(name_of(plan, v.inputs_of(2)[2]) == "y");
    REQUIRE(v.outputs.size() == 2);
    CHECK(name_of(plan, v.outputs[1]) == "b");
}

TEST_CASE("prefixes: written inside, looked for from the inside out") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, smooth{}, {}, {"far"});
        p.prefixed(bespoke::sentence("a.0"), [&] {
            append(p, smooth{}, {"x"}, {}, "near");
            append(p, smooth{}, {"far"}, {"other"});
            p.prefixed(bespoke::sentence("b.1"), [&] {
                append(p, joined{}, {"near", "far"}, {}, "deep");
                append(p, smooth{}, {"other"}, {"far"});
                append(p, smooth{}, {"far"}, {"last"});
            });
            append(p, smooth{}, {"far"}, {"near_end"});
        });
    });
    const auto v = plan.view();
    CHECK(v.find_blob("a.0.near") != bespoke::blob_facts::npos);
    const std::size_t deep = v.find_step("a.0.b.1.deep");
    REQUIRE(deep != bespoke::blob_facts::npos);
    CHECK(name_of(plan, v.inputs_of(deep)[0]) == "a.0.near");
    CHECK(name_of(plan, v.inputs_of(deep)[1]) == "far");
    CHECK(name_of(plan, v.inputs_of(deep + 1)[0]) == "a.0.other");
    CHECK(name_of(plan, v.inputs_of(deep + 2)[0]) == "a.0.b.1.far");
    CHECK(name_of(plan, v.inputs_of(deep + 3)[0]) == "far");
    CHECK(v[v.steps[1].name] == "a.0.near");
    CHECK(v[v.steps[2].name] == "a.0.smooth_2");
}

TEST_CASE("parameters are listed and aligned") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {5});
        p.add(weighted{3}, "w", {}, {}, true);
        append(p, weighted{2});
    });
    REQUIRE(plan.parameters.size() == 4);
    CHECK(plan.parameters[0].dimensions == shape{3, 5});
    CHECK(plan.parameters[0].start == bespoke::initial::glorot);
    CHECK(plan.parameters[1].offset == 16);
    CHECK_FALSE(plan.parameters[1].learned);
    CHECK(plan.parameters[2].step == 1);
    CHECK(plan.parameters[2].offset == 32);
    CHECK(plan.parameters_size == 64);
    CHECK(plan.steps[0].updatable);
    CHECK_FALSE(plan.steps[1].updatable);
}

// --- lifetimes and places -----------------------------------------------------------------------------------

TEST_CASE("what depends on no input is stored once") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, given{{4}}, {}, {"g"});
        append(p, smooth{}, {"g"}, {"h"});
        append(p, joined{}, {"x", "h"}, {"y"});
    });
    CHECK_FALSE(blob(plan, "g").per_example);
    CHECK_FALSE(blob(plan, "h").per_example);
    CHECK(blob(plan, "y").per_example);
    CHECK(plan.shared_size > 0);
}

TEST_CASE("what depends on the shapes of its inputs alone is stored once") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, extents_of{}, {}, {"g"});
        append(p, smooth{}, {"g"}, {"h"});
        append(p, joined{}, {"x", "h"}, {"y"});
    });
    CHECK_FALSE(blob(plan, "g").per_example);
    CHECK_FALSE(blob(plan, "h").per_example);
    CHECK(blob(plan, "y").per_example);
}

TEST_CASE("what a loop or a branch writes is stored for each example") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("c", {1});
        append(p, given{{4}}, {}, {"g"});
        add_branch(p, "c", [&] { append(p, smooth{}, {"g"}, {"h"}); }, [&] { append(p, smooth{}, {"g"}, {"h"}); });
        add_loop(p, [&](std::size_t) { append(p, smooth{}, {"g"}, {"l"}); });
        p.output("l");
    });
    CHECK_FALSE(blob(plan, "g").per_example);
    CHECK(blob(plan, "h").per_example);
    CHECK(blob(plan, "l").per_example);
}

TEST_CASE("a constant that a loop overwrites is stored for each example from its first writer on") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, given{{4}}, {}, {"first"});
        append(p, joined{2}, {"first", "first"}, {"counter", "beside"});
        append(p, smooth{}, {"counter"}, {"early"});
        add_loop(p, [&](std::size_t) {
            append(p, joined{}, {"counter", "x"}, {"next"});
            append(p, copied{}, {"next"}, {"counter"});
        });
        p.output("counter");
    });
    CHECK(blob(plan, "counter").per_example);
    CHECK(blob(plan, "beside").per_example);
    CHECK_FALSE(blob(plan, "first").per_example);
    CHECK_FALSE(blob(plan, "early").per_example);
}

// --- known values -------------------------------------------------------------------------------------------

TEST_CASE("the values of a blob may decide the shape of another") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, number{3}, {}, {"three"});
        append(p, increased{}, {"three"}, {"four"});
        append(p, stretched{}, {"four"}, {"y"});
        add_loop(p, [&](std::size_t) { append(p, stretched{}, {"three"}, {"z"}); });
        p.output("y");
    });
    CHECK(blob(plan, "y").dimensions == shape{4});
    CHECK(blob(plan, "z").dimensions == shape{3});
}

TEST_CASE("what is overwritten is not known any more, nor was it where that is done in a loop") {
    const auto is_open = [](const std::function<void(planner&)>& tell, std::string_view name) {
        const bespoke::plan plan = planned([&](planner& p) {
            p.input("x", {1});
            p.input("c", {1});
            tell(p);
        });
        CHECK(plan.open == blob(plan, name).open.any);
        return blob(plan, name).open.any;
    };
    CHECK(is_open([](planner& p) { append(p, stretched{}, {"x"}, {"y"}); }, "y"));
    const auto counted = [&](bool before, bool behind, std::string_view name) {
        return is_open([=](planner& p) {
            append(p, number{3}, {}, {"n"});
            if (before) append(p, stretched{}, {"n"}, {"y"});
            add_loop(p, [&](std::size_t) {
                append(p, increased{}, {"n"}, {"next"});
                append(p, copied{}, {"next"}, {"n"});
            });
            if (behind) append(p, stretched{}, {"n"}, {"z"});
            p.output("n");
        }, name);
    };
    CHECK_FALSE(counted(false, false, "n"));
    CHECK(counted(true, false, "y"));
    CHECK(counted(false, true, "z"));
    // outside of loops nothing comes back to what it has decided
    const auto overwritten = [](bool behind, auto... branch) {
        return [=](planner& p) {
            append(p, number{3}, {}, {"n"});
            append(p, stretched{}, {"n"}, {"y"});
            const auto copy = [&] { append(p, copied{}, {"x"}, {"n"}); };
            if constexpr (sizeof...(branch) > 0) add_branch(p, branch..., copy, [] {});
            else copy();
            if (behind) append(p, stretched{}, {"n"}, {"z"});
            p.output("y");
        };
    };
    CHECK_FALSE(is_open(overwritten(false), "y"));
    CHECK_FALSE(is_open(overwritten(false, "c"), "y"));
    CHECK(is_open(overwritten(true), "z"));
    CHECK(is_open(overwritten(true, "c"), "z"));
    // a loop may not run at all
    CHECK(is_open([](planner& p) {
              add_loop(p, [&](std::size_t) { append(p, number{3}, {}, {"n"}); });
              append(p, stretched{}, {"n"}, {"y"});
          }, "y"));
    // each side of a branch has its own
    CHECK(is_open([](planner& p) {
              add_branch(
                  p, "c", [&] { append(p, number{3}, {}, {"n"}); }, [&] { append(p, number{4}, {}, {"n"}); });
              append(p, stretched{}, {"n"}, {"y"});
          }, "y"));
}

TEST_CASE("what follows from an open shape is open, with what is known of it all the same") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, stretched{}, {"x"}, {"y"});
        append(p, smooth{}, {"y"}, {"z"});
        append(p, reshaped{{2, 3}}, {"z"}, {"fixed"});
        append(p, weighted{}, {"fixed"}, {}, "w");
        append(p, joined{2}, {"z", "z"}, {"a", "b"}, "two");
        append(p, smooth{}, {"x"}, {"apart"});
        p.output("b");
    });
    CHECK(plan.open);
    CHECK(plan.view().open);
    CHECK(blob(plan, "z").open == bespoke::open_shape{true, false, 1});
    CHECK(blob(plan, "b").open.has(0));
    CHECK(blob(plan, "fixed").open == bespoke::open_shape{true, false, 0});
    CHECK(blob(plan, "fixed").dimensions == shape{2, 3});
    CHECK(plan.parameters[0].dimensions == shape{3, 6});
    CHECK_FALSE(blob(plan, "apart").open.any);
    CHECK(plan.steps[0].open);
    CHECK(plan.steps[3].open);
    CHECK_FALSE(plan.steps[5].open);
    CHECK(plan.steps[0].values_from == 0);
    CHECK(plan.steps[1].values_from == planner::npos);
    // the arena is for the others
    CHECK(plan.arena_size == bespoke::aligned_size<float>(4));
    CHECK(problem([](planner& p) {
              p.input("x", {4});
              append(p, stretched{}, {"x"}, {"y"});
              append(p, weighted{}, {"y"}, {}, "w");
          }) ==
          "layers/1 \"w\" (weighted): the shape of its weights follows from that of an input, which is decided in "
          "the run: it has to be known before");
}

TEST_CASE("a blob that a loop or branch writes with another shape is open from the beginning on") {
    const bespoke::plan loop = planned([](planner& p) {
        p.input("x", {4});
        p.input("z", {5});
        append(p, smooth{}, {"z"}, {"y"});
        append(p, smooth{}, {"y"}, {"before"});
        add_loop(p, [&](std::size_t) {
            append(p, smooth{}, {"y"}, {"read"});
            append(p, copied{}, {"x"}, {"y"});
        });
        p.output("read");
    });
    for (const char* name : {"y", "before", "read"})
        CHECK(blob(loop, name).open == bespoke::open_shape{true, false, 1});
    CHECK_FALSE(blob(loop, "x").open.any);
    const bespoke::plan branch = planned([](planner& p) {
        p.input("c", {1});
        p.input("x", {4});
        p.input("z", {2, 2});
        add_branch(
            p, "c", [&] { append(p, copied{}, {"x"}, {"y"}); }, [&] { append(p, copied{}, {"z"}, {"y"}); });
        p.output("y");
    });
    CHECK(blob(branch, "y").open == bespoke::open_shape::all());
    // an input too
    CHECK(blob(planned([](planner& p) {
                   p.input("x", {4});
                   p.input("z", {5});
                   add_loop(p, [&](std::size_t) { append(p, copied{}, {"x"}, {"z"}); });
                   p.output("z");
               }),
               "z")
              .open.has(0));
    // behind a shape of which not even the rank is known, a layer without parameters is not asked
    const auto behind = [](bool weights) {
        return problem([=](planner& p) {
            p.input("c", {1});
            p.input("x", {4});
            p.input("z", {2, 2});
            add_branch(
                p, "c", [&] { append(p, copied{}, {"x"}, {"y"}); }, [&] { append(p, copied{}, {"z"}, {"y"}); });
            if (weights) append(p, weighted{}, {"y"}, {}, "w");
            else append(p, joined{2}, {"y", "x"}, {"a", "b"});
            p.output("y");
        });
    };
    CHECK(behind(false).empty());
    CHECK(behind(true) == "layers/1 \"w\" (weighted): the shape of its weights follows from that of an input, which is "
                          "decided in the run: it has to be known before");
}

// --- branches -----------------------------------------------------------------------------------------------

TEST_CASE("both sides of a branch may write one blob, at any depth") {
    const auto write = [](planner& p, std::string_view to) { append(p, smooth{}, {"x"}, {to}); };
    CHECK(problem([&](planner& p) {
        p.input("c", {1});
        p.input("x", {4});
        add_branch(
            p, "c", [&] { write(p, "y"); },
            [&] { add_branch(p, "c", [&] { write(p, "y"); }, [&] { write(p, "y"); }); });
        add_branch(
            p, "c",
            [&] {
                add_branch(
                    p, "c", [&] { write(p, "z"); }, [&] { write(p, "z"); });
            },
            [&] { write(p, "z"); });
        append(p, joined{}, {"y", "z"});
    }).empty());
    // only one inner side: not for sure, though the other outer side writes it
    CHECK(problem([&](planner& p) {
        p.input("c", {1});
        p.input("x", {4});
        add_branch(
            p, "c", [&] { add_branch(p, "c", [&] { write(p, "y"); }, [] {}); }, [&] { write(p, "y"); });
        append(p, smooth{}, {"y"});
    }) == "layers/1 (smooth): its input \"y\" is written on one side of a branch only");
    // but it may be read where it was written
    CHECK(problem([&](planner& p) {
        p.input("c", {1});
        p.input("x", {4});
        add_branch(
            p, "c", [&] { add_branch(p, "c", [&] { write(p, "y"); }, [] {}); },
            [&] {
                write(p, "y");
                append(p, smooth{}, {"y"}, {"of_y"});
            });
        p.output("x");
    }).empty());
}

TEST_CASE("what one side of a branch makes is hidden from the other and from what follows") {
    const std::string wanted = ": its input \"y\" is written on one side of a branch only";
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [&] { append(p, smooth{}, {"c"}, {"y"}); }, [&] { append(p, smooth{}, {"y"}); });
    }) == "layers/0/else/layers/0 (smooth)" + wanted);
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [] {}, [&] { append(p, smooth{}, {"c"}, {"y"}); });
        append(p, smooth{}, {"y"});
    }) == "layers/1 (smooth)" + wanted);
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [&] { append(p, smooth{}, {"c"}, {"y"}); }, [] {});
        p.output("y");
    }) == "output \"y\": this blob is written on one side of a branch only");
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [&] { append(p, smooth{}, {"c"}, {"y"}); }, [&] { append(p, reshaped{{2}}, {"c"}, {"y"}); });
    }) == "layers/0/else/layers/0 (reshaped): its output \"y\" has the shape [2], where it was written "
          "before it has [1]");
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [&] { append(p, smooth{}, {"c"}, {"y"}); }, [] {});
        append(p, smooth{}, {"c"}, {"y"});
    }) == "layers/1 (smooth): its output \"y\" is written already");
}

// --- every sentence -------------------------------------------------------------------------------------------

TEST_CASE("what is wrong with inputs and outputs of a network") {
    CHECK(problem([](planner& p) { p.input("", {4}); }) == "input \"\": an input needs a name");
    CHECK(problem([](planner& p) { p.input({}, {4}); }) == "input \"\": an input needs a name");
    CHECK(problem([](planner& p) {
        p.input("x", {4});
        p.input("x", {4});
    }) == "input \"x\": this name is taken already");
    CHECK(problem([](planner& p) { p.input("x", {4, -1}); }) == "input \"x\": extents from 0 up wanted, [4, -1] given");
    CHECK(problem([](planner& p) { p.input("x", {planner::largest, 2}); }) ==
          "input \"x\": extents from 0 up wanted, [1099511627776, 2] given");
    CHECK(after_input([](planner& p) { p.output("y"); }) == "output \"y\": no layer writes a blob of this name");
    CHECK(after_input([](planner&) {}) == "a network needs at least one layer");
    CHECK(problem([](planner&) {}) == "a network needs at least one layer");
    CHECK(after_input([](planner& p) { add_loop(p, [&](std::size_t) { append(p, smooth{}); }); }) ==
          "no output: the last layer writes nothing of its own, so name the blob that is the output of the network");
    CHECK(after_input([](planner& p) { append(p, joined{2}, {"x", "x"}, {"a", "b"}); }) ==
          "no output: the last layer writes several blobs, so name the blob that is the output of the network");
    CHECK(problem([](planner& p) { p.input("x", {0, 3}), append(p, smooth{}); }).empty());
}

TEST_CASE("what is wrong with what a layer reads") {
    CHECK(problem([](planner& p) { append(p, smooth{}); }) ==
          "layers/0 (smooth): no input: there is no layer before it");
    CHECK(after_input([](planner& p) { append(p, smooth{}, {"z"}, {}, "s"); }) ==
          "layers/0 \"s\" (smooth): no layer before it writes its input \"z\"");
    CHECK(code_after_input([](planner& p) { append(p, smooth{}, {"z"}); }) == errc::unknown_name);
    CHECK(after_input([](planner& p) { append(p, smooth{}, {"x", "x"}); }) ==
          "layers/0 (smooth): 1 input wanted, 2 named");
    CHECK(after_input([](planner& p) { append(p, joined{}, {"x"}); }) ==
          "layers/0 (joined): 2 to 3 inputs wanted, 1 named");
    CHECK(after_input([](planner& p) { append(p, given{}, {"x"}); }) == "layers/0 (given): 0 inputs wanted, 1 named");
    CHECK(after_input([](planner& p) {
        add_loop(p, [&](std::size_t) {});
        append(p, smooth{});
    }) == "layers/1 (smooth): no input: the layer before it writes nothing of its own, so the input has to be named");
    CHECK(after_input([](planner& p) {
        append(p, joined{2}, {"x", "x"}, {"a", "b"});
        append(p, smooth{});
    }) == "layers/1 (smooth): no input: the layer before it writes several blobs, so the input has to be named");
    CHECK(problem([](planner& p) { p.add_on(joined{}, "j", {planner::npos, planner::npos}); }) ==
          "layers/0 \"j\" (joined): no input: there is no layer before it");
}

TEST_CASE("what is wrong with what a layer writes") {
    CHECK(after_input([](planner& p) {
        append(p, smooth{}, {}, {}, "s");
        append(p, weighted{}, {}, {}, "s");
    }) == "layers/1 \"s\" (weighted): another layer has this name");
    // each network inside another has names of its own
    const auto twice = [](planner& p) {
        append(p, smooth{}, {}, {"z"}, "s");
        append(p, smooth{}, {"z"}, {}, "s");
    };
    CHECK(after_input([](planner& p) {
        append(p, smooth{}, {}, {"a"}, "s");
        add_loop(p, [&](std::size_t) { append(p, smooth{}, {"a"}, {"b"}, "s"); });
        append(p, smooth{}, {"a"}, {"c"}, "t");
        append(p, smooth{}, {"c"}, {"d"}, "s");
    }) == "layers/3 \"s\" (smooth): another layer has this name");
    CHECK(after_input([&](planner& p) {
        append(p, smooth{}, {}, {"a"}, "s");
        add_loop(p, [&](std::size_t) { twice(p); });
    }).ends_with("layers/1 \"s\" (smooth): another layer has this name"));
    CHECK(code_after_input([](planner& p) {
        append(p, smooth{}, {}, {}, "s");
        append(p, weighted{}, {}, {}, "s");
    }) == errc::duplicate_name);
    CHECK(after_input([](planner& p) { append(p, smooth{}, {}, {"x"}); }) ==
          "layers/0 (smooth): its output \"x\" is written already");
    CHECK(after_input([](planner& p) { append(p, smooth{}, {}, {"a", "b"}); }) ==
          "layers/0 (smooth): 1 output wanted, 2 named");
    CHECK(after_input([](planner& p) { append(p, joined{2}, {"x", "x"}); }) ==
          "layers/0 (joined): 2 outputs wanted, 0 named");
    CHECK(after_input([](planner& p) { append(p, joined{2}, {"x", "x"}, {"a", "a"}); }) ==
          "layers/0 (joined): its output \"a\" is written already");
    CHECK(after_input([](planner& p) { append(p, reshaped{{1 << 30, 1 << 30}}); }) ==
          "layers/0 (reshaped): its output would have the shape [1073741824, 1073741824]");
    CHECK(after_input([](planner& p) { append(p, reshaped{{2, -1}}); }) ==
          "layers/0 (reshaped): its output would have the shape [2, -1]");
    CHECK(after_input([](planner& p) {
        append(p, reshaped{{2}}, {}, {"y"});
        append(p, copied{}, {"x"}, {"y"});
    }) == "layers/1 (copied): its output \"y\" has the shape [4], where it was written before it has [2]");
    CHECK(after_input([](planner& p) { append(p, copied{}, {"x"}, {"x"}); }) ==
          "layers/0 (copied): its output \"x\" is its input");
    CHECK(after_input([](planner& p) { append(p, weighted{-3}); }) ==
          "layers/0 (weighted): its weights would have the shape [-3, 4]");
}

TEST_CASE("what a layer finds wrong carries its place, and only the first fault counts") {
    CHECK(problem([](planner& p) {
        p.input("x", {1313});
        append(p, reshaped{{1}}, {}, {}, "r");
        append(p, smooth{}, {"nowhere"});
    }) == "layers/0 \"r\" (reshaped): anything but 1313 elements wanted, its input has the shape [1313]");

    planner p("/neuralNetwork/");
    p.input("x", {4});
    append(p, smooth{}, {"z"});
    REQUIRE(p.failed());
    CHECK(p.problem().what.view() == "/neuralNetwork/layers/0 (smooth): no layer before it writes its input \"z\"");
}

TEST_CASE("what is wrong inside of control layers") {
    CHECK(after_input([](planner& p) {
        append(p, smooth{});
        add_loop(p, [&](std::size_t) {
            append(p, smooth{}, {"x"});
            add_loop(p, [&](std::size_t) { append(p, smooth{}, {"nowhere"}, {}, "s"); });
        });
    }) == "layers/1/body/layers/1/body/layers/0 \"s\" (smooth): no layer before it writes its "
          "input \"nowhere\"");
    const auto nothing = [](planner&, std::size_t) {};
    CHECK(after_input([&](planner& p) { append(p, controlled<decltype(nothing)>{&nothing}, {}, {"y"}); }) ==
          "layers/0 (controlled): no output wanted, 1 named");
    const auto unknown = [](planner& p, std::size_t step) { p.want_scalar("c", p.watch(step, "c")); };
    CHECK(after_input([&](planner& p) { append(p, controlled<decltype(unknown)>{&unknown}); }) ==
          "layers/0 (controlled): no layer writes \"c\"");
    const auto scalar = [](planner& p, std::size_t step) { p.want_scalar("", p.input_of(step)); };
    CHECK(after_input([&](planner& p) { append(p, controlled<decltype(scalar)>{&scalar}, {"x"}); }) ==
          "layers/0 (controlled): one number wanted in \"x\", its shape is [4]");
    CHECK(problem([](planner& p) {
        p.input("c", {1});
        add_branch(p, "c", [&] { append(p, smooth{}, {"c"}, {"y"}); }, [] {});
        add_loop(p, [&](std::size_t step) { p.want_scalar("y", p.watch(step, "y")); });
    }) == "layers/1 (controlled): its input \"y\" is written on one side of a branch only");
}

TEST_CASE("names have a largest length, and long ones are not mixed up") {
    const std::string fits(bespoke::sentence::capacity, 'n'), too_long = fits + "n";
    CHECK(after_input([&](planner& p) {
        append(p, smooth{}, {}, {}, fits);
        append(p, smooth{}, {fits}, {"y"});
    }).empty());
    const std::string sentence =
        "names of up to 320 characters wanted, one of 321 came: \"" + std::string(60, 'n') + "...\"";
    CHECK(after_input([&](planner& p) { append(p, smooth{}, {}, {}, too_long); }) == sentence);
    CHECK(after_input([&](planner& p) { append(p, smooth{}, {}, {too_long}); }) == sentence);
    CHECK(problem([&](planner& p) { p.input(too_long, {4}); }) == sentence);
    CHECK(after_input([&](planner& p) {
        append(p, smooth{}, {}, {}, fits);
        append(p, smooth{}, {too_long});
    }).find("no layer before it writes its input \"nnn") != std::string::npos);
}

TEST_CASE("a copy writes over what is there, and is logged for the way back") {
    const bespoke::plan plan = planned([](planner& p) {
        p.input("x", {4});
        append(p, smooth{}, {}, {"a"});
        append(p, copied{}, {"x"}, {"fresh"});
        append(p, copied{}, {"a"}, {"x"});
        p.prefixed(bespoke::sentence("inner"), [&] { append(p, copied{}, {"x"}, {"a"}); });
        p.output("x");
    });
    const auto v = plan.view();
    CHECK_FALSE(plan.steps[1].logged);
    CHECK(plan.steps[2].logged);
    CHECK(name_of(plan, v.outputs_of(2)[0]) == "x");
    CHECK(name_of(plan, v.outputs_of(3)[0]) == "a");
    CHECK(plan.blobs.size() == 3);
    CHECK_FALSE(overlap(blob(plan, "x"), blob(plan, "a")));
}
