#include <bespoke/model/network_files.hpp>
#include <bespoke/training/checkpoint.hpp>

#include "../model/failure.hpp"
#include "../training_instances.hpp"
#include "resumed.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <map>
#include <string>

using namespace bespoke;
using check::failure;

namespace {
namespace resumed_trainers {

using namespace resumed;

constexpr int all_steps = 13;

/// Trains one network without a stop, and others that stop before each step, in both doors.
void check_resumes(const std::string& name, const any_optimizer<float>& optimizer, train which) {
    INFO(name);
    const kept_file file(name);
    resumed_net whole(1);
    trainer t(whole, loss_of(), optimizer, which);
    give_all(t);
    std::vector<double> losses;
    for (int i = 0; i < all_steps; ++i) losses.push_back(next_step(t));
    for (int stop = 0; stop < all_steps; stop += stop < 2 ? 1 : 4) {
        {
            resumed_net net(1);
            trainer before(net, loss_of(), optimizer, which);
            give_all(before);
            for (int i = 0; i < stop; ++i) next_step(before);
            before.save_checkpoint(file.path, {{"stop", std::to_string(stop)}});
            const auto written = all_weights(net);
            next_step(before);  // the process lives on for a while
            CHECK((stop == 0 || !equal_bits(written, all_weights(net))));
        }
        resumed_net other(2);
        trainer after(other, loss_of(), optimizer, which);
        CHECK(after.load_checkpoint(file.path) == std::map<std::string, std::string>{{"stop", std::to_string(stop)}});
        CHECK(after.steps() == static_cast<std::uint64_t>(stop));
        give_all(after);
        for (int i = stop; i < all_steps; ++i) CHECK(next_step(after) == losses[static_cast<std::size_t>(i)]);
        CHECK(equal_bits(all_weights(other), all_weights(whole)));

        resumed_net third(3);
        model loaded = to_model(third);  // the other door takes it as well
        trainer there(loaded.network(), loss_of(), optimizer, which);
        there.load_checkpoint(file.path);
        give_all(there);
        for (int i = stop; i < all_steps; ++i) CHECK(next_step(there) == losses[static_cast<std::size_t>(i)]);
        CHECK(equal_bits(all_weights(loaded.network()), all_weights(whole)));
    }
}

/// An optimizer of one's own, which keeps three numbers.
struct third_moment {
    static constexpr std::string_view name = "third_moment";
    double learning_rate = 0.1;

    extent moments() const { return 3; }
    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t number) const {
        for (const auto& slot : slots)
            for (extent i = 0; i < slot.size; ++i) {
                T* const at = state + slot.offset + i;
                for (extent k = 2; k > 0; --k) at[k * total] = at[(k - 1) * total];
                at[0] = slot.step[i];
                slot.step[i] = static_cast<T>(learning_rate) * (at[0] + at[total] + at[2 * total]) /
                               static_cast<T>(number < 3 ? number : 3);
            }
    }
};

}  // namespace resumed_trainers
}  // namespace

TEST_CASE("a training that goes on from a checkpoint ends with the bits of one that was not stopped") {
    using namespace resumed_trainers;
    for (const train which : {train::updatable_layers, train::all_layers}) {
        const std::string all = which == train::all_layers ? "_all" : "";
        check_resumes("sgd" + all, sgd{.learning_rate = 0.1}, which);
        check_resumes("momentum" + all, sgd{.learning_rate = 0.1, .momentum = 0.9}, which);
        check_resumes("adam" + all, adam{.learning_rate = 0.01}, which);
        check_resumes("adamw" + all, chain(clip_by_global_norm{0.5}, adam{.learning_rate = 0.01}, decay_weights{1e-3}),
                      which);
        check_resumes("two" + all, chain(decay_weights{0.01}, sgd{.learning_rate = 0.5, .momentum = 0.5}, adam{}),
                      which);
        check_resumes("own" + all, third_moment{}, which);
        check_resumes("free" + all, clip_by_global_norm{std::numeric_limits<double>::infinity()}, which);
    }
}

