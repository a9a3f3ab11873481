#include <bespoke/training/trainer.hpp>

#include "network_test.hpp"

using namespace network_test;

namespace {

/// Products of more weights than are left alone, one of fewer, epilogues, rows of one example and of many.
inline constexpr auto mixed = compose(
    input{"x", {5, 140}}, inner_product{.output_channels = 150} | named("a"), relu{},
    batched_matmul{.weight_matrix_second_dimension = 140, .has_bias = true} | named("b") | to("b_out"),
    add{} | from("b_out", "x"), inner_product{.output_channels = 20} | named("small"), reshape_static{{100}},
    inner_product{.output_channels = 301} | named("c"), inner_product{.output_channels = 7} | named("d"));
inline constexpr auto low_classifier =
    compose(input{"x", {140}}, inner_product{.output_channels = 150} | named("a"), relu{},
            inner_product{.output_channels = 120} | named("b") | updatable, bespoke::tanh{},
            inner_product{.output_channels = 5} | named("c") | updatable, softmax_nd{});

bool possible(low_precision p) { return p == low_precision::bfloat16 ? kernels::has_bfloat16 : kernels::has_int8; }
double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double most = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
        size = std::max(size, std::abs(static_cast<double>(a[i])));
    }
    return most / size;
}

}  // namespace

TEST_CASE("low_precision: both doors, any number of threads and examples: the same bits, near to those of float32") {
    const auto x = network_test::numbers(3 * 700);
    const std::vector<float> first(x.begin(), x.begin() + 700);
    network<mixed> net(2), two(2, 2);
    program loaded = program_of(mixed);
    copy_parameters(net, loaded);
    const auto exact = to_vector(net.predict_batch(x));
    for (low_precision p : {low_precision::bfloat16, low_precision::int8}) {
        const low_precision given = net.use_low_precision(p);
        REQUIRE(given == (possible(p) ? p : low_precision::none));
        REQUIRE(net.precision_in_force() == given);
        REQUIRE(two.use_low_precision(p) == given);
        REQUIRE(loaded.use_low_precision(p) == given);
        const auto y = to_vector(net.predict_batch(x));
        CHECK(same_bits(y, exact) == !possible(p));
        CHECK(distance(exact, y) < (p == low_precision::int8 ? 0.05 : 0.02));
        CHECK(same_bits(y, to_vector(two.predict_batch(x))));
        CHECK(same_bits(y, run(loaded, {x})[0]));
        CHECK(same_bits(to_vector(net(first)), run(loaded, {first})[0]));
        network<mixed> copy(net);
        CHECK(copy.precision_in_force() == given);
        CHECK(same_bits(y, to_vector(copy.predict_batch(x))));
        program other(loaded);
        CHECK(other.precision_in_force() == given);
        CHECK(same_bits(y, run(other, {x})[0]));
        net.parameter("a", "weights")[0] += 1;
        net.prepare();
        CHECK_FALSE(same_bits(y, to_vector(net.predict_batch(x))));
        net.parameter("a", "weights")[0] = copy.parameter("a", "weights")[0];
    }
    CHECK(net.use_low_precision(low_precision::none) == low_precision::none);
    CHECK(net.precision_note().empty());
    CHECK(same_bits(exact, to_vector(net.predict_batch(x))));
}

TEST_CASE("low_precision: what is not in force is said") {
    network<mixed> net;
    CHECK(net.precision_note().empty());
    net.use_low_precision(low_precision::bfloat16);
    CHECK(net.precision_note() == (kernels::has_bfloat16 ? ""
                                                         : "bfloat16 was asked for, the network computes in float32: "
                                                           "the program is not compiled for AVX512-BF16"));
    net.use_low_precision(low_precision::int8);
    CHECK(net.precision_note() == (kernels::has_int8 ? ""
                                                     : "int8 was asked for, the network computes in float32: the "
                                                       "program is not compiled for AVX512-VNNI"));
    network<mixed, double> exact;
    CHECK(exact.use_low_precision(low_precision::int8) == low_precision::none);
    CHECK(exact.precision_note() ==
          "int8 was asked for, the network computes in float64: its element type is not float32");
    if (kernels::has_int8) {
        network<mlp> small;
        CHECK(small.use_low_precision(low_precision::int8) == low_precision::none);
        CHECK(small.precision_note() == "int8 was asked for, the network computes in float32: no layer has a product "
                                        "with more than 16384 weights");
    }
}

TEST_CASE("low_precision: a training computes in float32, predictions see what it has learned") {
    const auto x = network_test::numbers(6 * 140);
    const std::vector<float> labels{0, 1, 2, 3, 4, 0};
    const std::vector<std::size_t> batch{0, 1, 2, 3, 4, 5};
    const auto learn = [&](low_precision p) {
        network<low_classifier> net(5);
        net.use_low_precision(p);
        const auto before = to_vector(net.predict_batch(x));
        trainer t(net, {categorical_cross_entropy{}}, sgd{.learning_rate = 0.5});
        t.load(6, std::vector<example_data<float>>{x}, std::vector<example_data<float>>{labels});
        std::vector<double> losses;
        for (int i = 0; i < 4; ++i) {
            losses.push_back(t.evaluate(batch));
            losses.push_back(t.step(batch));
            const auto after = to_vector(net.predict_batch(x));
            CHECK_FALSE(same_bits(before, after));
            network<low_classifier> fresh(net);
            CHECK(same_bits(after, to_vector(fresh.predict_batch(x))));
        }
        const auto& all = net.core().parameters().block();
        return std::pair{losses, std::vector<float>(all.begin(), all.end())};
    };
    const auto exact = learn(low_precision::none);
    for (low_precision p : {low_precision::bfloat16, low_precision::int8}) {
        const auto [losses, parameters] = learn(p);
        CHECK(losses == exact.first);
        CHECK(same_bits(parameters, exact.second));
    }
}
