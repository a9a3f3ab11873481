#include <bespoke/layers/lstm.hpp>

#include <bespoke/network/network.hpp>

#include "recurrent_test.hpp"

FLOAT_IN_IMPLEMENTATION(bi_directional_lstm)
FLOAT_IN_IMPLEMENTATION(uni_directional_lstm)

using namespace recurrent_test;

namespace {

/// All combinations of what LSTMParams has.
std::vector<lstm_params> all_params() {
    std::vector<lstm_params> all;
    for (int bits = 0; bits < 32; ++bits)
        all.push_back({.sequence_output = (bits & 1) != 0,
                       .has_bias_vectors = (bits & 2) != 0,
                       .forget_bias = (bits & 4) != 0,
                       .has_peephole_vectors = (bits & 8) != 0,
                       .coupled_input_and_forget_gate = (bits & 16) != 0,
                       .cell_clip_threshold = bits % 3 == 0 ? 0.0F : 0.4F});
    return all;
}

template <class T>
void check_values(const uni_directional_lstm& layer, const shape& s, extent examples, bool states) {
    const auto steps = static_cast<std::size_t>(s[0]), batch = s.rank() == 2 ? 1 : static_cast<std::size_t>(s[1]);
    const auto n = static_cast<std::size_t>(layer.output_vector_size);
    const auto x = numbers<T>(examples * s.size(), 1);
    const auto w = random_parameters<T>(layer, s);
    const extent rows = static_cast<extent>(batch * n);
    const auto h = numbers<T>(states ? examples * rows : 0, 2), c = numbers<T>(states ? examples * rows : 0, 3);
    std::vector<blob<T>> inputs{{s, x}};
    shape state = s;
    state[0] = 1;
    state[s.rank() == 2 ? 1 : 2] = layer.output_vector_size;
    if (states) {
        inputs.push_back({state, h});
        inputs.push_back({state, c});
    }
    const result<T> got = evaluate<T>(layer, inputs, w);
    REQUIRE(got.values.size() == (states ? 3 : 1));
    const auto weights = to_doubles(w);
    numbers_list y, last_h, last_c;
    for (std::size_t e = 0; e < static_cast<std::size_t>(examples); ++e) {
        const auto of = [&](const std::vector<T>& v, std::size_t size) {
            return numbers_list(v.begin() + static_cast<std::ptrdiff_t>(e * size),
                                v.begin() + static_cast<std::ptrdiff_t>((e + 1) * size));
        };
        const numbers_list from = of(x, static_cast<std::size_t>(s.size()));
        const naive_result r = naive_lstm(layer.params, layer.activations, layer.reverse_input, steps, batch, n,
                                          from.data(), weights.data(), states ? of(h, batch * n) : numbers_list(),
                                          states ? of(c, batch * n) : numbers_list());
        const numbers_list& out = layer.params.sequence_output ? r.y : r.h;
        y.insert(y.end(), out.begin(), out.end());
        last_h.insert(last_h.end(), r.h.begin(), r.h.end());
        last_c.insert(last_c.end(), r.c.begin(), r.c.end());
    }
    const double tolerance = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CAPTURE(steps, batch, n, examples, states);
    REQUIRE(distance(got.values[0], y) <= tolerance);
    if (!states) return;
    REQUIRE(distance(got.values[1], last_h) <= tolerance);
    REQUIRE(distance(got.values[2], last_c) <= tolerance);
}

}  // namespace

TEST_CASE("uni_directional_lstm: by the definition") {
    int number = 0;
    for (const lstm_params& params : all_params())
        for (extent n : {1, 3, 17}) {
            const uni_directional_lstm layer{
                .output_vector_size = n, .params = params, .reverse_input = ++number % 2 == 0};
            const extent batch = number % 3 == 0 ? 2 : 1;
            for (const shape& s : sequence_shapes(number % 5, batch, 2 + number % 4)) {
                check_values<float>(layer, s, s[0] == 0 ? 1 : 1 + number % 3, number % 4 == 0);
                check_values<double>(layer, s, s[0] == 0 ? 1 : 1 + number % 3, number % 4 == 1);
            }
        }
    check_values<float>({.output_vector_size = 40, .params = {.sequence_output = true}}, {5, 33}, 7, true);
}