TEST_CASE("a checkpoint brings the hyper-parameters, also those that change what an optimizer keeps") {
    using namespace resumed_trainers;
    const kept_file file("hyper");
    resumed_net net(1), other(1);
    trainer t(net, loss_of(), sgd{.learning_rate = 0.5, .momentum = 0.75});
    give_all(t);
    for (int i = 0; i < 4; ++i) next_step(t);
    t.save_checkpoint(file.path);
    trainer u(other, loss_of(), sgd{});  // keeps nothing
    give_all(u);
    next_step(u);
    u.load_checkpoint(file.path);
    CHECK(*u.chosen_optimizer().parameters()[0].momentum == 0.75);
    for (int i = 0; i < 4; ++i) CHECK(next_step(t) == next_step(u));
    CHECK(equal_bits(all_weights(net), all_weights(other)));
    CHECK(t.steps() == 8);
    // and where the momentum goes, nothing of it comes back
    for (auto* each : {&t, &u}) {
        *each->chosen_optimizer().parameters()[0].momentum = 0;
        next_step(*each);
    }
    t.save_checkpoint(file.path);
    u.load_checkpoint(file.path);
    for (auto* each : {&t, &u}) {
        *each->chosen_optimizer().parameters()[0].momentum = 0.5;
        next_step(*each);
        next_step(*each);
    }
    CHECK(equal_bits(all_weights(net), all_weights(other)));
}

TEST_CASE("a trainer of doubles has checkpoints of its own") {
    using namespace resumed_trainers;
    static constexpr auto small =
        compose(input{"x", {3}}, inner_product{.output_channels = 2} | named("y") | updatable);
    const kept_file file("double"), floats("float");
    const std::vector<double> x{1, 2, 3, 4, 5, 6}, y{1, 0, 0, 1};
    const std::vector<std::size_t> batch{0, 1};
    network<small, double> net(1), other(2);
    trainer t(net, {mean_squared_error{}}, adam{}), u(other, {mean_squared_error{}}, adam{});
    t.load(2, {{x}}, {{y}});
    u.load(2, {{x}}, {{y}});
    t.step(batch);
    t.save_checkpoint(file.path);
    u.load_checkpoint(file.path);
    for (int i = 0; i < 3; ++i) CHECK(t.step(batch) == u.step(batch));

    network<small> single(1);
    trainer v(single, {mean_squared_error{}}, adam{});
    v.save_checkpoint(floats.path);
    const failure of_float([&] { t.load_checkpoint(floats.path); });
    CHECK(of_float.is(errc::bad_value));
    CHECK(of_float.text == floats.path.string() + ": tensor \"learning.y.weights\": F64 wanted, F32 came");
    CHECK(failure([&] { v.load_checkpoint(file.path); }).text ==
          file.path.string() + ": tensor \"learning.y.weights\": F32 wanted, F64 came");
}

