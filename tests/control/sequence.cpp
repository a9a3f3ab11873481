#include <bespoke/control/sequence.hpp>

#include "control_test.hpp"

using namespace control_test;

TEST_CASE("layers run in the order in which they stand") {
    const auto d = compose(input{"x", {2}}, linear{2, 0}, linear{1, 1});
    CHECK(lab(d).predict_alike({{"x", {1, 2, 3, 4}}}).at("activation.linear_1") == values{3, 5, 7, 9});
    static_assert(decltype(d)::steps == 2 && !decltype(d)::stops);
}

TEST_CASE("sequences stand in sequences, with inputs and outputs anywhere") {
    const auto pair = compose(linear{2, 0}, linear{1, 1});
    const auto d = compose(input{"x", {1}}, pair, output{"activation.linear_1"}, input{"z", {1}}, pair, compose(),
                           add{} | from("activation.linear_1", "activation.linear_3") | named("y"), output{"y"});
    static_assert(decltype(d)::steps == 5);
    const auto got = lab(d).predict_alike({{"x", {1, 10}}, {"z", {2, 20}}});
    CHECK(got.at("activation.linear_1") == values{3, 21});
    CHECK(got.at("y") == values{8, 62});
    lab(d).require_gradients({{"x", {1, 10}}, {"z", {2, 20}}});
}

TEST_CASE("a sequence that is left early goes back only over what ran") {
    // inputs and outputs are parts too, and count as such
    const auto d = compose(input{"n", {1}}, input{"x", {2}}, linear{} | from("x") | named("y"),
                           loop{compose(compose(),
                                        compose(linear{3, 1} | from("y") | named("a"), copy{} | from("a") | to("y"),
                                                compose(branch{compose(loop_break{})} | from("n")),
                                                bespoke::tanh{} | from("y") | named("b")),
                                        copy{} | from("b") | to("y")),
                                3},
                           output{"y"});
    lab net(d);
    const values y = net.predict_alike({{"n", {1, 0}}, {"x", {1, 2, 0.5, -0.5}}}).at("y");
    CHECK(y[0] == 4);
    CHECK(y[2] == Approx(std::tanh(3 * std::tanh(3 * std::tanh(2.5) + 1) + 1)));
    net.require_gradients({{"n", {1, 0, 1}}, {"x", drawn(6)}}, {"n"});
}

TEST_CASE("descriptions are values") {
    constexpr auto a = compose(input{"x", {2}}, relu{}, output{"activation.ReLU_0"});
    constexpr auto b = compose(input{"x", {2}}, relu{}, output{"activation.ReLU_0"});
    CHECK(a == b);
    CHECK_FALSE(a == compose(input{"x", {3}}, relu{}, output{"activation.ReLU_0"}));
    static_assert(composable<relu> && composable<input> && composable<decltype(a)> && !composable<int>);
}

TEST_CASE("the same blob may be read twice by one layer") {
    const auto d =
        compose(input{"x", {2}}, add{} | from("x", "x") | named("s"), multiply{} | from("s", "x") | named("y"));
    CHECK(lab(d).predict_alike({{"x", {1, 2}}}).at("y") == values{2, 8});
    lab(d).require_gradients({{"x", drawn(4)}});
}
