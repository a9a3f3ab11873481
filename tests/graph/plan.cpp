#include <bespoke/graph/plan.hpp>

#include "graph_test.hpp"

using namespace graph_test;

namespace {

constexpr planner told() {
    planner p;
    p.input("x", {4});
    append(p, weighted{2}, {}, {}, "w");
    append(p, joined{2}, {"x", "w"}, {"a", "b"}, "two");
    append(p, given{{3}}, {}, {"once"});
    p.output("b");
    p.output("a");
    p.finish();
    return p;
}

struct in_type {
    static constexpr bespoke::plan_sizes n{told().result()};
    static constexpr auto value =
        bespoke::static_plan<n.steps, n.blobs, n.links, n.parameters, n.inputs, n.outputs, n.text>(told().result());
};

}  // namespace

TEST_CASE("a plan is asked by step and by name") {
    const bespoke::plan plan = told().result();
    const bespoke::plan_view v = plan.view();
    REQUIRE(v.steps.size() == 3);
    CHECK(v[v.steps[1].name] == "two");
    CHECK(v.find_step("two") == 1);
    CHECK(v.find_step("three") == bespoke::blob_facts::npos);
    CHECK(v.find_blob("a") != v.find_blob("b"));
    CHECK(v.find_blob("two") == bespoke::blob_facts::npos);
    REQUIRE(v.inputs_of(1).size() == 2);
    CHECK(v.inputs_of(1)[0] == v.find_blob("x"));
    CHECK(v.inputs_of(1)[1] == v.find_blob("w"));
    REQUIRE(v.outputs_of(1).size() == 2);
    CHECK(v.outputs_of(1)[1] == v.find_blob("b"));
    CHECK(v.inputs_of(2).empty());
    CHECK(v.outputs_of(2).size() == 1);
    REQUIRE(v.parameters_of(0).size() == 2);
    CHECK(v.parameters_of(0)[0].name == "weights");
    CHECK(v.parameters_of(1).empty());
    CHECK(v.outputs[0] == v.find_blob("b"));
    CHECK(v.outputs[1] == v.find_blob("a"));
}

TEST_CASE("a plan made by the compiler is the plan made at run time") {
    const bespoke::plan plan = told().result();
    const bespoke::plan_view a = plan.view(), b = in_type::value.view();
    CHECK(std::equal(a.text.begin(), a.text.end(), b.text.begin(), b.text.end()));
    CHECK(std::equal(a.links.begin(), a.links.end(), b.links.begin(), b.links.end()));
    CHECK(std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end()));
    CHECK(std::equal(a.outputs.begin(), a.outputs.end(), b.outputs.begin(), b.outputs.end()));
    CHECK(a.arena_size == b.arena_size);
    CHECK(a.shared_size == b.shared_size);
    CHECK(a.parameters_size == b.parameters_size);
    REQUIRE(a.blobs.size() == b.blobs.size());
    for (std::size_t i = 0; i < a.blobs.size(); ++i) {
        CHECK(a[a.blobs[i].name] == b[b.blobs[i].name]);
        CHECK(a.blobs[i].dimensions == b.blobs[i].dimensions);
        CHECK(a.blobs[i].offset == b.blobs[i].offset);
        CHECK(a.blobs[i].first == b.blobs[i].first);
        CHECK(a.blobs[i].last == b.blobs[i].last);
        CHECK(a.blobs[i].per_example == b.blobs[i].per_example);
    }
    REQUIRE(a.steps.size() == b.steps.size());
    for (std::size_t i = 0; i < a.steps.size(); ++i) {
        CHECK(a[a.steps[i].place] == b[b.steps[i].place]);
        CHECK(a.steps[i].first_link == b.steps[i].first_link);
        CHECK(a.steps[i].end == b.steps[i].end);
    }
    REQUIRE(a.parameters.size() == b.parameters.size());
    for (std::size_t i = 0; i < a.parameters.size(); ++i) CHECK(a.parameters[i].offset == b.parameters[i].offset);
}
