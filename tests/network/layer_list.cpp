#include <bespoke/network/layer_list.hpp>

#include "network_test.hpp"

using namespace network_test;

namespace {

const layer_list simple =
    list_of(compose(relu{} | named("r") | from("x"), inner_product{.output_channels = 2} | named("fc") | updatable));
const layer_list deep = list_of(compose(linear{} | from("x") | named("y"),
                                        loop{compose(branch{compose(relu{} | from("y") | to("z"), loop_break{}),
                                                            compose(bespoke::tanh{} | from("y") | to("z"))} |
                                                         from("c"),
                                                     copy{} | from("z") | to("y")),
                                             2},
                                        relu{} | from("y") | named("end")));

}  // namespace

TEST_CASE("a layer that was chosen at run time knows what it is") {
    const any_node& fc = *simple.nodes()[1];
    REQUIRE(fc.as<inner_product>() != nullptr);
    CHECK(fc.as<inner_product>()->output_channels == 2);
    CHECK(fc.as<relu>() == nullptr);
    CHECK(fc.name == "fc");
    CHECK(fc.updatable);
    CHECK(simple.nodes()[0]->inputs == std::vector<std::string>{"x"});
    CHECK(simple.nodes()[0]->type() != fc.type());
    CHECK(node_of<relu>(relu{}).type() == simple.nodes()[0]->type());
}

TEST_CASE("steps are counted through nested lists, in the order of the plan") {
    CHECK(simple.step_count() == 2);
    CHECK(deep.step_count() == 8);
    CHECK(deep.nodes()[1]->step_count() == 6);
    const auto all = deep.flatten();
    REQUIRE(all.size() == 8);
    planner p;
    p.input("x", {3});
    p.input("c", {1});
    deep.plan(p);
    p.output("end");
    p.finish();
    REQUIRE_FALSE(p.failed());
    for (std::size_t s = 0; s < all.size(); ++s) {
        INFO(s);
        CHECK(all[s]->can_stop() == (s == 2 || s == 4));
        CHECK((all[s]->as<relu>() != nullptr) == (s == 3 || s == 7));
        CHECK((all[s]->as<copy>() != nullptr) == (s == 6));
    }
    std::vector<std::size_t> steps;
    deep.each(10, [&](const any_node&, std::size_t step) { steps.push_back(step); });
    CHECK(steps == std::vector<std::size_t>{10, 11, 17});
}

TEST_CASE("whether a list can be left early is asked through branches, but a loop keeps it in") {
    CHECK_FALSE(simple.can_stop());
    CHECK_FALSE(deep.can_stop());
    CHECK_FALSE(deep.nodes()[1]->can_stop());
    const auto* around = deep.nodes()[1]->as<loop<layer_list, layer_list>>();
    REQUIRE(around != nullptr);
    CHECK(around->body_network.can_stop());
    CHECK(around->body_network.nodes()[0]->can_stop());
    CHECK_FALSE(around->body_network.nodes()[1]->can_stop());
}

TEST_CASE("lists share their nodes, which never change") {
    const layer_list other = simple;
    CHECK(other == simple);
    CHECK(other.nodes()[0].get() == simple.nodes()[0].get());
    CHECK_FALSE(other == list_of(compose(relu{})));
}

TEST_CASE("lists that are nested deeply are counted once") {
    layer_list inner = list_of(compose(relu{} | from("x")));
    for (int depth = 0; depth < 60; ++depth) {
        const auto side = std::make_shared<node_of<branch<layer_list, layer_list>>>(
            branch<layer_list, layer_list>{inner, list_of(compose(relu{} | from("x")))});
        inner = {};
        inner.add(side);
    }
    CHECK(inner.step_count() == 121);
    CHECK(inner.flatten().size() == 121);
    CHECK_FALSE(inner.can_stop());
}
