#include <bespoke/control/branch.hpp>

#include "control_test.hpp"

using namespace control_test;

namespace {

/// 2 x + 1 where c, else -x.
const auto choice = compose(input{"c", {1}}, input{"x", {3}},
                            branch{compose(linear{2, 1} | from("x") | to("y")),
                                   compose(linear{-1, 0} | from("x") | to("y"))} |
                                from("c"),
                            output{"y"});

values chosen(const values& c, const values& x) {
    values y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = std::abs(c[i / 3]) > 1e-6 ? 2 * x[i] + 1 : -x[i];
    return y;
}

/// Learns on both sides, and before and behind.
const auto learning =
    compose(input{"c", {1}}, input{"x", {3}}, inner_product{.output_channels = 4} | from("x") | named("first"),
            branch{compose(inner_product{.output_channels = 5} | from("first") | to("wide"),
                           bespoke::tanh{} | from("wide") | to("bent"),
                           inner_product{.output_channels = 2} | from("bent") | to("y"),
                           linear{3, 0} | from("y") | to("extra"), copy{} | from("extra") | to("y")),
                   compose(inner_product{.output_channels = 2} | from("first") | to("y"))} |
                from("c"),
            bespoke::tanh{} | from("y") | named("z"), output{"z"}, output{"first"});

}  // namespace

TEST_CASE("the condition chooses, for each example its own side") {
    lab net(choice);
    const values x = drawn(12);
    for (const values& c : {values{1, 1, 1, 1}, values{0, 0, 0, 0}, values{0, 1, 2, 0}, values{-3, 0, 0.5, 1}}) {
        const auto got = net.predict_alike({{"c", c}, {"x", x}}).at("y");
        CHECK(got == chosen(c, x));
    }
}

TEST_CASE("true is what is farther from 0 than 1e-6, NaN is not") {
    lab net(choice);
    const values x{1, 1, 1};
    const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
    CHECK(net.predict({{"c", {2e-6}}, {"x", x}}).at("y")[0] == 3);
    CHECK(net.predict({{"c", {-2e-6}}, {"x", x}}).at("y")[0] == 3);
    CHECK(net.predict({{"c", {5e-7}}, {"x", x}}).at("y")[0] == -1);
    CHECK(net.predict({{"c", {-inf}}, {"x", x}}).at("y")[0] == 3);
    CHECK(net.predict({{"c", {nan}}, {"x", x}}).at("y")[0] == -1);
    CHECK(net.predict({{"c", {nan, nan, 1}}, {"x", {1, 1, 1, 1, 1, 1, 1, 1, 1}}}).at("y") ==
          values{-1, -1, -1, -1, -1, -1, 3, 3, 3});
}

TEST_CASE("no example at all goes through") {
    lab net(choice);
    CHECK(net.predict({{"c", {}}, {"x", {}}}).at("y").empty());
}

TEST_CASE("blobs of the two sides and of several examples do not get in each other's way") {
    // grows, then shrinks: with memory shared inside of the branch the first example would overwrite the second
    const auto d = compose(input{"x", {8}}, input{"c", {1}}, linear{1, 0} | from("c") | named("condition"),
                           branch{compose(inner_product{.output_channels = 60} | from("x") | to("a"),
                                          inner_product{.output_channels = 40} | from("a") | to("b"),
                                          inner_product{.output_channels = 70} | from("b") | to("d"),
                                          inner_product{.output_channels = 3} | from("d") | to("y")),
                                  compose(inner_product{.output_channels = 3} | from("x") | to("y"))} |
                               from("condition"),
                           output{"y"});
    lab net(d);
    net.predict_alike({{"c", {1, 0, 2, 3, 0, 4}}, {"x", drawn(48)}});
}

TEST_CASE("without an else the branch may only write over what is there") {
    const auto d = compose(
        input{"c", {1}}, input{"x", {2}}, linear{1, 0} | from("x") | named("y"),
        branch{compose(linear{10, 0} | from("y") | to("t"), copy{} | from("t") | to("y"))} | from("c"), output{"y"});
    lab net(d);
    CHECK(net.predict_alike({{"c", {1, 0}}, {"x", {1, 2, 3, 4}}}).at("y") == values{10, 20, 3, 4});
    net.require_gradients({{"c", {1, 0}}, {"x", drawn(4)}}, {"c"});
    net.require_gradients({{"c", {1, 1}}, {"x", drawn(4)}}, {"c"});
}

