#include <bespoke/control/loop.hpp>

#include "control_test.hpp"

using namespace control_test;

namespace {

/// y <- y / 2 + 1, as a body over the blob "y".
constexpr auto halve = compose(linear{0.5f, 1} | from("y") | to("next"), copy{} | from("next") | to("y"));

double halved(double y, int times) {
    for (; times > 0; --times) y = y / 2 + 1;
    return y;
}

const auto fixed = compose(input{"x", {2}}, linear{} | named("y"), loop{halve, 3}, output{"y"});
const auto counted =
    compose(input{"n", {1}}, input{"x", {2}}, linear{} | from("x") | named("y"), loop{halve} | from("n"), output{"y"});

/// While left > 0: y <- tanh(W y), left <- left - 1.
const auto conditional =
    compose(input{"left", {1}}, input{"x", {3}}, linear{} | from("x") | named("y"),
            loop{compose(inner_product{.output_channels = 3} | from("y") | named("w"), bespoke::tanh{} | named("bent"),
                         copy{} | from("bent") | to("y"), linear{1, -1} | from("left") | named("less"),
                         copy{} | from("less") | to("left")),
                 0, compose(relu{} | from("left") | named("go")), "go"},
            output{"y"});

/// For at most six times: sum <- sum + x; where stop is reached, out; where skip is reached, without the doubling.
const auto leaving = compose(
    input{"stop", {1}}, input{"skip", {1}}, input{"x", {1}}, linear{0, 0} | from("x") | named("i"),
    linear{} | from("x") | named("sum"),
    loop{compose(linear{1, 1} | from("i") | named("i_next"), copy{} | from("i_next") | to("i"),
                 add{} | from("i", "stop") | named("stops"),  // stop holds -k: 0 in iteration k
                 branch{compose(linear{} | from("stops") | to("unused")), compose(loop_break{})} | from("stops"),
                 add{} | from("sum", "x") | named("more"), copy{} | from("more") | to("sum"),
                 add{} | from("i", "skip") | named("skips"),
                 branch{compose(), compose(loop_continue{})} | from("skips"),
                 linear{2, 0} | from("sum") | named("twice"), copy{} | from("twice") | to("sum")),
         6},
    output{"sum"}, output{"i"});

std::pair<double, double> left(double stop, double skip, double x) {
    double i = 0, sum = x;
    for (int n = 0; n < 6; ++n) {
        ++i;
        if (i == stop) break;
        sum += x;
        if (i == skip) continue;
        sum *= 2;
    }
    return {sum, i};
}

/// The outer loop runs n times, the inner one m times a round, and the outer one is left where the inner total is k.
const auto nested = compose(
    input{"n", {1}}, input{"m", {1}}, input{"k", {1}}, input{"x", {2}}, linear{0, 0} | from("n") | named("total"),
    linear{} | from("x") | named("y"),
    loop{compose(
        loop{compose(inner_product{.output_channels = 2} | from("y") | named("w"), bespoke::tanh{} | named("bent"),
                     copy{} | from("bent") | to("y"), linear{1, 1} | from("total") | named("total_next"),
                     copy{} | from("total_next") | to("total"))} |
            from("m"),
        add{} | from("total", "k") | named("far"), linear{1.5f, 0} | from("y") | named("grown"),
        branch{compose(), compose(loop_break{})} | from("far"), copy{} | from("grown") | to("y"))} |
        from("n"),
    output{"y"}, output{"total"});

}  // namespace

TEST_CASE("a fixed number of iterations; copies carry values on") {
    lab net(fixed);
    const values x = drawn(6);
    const values y = net.predict_alike({{"x", x}}).at("y");
    for (std::size_t i = 0; i < 6; ++i) CHECK(y[i] == halved(x[i], 3));
    net.require_gradients({{"x", x}});
    CHECK(net.predict({{"x", {}}}).at("y").empty());
}

TEST_CASE("an input says how often, each example for itself") {
    lab net(counted);
    const values x = drawn(10);
    for (const values& n : {values{2, 2, 2, 2, 2}, values{0, 0, 0, 0, 0}, values{3, 0, 1, 2, 5}}) {
        const values y = net.predict_alike({{"n", n}, {"x", x}}).at("y");
        for (std::size_t i = 0; i < 10; ++i) CHECK(y[i] == halved(x[i], static_cast<int>(n[i / 2])));
        net.require_gradients({{"n", n}, {"x", x}}, {"n"});
    }
    CHECK(net.predict({{"n", {}}, {"x", {}}}).at("y").empty());
}