TEST_CASE("uni_directional_lstm: activations") {
    const std::array<recurrent_activation, 3> sets[] = {
        {sigmoid_hard{}, linear{.alpha = 0.5F, .beta = 0.1F}, relu{}},
        {sigmoid{}, bespoke::tanh{}, linear{}},
        {relu{}, scaled_tanh{.alpha = 1.71F}, sigmoid{}},
        {sigmoid{}, bespoke::tanh{}, bespoke::tanh{}},
        {linear{.alpha = 30}, linear{.alpha = 2}, bespoke::tanh{}}};  // meets the clip
    for (const auto& activations : sets) {
        const uni_directional_lstm layer{.output_vector_size = 5,
                                         .activations = activations,
                                         .params = {.sequence_output = true, .has_peephole_vectors = true}};
        check_values<double>(layer, {4, 3}, 2, true);
        check_values<float>(layer, {2, 2, 3}, 1, false);
    }
    // beyond the clip of a gate
    const uni_directional_lstm one{.output_vector_size = 1,
                                   .activations = {linear{}, linear{}, linear{}},
                                   .params = {.has_bias_vectors = false, .cell_clip_threshold = 1e6F}};
    std::vector<std::vector<double>> w(15);
    for (std::size_t i = 0; i < 8; ++i) w[i] = {i == 1 || i >= 4 ? 0.0 : 100.0};
    REQUIRE(evaluate<double>(one, {{{1, 1}, {1}}}, w).first()[0] == 50.0 * 50 * 50);
    REQUIRE(evaluate<double>(one, {{{1, 1}, {-1}}}, w).first()[0] == -50.0 * 50 * 50);
    REQUIRE(std::isnan(evaluate<double>(one, {{{1, 1}, {std::nan("")}}}, w).first()[0]));
}

TEST_CASE("uni_directional_lstm: gradients") {
    int number = 0;
    for (const lstm_params& params : all_params()) {
        ++number;
        const uni_directional_lstm layer{.output_vector_size = 2 + number % 2, .params = params,
                                         .reverse_input = number % 3 == 0};
        INFO("combination " << number);
        require_gradients(layer, {{3, 2}}, {.examples = 2});
        if (number % 4 == 0) require_gradients(layer, {{2, 2, 3, 1, 1}}, {.examples = 2});
        if (number % 4 == 1) {
            const extent n = layer.output_vector_size;
            require_gradients(layer, {{3, 1, 2}, {1, 1, n}, {1, 1, n}}, {.examples = 2});
            require_gradients(layer, {{2, 2, 2}, {1, 2, n}, {1, 2, n}}, {.examples = 2});
            require_gradients(layer, {{0, 1, 2}, {1, 1, n}, {1, 1, n}}, {.examples = 2});
        }
    }
    for (const recurrent_activation& f : {recurrent_activation(sigmoid_hard{}), recurrent_activation(scaled_tanh{})})
        require_gradients(
            uni_directional_lstm{.output_vector_size = 19, .activations = {f, linear{.alpha = 0.5F}, bespoke::tanh{}},
                                 .params = {.sequence_output = true, .has_peephole_vectors = true}},
            {{2, 1}});
    require_gradients(uni_directional_lstm{.output_vector_size = 2, .activations = {sigmoid{}, relu{}, relu{}}},
                      {{4, 3}});
    require_gradients(
        uni_directional_lstm{.output_vector_size = 2, .activations = {linear{.alpha = 30}, linear{}, bespoke::tanh{}}},
        {{2, 60}}, {.examples = 2, .low = -2, .high = 2});  // beyond the clip of a gate
}

TEST_CASE("uni_directional_lstm: the same bits with threads where there is much to do") {
    const uni_directional_lstm layer{.output_vector_size = 200, .params = {.sequence_output = true}};
    const shape s{2, 64};
    evaluate<float>(layer, {{s, numbers<float>(64 * 128)}}, random_parameters<float>(layer, s, 0.1));
}