TEST_CASE("branches in branches") {
    const auto d = compose(input{"c", {1}}, input{"d", {1}}, input{"x", {1}},
                           branch{compose(branch{compose(linear{2, 0} | from("x") | to("y")),
                                                 compose(linear{3, 0} | from("x") | to("y"))} |
                                          from("d")),
                                  compose(branch{compose(linear{5, 0} | from("x") | to("y")),
                                                 compose(linear{7, 0} | from("x") | to("y"))} |
                                          from("d"))} |
                               from("c"),
                           output{"y"});
    lab net(d);
    const named_values in{{"c", {1, 1, 0, 0, 1}}, {"d", {1, 0, 1, 0, 1}}, {"x", {1, 1, 1, 1, 10}}};
    CHECK(net.predict_alike(in).at("y") == values{2, 3, 5, 7, 20});
    net.require_gradients(in, {"c", "d"});
    net.require_gradients({{"c", {1, 1}}, {"d", {1, 0}}, {"x", {1, 2}}}, {"c", "d"});
}

TEST_CASE("gradients go back through the side that was taken") {
    for (const values& c : {values{1, 1, 1}, values{0, 0, 0}, values{1, 0, 1}, values{0, 0, 2}}) {
        lab net(learning);
        net.require_gradients({{"c", c}, {"x", drawn(9)}}, {"c"});
    }
}

TEST_CASE("a side that reads a constant") {
    const auto d =
        compose(filled{.value = 4, .of = {2}} | named("k"), input{"c", {1}}, input{"x", {2}},
                branch{compose(linear{2, 1} | from("k") | to("y")), compose(copy{} | from("x") | to("y"))} | from("c"),
                output{"y"});
    lab net(d);
    const named_values in{{"c", {1, 1, 0, 1}}, {"x", drawn(8)}};
    const values y = net.predict_alike(in).at("y");
    CHECK(values(y.begin(), y.begin() + 4) == values{9, 9, 9, 9});
    CHECK(y[4] == in.at("x")[4]);
    CHECK(net.predict_alike({{"c", {1, 1}}, {"x", drawn(4)}}).at("y") == values{9, 9, 9, 9});
    net.require_gradients(in, {"c"});
}

TEST_CASE("what is wrong with a branch") {
    CHECK(problem(compose(input{"x", {3}}, branch{compose(relu{} | to("y")), compose(relu{} | to("y"))})) ==
          "layers/0 (branch): one number wanted in \"x\", its shape is [3]");
    CHECK(problem(compose(input{"c", {1}}, branch{compose(relu{} | from("d"))})) ==
          "layers/0/branch/ifBranch/layers/0 (activation.ReLU): no layer before it writes its input \"d\"");
    CHECK(problem(compose(input{"c", {1}}, branch{compose(relu{}), compose(relu{}, relu{} | from("d"))})) ==
          "layers/0/branch/elseBranch/layers/1 (activation.ReLU): no layer before it writes its input \"d\"");
    CHECK(problem(compose(input{"c", {1}}, branch{compose(relu{} | to("y"))}, relu{} | from("y"))) ==
          "layers/1 (activation.ReLU): its input \"y\" is written on one side of a branch only");
    CHECK(problem(compose(input{"c", {1}}, branch{compose(loop_break{})})) ==
          "layers/0/branch/ifBranch/layers/0 (loopBreak): it belongs into the bodyNetwork of a loop");
}

TEST_CASE("a branch counts its steps and visits its layers in the order of the plan") {
    const auto d = compose(input{"c", {1}},
                           branch{compose(relu{} | to("y"), relu{}), compose(bespoke::tanh{} | from("c") | to("y"))},
                           linear{} | from("y"));
    static_assert(decltype(d)::steps == 5);
    const auto plan = planned(d).result();
    std::vector<std::string> seen;
    d.each(0, [&]<class L>(const L&, std::size_t step) {
        seen.emplace_back(key_of<L>().view());
        CHECK(plan.view()[plan.steps[step].place].find(seen.back()) != std::string_view::npos);
    });
    CHECK(seen == std::vector<std::string>{"branch", "activation.ReLU", "activation.ReLU", "activation.tanh",
                                           "activation.linear"});
}
