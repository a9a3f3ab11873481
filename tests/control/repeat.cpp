#include <bespoke/control/repeat.hpp>

#include "control_test.hpp"

using namespace control_test;

namespace {

const auto tower = compose(
    input{"x", {3}}, repeat<3>(compose(inner_product{.output_channels = 3} | named("fc"), bespoke::tanh{}), "block"));

}  // namespace

TEST_CASE("each copy has names and parameters of its own") {
    const auto plan = planned(tower).result();
    CHECK(plan.steps.size() == 6);
    CHECK(plan.parameters.size() == 6);
    for (const char* name : {"block.0.fc", "block.1.fc", "block.2.fc"})
        CHECK(plan.view().find_step(name) != blob_facts::npos);
    CHECK(plan.view()[plan.steps[3].name] == "block.1.activation.tanh_3");
    CHECK(plan.parameters[2].offset > plan.parameters[0].offset);
    lab net(tower);
    net.predict_alike({{"x", drawn(9)}});
    net.require_gradients({{"x", drawn(6)}});
}

TEST_CASE("a copy reads names of its own before those around it") {
    const auto d = compose(input{"x", {1}}, linear{10, 0} | named("h"),
                           repeat<2>(compose(add{} | from("h", "x") | named("s"), linear{2, 0} | named("t")), "r"),
                           add{} | from("r.0.t", "r.1.t") | named("y"));
    CHECK(lab(d).predict({{"x", {1}}}).at("y") == values{44});

    const auto nested = compose(
        input{"x", {1}}, repeat<2>(compose(linear{2, 0} | named("h"),
                                           repeat<2>(compose(add{} | from("h", "x") | named("s")), "in"), linear{}),
                                   "out"));
    // h is that of the outer copy: out.1.h = 2 (out.0.h + x) = 2 (2 + 1), and s = 6 + 1
    CHECK(lab(nested).predict({{"x", {1}}}).begin()->second == values{7});
    lab(nested).require_gradients({{"x", {0.5, 1}}});
}

TEST_CASE("repeat without a name, of a single layer, and not at all") {
    const auto d = compose(input{"x", {1}}, repeat<3>(linear{2, 0}));
    CHECK(lab(d).predict({{"x", {1}}}).at("2.activation.linear_2") == values{8});
    static_assert(decltype(d)::steps == 3);
    const auto none = compose(input{"x", {1}}, repeat<0>(linear{2, 0}), linear{5, 0} | named("y"));
    CHECK(lab(none).predict({{"x", {1}}}).at("y") == values{5});
}

TEST_CASE("errors in a copy say where") {
    CHECK(problem(compose(
              input{"x", {3}},
              repeat<2>(compose(inner_product{.input_channels = 3, .output_channels = 4} | named("fc")), "b"))) ==
          "layers/1 \"fc\" (innerProduct): 3 input channels declared, its input has 4 (shape [4])");
}
