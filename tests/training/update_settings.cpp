#include <bespoke/training/update_settings.hpp>

#include "../model/failure.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <string>

using namespace bespoke;

TEST_CASE("options go to the optimizer that knows them, wherever it stands") {
    update_settings settings;
    const update_options all{.epochs = 4,
                             .mini_batch_size = 5,
                             .shuffle = false,
                             .seed = 6,
                             .learning_rate = 0.125,
                             .beta1 = 0.5,
                             .beta2 = 0.25,
                             .eps = 0.75};
    any_optimizer<float> nested =
        chain(clip_by_global_norm{2}, any_optimizer<float>(adam{}), chain(sgd{}, decay_weights{0.5}));
    const auto apply = [](const update_options& options, update_settings& to, any_optimizer<float>& optimizer) {
        apply_options(options, to, optimizer.parameters());
        return optimizer.parameters();
    };
    const auto found = apply(all, settings, nested);
    REQUIRE(found.size() == 4);
    REQUIRE(*found[1].learning_rate == 0.125);
    REQUIRE(*found[1].beta1 == 0.5);
    REQUIRE(*found[1].beta2 == 0.25);
    REQUIRE(*found[1].eps == 0.75);
    REQUIRE(*found[2].momentum == 0);  // of the sgd behind
    REQUIRE(*found[2].learning_rate == 0.01);
    REQUIRE(settings.epochs == 4);
    REQUIRE(settings.mini_batch_size == 5);
    REQUIRE_FALSE(settings.shuffle);
    REQUIRE(settings.seed == 6);
    REQUIRE(settings.learning_rate == 0.125);
    any_optimizer<float> plain = sgd{.learning_rate = 3};
    REQUIRE(*apply({.momentum = 0.5}, settings, plain)[0].momentum == 0.5);
    REQUIRE(*plain.parameters()[0].learning_rate == 3);
    REQUIRE(settings.learning_rate == 3);

    const auto problem = [&](const update_options& options, any_optimizer<float> optimizer) {
        update_settings s;
        const check::failure failed([&] { apply(options, s, optimizer); });
        REQUIRE(failed.is(errc::bad_argument));
        return failed.text;
    };
    REQUIRE(problem({.epochs = -1}, sgd{}) == "update: epochs from 0 up wanted, -1 came");
    REQUIRE(problem({.mini_batch_size = 0}, sgd{}) == "update: a mini-batch size from 1 up wanted, 0 came");
    REQUIRE(problem({.learning_rate = -1}, sgd{}) == "update: a learning rate from 0 up wanted, -1 came");
    REQUIRE(problem({.learning_rate = std::nan("")}, sgd{}) == "update: a learning rate from 0 up wanted, NaN came");
    REQUIRE(problem({.learning_rate = 1}, decay_weights{}) == "update: this optimizer has no learning rate");
    REQUIRE(problem({.momentum = 1}, adam{}) == "update: this optimizer has no momentum");
    REQUIRE(problem({.eps = 1}, sgd{}) == "update: this optimizer has no beta1, beta2 and eps");
    REQUIRE(problem({.momentum = -0.5}, sgd{}) == "update: a momentum from 0 up wanted, -0.5 came");
    REQUIRE(problem({.beta2 = 1}, adam{}) == "update: a beta2 from 0 to below 1 wanted, 1 came");
    REQUIRE(problem({.eps = -1}, chain(adam{})) == "update: an eps from 0 up wanted, -1 came");
    REQUIRE(problem({}, chain(sgd{}, sgd{.momentum = -1})) == "update: a momentum from 0 up wanted, -1 came");
    REQUIRE(problem({}, chain(adam{}, adam{.eps = -1})) == "update: an eps from 0 up wanted, -1 came");
    REQUIRE(problem({}, chain(clip_by_global_norm{-1}, adam{})) == "update: a limit above 0 wanted, -1 came");
    REQUIRE(problem({}, chain(adam{}, decay_weights{-1})) == "update: a rate from 0 up wanted, -1 came");
    any_optimizer<float> two = chain(sgd{.learning_rate = 2}, sgd{.learning_rate = 4, .momentum = 0.25});
    const auto both = apply({.learning_rate = 8, .momentum = 0.5}, settings, two);
    REQUIRE(*both[0].momentum == 0.5);
    REQUIRE(*both[1].momentum == 0.5);
    REQUIRE(*both[0].learning_rate == 8);
    REQUIRE(*both[1].learning_rate == 4);  // the first is the one that counts
    REQUIRE(settings.learning_rate == 8);
    REQUIRE(problem({}, adam{.beta1 = 1.5}) == "update: a beta1 from 0 to below 1 wanted, 1.5 came");
}

TEST_CASE("an optimizer lists its hyper-parameters by name") {
    any_optimizer<float> nested = chain(clip_by_global_norm{2}, adam{}, sgd{.momentum = 0.5}, decay_weights{0.25});
    std::string text;
    for (const optimizer_parameters& one : nested.parameters()) {
        text += std::string(one.name) + ":";
        one.each([&](const char* name, const double* value) {
            text += std::string(" ") + name + (*value == 0.5 ? "!" : "");
        });
        text += "; ";
    }
    REQUIRE(text == "clip_by_global_norm: limit; adam: learning_rate beta1 beta2 eps; "
                    "sgd: learning_rate momentum!; decay_weights: rate; ");
    *nested.parameters()[3].rate = 0.125;  // of a schedule
    REQUIRE(*nested.parameters()[3].rate == 0.125);
}

TEST_CASE("a checkpoint file is a path, and how often") {
    const update_options none, path{.checkpoint = "a"}, often{.checkpoint = {std::string("b"), 3}};
    REQUIRE(none.checkpoint.files == nullptr);
    REQUIRE(path.checkpoint.files != nullptr);
    REQUIRE(path.checkpoint.path == "a");
    REQUIRE(path.checkpoint.every == 0);
    REQUIRE(often.checkpoint.path == "b");
    REQUIRE(often.checkpoint.every == 3);
}
