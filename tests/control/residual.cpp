#include <bespoke/control/residual.hpp>

#include "control_test.hpp"

using namespace control_test;

TEST_CASE("what goes in is added to what comes out") {
    const auto d = compose(input{"x", {2}}, residual(linear{2, 0}, linear{1, 1}));
    const auto got = lab(d).predict_alike({{"x", {1, 2, 3, 4}}});
    CHECK(got.begin()->second == values{4, 7, 10, 13});
    static_assert(decltype(d)::steps == 3);
}

TEST_CASE("residuals in residuals, and repeated") {
    const auto d = compose(
        input{"x", {4}},
        repeat<2>(compose(residual(inner_product{.output_channels = 6} | named("up"), bespoke::tanh{},
                                   residual(linear{0.5f, 0}), inner_product{.output_channels = 4} | named("down"))),
                  "block"));
    lab net(d);
    net.predict_alike({{"x", drawn(8)}});
    net.require_gradients({{"x", drawn(8)}});
    CHECK(net.plan().find_step("block.1.down") != blob_facts::npos);
}

TEST_CASE("around a part that reads elsewhere") {
    const auto d = compose(input{"x", {2}}, input{"z", {2}}, linear{} | from("x"), residual(linear{3, 0} | from("z")));
    CHECK(lab(d).predict_alike({{"x", {1, 2}}, {"z", {10, 20}}}).begin()->second == values{31, 62});
    lab(d).require_gradients({{"x", drawn(4)}, {"z", drawn(4, 8)}});
}

TEST_CASE("in a loop") {
    const auto d =
        compose(input{"x", {2}}, linear{} | named("y"),
                loop{compose(linear{} | from("y"), residual(bespoke::tanh{}), copy{} | to("y")), 3}, output{"y"});
    lab(d).predict_alike({{"x", drawn(4)}});
    lab(d).require_gradients({{"x", drawn(4)}});
}

TEST_CASE("both have one shape") {
    CHECK(problem(compose(input{"x", {4}}, residual(inner_product{.output_channels = 5} | named("fc")))) ==
          "layers/0 \"fc\" (innerProduct): the residual around it wants an output of the shape of its input, [4], its "
          "shape "
          "is [5]");
    // not even where they would broadcast
    CHECK(problem(compose(input{"x", {4}}, residual(inner_product{.output_channels = 1} | named("fc")))) ==
          "layers/0 \"fc\" (innerProduct): the residual around it wants an output of the shape of its input, [4], its "
          "shape "
          "is [1]");
    CHECK(problem(compose(residual(relu{}))) == "layers/0 (activation.ReLU): no input: there is no layer before it");
    CHECK(problem(compose(input{"c", {1}}, residual(branch{compose(relu{})}))) ==
          "layers/1 (add): no input: the layer before it writes nothing of its own, so the input has to be named");
}
