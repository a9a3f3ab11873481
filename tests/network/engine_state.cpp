#include <bespoke/network/engine_state.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

namespace {

const auto two_steps = compose(input{"x", {2}}, linear{1, 0} | named("y"), filled{.value = 5, .of = {3}} | named("k"),
                               output{"y"}, output{"k"});

/// Three examples, everything with gradients: value i of blob b is 100 b + i.
struct placed {
    planner p = planned(two_steps);
    engine_state<double> state{p.result().view()};
    std::vector<values> arrays, slopes;

    placed() {
        std::vector<double*> at, to;
        for (std::size_t b = 0; b < state.plan().blobs.size(); ++b) {
            arrays.emplace_back(9);
            for (std::size_t i = 0; i < 9; ++i) arrays[b][i] = static_cast<double>(100 * b + i);
        }
        slopes = arrays;
        for (auto& a : arrays) at.push_back(a.data());
        for (auto& g : slopes) to.push_back(g.data());
        state.place(3, at, to);
    }
    std::size_t blob(const char* name) const { return state.plan().find_blob(name); }
};

}  // namespace

TEST_CASE("a layer sees all examples of its step, or one") {
    placed here;
    auto& e = here.state;
    const std::size_t x = here.blob("x"), y = here.blob("y");
    auto v = e.look_forward(0, -1);
    REQUIRE(v.xs.size() == 1);
    CHECK(v.xs[0].data == here.arrays[x].data());
    CHECK(v.xs[0].examples == 3);
    CHECK(v.outputs[0].example(2) == here.arrays[y].data() + 4);
    v = e.look_forward(0, 1);
    CHECK(v.xs[0].data == here.arrays[x].data() + 2);
    CHECK(v.xs[0].examples == 1);
    v = e.look_backward(0, 2);
    CHECK(v.dys[0].data == here.slopes[y].data() + 4);
    CHECK(v.dxs[0].data == here.slopes[x].data() + 4);
    CHECK(v.ys[0].data == here.arrays[y].data() + 4);
    CHECK(e.step_examples(0) == 3);
    CHECK(e.step_examples(1) == 1);  // it makes a blob that is stored once
    CHECK(e.look_forward(1, -1).outputs[0].data == here.arrays[here.blob("k")].data());
    CHECK(e.wants_backward(0));
    CHECK(e.input_shapes(0) == std::vector<shape>{{2}});
}

TEST_CASE("the window moves over the examples, forward and backward") {
    placed here;
    auto& e = here.state;
    const std::size_t x = here.blob("x");
    std::vector<double> seen;
    e.one_by_one([&] { seen.push_back(*e.look_forward(0, -1).xs[0].data); });
    CHECK(seen == values{0, 2, 4});
    e.one_by_one_backward([&] { seen.push_back(*e.window_value(x)); });
    CHECK(seen == values{0, 2, 4, 4, 2, 0});
    CHECK(e.window_size(x) == 6);
}

TEST_CASE("decisions are read back in reverse, and only a recorded pass keeps them") {
    placed here;
    auto& e = here.state;
    const std::vector<char> trained{1, 1};
    e.select(pass::trainable, trained);
    for (extent d : {3, 1, 4}) e.record(d);
    CHECK(e.recorded() == 4);
    e.select(pass::all, {});
    e.record(9);
    e.select(pass::trainable, trained);
    e.record(2);
    CHECK(e.recorded() == 2);
}

TEST_CASE("what one number says") {
    const auto d = compose(input{"n", {1}}, relu{});
    const planner p = planned(d);
    engine_state<double> e(p.result().view());
    e.reserve(2);
    double* n = e.value(0);
    const auto is = [&](double a, double b) { n[0] = a, n[1] = b; };
    is(2.5, 2.5);
    CHECK(e.truth(0));
    CHECK(e.count(0) == 3);
    CHECK(e.agrees(0));
    is(-1, 2);
    CHECK(e.truth(0));
    CHECK(e.count(0) == 0);
    CHECK_FALSE(e.agrees(0));
    is(1e-7, std::nan(""));
    CHECK_FALSE(e.truth(0));
    is(std::nan(""), std::nan(""));
    CHECK_FALSE(e.truth(0));
    CHECK(e.count(0) == 0);
}
