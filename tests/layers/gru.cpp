#include <bespoke/layers/gru.hpp>

#include <bespoke/network/network.hpp>

#include "recurrent_test.hpp"

FLOAT_IN_IMPLEMENTATION(gru)

using namespace recurrent_test;

namespace {

/// x [steps, batch, inputs] of one example; w in the order of `parameter_fields`; h [batch, n], empty: 0.
naive_result naive_gru(const gru& layer, std::size_t steps, std::size_t batch, const double* x, const numbers_list* w,
                       numbers_list h) {
    const auto n = static_cast<std::size_t>(layer.output_vector_size);
    const std::size_t inputs = w[0].size() / n;
    const auto& [f, g] = layer.activations;
    h.resize(batch * n);
    naive_result result;
    for (std::size_t s = 0; s < steps; ++s)
        for (std::size_t b = 0; b < batch; ++b) {
            const double* from = x + ((layer.reverse_input ? steps - 1 - s : s) * batch + b) * inputs;
            double* old = h.data() + b * n;
            const auto sum = [&](std::size_t k, std::size_t j, const double* y) {
                return row_dot(w[k], j, from, inputs) + row_dot(w[3 + k], j, y, n) + at(w[6 + k], j);
            };
            numbers_list z(n), reset(n), next(n);
            for (std::size_t j = 0; j < n; ++j) {
                z[j] = gate(f, sum(0, j, old));
                reset[j] = gate(f, sum(1, j, old)) * old[j];
            }
            for (std::size_t j = 0; j < n; ++j)
                next[j] = (1 - z[j]) * gate(g, sum(2, j, reset.data())) + z[j] * old[j];
            std::copy(next.begin(), next.end(), old);
            result.y.insert(result.y.end(), next.begin(), next.end());
        }
    result.h = h;
    return result;
}

template <class T>
void check_values(const gru& layer, const shape& s, extent examples, bool states) {
    const auto steps = static_cast<std::size_t>(s[0]), batch = s.rank() == 2 ? 1 : static_cast<std::size_t>(s[1]);
    const auto rows = static_cast<extent>(batch) * layer.output_vector_size;
    const auto x = numbers<T>(examples * s.size(), 1), h = numbers<T>(states ? examples * rows : 0, 2);
    const auto w = random_parameters<T>(layer, s);
    shape state = s;
    state[0] = 1;
    state[s.rank() == 2 ? 1 : 2] = layer.output_vector_size;
    std::vector<blob<T>> inputs{{s, x}};
    if (states) inputs.push_back({state, h});
    const result<T> got = evaluate<T>(layer, inputs, w);
    REQUIRE(got.values.size() == (states ? 2 : 1));
    const auto weights = to_doubles(w);
    numbers_list y, last;
    for (extent e = 0; e < examples; ++e) {
        const numbers_list from(x.begin() + e * s.size(), x.begin() + (e + 1) * s.size());
        const numbers_list begin =
            states ? numbers_list(h.begin() + e * rows, h.begin() + (e + 1) * rows) : numbers_list();
        const naive_result r = naive_gru(layer, steps, batch, from.data(), weights.data(), begin);
        const numbers_list& out = layer.sequence_output ? r.y : r.h;
        y.insert(y.end(), out.begin(), out.end());
        last.insert(last.end(), r.h.begin(), r.h.end());
    }
    const double tolerance = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CAPTURE(steps, batch, layer.output_vector_size, examples, states);
    REQUIRE(distance(got.values[0], y) <= tolerance);
    if (states) REQUIRE(distance(got.values[1], last) <= tolerance);
}

std::vector<gru> layers(extent n) {
    std::vector<gru> all;
    for (int bits = 0; bits < 8; ++bits)
        all.push_back({.output_vector_size = n,
                       .sequence_output = (bits & 1) != 0,
                       .has_bias_vectors = (bits & 2) != 0,
                       .reverse_input = (bits & 4) != 0});
    return all;
}

}  // namespace