TEST_CASE("uni_directional_lstm: PyTorch's numbers") {
    const uni_directional_lstm layer{.output_vector_size = 5, .params = {.sequence_output = true}};
    std::vector<std::vector<double>> w;
    for (extent i = 0; i < 12; ++i) w.push_back(steps<double>(1 + i, i < 4 ? 15 : i < 8 ? 25 : 5));
    const auto r = evaluate<double>(
        layer,
        {{{4, 2, 3}, steps<double>(3, 24)}, {{1, 2, 5}, steps<double>(4, 10)}, {{1, 2, 5}, steps<double>(5, 10)}}, w);
    require_summary(r.values[0], {40, 5.202932626, 3.609990767, {0.087552978, -0.061682591, 0.587916033}, -0.045323502},
                    1e-8);
    require_summary(r.values[1], {10, 0.736248753, 0.585844850, {0.415931128, 0.071645254, -0.176000912}, -0.045323502},
                    1e-8);
    require_summary(r.values[2],
                    {10, -0.053944567, 3.265262172, {0.708748099, 0.126883338, -0.724564868}, -0.197025263}, 1e-8);
}

TEST_CASE("uni_directional_lstm: shapes and faults") {
    constexpr uni_directional_lstm last{.output_vector_size = 7}, all{.output_vector_size = 7,
                                                                      .params = {.sequence_output = true}};
    const auto shapes = [](const uni_directional_lstm& layer, std::vector<shape> xs) {
        return layer.output_shape(xs).shapes();
    };
    using list = std::vector<shape>;
    REQUIRE(shapes(last, {{9, 3}}) == list{{1, 7}});
    REQUIRE(shapes(all, {{9, 3}}) == list{{9, 7}});
    REQUIRE(shapes(all, {{9, 2, 3}}) == list{{9, 2, 7}});
    REQUIRE(shapes(last, {{9, 2, 3, 1, 1}}) == list{{1, 2, 7, 1, 1}});
    REQUIRE(shapes(all, {{9, 2, 3, 1, 1}, {1, 2, 7, 1, 1}, {1, 2, 7, 1, 1}}) ==
            list{{9, 2, 7, 1, 1}, {1, 2, 7, 1, 1}, {1, 2, 7, 1, 1}});
    REQUIRE(shapes(all, {{0, 3}}) == list{{0, 7}});
    REQUIRE(shapes(last, {{0, 3}}) == list{{1, 7}});
    const shape x{9, 3};
    REQUIRE(last.resolved(std::span(&x, 1)).input_vector_size == 3);

    const std::string place = "layers/0 \"layer\" (uniDirectionalLSTM): ";
    REQUIRE(fault_of(last, {{3}}) == place + "an input [steps, channels], [steps, batch, channels] or [steps, batch, "
                                             "channels, 1, 1] wanted, its shape is [3]");
    REQUIRE(fault_of(last, {{2, 3, 4, 5, 1}}) ==
            place + "an input [steps, batch, channels, 1, 1] wanted, its shape is [2, 3, 4, 5, 1]");
    REQUIRE(fault_of(last, {{2, 0}}) == place + "an input with a batch and channels wanted, its shape is [2, 0]");
    REQUIRE(fault_of(last, {{2, 0, 3}}) == place + "an input with a batch and channels wanted, its shape is [2, 0, 3]");
    REQUIRE(fault_of(uni_directional_lstm{}, {{2, 3}}) == place + "outputVectorSize from 1 up wanted, -1 given");
    REQUIRE(fault_of(uni_directional_lstm{.input_vector_size = 4, .output_vector_size = 7}, {{2, 3}}) ==
            place + "an inputVectorSize of 4 declared, its input has 3 channels (shape [2, 3])");
    REQUIRE(fault_of(last, {{2, 3}, {1, 7}}) == place + "1 or 3 inputs wanted, 2 named");
    REQUIRE(fault_of(last, {{2, 3}, {1, 7}, {1, 6}}) ==
            place + "a state of the shape [1, 7] wanted as input 2, its shape is [1, 6]");
    REQUIRE(fault_of(uni_directional_lstm{.output_vector_size = std::numeric_limits<extent>::max()}, {{2, 3}}) ==
            place + "a sequence of vectors of 9223372036854775807 is too much for an input of the shape [2, 3]");
    for (float clip : {-1.0F, std::numeric_limits<float>::infinity(), std::nanf("")})
        REQUIRE(fault_of(uni_directional_lstm{.output_vector_size = 7, .params = {.cell_clip_threshold = clip}},
                         {{2, 3}}) == place + "a finite cellClipThreshold from 0 up wanted, " +
                                          std::string(sentence(clip).view()) + " given");
    REQUIRE(fault_of(uni_directional_lstm{.output_vector_size = 7, .params = {.has_forget_gate = false}}, {{2, 3}}) ==
            place + "a forget gate wanted, or one that is coupled to the input gate");
    for (extent first : hostile_extents())
        for (extent second : hostile_extents())
            ask_everything(uni_directional_lstm{.input_vector_size = first, .output_vector_size = second});
}

