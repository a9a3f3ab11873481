#include <bespoke/layers/simple_recurrent.hpp>

#include <bespoke/network/network.hpp>

#include "recurrent_test.hpp"

FLOAT_IN_IMPLEMENTATION(simple_recurrent)

using namespace recurrent_test;

TEST_CASE("simple_recurrent: PyTorch's numbers") {
    simple_recurrent layer{.output_vector_size = 5, .sequence_output = true};
    const std::vector<blob<double>> inputs{{{4, 2, 3}, steps<double>(3, 24)}, {{1, 2, 5}, steps<double>(4, 10)}};
    const std::vector<std::vector<double>> w{steps<double>(1, 15), steps<double>(5, 25), steps<double>(9, 5)};
    const auto r = evaluate<double>(layer, inputs, w);
    require_summary(r.values[0], {40, -1.993063430, 18.320093338, {0.486336017, 0.954045260, 0.990780856}, 0.559284466},
                    1e-8);
    require_summary(r.values[1], {10, 1.443266336, 3.922160279, {-0.748497177, 0.893365238, 0.884127604}, 0.559284466},
                    1e-8);
    layer.activation = relu{};
    require_summary(evaluate<double>(layer, inputs, w).values[0],
                    {40, 15.987579346, 25.147316963, {0.53125, 1.875, 2.6875}, 0}, 1e-8);
}

TEST_CASE("simple_recurrent: the first step and the order of the steps") {
    // y_t = x_t + 2 y_{t-1} + 1
    simple_recurrent layer{.output_vector_size = 1, .activation = linear{}, .sequence_output = true};
    const std::vector<std::vector<float>> w{{1}, {2}, {1}};
    const auto y = [&] { return evaluate<float>(layer, {{{3, 1}, {1, 10, 20}}}, w).first(); };
    REQUIRE(y() == std::vector<float>{2, 15, 50});  // 50 is clipped
    layer.reverse_input = true;
    REQUIRE(y() == std::vector<float>{21, 50, 50});
    layer.sequence_output = false;
    REQUIRE(evaluate<float>(layer, {{{3, 1}, {-3, -2, -1}}}, w).first() == std::vector<float>{-4});
    REQUIRE(evaluate<float>(layer, {{{0, 1}, {}}, {{1, 1}, {7}}}, w).values ==
            std::vector<std::vector<float>>{{7}, {7}});
    layer.has_bias_vector = false;
    REQUIRE(evaluate<float>(layer, {{{1, 1}, {3}}}, {{1}, {2}}).first() == std::vector<float>{3});
}

TEST_CASE("simple_recurrent: a state without the axis of the steps") {
    const simple_recurrent layer{.output_vector_size = 3, .sequence_output = true, .has_bias_vector = false};
    const std::vector<std::vector<double>> w{steps<double>(1, 6), steps<double>(5, 9)};
    const auto x = steps<double>(3, 16), h = steps<double>(4, 12);
    const shape sequence{2, 2, 2, 1, 1};
    const auto wanted = evaluate<double>(layer, {{sequence, x}, {{1, 2, 3, 1, 1}, h}}, w);
    REQUIRE(same_bits(evaluate<double>(layer, {{sequence, x}, {{2, 3, 1, 1, 1}, h}}, w), wanted));
    require_gradients(layer, {sequence, {2, 3, 1, 1, 1}});
    REQUIRE(
        fault_of(layer, {sequence, {3, 2, 1, 1, 1}}) ==
        "layers/0 \"layer\" (simpleRecurrent): a state of the shape [1, 2, 3, 1, 1] wanted as input 1, its shape is "
        "[3, 2, 1, 1, 1]");
}

TEST_CASE("simple_recurrent: gradients") {
    for (int bits = 0; bits < 8; ++bits) {
        const simple_recurrent layer{.output_vector_size = 3,
                                     .sequence_output = (bits & 1) != 0,
                                     .has_bias_vector = (bits & 2) != 0,
                                     .reverse_input = (bits & 4) != 0};
        require_gradients(layer, {{3, 2}});
        require_gradients(layer, {{2, 2, 2, 1, 1}, {1, 2, 3, 1, 1}});
    }
    for (const recurrent_activation& f : {recurrent_activation(linear{}), recurrent_activation(relu{})})
        require_gradients(simple_recurrent{.output_vector_size = 17, .activation = f}, {{2, 3}, {1, 17}});
}

TEST_CASE("simple_recurrent: shapes, faults and threads") {
    const std::string place = "layers/0 \"layer\" (simpleRecurrent): ";
    REQUIRE(fault_of(simple_recurrent{}, {{2, 3}}) == place + "outputVectorSize from 1 up wanted, -1 given");
    REQUIRE(fault_of(simple_recurrent{.output_vector_size = 7}, {{2, 3}, {7}}) ==
            place + "a state of the shape [1, 7] wanted as input 1, its shape is [7]");
    for (extent first : hostile_extents())
        for (extent second : hostile_extents())
            ask_everything(simple_recurrent{.input_vector_size = first, .output_vector_size = second});
    const simple_recurrent layer{.output_vector_size = 500, .sequence_output = true};
    const shape s{2, 64};
    evaluate<float>(layer, {{s, numbers<float>(64 * 128)}}, random_parameters<float>(layer, s, 0.1));
}

namespace {
inline constexpr auto rows =
    compose(input{"x", {4, 3}}, simple_recurrent{.output_vector_size = 19, .sequence_output = true},
            simple_recurrent{.output_vector_size = 2, .activation = relu{}, .reverse_input = true});
inline constexpr auto sample =
    compose(input{"x", {1, 3}}, input{"h", {1, 19}},
            simple_recurrent{.output_vector_size = 19} | from("x", "h") | to("y", "next"), output{"y"}, output{"next"});
}  // namespace

TEST_CASE("simple_recurrent: the same bits composed and at run time") {
    network<rows> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(12)));
    network<sample> one;
    const auto x = numbers<float>(3), h = numbers<float>(19, 2);
    const auto [y, next] = one(x, h);
    const std::vector<float> a(y.begin(), y.end()), b(next.begin(), next.end());
    const auto [batch_y, batch_next] = one.predict_batch(x, h);
    REQUIRE(same_bits(a, std::vector<float>(batch_y.begin(), batch_y.end())));
    REQUIRE(same_bits(a, b));
    REQUIRE(same_bits(b, std::vector<float>(batch_next.begin(), batch_next.end())));
}

TEST_CASE("simple_recurrent: backwards, the outputs stand in the order of the steps as they are taken") {
    // y_t = tanh(0.23604393 x_t - 0.86261368 y_{t-1} - 1.140625953)
    const simple_recurrent layer{.output_vector_size = 1, .sequence_output = true, .reverse_input = true};
    const auto got = evaluate<float>(layer, {{{2, 1}, {0.371883512F, 1.47090352F}}, {{1, 1}, {-0.156783476F}}},
                                     {{0.23604393F}, {-0.86261368F}, {-1.140625953F}});
    const double first = std::tanh(0.23604393 * 1.47090352 + 0.86261368 * 0.156783476 - 1.140625953);
    const double last = std::tanh(0.23604393 * 0.371883512 - 0.86261368 * first - 1.140625953);
    REQUIRE(distance(got.values[0], {first, last}) < 1e-6);
    REQUIRE(distance(got.values[1], {last}) < 1e-6);
}
