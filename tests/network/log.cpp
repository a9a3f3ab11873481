#include <bespoke/network/log.hpp>

#include <bespoke/control/loop.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/concat.hpp>
#include <bespoke/layers/copy.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/reduce.hpp>
#include <bespoke/layers/reshape_static.hpp>
#include <bespoke/layers/where_non_zero.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/trainer.hpp>

#include "../training_instances.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace bespoke;

namespace {

/// y is the output, and open.
inline constexpr auto open_output =
    compose(input{"n", {1}}, input{"x", {1, 3}}, inner_product{.output_channels = 3} | from("x") | named("y"),
            loop{compose(concat_nd{.axis = 0} | from("y", "x") | named("longer"), copy{} | from("longer") | to("y"))} |
                from("n"),
            output{"y"});

inline constexpr auto mixing = compose(input{"x", {3, 2}}, inner_product{.output_channels = 2} | named("fc"),
                                       where_non_zero{} | named("where"), reduce_sum{.axes = {0}} | named("sum"),
                                       reshape_static{{2, 1, 1}} | named("image"),
                                       batchnorm{.compute_mean_var = true} | named("norm"));

std::vector<std::string> reasons_of(const plan_view& plan, const std::string& looked_at) {
    return trainer<double>::check_trainable(plan, {mean_squared_error{looked_at}}, train::all_layers);
}

/// y grows by a row that is made of its own sum, in each of n iterations.
inline constexpr auto growing = compose(
    input{"n", {1}}, input{"x", {1, 3}}, inner_product{.output_channels = 3} | from("x") | named("y"),
    loop{compose(inner_product{.output_channels = 3} | from("y") | named("fc"), bespoke::tanh{} | named("t"),
                 reduce_sum{.axes = {0}, .keep_dims = true} | from("t") | named("row"),
                 concat_nd{.axis = 0} | from("y", "row") | named("longer"), copy{} | from("longer") | to("y"))} |
        from("n"),
    reduce_sum{.axes = {0}, .keep_dims = true} | from("y") | named("sum"), output{"sum"});

}  // namespace

TEST_CASE("a backward pass goes back through the shapes that a loop has been through") {
    network<growing, double> net(4);
    trainer<double> training(net, {mean_squared_error{"sum"}}, sgd{}, train::all_layers);
    const std::vector<double> n{3, 0, 1}, x{0.5, -1, 0.25, 1, 2, 3, -0.5, 0.75, 1}, target{1, 0, -1, 2, 0, 1, 0, 0, 3};
    const std::vector<example_data<double>> inputs{n, x}, targets{target};
    training.load(3, inputs, targets);
    const std::vector<std::size_t> all{0, 1, 2};
    training.gradient(all);
    std::vector<std::vector<double>> came;
    for (std::size_t k = 0; k < training.learning_parameters().size(); ++k) {
        const auto g = training.gradient_of(k);
        came.emplace_back(g.begin(), g.end());
    }
    std::size_t compared = 0;
    for (std::size_t k = 0; k < came.size(); ++k) {
        double* const values = net.core().parameter(training.learning_parameters()[k]);
        for (std::size_t i = 0; i < came[k].size(); ++i, ++compared) {
            const double middle = values[i], h = 1e-5;
            const auto loss_at = [&](double v) {
                values[i] = v;
                net.prepare();
                return training.evaluate(all);
            };
            const double slope = (loss_at(middle + h) - loss_at(middle - h)) / (2 * h);
            loss_at(middle);
            CAPTURE(k, i);
            CHECK(came[k][i] == Approx(slope).epsilon(1e-6).margin(1e-7));
        }
    }
    CHECK(compared == 24);
    // the same gradient again: nothing is left of the passes before
    training.gradient(all);
    for (std::size_t k = 0; k < came.size(); ++k)
        CHECK(std::equal(came[k].begin(), came[k].end(), training.gradient_of(k).begin()));
    // and the loss falls
    const double before = training.step(all);
    for (int i = 0; i < 20; ++i) training.step(all);
    CHECK(training.evaluate(all) < before);
}

TEST_CASE("what cannot be trained where shapes are decided in the run says why") {
    const auto unknown = reasons_of(network<open_output, double>::plan(), "y");
    REQUIRE(unknown.size() == 1);
    CHECK(unknown[0] == "the loss looks at \"y\", whose shape is decided in the run");
    const auto mixed = reasons_of(network<mixing, double>::plan(), "norm");
    REQUIRE_FALSE(mixed.empty());
    CHECK(mixed[0] ==
          "layers/4 \"norm\" (batchnorm): it looks at all examples of a mini-batch, which run one by one, as "
          "shapes are decided in the run");
}