namespace {
inline constexpr auto one = compose(input{"x", {6, 3}}, uni_directional_lstm{.output_vector_size = 9});
inline constexpr auto stateful =
    compose(input{"x", {6, 3}}, input{"h", {1, 9}}, input{"c", {1, 9}},
            uni_directional_lstm{.output_vector_size = 9, .params = {.sequence_output = true}} |
                from("x", "h", "c") | to("y", "h2", "c2"),
            output{"y"});
}  // namespace

TEST_CASE("uni_directional_lstm: the same bits composed and at run time") {
    network<one> a(3);
    REQUIRE(same_bits_unrolled(a, numbers<float>(18)));
    const auto bits = [](auto& net, const uni_directional_lstm& layer, const std::vector<blob<float>>& inputs,
                         const auto& y) {
        std::vector<std::vector<float>> w;
        const auto shapes = parameter_shapes(layer, std::span(&inputs[0].dimensions, 1));
        for (std::size_t i = 0; i < 15; ++i)
            w.emplace_back(net.core().parameter(i), net.core().parameter(i) + shapes[i].size());
        return same_bits(std::vector<float>(y.begin(), y.end()), evaluate<float>(layer, inputs, w).first());
    };
    REQUIRE(bits(a, {.output_vector_size = 9}, {{{6, 3}, numbers<float>(18)}}, a(numbers<float>(18))));
    network<stateful> b(4);
    const auto x = numbers<float>(18), h = numbers<float>(9, 2), c = numbers<float>(9, 3);
    REQUIRE(bits(b, {.output_vector_size = 9, .params = {.sequence_output = true}},
                 {{{6, 3}, x}, {{1, 9}, h}, {{1, 9}, c}}, b(x, h, c)));
}

TEST_CASE("bi_directional_lstm: PyTorch's numbers") {
    const bi_directional_lstm layer{.output_vector_size = 5, .params = {.sequence_output = true}};
    std::vector<std::vector<double>> w(30);
    for (extent d = 0; d < 2; ++d)
        for (extent i = 0; i < 12; ++i)
            w[static_cast<std::size_t>(15 * d + i)] = steps<double>(1 + 20 * d + i, i < 4 ? 15 : i < 8 ? 25 : 5);
    const auto h = steps<double>(4, 20), c = steps<double>(5, 20);
    const auto half = [](const std::vector<double>& v, int i) {
        return std::vector<double>(v.begin() + 10 * i, v.begin() + 10 * (i + 1));
    };
    const shape state{1, 2, 5};
    const auto r = evaluate<double>(layer,
                                    {{{4, 2, 3}, steps<double>(3, 24)},
                                     {state, half(h, 0)},
                                     {state, half(c, 0)},
                                     {state, half(h, 1)},
                                     {state, half(c, 1)}},
                                    w);
    require_summary(r.values[0], {80, 7.151954037, 6.303917283, {0.087552978, -0.061682591, 0.587916033}, -0.026387399},
                    1e-8);
    auto last_h = r.values[1], last_c = r.values[2];
    last_h.insert(last_h.end(), r.values[3].begin(), r.values[3].end());
    last_c.insert(last_c.end(), r.values[4].begin(), r.values[4].end());
    require_summary(last_h, {20, 1.085668890, 1.074158101, {0.415931128, 0.071645254, -0.176000912}, -0.033231049},
                    1e-8);
    require_summary(last_c, {20, -1.259986069, 8.540014215, {0.708748099, 0.126883338, -0.724564868}, -0.063960526},
                    1e-8);
}

