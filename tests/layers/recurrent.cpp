#include <bespoke/layers/recurrent.hpp>

#include <bespoke/layers/gru.hpp>
#include <bespoke/layers/simple_recurrent.hpp>
#include <bespoke/network/network.hpp>

#include "recurrent_test.hpp"

FLOAT_IN_IMPLEMENTATION(bi_directional_lstm)
FLOAT_IN_IMPLEMENTATION(gru)
FLOAT_IN_IMPLEMENTATION(simple_recurrent)
FLOAT_IN_IMPLEMENTATION(uni_directional_lstm)

using namespace recurrent_test;

TEST_CASE("recurrent_activation is the activation that it holds") {
    const auto same = [](const auto& f) {
        const recurrent_activation any = f;
        REQUIRE(any.is<std::remove_cvref_t<decltype(f)>>());
        for (double v : {-60.0, -1.0, 0.0, 0.3, 60.0}) {
            REQUIRE(any(v) == f(v));
            REQUIRE(any.derivative(v, f(v)) == f.derivative(v, f(v)));
            REQUIRE(std::abs(any(v) - activate(any, v)) < 1e-12);
        }
        REQUIRE(any == recurrent_activation(f));
    };
    same(sigmoid{});
    same(bespoke::tanh{});
    same(sigmoid_hard{});
    same(linear{.alpha = 2, .beta = 1});
    same(relu{});
    same(scaled_tanh{});
    REQUIRE_FALSE(recurrent_activation(sigmoid{}) == recurrent_activation(relu{}));
    REQUIRE_FALSE(recurrent_activation(linear{.alpha = 2}) == recurrent_activation(linear{}));
}

TEST_CASE("recurrent_activation: an alpha and a beta of 0 stand for the customary ones") {
    const auto of = [](const recurrent_activation& f) { return f.with_constants(); };
    REQUIRE(of(linear{.alpha = 0, .beta = 0}) == linear{.alpha = 1, .beta = 0});
    REQUIRE(of(sigmoid_hard{.alpha = 0, .beta = 0}) == sigmoid_hard{.alpha = 0.2f, .beta = 0.5f});
    REQUIRE(of(scaled_tanh{.alpha = 0, .beta = 0}) == scaled_tanh{.alpha = 1, .beta = 1});
    REQUIRE(of(scaled_tanh{.alpha = 0, .beta = 0})(0.7) == bespoke::tanh{}(0.7));
    // one of them given: both as they are
    REQUIRE(of(linear{.alpha = 0, .beta = 1}) == linear{.alpha = 0, .beta = 1});
    REQUIRE(of(sigmoid_hard{.alpha = 0.5f, .beta = 0}) == sigmoid_hard{.alpha = 0.5f, .beta = 0});
    REQUIRE(of(scaled_tanh{.alpha = 0, .beta = 2}) == scaled_tanh{.alpha = 0, .beta = 2});
    REQUIRE(of(relu{}) == relu{});

    // in every layer, by two networks that differ in the spelling
    const std::vector<blob<float>> x{{{4, 3}, numbers<float>(24)}};
    const auto same = [&](auto layer, auto set) {
        layer.output_vector_size = 3;
        const auto weights = random_parameters<float>(layer, {4, 3});
        set(layer, linear{.alpha = 0, .beta = 0}, sigmoid_hard{.alpha = 0, .beta = 0},
            scaled_tanh{.alpha = 0, .beta = 0});
        const auto left_out = evaluate<float>(layer, x, weights).first();
        set(layer, linear{}, sigmoid_hard{}, scaled_tanh{.alpha = 1, .beta = 1});
        REQUIRE(left_out == evaluate<float>(layer, x, weights).first());
    };
    same(uni_directional_lstm{}, [](auto& l, auto a, auto b, auto c) { l.activations = {b, a, c}; });
    same(gru{}, [](auto& l, auto, auto b, auto c) { l.activations = {b, c}; });
    same(simple_recurrent{}, [](auto& l, auto, auto, auto c) { l.activation = c; });
    same(bi_directional_lstm{}, [](auto& l, auto a, auto b, auto c) {
        l.activations_forward_lstm = {b, a, c};
        l.activations_backward_lstm = {b, a, c};
    });
}

