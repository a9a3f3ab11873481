#include <bespoke/control/node.hpp>

#include "control_test.hpp"

using namespace control_test;

TEST_CASE("names are lists that can be constants") {
    static_assert(name_list("a", "b").count == 2 && name_list("a", "b").names[1] == "b");
    static_assert(name_list("a") == name_list("a") && !(name_list("a") == name_list("b")));
    static_assert(name_list().count == 0);
    const name_list eight("1", "2", "3", "4", "5", "6", "7", "8");
    const std::span<const std::string_view> names = eight;
    CHECK(names.size() == 8);
    CHECK(names.back() == "8");
}

TEST_CASE("a layer becomes a node by what is said of it, in any order") {
    constexpr auto a = inner_product{.output_channels = 2} | named("fc") | from("x", "y") | to("z") | updatable;
    constexpr auto b = inner_product{.output_channels = 2} | updatable | to("z") | named("fc") | from("x", "y");
    CHECK(a == b);
    static_assert(std::is_same_v<decltype(a), const node<inner_product>>);
    CHECK(a.name == "fc");
    CHECK(a.inputs.names[1] == "y");
    CHECK(a.outputs.count == 1);
    CHECK(a.updatable);
    CHECK(a.layer.output_channels == 2);
    CHECK_FALSE(a == (inner_product{.output_channels = 3} | named("fc") | from("x", "y") | to("z") | updatable));
    constexpr auto plain = as_node(relu{});
    CHECK(plain.name.empty());
    CHECK_FALSE(plain.updatable);
    static_assert(std::is_same_v<decltype(as_node(a)), node<inner_product>>);
}

TEST_CASE("steps and stops are counted through what contains them") {
    static_assert(steps_of<relu> == 1 && steps_of<input> == 0 && steps_of<node<relu>> == 1);
    static_assert(!may_stop<relu> && may_stop<loop_break> && may_stop<node<loop_continue>>);
    using inner = branch<sequence<node<loop_break>>>;
    static_assert(steps_of<node<inner>> == 2 && may_stop<node<inner>>);
    static_assert(!may_stop<node<loop<sequence<node<inner>>>>>);
    CHECK(can_stop(inner{}));
    CHECK_FALSE(can_stop(relu{}));
}

TEST_CASE("steps are types where they begin as types") {
    struct plan_type {};
    static_assert(decltype(advanced<3>(fixed_step<plan_type, 4>{}))::value == 7);
    static_assert(std::is_same_v<decltype(advanced<3>(fixed_step<plan_type, 4>{}))::plan_type, plan_type>);
    CHECK(advanced<3>(std::size_t{4}) == 7);
    static_assert(decltype(behind(compose(relu{}, relu{}), fixed_step<plan_type, 1>{}))::value == 3);
}

TEST_CASE("a node visits its layer and those inside") {
    const auto n = as_node(branch{compose(relu{}, relu{}), compose(bespoke::tanh{})});
    std::vector<std::size_t> steps;
    n.each(5, [&](const auto&, std::size_t step) { steps.push_back(step); });
    CHECK(steps == std::vector<std::size_t>{5, 6, 7, 8});
}
