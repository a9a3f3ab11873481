#include <bespoke/graph/layer_facts.hpp>

#include <bespoke/control/loop.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/copy.hpp>
#include <bespoke/layers/dynamic.hpp>
#include <bespoke/layers/fill.hpp>
#include <bespoke/layers/flatten.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/reshape_static.hpp>
#include <bespoke/layers/softmax.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace bespoke;

namespace {

template <class L>
layer_answers ask(const L& layer, std::vector<shape> inputs) {
    return ask_layer(layer, std::span<const shape>(inputs));
}

}  // namespace

TEST_CASE("what there is to know of a layer type") {
    constexpr const layer_facts& element = facts_of<relu>;
    CHECK(element.key == "activation");
    CHECK(element.nested_key == "ReLU");
    CHECK(element.elementwise);
    CHECK(element.in_place);
    CHECK(element.runs_epilogue);
    CHECK(element.differentiable);
    CHECK(element.parameters.empty());
    CHECK(element.inputs.least == 1);
    CHECK(element.inputs.most == 1);

    constexpr const layer_facts& moved = facts_of<reshape_static>;
    CHECK(moved.key == "reshapeStatic");
    CHECK(moved.nested_key.empty());
    CHECK_FALSE(moved.elementwise);
    CHECK(moved.in_place);
    CHECK_FALSE(moved.needs.input);
    CHECK_FALSE(moved.needs.output);
    CHECK_FALSE(moved.overwrites);
    CHECK(facts_of<copy>.overwrites);
    CHECK_FALSE(facts_of<copy>.in_place);

    CHECK(moved.reads_values);
    CHECK_FALSE(facts_of<get_shape>.reads_values);
    CHECK_FALSE(facts_of<fill_like>.reads_values);

    CHECK_FALSE(facts_of<fill_like>.shaped_by_values);
    CHECK(facts_of<fill_dynamic>.shaped_by_values);

    constexpr const layer_facts& control = facts_of<loop_break>;
    CHECK(control.control);
    CHECK(control.inputs.most == 0);
    CHECK_FALSE(element.control);
}

TEST_CASE("values that are known before the network runs") {
    const std::vector<shape> vector{{2}}, matrix{{1, 2}};
    const std::vector<double> values{3, 4};
    const std::vector<known_values> known{std::span<const double>(values)};
    CHECK(ask(fill_like{7}, vector).values == std::vector<double>{7, 7});
    CHECK(ask(flatten_to_2d{}, vector).values.empty());
    CHECK(ask_layer(flatten_to_2d{}, std::span<const shape>(vector), known).values == values);
    CHECK(ask_layer(flatten{flatten_order::channel_last}, std::span<const shape>(vector), known).values.empty());
    CHECK(ask(fill_dynamic{}, vector).outputs.shapes()[0] == shape{unset, unset});
    const auto answers = ask_layer(fill_dynamic{5}, std::span<const shape>(vector), known);
    CHECK(answers.outputs.shapes()[0] == shape{3, 4});
    CHECK(answers.values == std::vector<double>(12, 5));
}

TEST_CASE("parameters are listed as their layer declares them") {
    constexpr auto rules = facts_of<batchnorm>.parameters;
    REQUIRE(rules.size() == 4);
    CHECK(rules[0].name == "gamma");
    CHECK(rules[0].start == initial::one);
    CHECK(rules[0].learned);
    CHECK(rules[3].name == "variance");
    CHECK_FALSE(rules[3].learned);
    constexpr auto weights = facts_of<inner_product>.parameters;
    REQUIRE(weights.size() == 2);
    CHECK(weights[0].name == "weights");
    CHECK(weights[0].start == initial::glorot);
    CHECK(weights[1].start == initial::zero);
}

TEST_CASE("what a layer says of its inputs, at compile time and at run time") {
    constexpr extent channels = [] {
        const shape x{3, 7};
        return ask_layer(inner_product{.output_channels = 5}, std::span<const shape>(&x, 1)).outputs.shapes()[0][1];
    }();
    STATIC_REQUIRE(channels == 5);

    const layer_answers product = ask(inner_product{.output_channels = 5}, {{3, 7}});
    REQUIRE(product.outputs);
    CHECK(product.outputs.shapes() == std::vector<shape>{{3, 5}});
    CHECK(product.parameters == std::vector<shape>{{5, 7}, {5}});
    CHECK_FALSE(product.can_finish);
    CHECK_FALSE(product.same_elements);

    CHECK(ask(relu{}, {{4}}).can_finish);
    CHECK(ask(flatten{}, {{1, 2, 3}}).same_elements);
    CHECK(ask(softmax{}, {{4, 1, 1}}).probabilities);
    CHECK_FALSE(ask(softmax{}, {{4, 2, 1}}).probabilities);
    CHECK_FALSE(ask(relu{}, {{4}}).probabilities);
}

TEST_CASE("behind a fault there are no answers") {
    const layer_answers wrong = ask(inner_product{.output_channels = 5, .has_bias = false}, {shape{}});
    REQUIRE_FALSE(wrong.outputs);
    CHECK_FALSE(wrong.outputs.problem().what.view().empty());
    CHECK(wrong.parameters.empty());
}

TEST_CASE("how many inputs a layer takes") {
    const auto problem = [](input_count wanted, std::size_t count) {
        const auto wrong = wrong_inputs(wanted, count);
        return wrong ? std::string(wrong->what.view()) : std::string();
    };
    CHECK(problem({}, 1).empty());
    CHECK(problem({2, any_number}, 5).empty());
    CHECK(problem({}, 2) == "1 input wanted, 2 named");
    CHECK(problem({2, 2}, 1) == "2 inputs wanted, 1 named");
    CHECK(problem({2, 3}, 4) == "2 to 3 inputs wanted, 4 named");
    CHECK(problem({2, any_number}, 1) == "2 or more inputs wanted, 1 named");
    CHECK(wrong_inputs({0, 0}, 1)->code == errc::bad_value);
}

TEST_CASE("an erased layer answers as the layer does") {
    const inner_product layer{.output_channels = 3};
    const erased_layer erased = layer;
    CHECK(erased.layer == &layer);
    CHECK(erased.facts == &facts_of<inner_product>);
    const std::vector<shape> x{{5}}, none{{}};
    const layer_answers answers = erased.ask(x);
    REQUIRE(answers.outputs);
    CHECK(answers.outputs.shapes() == std::vector<shape>{{3}});
    CHECK(answers.parameters == std::vector<shape>{{3, 5}, {3}});
    CHECK(erased.ask(none).outputs.problem().what.view() == ask(layer, none).outputs.problem().what.view());
    CHECK_FALSE(std::is_constructible_v<erased_layer, loop_break>);  // control layers answer otherwise
}