TEST_CASE("gru: by the definition") {
    int number = 0;
    for (extent n : {1, 3, 17, 40})
        for (gru layer : layers(n))
            for (extent steps : {0, 1, 4}) {
                const extent batch = ++number % 3 == 0 ? 2 : 1;
                if (number % 4 == 0) layer.activations = {sigmoid_hard{}, scaled_tanh{}};
                for (const shape& s : sequence_shapes(steps, batch, 2 + number % 4)) {
                    check_values<float>(layer, s, steps == 0 ? 1 : 1 + number % 3, number % 2 == 0);
                    check_values<double>(layer, s, steps == 0 ? 1 : 1 + number % 3, number % 2 == 1);
                }
            }
    check_values<double>({.output_vector_size = 3, .activations = {linear{.alpha = 0.5F}, relu{}}}, {3, 4}, 2, true);
}

TEST_CASE("gru: gradients") {
    for (const gru& layer : layers(3)) {
        require_gradients(layer, {{3, 2}}, {.examples = 2});
        require_gradients(layer, {{2, 2, 2}, {1, 2, 3}}, {.examples = 2});
        require_gradients(layer, {{3, 2}, {1, 3}}, {.examples = 2});
    }
    require_gradients(gru{.output_vector_size = 2}, {{0, 2}, {1, 2}});
    require_gradients(gru{.output_vector_size = 17, .activations = {sigmoid_hard{}, scaled_tanh{}}}, {{2, 1}});
    require_gradients(gru{.output_vector_size = 2, .activations = {linear{.alpha = 0.5F}, relu{}}}, {{3, 3}});
    require_gradients(gru{.output_vector_size = 2, .activations = {sigmoid{}, linear{}}}, {{2, 60}},
                      {.examples = 3, .low = -12, .high = 12, .tolerance = 1e-5});  // beyond the clip of a gate
}

TEST_CASE("gru: the same bits with threads where there is much to do") {
    const gru layer{.output_vector_size = 300, .sequence_output = true};
    const shape s{2, 64};
    evaluate<float>(layer, {{s, numbers<float>(64 * 128)}}, random_parameters<float>(layer, s, 0.1));
}

TEST_CASE("gru: shapes and faults") {
    constexpr gru layer{.output_vector_size = 7};
    using list = std::vector<shape>;
    REQUIRE(layer.output_shape(list{{9, 2, 3, 1, 1}}).shapes() == list{{1, 2, 7, 1, 1}});
    REQUIRE(layer.output_shape(list{{9, 3}, {1, 7}}).shapes() == list{{1, 7}, {1, 7}});
    REQUIRE(gru{.output_vector_size = 7, .sequence_output = true}.output_shape(list{{9, 3}}).shapes() == list{{9, 7}});
    const shape x{9, 3};
    REQUIRE(layer.resolved(std::span(&x, 1)).input_vector_size == 3);
    const std::string place = "layers/0 \"layer\" (gru): ";
    REQUIRE(fault_of(gru{}, {{2, 3}}) == place + "outputVectorSize from 1 up wanted, -1 given");
    REQUIRE(fault_of(gru{.input_vector_size = 4, .output_vector_size = 7}, {{2, 3}}) ==
            place + "an inputVectorSize of 4 declared, its input has 3 channels (shape [2, 3])");
    REQUIRE(fault_of(layer, {{2, 3}, {7}}) ==
            place + "a state of the shape [1, 7] wanted as input 1, its shape is [7]");
    REQUIRE(fault_of(layer, {{2, 3}, {1, 7}, {1, 7}}) == place + "1 to 2 inputs wanted, 3 named");
    for (extent first : hostile_extents())
        for (extent second : hostile_extents())
            ask_everything(gru{.input_vector_size = first, .output_vector_size = second});
}

namespace {
inline constexpr auto one = compose(input{"x", {6, 3}}, gru{.output_vector_size = 9, .sequence_output = true});
}

TEST_CASE("gru: the same bits composed and at run time") {
    network<one> net(3);
    const auto x = numbers<float>(18);
    REQUIRE(same_bits_unrolled(net, x));
    const gru layer{.output_vector_size = 9, .sequence_output = true};
    const shape s{6, 3};
    const auto shapes = parameter_shapes(layer, std::span(&s, 1));
    std::vector<std::vector<float>> w;
    for (std::size_t i = 0; i < shapes.size(); ++i)
        w.emplace_back(net.core().parameter(i), net.core().parameter(i) + shapes[i].size());
    const auto y = net(x);
    REQUIRE(same_bits(std::vector<float>(y.begin(), y.end()), evaluate<float>(layer, {{s, x}}, w).first()));
}
