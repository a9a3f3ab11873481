// expect: network_error<.*layers/0 "fc" [(]innerProduct[)]: 5 input channels declared, its input has 4 [(]shape \[4\][)]
#include <bespoke.hpp>

using namespace bespoke;

// One error, whatever a program then asks of the network.
#ifndef FIXED
inline constexpr auto d =
    compose(input{"x", {4}}, inner_product{.input_channels = 5, .output_channels = 4} | named("fc") | updatable);
#else
inline constexpr auto d =
    compose(input{"x", {4}}, inner_product{.input_channels = 4, .output_channels = 4} | named("fc") | updatable);
#endif

int main() {
    network<d> net(1, 2);
    const std::vector<float> x(4);
    const training_setup<float> setup{
        .examples = 1, .inputs = {x}, .losses = {mean_squared_error{}}, .targets = {x}, .with = sgd{}};
    net = update(net, setup, {.epochs = 1});
    update_task task{net, setup, {.epochs = 1}};
    trainer training(net, {mean_squared_error{}}, adam{});
    network<d> copy = task.result();
    copy.parameter("fc", "weights")[0] = 1;
    copy.prepare();
    copy.use({.winograd = false});
    copy.save("d.json");
    model m = to_model(copy);
    const auto y = net(x);
    const auto many = net.predict_batch(x);
    return static_cast<int>(y(0) + y[1] + many(0, 0)) + static_cast<int>(inspect(net.plan()).size());
}