TEST_CASE("the count is the nearest whole number from 0 up; NaN counts as 0") {
    lab net(counted);
    const auto times = [&](double n) { return net.predict({{"n", {n}}, {"x", {8, 8}}}).at("y")[0]; };
    CHECK(times(2.4) == halved(8, 2));
    CHECK(times(2.6) == halved(8, 3));
    CHECK(times(0.4) == 8);
    CHECK(times(-3) == 8);
    CHECK(times(std::numeric_limits<double>::quiet_NaN()) == 8);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(net.predict({{"n", {nan, 1}}, {"x", {8, 8, 8, 8}}}).at("y") == values{8, 8, 5, 5});
}

TEST_CASE("without anything that says more, a loop does not run") {
    const auto never = compose(input{"x", {1}}, linear{} | named("y"), loop{halve}, output{"y"});
    CHECK(lab(never).predict({{"x", {8}}}).at("y") == values{8});
}

TEST_CASE("a condition network runs before each iteration") {
    lab net(conditional);
    const values x = drawn(12);
    // 0 and below: not once
    const values none = net.predict_alike({{"left", {0, -1, 0, -7}}, {"x", x}}).at("y");
    CHECK(none == x);
    const values some = net.predict_alike({{"left", {2, 0, 3, 2.5}}, {"x", x}}).at("y");
    CHECK(values(some.begin() + 3, some.begin() + 6) == values(x.begin() + 3, x.begin() + 6));
    // the same by hand
    const auto& w = net.core();
    for (const std::size_t e : {0u, 2u, 3u}) {
        std::array<double, 3> y{x[3 * e], x[3 * e + 1], x[3 * e + 2]};
        for (int n = 0; n < (e == 0 ? 2 : 3); ++n) {
            std::array<double, 3> next{};
            for (std::size_t o = 0; o < 3; ++o) {
                double sum = w.parameter(1)[o];
                for (std::size_t i = 0; i < 3; ++i) sum += w.parameter(0)[3 * o + i] * y[i];
                next[o] = std::tanh(sum);
            }
            y = next;
        }
        for (std::size_t o = 0; o < 3; ++o) CHECK(some[3 * e + o] == Approx(y[o]).epsilon(1e-12));
    }
}

TEST_CASE("gradients of a conditional loop") {
    for (const values& n : {values{2.5, 0.5, -1, 3.5}, values{1.5, 1.5, 1.5, 1.5}, values{-1, -1, -1, -1}})
        lab(conditional).require_gradients({{"left", n}, {"x", drawn(12)}}, {"left"});
}

TEST_CASE("a condition and a largest number of iterations") {
    const auto d = [](extent most) {
        return compose(input{"left", {1}}, input{"x", {1}}, linear{} | from("x") | named("y"),
                       loop{compose(linear{2, 0} | from("y") | named("t"), copy{} | from("t") | to("y"),
                                    linear{1, -1} | from("left") | named("less"), copy{} | from("less") | to("left")),
                            most, compose(relu{} | from("left") | named("go")), "go"},
                       output{"y"});
    };
    const auto none = d(0), four = d(4);
    const named_values in{{"left", {6, 3, 0, 4}}, {"x", {1, 1, 1, 1}}};
    CHECK(lab(none).predict_alike(in).at("y") == values{64, 8, 1, 16});
    CHECK(lab(four).predict_alike(in).at("y") == values{16, 8, 1, 16});
    lab(four).require_gradients(in, {"left"});
}

TEST_CASE("a condition and an input that counts: whichever is first") {
    const auto d =
        compose(input{"n", {1}}, input{"left", {1}}, input{"x", {1}}, linear{} | from("x") | named("y"),
                loop{compose(linear{2, 0} | from("y") | named("t"), copy{} | from("t") | to("y"),
                             linear{1, -1} | from("left") | named("less"), copy{} | from("less") | to("left")),
                     0, compose(relu{} | from("left") | named("go")), "go"} |
                    from("n"),
                output{"y"});
    const named_values in{{"n", {2, 5, 0, 3}}, {"left", {6, 3, 7, -1}}, {"x", {1, 1, 1, 1}}};
    CHECK(lab(d).predict_alike(in).at("y") == values{4, 8, 1, 1});
    lab(d).require_gradients(in, {"n", "left"});
}