TEST_CASE("a checkpoint that a trainer does not take changes nothing") {
    using namespace resumed_trainers;
    static constexpr auto shorter =
        compose(input{"x", {5}}, inner_product{.output_channels = 3} | named("fc2") | updatable,
                softmax_nd{} | named("p"));
    const kept_file file("refused");
    resumed_net net(1);
    trainer t(net, loss_of(), adam{});
    give_all(t);
    for (int i = 0; i < 3; ++i) next_step(t);
    const auto before = all_weights(net);
    const auto refused = [&](auto& theirs, errc code, const std::string& sentence) {
        theirs.save_checkpoint(file.path);
        const failure f([&] { t.load_checkpoint(file.path); });
        CHECK(f.text == (sentence.starts_with("checkpoint: ") ? "" : file.path.string() + ": ") + sentence);
        CHECK(f.is(code));
        CHECK(equal_bits(all_weights(net), before));
        CHECK(t.steps() == 3);
    };
    resumed_net same_net(2);
    trainer by_sgd(same_net, loss_of(), sgd{});
    refused(by_sgd, errc::bad_value, "checkpoint/optimizer: this training has \"adam\", the checkpoint \"sgd\"");
    trainer clipped(same_net, loss_of(), chain(clip_by_global_norm{1}, adam{}));
    refused(clipped, errc::bad_value,
            "checkpoint/optimizer: this training has \"adam\", the checkpoint \"clip_by_global_norm, adam\"");
    trainer of_all(same_net, loss_of(), adam{}, train::all_layers);
    refused(of_all, errc::unknown_name,
            "tensor \"frozen.stem.weights\": this training wants it, the checkpoint lacks it");
    trainer other_loss(same_net, {mean_squared_error{}}, adam{});
    refused(other_loss, errc::bad_value,
            "checkpoint/losses/0: this training has \"categoricalCrossEntropyLossLayer\", the checkpoint "
            "\"meanSquaredErrorLossLayer\"");
    trainer more_losses(same_net, {loss_of()[0], mean_squared_error{}}, adam{});
    refused(more_losses, errc::bad_value,
            "checkpoint/losses/1: this training has none, the checkpoint \"meanSquaredErrorLossLayer\"");
    network<wider> wide(1);
    trainer other_shape(wide, loss_of(), adam{});
    refused(other_shape, errc::shape_mismatch,
            "tensor \"learning.fc1.weights\": the shape [8, 6] wanted, [9, 6] came");
    network<softer> soft(1);
    trainer other_layer(soft, loss_of(), adam{});
    refused(other_layer, errc::bad_value,
            "checkpoint/layers/5: this training has \"activation.tanh\", the checkpoint \"activation.sigmoid\"");
    network<shorter> shrunk(1);
    trainer other_network(shrunk, loss_of(), adam{});
    refused(other_network, errc::bad_value,
            "checkpoint/layers/1: this training has \"activation.tanh\", the checkpoint \"softmaxND\"");
    // the frozen layer was drawn from another seed, and the examples are through it
    trainer frozen(same_net, loss_of(), adam{});
    refused(frozen, errc::bad_argument,
            "checkpoint: stem.weights, which do not learn, are others than those that the examples came through: load "
            "the checkpoint first, then the examples");
    const failure missing([&] { t.load_checkpoint(file.path.string() + ".not_there"); });
    CHECK(missing.is(errc::io));
    const failure nowhere([&] { t.save_checkpoint(file.path / "in" / "a_file"); });
    CHECK(nowhere.is(errc::io));
    CHECK(failure([&] { t.save_checkpoint(file.path, {{"a", "\xff"}}); }).text ==
          file.path.string() + ": a text of the checkpoint is not UTF-8");

    trainer moved = std::move(t);
    CHECK(failure([&] { t.save_checkpoint(file.path); }).is(errc::bad_argument));
    CHECK(failure([&] { t.load_checkpoint(file.path); }).is(errc::bad_argument));
    network<shorter> given_away(1);
    trainer left(given_away, loss_of(), adam{});
    left.save_checkpoint(file.path);
    const auto elsewhere = std::move(given_away);
    CHECK(failure([&] { left.save_checkpoint(file.path); }).text.starts_with("the network was moved from"));
    CHECK(failure([&] { left.load_checkpoint(file.path); }).text.starts_with("the network was moved from"));
    // what was refused does not show in what comes
    resumed_net calm(1);
    trainer undisturbed(calm, loss_of(), adam{});
    give_all(undisturbed);
    for (int i = 0; i < 3; ++i) next_step(undisturbed);
    for (int i = 0; i < 3; ++i) CHECK(next_step(moved) == next_step(undisturbed));
    CHECK(equal_bits(all_weights(net), all_weights(calm)));
}
