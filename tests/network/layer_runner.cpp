#include <bespoke/network/layer_runner.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

TEST_CASE("gradients that nobody wants are not written, the others are the same") {
    const auto d = compose(input{"x", {3}}, inner_product{.output_channels = 3} | named("fc"), bespoke::tanh{} | named("t"));
    const planner p = planned(d);
    const plan_view plan = p.result().view();
    engine<double> e(plan);
    e.initialize(1);
    std::vector<values> v(plan.blobs.size(), values(3, 0.5)), g(plan.blobs.size(), values(3));
    g.back() = {1, 2, 3};
    std::vector<double*> at, to;
    for (auto& one : v) at.push_back(one.data());
    for (auto& one : g) to.push_back(one.data());
    const std::vector<char> trained(2, 1);
    const auto gradients = [&](bool of_input, bool of_weights) {
        values dw(9), db(3);
        std::fill(g[0].begin(), g[0].end(), 0);
        std::fill(g[1].begin(), g[1].end(), 0);
        to[0] = of_input ? g[0].data() : nullptr;
        e.parameter_gradients() = {of_weights ? dw.data() : nullptr, db.data()};
        e.place(1, at, to);
        e.attach(d);
        e.prepare();
        e.select(pass::trainable, trained);
        d.forward(e, std::size_t{0});
        d.backward(e, 0);
        return std::tuple{g[0], dw, db};
    };
    const auto [dx, dw, db] = gradients(true, true);
    CHECK(dx != values(3));
    CHECK(dw != values(9));
    CHECK(gradients(false, true) == std::tuple{values(3), dw, db});
    CHECK(gradients(true, false) == std::tuple{dx, values(9), db});
}

TEST_CASE("a layer of many inputs") {
    constexpr std::size_t n = 12;
    planner p;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < n; ++i) names.push_back("x" + std::to_string(i));
    for (const auto& name : names) p.input(name, {2});
    const std::vector<std::string_view> all(names.begin(), names.end());
    p.add(add{}, "y", all, {}, false);
    p.finish();
    REQUIRE_FALSE(p.failed());
    engine<double> e(p.result().view());
    e.reserve(2);
    for (std::size_t i = 0; i < n; ++i) std::fill_n(e.value(i), 4, static_cast<double>(i));
    forward_layer(e, add{}, 0);
    CHECK(values(e.value(n), e.value(n) + 4) == values(4, 66));
}