TEST_CASE("recurrent_form: what a layer does without is prepared as zeros") {
    const detail::recurrent_form form{.input_size = 2, .output_size = 3, .gates = 4, .states = 2,
                                      .sequence_output = true, .has_peepholes = true};
    const std::vector<float> ones(9, 1);
    detail::gate_arrays<const float> given;
    for (std::size_t gate : {0u, 2u, 3u}) given.w[gate] = given.r[gate] = ones.data();  // coupled
    given.peepholes = {ones.data(), nullptr, ones.data()};
    const extent size = form.prepared_size<float>(2), peepholes = size - 9;
    std::vector<float> prepared(static_cast<std::size_t>(size), no_number);
    form.prepare(2, given, prepared.data());
    const std::vector<float> last(prepared.begin() + peepholes, prepared.end());
    CHECK(last == std::vector<float>{1, 1, 1, 0, 0, 0, 1, 1, 1});
}

TEST_CASE("recurrent_form: which rows are taken together") {
    const detail::recurrent_form form{.input_size = unset, .output_size = 7, .gates = 4, .late = 0, .states = 2,
                                      .directions = 1, .sequence_output = true};
    const auto together = [](const shape& s, extent examples, extent stride) {
        return detail::recurrent_form::together(dynamic_view<float>{nullptr, s, examples, stride}, examples);
    };
    REQUIRE(together({5, 3}, 4, 15));
    REQUIRE(together({5, 3}, 1, 15));
    REQUIRE_FALSE(together({5, 3}, 4, 0));  // stored once
    REQUIRE(together({0, 3}, 4, 0));
    REQUIRE_FALSE(together({5, 2, 3}, 4, 30));
    const auto all = form.geometry({5, 3}, 4, true, false), one = form.geometry({5, 2, 3}, 4, false, true);
    REQUIRE((all.rows == 4 && all.step_stride == 1 && all.row_stride == 5 && all.first_row(1) == 1));
    REQUIRE((one.rows == 2 && one.step_stride == 2 && one.row_stride == 1 && one.first_row(1) == 6));
    REQUIRE(one.output_row(1) == 2);
}