TEST_CASE("break and continue") {
    lab net(leaving);
    const values stop{-3, 0, -1, -6, -9, -4}, skip{-2, -1, -1, 0, -6, -4}, x = drawn(6);
    const auto got = net.predict_alike({{"stop", stop}, {"skip", skip}, {"x", x}});
    for (std::size_t e = 0; e < 6; ++e) {
        const auto [sum, i] = left(-stop[e], -skip[e], x[e]);
        INFO("example " << e);
        CHECK(got.at("sum")[e] == Approx(sum).epsilon(1e-12));
        CHECK(got.at("i")[e] == i);
    }
    net.require_gradients({{"stop", stop}, {"skip", skip}, {"x", x}}, {"stop", "skip"});
}

TEST_CASE("loops in loops, and a break out of the outer one") {
    lab net(nested);
    const named_values in{{"n", {2, 3, 0, 4}}, {"m", {2, 1, 3, 2}}, {"k", {-99, -2, 0, -4}}, {"x", drawn(8)}};
    CHECK(net.predict_alike(in).at("total") == values{4, 2, 0, 4});
    net.require_gradients(in, {"n", "m", "k"});
    net.require_gradients({{"n", {2, 2}}, {"m", {2, 2}}, {"k", {-99, -99}}, {"x", drawn(4)}}, {"n", "m", "k"});
}

TEST_CASE("a blob that is made inside is 0 until it is written, and keeps its value afterwards") {
    const auto d = compose(input{"n", {1}}, input{"x", {2}},
                           loop{compose(linear{3, 0} | from("x") | named("made"))} | from("n"),
                           linear{1, 1} | from("made") | named("y"), output{"y"}, output{"made"});
    lab net(d);
    const named_values in{{"n", {0, 2, 1}}, {"x", {1, 2, 3, 4, 5, 6}}};
    CHECK(net.predict_alike(in).at("made") == values{0, 0, 9, 12, 15, 18});
    CHECK(net.predict_alike(in).at("y") == values{1, 1, 10, 13, 16, 19});
    net.require_gradients(in, {"n"});

    const auto skipped =
        compose(input{"c", {1}}, input{"x", {1}},
                loop{compose(branch{compose(loop_continue{})} | from("c"), linear{3, 0} | from("x") | named("y")), 2},
                output{"y"});
    CHECK(lab(skipped).predict_alike({{"c", {0, 1, 0}}, {"x", {1, 2, 3}}}).at("y") == values{3, 0, 9});
    lab(skipped).require_gradients({{"c", {0, 1, 0}}, {"x", {1, 2, 3}}}, {"c"});
}

TEST_CASE("a loop may count with constants") {
    const auto d = compose(input{"x", {2}}, filled{.value = 0, .of = {2}} | named("sum"),
                           filled{.value = 1, .of = {2}} | named("one"),
                           loop{compose(add{} | from("sum", "x") | named("a"), add{} | from("a", "one") | named("b"),
                                        copy{} | from("b") | to("sum")),
                                3},
                           output{"sum"});
    lab net(d);
    const values x = drawn(6);
    const values y = net.predict_alike({{"x", x}}).at("sum");
    for (std::size_t i = 0; i < 6; ++i) CHECK(y[i] == Approx(3 * x[i] + 3));
    net.require_gradients({{"x", x}});
}

TEST_CASE("a layer of one input reads a constant inside of a loop") {
    const auto d = compose(input{"x", {2}}, filled{.value = 4, .of = {2}} | named("k"),
                           loop{compose(linear{2, 1} | from("k") | named("l"),
                                        inner_product{.output_channels = 2} | from("k") | named("w"),
                                        add{} | from("l", "w", "x") | named("y")),
                                2},
                           output{"y"}, output{"l"});
    lab net(d);
    const auto got = net.predict_alike({{"x", drawn(6)}});
    CHECK(got.at("l") == values{9, 9, 9, 9, 9, 9});
    net.require_gradients({{"x", drawn(6)}});
}

