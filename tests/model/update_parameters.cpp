#include "failure.hpp"

#include <bespoke/model/update_parameters.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using nlohmann::json;

namespace {

network_update_parameters read(const json& root) {
    object_reader in(&root, "/u");
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_update_parameters(in);
}
json written(const network_update_parameters& parameters) {
    return json::parse(
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_update_parameters(parameters).dump());
}

const char* const full = R"({
  "lossLayers": [
    {"name": "loss", "categoricalCrossEntropyLossLayer": {"input": "probabilities", "target": "digit"}},
    {"name": "other", "meanSquaredErrorLossLayer": {"input": "y", "target": "t"}}
  ],
  "optimizer": {"adamOptimizer": {
    "learningRate": {"defaultValue": 0.001, "range": {"maxValue": 1}},
    "miniBatchSize": {"defaultValue": "16", "set": {"values": ["8", "16"]}},
    "beta1": {"defaultValue": 0.9}, "beta2": {"defaultValue": 0.999}, "eps": {"defaultValue": 1e-8}}},
  "epochs": {"defaultValue": "10", "range": {"minValue": "1", "maxValue": "100"}},
  "shuffle": {"defaultValue": true},
  "seed": {"defaultValue": "7"}
})";

}  // namespace

TEST_CASE("update parameters go round") {
    const json root = json::parse(full);
    const auto parameters = read(root);
    REQUIRE(parameters.loss_layers.size() == 2);
    CHECK(std::get<categorical_cross_entropy>(parameters.loss_layers[0].type).target == "digit");
    CHECK(std::get<mean_squared_error>(parameters.loss_layers[1].type).input == "y");
    const auto& adam = std::get<adam_optimizer>(parameters.optimizer);
    CHECK(adam.learning_rate->default_value == 0.001);
    CHECK(adam.learning_rate->range == double_range{0, 1});
    CHECK(adam.mini_batch_size->allows(8));
    CHECK_FALSE(adam.mini_batch_size->allows(9));
    CHECK(parameters.epochs->allows(100));
    CHECK_FALSE(parameters.epochs->allows(0));
    CHECK(parameters.shuffle == true);
    CHECK(parameters.seed->default_value == 7);
    CHECK(written(parameters) == root);
    CHECK(read(written(parameters)) == parameters);
}

TEST_CASE("losses that the specification lacks go round under their own key") {
    const json root = json::parse(R"({"lossLayers": [
        {"name": "a", "bespoke": {"binaryCrossEntropyWithLogitsLossLayer": {"input": "logits", "target": "t"}}},
        {"name": "b", "bespoke": {"huberLossLayer": {"input": "y", "target": "u", "delta": 0.5}}}]})");
    const auto parameters = read(root);
    REQUIRE(parameters.loss_layers.size() == 2);
    CHECK(std::get<binary_cross_entropy_with_logits>(parameters.loss_layers[0].type).input == "logits");
    CHECK(std::get<huber>(parameters.loss_layers[1].type) == huber{"y", "u", 0.5});
    CHECK(written(parameters) == root);
    const auto of = [](const char* loss) {
        return json::parse(R"({"lossLayers": [{"name": "l", "bespoke": )" + std::string(loss) + "}]}");
    };
    CHECK(std::get<huber>(read(of(R"({"huberLossLayer": {}})")).loss_layers[0].type).delta == 1);
    const auto text = [&](const char* loss) { return check::failure([&] { read(of(loss)); }).text; };
    CHECK(text("{}") == "/u/lossLayers/0/bespoke: a loss wanted, none came");
    CHECK(text(R"({"hinge": {}})") == "/u/lossLayers/0/bespoke: a loss wanted, none came");
    CHECK(text(R"({"huberLossLayer": {}, "hinge": {}})") == R"(/u/lossLayers/0/bespoke: unknown field "hinge")");
    CHECK(text(R"({"huberLossLayer": {"delta": 0}})") ==
          "/u/lossLayers/0/bespoke/huberLossLayer/delta: a finite number above 0 wanted, 0.0 came");
}

TEST_CASE("what is left out stays out") {
    CHECK(read(json::object()) == network_update_parameters{});
    CHECK(written({}) == json::object());
    const json root = json::parse(R"({"optimizer": {"sgdOptimizer": {"momentum": {}}}, "shuffle": {}})");
    const auto parameters = read(root);
    const auto& sgd = std::get<sgd_optimizer>(parameters.optimizer);
    CHECK(sgd.momentum == double_parameter{});
    CHECK_FALSE(sgd.learning_rate);
    CHECK(parameters.shuffle == false);
    CHECK(written(parameters) == root);
}

TEST_CASE("update parameters that do not fit") {
    const auto text = [](const char* document) {
        const json root = json::parse(document);
        return check::failure([&] { read(root); }).text;
    };
    CHECK(text(R"({"epochs": {"defaultValue": 3, "range": {"minValue": 5, "maxValue": 9}}})") ==
          "/u/epochs/defaultValue: a number from 5 to 9 wanted, 3 came");
    CHECK(text(R"({"epochs": {"defaultValue": 3, "set": {"values": [1, 2, 4]}}})") ==
          "/u/epochs/defaultValue: 1, 2 or 4 wanted, 3 came");
    CHECK(text(R"({"epochs": {"range": {}, "set": {}}})") == R"(/u/epochs: "range" and "set" exclude each other)");
    CHECK(text(R"({"lossLayers": [{"name": "l"}]})") == "/u/lossLayers/0: a loss wanted, none came");
    CHECK(text(R"({"optimizer": {"sgdOptimizer": {"learningrate": {}}}})") ==
          R"(/u/optimizer/sgdOptimizer: unknown field "learningrate", did you mean "learningRate"?)");
    CHECK(text(R"({"optimizer": {"adamOptimizer": {"eps": {"defaultValue": "NaN"}}}})") ==
          "/u/optimizer/adamOptimizer/eps/defaultValue: a finite number wanted, NaN came");
    CHECK(text(R"({"optimizer": {"adamOptimizer": {"eps": {"defaultValue": 2, "range": {"maxValue": 1}}}}})") ==
          "/u/optimizer/adamOptimizer/eps/defaultValue: a number from 0.0 to 1.0 wanted, 2.0 came");
}