namespace {

/// One step of one sequence, without states, with them, and in all the shapes that a step may have.
template <const auto& Layer>
struct steps {
    static constexpr std::size_t states = inputs_of<std::remove_cvref_t<decltype(Layer)>>.most - 1;
    static constexpr extent n = Layer.output_vector_size;
    static constexpr auto alone = compose(input{"x", {1, 3}}, Layer | named("layer"));
    static constexpr auto of_rank_5 = compose(input{"x", {1, 1, 3, 1, 1}}, Layer | named("layer"));
    static constexpr auto with_states = [] {
        if constexpr (states == 1)
            return compose(input{"x", {1, 1, 3}}, input{"h", {1, 1, n}},
                           Layer | named("layer") | from("x", "h") | to("y", "next_h"), output{"y"}, output{"next_h"});
        else
            return compose(input{"x", {1, 1, 3}}, input{"h", {1, 1, n}}, input{"c", {1, 1, n}},
                           Layer | named("layer") | from("x", "h", "c") | to("y", "next_h", "next_c"), output{"y"},
                           output{"next_h"}, output{"next_c"});
    }();
    static constexpr auto layer_giving = [] {
        auto layer = Layer;
        layer.gives_states = true;
        return layer;
    }();
    static constexpr auto giving_states = [] {
        if constexpr (states == 1)
            return compose(input{"x", {1, 1, 3}}, layer_giving | named("layer") | to("y", "next_h"), output{"y"},
                           output{"next_h"});
        else
            return compose(input{"x", {1, 1, 3}}, layer_giving | named("layer") | to("y", "next_h", "next_c"),
                           output{"y"}, output{"next_h"}, output{"next_c"});
    }();
    static constexpr auto two = compose(input{"x", {2, 3}}, Layer | named("layer"));
};
template <const auto& Description, class L>
constexpr bool unrolls = unrolled<float, L, fixed_step<composed_plan<Description>, 0>>::fits();

std::vector<std::vector<float>> values_of(const auto& results) {
    std::vector<std::vector<float>> all;
    if constexpr (requires { results.begin(); })
        all.emplace_back(results.begin(), results.end());
    else
        std::apply([&](const auto&... one) { (all.emplace_back(one.begin(), one.end()), ...); }, results);
    return all;
}

template <const auto& Description, class L>
void require_same_bits(const std::vector<std::vector<float>>& x) {
    static_assert(unrolls<Description, L>);
    network<Description> net(7);
    for (std::size_t i = 0; i < net.plan().parameters.size(); ++i) {
        const auto values = numbers<float>(net.plan().parameters[i].dimensions.size(), 20 + i);
        std::copy(values.begin(), values.end(), net.core().parameter(i));
    }
    net.prepare();
    const auto [one, batch] = [&]<std::size_t... I>(std::index_sequence<I...>) {
        auto fixed = values_of(net(x[I]...));
        return std::pair{std::move(fixed), values_of(net.predict_batch(x[I]...))};
    }(std::make_index_sequence<network<Description>::plan().inputs.size()>{});
    REQUIRE(one.size() == batch.size());
    for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(same_bits(one[i], batch[i]));
}

template <const auto& Layer>
void require_steps() {
    using L = std::remove_cvref_t<decltype(Layer)>;
    const auto x = numbers<float>(3, 1), h = numbers<float>(Layer.output_vector_size, 2),
               c = numbers<float>(Layer.output_vector_size, 3);
    require_same_bits<steps<Layer>::alone, L>({x});
    require_same_bits<steps<Layer>::of_rank_5, L>({x});
    require_same_bits<steps<Layer>::with_states, L>({x, h, c});
    require_same_bits<steps<Layer>::giving_states, L>({x});
    static_assert(!unrolls<steps<Layer>::two, L>);
}

constexpr simple_recurrent simple{.output_vector_size = 17}, simple_relu{.output_vector_size = 5, .activation = relu{}};
constexpr gru small_gru{.output_vector_size = 5}, large_gru{.output_vector_size = 48, .has_bias_vectors = false};
constexpr gru other_gru{
    .output_vector_size = 16, .activations = {sigmoid_hard{}, scaled_tanh{}}, .reverse_input = true};
constexpr uni_directional_lstm small_lstm{.output_vector_size = 1}, large_lstm{.output_vector_size = 20},
    other_lstm{.output_vector_size = 33,
               .activations = {sigmoid_hard{}, scaled_tanh{}, linear{}},
               .params = {.sequence_output = true,
                          .forget_bias = true,
                          .has_peephole_vectors = true,
                          .coupled_input_and_forget_gate = true,
                          .cell_clip_threshold = 0.5F}};

}  // namespace

TEST_CASE("one step of a sequence, with extents in the type: the same bits as at run time") {
    require_steps<simple>();
    require_steps<simple_relu>();
    require_steps<small_gru>();
    require_steps<large_gru>();
    require_steps<other_gru>();
    require_steps<small_lstm>();
    require_steps<large_lstm>();
    require_steps<other_lstm>();
}

TEST_CASE("with gives_states, x alone gives what it gives with states of zeros") {
    const auto check = [](auto layer, std::size_t states) {
        const shape s{4, 2, 3};
        const extent examples = 2, n = layer.output_vector_size;
        const auto x = numbers<float>(examples * s.size(), 1);
        const auto w = random_parameters<float>(layer, s);
        std::vector<blob<float>> with_states{{s, x}};
        for (std::size_t i = 0; i < states; ++i)
            with_states.push_back({{1, 2, n}, std::vector<float>(static_cast<std::size_t>(examples * 2 * n))});
        const result<float> wanted = evaluate<float>(layer, with_states, w);
        REQUIRE(evaluate<float>(layer, {{s, x}}, w).values.size() == 1);
        layer.gives_states = true;
        const result<float> got = evaluate<float>(layer, {{s, x}}, w);
        REQUIRE(got.values.size() == 1 + states);
        for (std::size_t i = 0; i < got.values.size(); ++i) REQUIRE(same_bits(got.values[i], wanted.values[i]));
        require_gradients(layer, {{3, 1, 2}}, {.examples = 2});
    };
    check(simple_recurrent{.output_vector_size = 5}, 1);
    check(gru{.output_vector_size = 5, .sequence_output = true}, 1);
    check(uni_directional_lstm{.output_vector_size = 5, .reverse_input = true}, 2);
    check(bi_directional_lstm{.output_vector_size = 5, .params = {.sequence_output = true}}, 4);
}