TEST_CASE("several outputs inside of a loop") {
    const auto d =
        compose(input{"a", {2}}, input{"b", {2}}, linear{} | from("a") | named("p"), linear{} | from("b") | named("q"),
                loop{compose(difference_and_sum{} | from("p", "q") | to("d", "s"),
                             multiply{} | from("d", "s") | named("m"), linear{0.5f, 0} | from("m") | named("half"),
                             copy{} | from("half") | to("p"), copy{} | from("d") | to("q")),
                     3},
                output{"p"}, output{"q"}, output{"s"});
    lab net(d);
    net.predict_alike({{"a", drawn(6)}, {"b", drawn(6, 8)}});
    net.require_gradients({{"a", drawn(6)}, {"b", drawn(6, 8)}});
}

TEST_CASE("a copy may write over an input of the network") {
    const auto d =
        compose(input{"x", {2}}, bespoke::tanh{} | named("t"), copy{} | from("t") | to("x"),
                linear{2, 0} | from("x") | named("y"), copy{} | from("y") | to("x"), output{"x"}, output{"t"});
    lab net(d);
    const values x = drawn(4);
    const values y = net.predict_alike({{"x", x}}).at("x");
    for (std::size_t i = 0; i < 4; ++i) CHECK(y[i] == Approx(2 * std::tanh(x[i])));
    const auto only_x = compose(input{"x", {2}}, bespoke::tanh{} | named("t"), copy{} | from("t") | to("x"),
                                linear{2, 0} | from("x") | named("y"), output{"y"});
    lab(only_x).require_gradients({{"x", x}});
}

TEST_CASE("what is wrong with a loop") {
    const auto body = compose(relu{} | from("x") | to("y"));
    CHECK(problem(compose(input{"x", {3}}, loop{body} | from("x"), output{"y"})) ==
          "layers/0 (loop): one number wanted in \"x\", its shape is [3]");
    CHECK(problem(compose(input{"x", {3}}, loop{body, -1}, output{"y"})) ==
          "layers/0 (loop): maxLoopIterations from 0 up wanted, -1 given");
    CHECK(problem(compose(input{"x", {3}}, loop{body, 1, compose(relu{} | from("x") | to("c")), ""}, output{"y"})) ==
          "layers/0 (loop): conditionNetwork and conditionVar come together or not at all");
    CHECK(problem(compose(input{"x", {3}}, loop{body, 1, compose(), "c"}, output{"y"})) ==
          "layers/0 (loop): conditionNetwork and conditionVar come together or not at all");
    CHECK(problem(compose(input{"x", {3}}, loop{body, 1, compose(relu{} | from("x") | to("c")), "d"}, output{"y"})) ==
          "layers/0 (loop): no layer writes \"d\"");
    CHECK(problem(compose(input{"x", {3}}, loop{body, 1, compose(relu{} | from("x") | to("c")), "c"}, output{"y"})) ==
          "layers/0 (loop): one number wanted in \"c\", its shape is [3]");
    CHECK(problem(compose(input{"x", {3}}, loop{compose(relu{} | from("z")), 1}, output{"y"})) ==
          "layers/0/loop/bodyNetwork/layers/0 (activation.ReLU): no layer before it writes its input \"z\"");
    CHECK(problem(compose(input{"x", {1}}, loop{body, 1, compose(relu{} | from("z")), "z"}, output{"y"})) ==
          "layers/0/loop/conditionNetwork/layers/0 (activation.ReLU): no layer before it writes its input \"z\"");
    CHECK(problem(compose(input{"x", {1}}, loop_break{})) ==
          "layers/0 (loopBreak): it belongs into the bodyNetwork of a loop");
    CHECK(problem(compose(input{"x", {1}}, loop_continue{})) ==
          "layers/0 (loopContinue): it belongs into the bodyNetwork of a loop");
    CHECK(problem(compose(input{"x", {1}}, loop{body, 1, compose(relu{} | from("x") | to("c"), loop_break{}), "c"},
                          output{"y"})) ==
          "layers/0 (loop): a loopBreak or loopContinue belongs into the bodyNetwork, not into the conditionNetwork");
    CHECK(problem(compose(input{"x", {1}}, loop{body, 1} | to("y"))) == "layers/0 (loop): no output wanted, 1 named");
    CHECK(problem(compose(input{"x", {1}}, input{"n", {1}}, loop{body, 1} | from("n", "x"))) ==
          "layers/0 (loop): 0 to 1 inputs wanted, 2 named");
}
