#include <bespoke/layers/constant.hpp>

#include <bespoke/layers/broadcastable.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/update_task.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {
using floats = std::vector<float>;
}

TEST_CASE("load_constant_nd, load_constant: values, stored once") {
    const floats data{1, -2, 3, std::numeric_limits<float>::infinity(), -0.0F, 6};
    for (const shape& s : {shape{2, 3}, shape{6}, shape{1, 2, 1, 3, 1}}) {
        const auto got = evaluate<float>(load_constant_nd{s}, {}, {data});
        REQUIRE(got.dimensions() == s);
        REQUIRE(same_bits(got.first(), data));
    }
    const auto deep = evaluate<float>(load_constant{{2, 1, 3}}, {}, {data});
    REQUIRE(deep.dimensions() == shape{1, 1, 2, 1, 3});
    REQUIRE(same_bits(deep.first(), data));
    REQUIRE(evaluate<double>(load_constant_nd{}, {}, {{7}}).first() == std::vector<double>{7});
    REQUIRE(evaluate<float>(load_constant_nd{{0, 3}}, {}).dimensions() == shape{0, 3});
    const floats large = numbers<float>(200001);
    REQUIRE(evaluate<float>(load_constant_nd{{200001}}, {}, {large}).first() == large);

    const planner plan = plan_of(load_constant{{2, 1, 3}}, {});
    REQUIRE_FALSE(plan.result().blobs[0].per_example);
    REQUIRE(plan.result().parameters[0].name == "data");
    REQUIRE(plan.result().parameters[0].dimensions == shape{2, 1, 3});
}

TEST_CASE("load_constant_nd, load_constant: gradients") {
    require_gradients(load_constant_nd{{2, 3}}, {});
    require_gradients(load_constant_nd{{}}, {});
    require_gradients(load_constant{{3, 1, 2}}, {});
}

TEST_CASE("load_constant_nd: stored for each example, as inside a loop") {
    const shape s{2};
    const std::vector<double> data{5, 6}, dy{1, 2, 3, 4, 5, 6};
    std::vector<double> y(6), d{10, 20};
    const std::vector<dynamic_view<double>> ys{{y.data(), s, 3, 2}};
    const std::vector<dynamic_view<const double>> xs, dys{{dy.data(), s, 3, 2}};
    const std::vector<dynamic_view<double>> dxs;
    const load_constant_nd layer{s};
    const load_constant_nd::parameters<dynamic_view<const double>> p{{data.data(), s, 1, 2}};
    load_constant_nd::parameters<dynamic_view<double>> dp{{d.data(), s, 1, 2}};
    workspace<double> w;
    layer.forward(std::span(xs), std::span(ys), p, w);
    REQUIRE(y == std::vector<double>{5, 6, 5, 6, 5, 6});
    layer.backward(std::span(xs), std::span(dys), std::span(dys), std::span(dxs), p, dp, w);
    REQUIRE(d == std::vector<double>{19, 32});
    dp.data.data = nullptr;
    layer.backward(std::span(xs), std::span(dys), std::span(dys), std::span(dxs), p, dp, w);
    REQUIRE(d == std::vector<double>{19, 32});
}

TEST_CASE("load_constant_nd, load_constant: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(load_constant_nd{{2, -1}}, {}) ==
            place + "(loadConstantND): a shape from 0 up wanted, [2, -1] given");
    REQUIRE(fault_of(load_constant_nd{{2}}, {{2}}) == place + "(loadConstantND): 0 inputs wanted, 1 named");
    REQUIRE(fault_of(load_constant{{2, 3}}, {}) ==
            place + "(loadConstant): a shape [channels, height, width] wanted, [2, 3] given");
    REQUIRE(fault_of(load_constant{{1, -2, 3}}, {}) ==
            place + "(loadConstant): a shape from 0 up wanted, [1, -2, 3] given");
    for (extent e : hostile_extents()) {
        plan_of(load_constant_nd{{e}}, {});
        plan_of(load_constant_nd{{e, 0, e}}, {});
        plan_of(load_constant{{e, e, 3}}, {});
    }
}

namespace {

inline constexpr auto shifted =
    compose(input{"x", {2}}, load_constant_nd{{2}} | named("c") | updatable,
            add_broadcastable{} | from("x", "c") | named("y"));
inline constexpr auto frozen =
    compose(input{"x", {2}}, load_constant_nd{{2}} | named("c"), add_broadcastable{} | from("x", "c"),
            inner_product{.output_channels = 1} | named("y") | updatable);
inline constexpr auto plain = compose(input{"x", {2}}, inner_product{.output_channels = 1} | named("y") | updatable);

const floats inputs{1, 2, 3, 5, -1, 0, 2, 2}, targets{4, 4, 6, 7, 2, 2, 5, 4};  // inputs + [3, 2]

}  // namespace

TEST_CASE("load_constant_nd: it learns what is to be added") {
    network<shifted> net;
    net = update(net,
                 training_setup<float>{.examples = 4,
                                       .inputs = {inputs},
                                       .losses = {mean_squared_error{.input = "y"}},
                                       .targets = {targets},
                                       .with = sgd{.learning_rate = 0.25}},
                 {.epochs = 60, .mini_batch_size = 2});
    REQUIRE(std::abs(net.parameter("c", "data")[0] - 3) < 1e-4);
    REQUIRE(std::abs(net.parameter("c", "data")[1] - 2) < 1e-4);
    const auto y = net(floats{10, 20});
    REQUIRE(distance(floats(y.begin(), y.end()), {13, 22}) < 1e-4);
    const auto many = net.predict_batch(inputs);
    REQUIRE(distance(floats(many.begin(), many.end()), {targets.begin(), targets.end()}) < 1e-4);
}

TEST_CASE("load_constant_nd: a frozen one trains what is behind it as its sums do") {
    network<frozen> net(5);
    network<plain> expected;
    net.parameter("c", "data")[0] = 3;
    net.parameter("c", "data")[1] = 2;
    for (const char* name : {"weights", "bias"})
        std::copy(net.parameter("y", name).begin(), net.parameter("y", name).end(),
                  expected.parameter("y", name).begin());
    const floats labels{1, 2, 3, 4};
    const auto learn = [&](auto& network, const floats& x) {
        network = update(network,
                         training_setup<float>{.examples = 4,
                                               .inputs = {x},
                                               .losses = {mean_squared_error{.input = "y"}},
                                               .targets = {labels},
                                               .with = sgd{.learning_rate = 0.01}},
                         {.epochs = 5, .mini_batch_size = 3});
        const auto w = network.parameter("y", "weights");
        return floats(w.begin(), w.end());
    };
    REQUIRE(same_bits(learn(net, inputs), learn(expected, targets)));
    REQUIRE(net.parameter("c", "data")[0] == 3);
}