TEST_CASE("bi_directional_lstm: both directions, last states and gradients") {
    for (bool sequence : {false, true})
        for (extent examples : {1, 3})
            for (const shape& s : {shape{4, 3}, shape{0, 3}, shape{1, 3}, shape{3, 2, 3}}) {
                if (s[0] == 0 && examples > 1) continue;
                const lstm_params params{.sequence_output = sequence, .has_peephole_vectors = true};
                const bi_directional_lstm layer{.output_vector_size = 5, .params = params};
                const auto x = numbers<double>(examples * s.size(), 1);
                const auto w = random_parameters<double>(layer, s);
                const auto got = evaluate<double>(layer, {{s, x}}, w).first();
                const std::size_t steps = static_cast<std::size_t>(s[0]), batch = s.rank() == 2 ? 1 : 2;
                numbers_list expected;
                for (extent e = 0; e < examples; ++e) {
                    const double* from = x.data() + e * s.size();
                    const auto a = naive_lstm(params, layer.activations_forward_lstm, false, steps, batch, 5, from,
                                              w.data(), {}, {});
                    const auto b = naive_lstm(params, layer.activations_backward_lstm, true, steps, batch, 5, from,
                                              w.data() + 15, {}, {});
                    for (std::size_t t = 0; t < (sequence ? steps : 1); ++t)
                        for (std::size_t row = 0; row < batch; ++row)
                            for (std::size_t j = 0; j < 10; ++j)
                                expected.push_back(
                                    !sequence ? (j < 5 ? a.h[row * 5 + j] : b.h[row * 5 + j - 5])
                                    : j < 5   ? a.y[(t * batch + row) * 5 + j]
                                              : b.y[((steps - 1 - t) * batch + row) * 5 + j - 5]);
                }
                REQUIRE(distance(got, expected) <= 1e-13);
                require_gradients(bi_directional_lstm{.output_vector_size = 2, .params = params}, {s});
            }
    require_gradients(bi_directional_lstm{.output_vector_size = 2, .params = {.sequence_output = true}},
                      {{3, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}});
    const std::string place = "layers/0 \"layer\" (biDirectionalLSTM): ";
    REQUIRE(fault_of(bi_directional_lstm{.output_vector_size = 7}, {{2, 3}, {1, 7}, {1, 7}}) ==
            place + "1 or 5 inputs wanted, 3 named");
    REQUIRE(fault_of(bi_directional_lstm{}, {{2, 3}}) == place + "outputVectorSize from 1 up wanted, -1 given");
}

namespace {
inline constexpr auto both_ways = compose(
    input{"x", {4, 3}}, bi_directional_lstm{.output_vector_size = 9, .params = {.sequence_output = true}},
    bi_directional_lstm{.output_vector_size = 2, .params = {.forget_bias = true, .has_peephole_vectors = true}} |
        named("second"));
}

TEST_CASE("bi_directional_lstm: the same bits composed and at run time") {
    network<both_ways> net;
    REQUIRE(net.parameter("second", "weightParams.0.inputGatePeepholeVector").size() == 2);
    REQUIRE(same_bits_unrolled(net, numbers<float>(12)));
}

TEST_CASE("lstm: coupled gates do without the weights of the forget gate") {
    const lstm_params coupled{.sequence_output = true, .coupled_input_and_forget_gate = true, .has_forget_gate = false};
    require_gradients(uni_directional_lstm{.output_vector_size = 3, .params = coupled}, {{4, 2}});
    lstm_params with_peepholes = coupled;
    with_peepholes.has_peephole_vectors = true;
    require_gradients(uni_directional_lstm{.output_vector_size = 3, .params = with_peepholes}, {{4, 2}});
    require_gradients(bi_directional_lstm{.output_vector_size = 2, .params = coupled}, {{3, 2}});
    uni_directional_lstm layer{.output_vector_size = 3, .params = coupled};
    std::vector<extent> lengths(15, 1);
    layer.set_lengths(lengths);
    CHECK(layer.params.has_forget_gate);
    for (std::size_t i : {1u, 5u, 9u, 13u}) lengths[i] = 0;
    layer.set_lengths(lengths);
    CHECK_FALSE(layer.params.has_forget_gate);
    layer.params.coupled_input_and_forget_gate = false;
    layer.set_lengths(lengths);
    CHECK(layer.params.has_forget_gate);
}
