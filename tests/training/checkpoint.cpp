#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/random.hpp>
#include <bespoke/layers/add.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/model/network_files.hpp>
#include <bespoke/model/update.hpp>
#include <bespoke/training/checkpoint.hpp>

#include "../model/failure.hpp"
#include "../training_instances.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#ifndef _WIN32
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace bespoke;
using check::failure;

namespace {

namespace resumed {

/// A frozen layer first, noise, statistics of the batch, layers that learn.
template <class Activation = bespoke::tanh>
constexpr auto network_of(extent width) {
    return compose(
        input{"x", {5}}, inner_product{.output_channels = 6} | named("stem"), bespoke::tanh{} | named("t"),
        random_normal_like{.seed = 3, .mean = 0, .std_dev = 0.25f} | from("t") | named("noise"),
        add{} | from("t", "noise") | named("noisy"),
        inner_product{.output_channels = width} | named("fc1") | updatable, Activation{},
        inner_product{.output_channels = 3} | named("fc2") | updatable, softmax_nd{} | named("p"));
}
constexpr auto described = network_of(8), wider = network_of(9);
constexpr auto softer = network_of<sigmoid>(8);
using net_type = network<described>;

constexpr std::size_t count = 22;

struct material {
    std::vector<float> x = std::vector<float>(count * 5), labels = std::vector<float>(count);

    material() {
        philox random(5);
        for (std::size_t i = 0; i < count; ++i) {
            labels[i] = static_cast<float>(i % 3);
            for (std::size_t j = 0; j < 5; ++j)
                x[i * 5 + j] = static_cast<float>(random.uniform() + (j == i % 3 ? 1 : 0));
        }
    }
};
const material data;

/// A file's name of its own, and nothing there.
struct place {
    std::filesystem::path path;
    explicit place(const std::string& name)
        : path(std::filesystem::temp_directory_path() / ("bespoke_checkpoint_" + name)) {
        std::filesystem::remove(path);
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() { std::filesystem::remove(path); }
};

template <class Network>
std::vector<float> weights(const Network& net) {
    const auto& block = net.core().parameters().block();
    return {block.begin(), block.end()};
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// One step of a training whose order and learning rate follow from the number of the step.
template <class Trainer>
double next_step(Trainer& t) {
    constexpr std::size_t size = 5, batches = (count + size - 1) / size;
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    const std::uint64_t number = t.steps();
    philox random(7, number / batches);
    bespoke::shuffle(std::span(order), random);
    const std::size_t first = number % batches * size;
    const double loss = t.step(std::span(order).subspan(first, std::min(size, count - first)));
    if (double* const rate = learning_rate_of(t.chosen_optimizer().parameters())) *rate *= 0.97;
    return loss;
}
template <class Trainer>
void give(Trainer& t) {
    t.load(count, {{data.x}}, {{data.labels}});
}
std::vector<any_loss<float>> loss_of() { return {categorical_cross_entropy{.input = "p"}}; }

constexpr int steps = 13;

/// Trains one network without a stop, and others that stop before each step, in both doors.
void check_resumes(const std::string& name, const any_optimizer<float>& optimizer, train which) {
    INFO(name);
    const place file(name);
    net_type whole(1);
    trainer t(whole, loss_of(), optimizer, which);
    give(t);
    std::vector<double> losses;
    for (int i = 0; i < steps; ++i) losses.push_back(next_step(t));
    for (int stop = 0; stop < steps; stop += stop < 2 ? 1 : 4) {
        {
            net_type net(1);
            trainer before(net, loss_of(), optimizer, which);
            give(before);
            for (int i = 0; i < stop; ++i) next_step(before);
            before.save_checkpoint(file.path, {{"stop", std::to_string(stop)}});
            const auto written = weights(net);
            next_step(before);  // the process lives on for a while
            CHECK((stop == 0 || !same_bits(written, weights(net))));
        }
        net_type other(2);
        trainer after(other, loss_of(), optimizer, which);
        CHECK(after.load_checkpoint(file.path) == std::map<std::string, std::string>{{"stop", std::to_string(stop)}});
        CHECK(after.steps() == static_cast<std::uint64_t>(stop));
        give(after);
        for (int i = stop; i < steps; ++i) CHECK(next_step(after) == losses[static_cast<std::size_t>(i)]);
        CHECK(same_bits(weights(other), weights(whole)));

        net_type third(3);
        model loaded = to_model(third);  // the other door takes it as well
        trainer there(loaded.network(), loss_of(), optimizer, which);
        there.load_checkpoint(file.path);
        give(there);
        for (int i = stop; i < steps; ++i) CHECK(next_step(there) == losses[static_cast<std::size_t>(i)]);
        CHECK(same_bits(weights(loaded.network()), weights(whole)));
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

}  // namespace resumed
}  // namespace

TEST_CASE("a training that goes on from a checkpoint ends with the bits of one that was not stopped") {
    using namespace resumed;
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
    using namespace resumed;
    const place file("hyper");
    net_type net(1), other(1);
    trainer t(net, loss_of(), sgd{.learning_rate = 0.5, .momentum = 0.75});
    give(t);
    for (int i = 0; i < 4; ++i) next_step(t);
    t.save_checkpoint(file.path);
    trainer u(other, loss_of(), sgd{});  // keeps nothing
    give(u);
    next_step(u);
    u.load_checkpoint(file.path);
    CHECK(*u.chosen_optimizer().parameters()[0].momentum == 0.75);
    for (int i = 0; i < 4; ++i) CHECK(next_step(t) == next_step(u));
    CHECK(same_bits(weights(net), weights(other)));
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
    CHECK(same_bits(weights(net), weights(other)));
}

TEST_CASE("a trainer of doubles has checkpoints of its own") {
    using namespace resumed;
    static constexpr auto small =
        compose(input{"x", {3}}, inner_product{.output_channels = 2} | named("y") | updatable);
    const place file("double"), floats("float");
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
    using namespace resumed;
    static constexpr auto shorter =
        compose(input{"x", {5}}, inner_product{.output_channels = 3} | named("fc2") | updatable,
                softmax_nd{} | named("p"));
    const place file("refused");
    net_type net(1);
    trainer t(net, loss_of(), adam{});
    give(t);
    for (int i = 0; i < 3; ++i) next_step(t);
    const auto before = weights(net);
    const auto refused = [&](auto& theirs, errc code, const std::string& sentence) {
        theirs.save_checkpoint(file.path);
        const failure f([&] { t.load_checkpoint(file.path); });
        CHECK(f.text == (sentence.starts_with("checkpoint: ") ? "" : file.path.string() + ": ") + sentence);
        CHECK(f.is(code));
        CHECK(same_bits(weights(net), before));
        CHECK(t.steps() == 3);
    };
    net_type same_net(2);
    trainer by_sgd(same_net, loss_of(), sgd{});
    refused(by_sgd, errc::bad_value, "checkpoint/optimizer: this training has \"adam\", the checkpoint \"sgd\"");
    trainer clipped(same_net, loss_of(), chain(clip_by_global_norm{1}, adam{}));
    refused(clipped, errc::bad_value,
            "checkpoint/optimizer: this training has \"adam\", the checkpoint \"clip_by_global_norm, adam\"");
    trainer of_all(same_net, loss_of(), adam{}, train::all_layers);
    refused(of_all, errc::unknown_name,
            "tensor \"frozen.stem.weights\": this training wants it, the checkpoint lacks it");
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
    net_type calm(1);
    trainer undisturbed(calm, loss_of(), adam{});
    give(undisturbed);
    for (int i = 0; i < 3; ++i) next_step(undisturbed);
    for (int i = 0; i < 3; ++i) CHECK(next_step(moved) == next_step(undisturbed));
    CHECK(same_bits(weights(net), weights(calm)));
}

namespace resumed_tasks {
namespace {

using namespace resumed;

training_setup<float> setup_with(const any_optimizer<float>& with) {
    return {.examples = count, .inputs = {data.x}, .losses = loss_of(), .targets = {data.labels}, .with = with};
}
const any_optimizer<float>& adamw() {
    static const any_optimizer<float> it =
        chain(clip_by_global_norm{0.5}, adam{.learning_rate = 0.05}, decay_weights{1e-3});
    return it;
}

/// What handlers do in a training, and when they end it.
struct scheduled {
    update_handlers<net_type> handlers{};
    std::vector<double> losses{};  ///< of epochs
    extent batches = 0, stop_at = -1;

    scheduled() {
        handlers.progress = [this](update_context<net_type>& context) {
            if (context.event == update_event::training_begin) context.settings.learning_rate = 0.04;
            if (context.event == update_event::epoch_end) {
                losses.push_back(context.metrics.loss);
                context.settings.learning_rate *= 0.5;
                if (context.metrics.epoch == 1) context.settings.shuffle = false, context.settings.mini_batch_size = 4;
                if (context.metrics.epoch == 2) context.settings.shuffle = true, context.settings.seed = 12;
                if (context.metrics.epoch == 4) context.settings.epochs = 5;  // early
            }
            if (context.event == update_event::mini_batch_end && ++batches == stop_at) context.cancel();
        };
    }
    scheduled(const scheduled&) = delete;
};

const update_options options{.epochs = 9, .mini_batch_size = 5, .seed = 4};

}  // namespace
}  // namespace resumed_tasks

TEST_CASE("a task that is cancelled anywhere goes on from its checkpoint, in what its handlers have set") {
    using namespace resumed_tasks;
    const net_type net(1);
    scheduled undisturbed;
    update_task reference(net, setup_with(adamw()), options, undisturbed.handlers);
    const auto expected = weights(reference.result());
    CHECK(undisturbed.losses.size() == 5);
    for (const extent first : {1, 4, 5, 6, 11, 20, 26}) {
        const place file("task");
        update_options with = options;
        with.checkpoint = file.path;
        scheduled stopped, again, once_more;
        stopped.stop_at = first;
        again.stop_at = 3;
        update_task begun(net, setup_with(adamw()), with, stopped.handlers);
        begun.wait();
        update_task second(net, setup_with(adamw()), with, again.handlers);
        second.wait();
        update_task last(net, setup_with(adamw()), with, once_more.handlers);
        CHECK(same_bits(weights(last.result()), expected));
        CHECK(last.metrics().loss == reference.metrics().loss);
        CHECK(last.metrics().epoch == reference.metrics().epoch);
        CHECK(last.metrics().mini_batch == reference.metrics().mini_batch);
        auto losses = stopped.losses;
        for (const auto* more : {&again, &once_more})
            losses.insert(losses.end(), more->losses.begin(), more->losses.end());
        CHECK(losses == undisturbed.losses);
        // done is done
        CHECK(same_bits(weights(update(net, setup_with(adamw()), with)), expected));
    }
}

TEST_CASE("more epochs go on where fewer ended") {
    using namespace resumed_tasks;
    const place file("more");
    const net_type net(1);
    update_options few = options, many = options;
    few.checkpoint = many.checkpoint = file.path;
    few.epochs = 3;
    const auto of_few = update(net, setup_with(adamw()), few);
    const auto at_once = weights(update(net, setup_with(adamw()), options));
    CHECK(same_bits(weights(update(net, setup_with(adamw()), many)), at_once));
    CHECK(!same_bits(weights(of_few), at_once));
}

TEST_CASE("a task refuses the checkpoint of another one") {
    using namespace resumed_tasks;
    const place file("other");
    const net_type net(1);
    update_options with = options;
    with.checkpoint = file.path;
    with.epochs = 1;
    (void)update(net, setup_with(adam{}), with);
    const auto refused = [&](const training_setup<float>& setup, const update_options& asked) {
        const failure f([&] { (void)update(net, setup, asked); });
        CHECK(f.is(errc::bad_value));
        const std::string begin = file.path.string() + ": it is not a checkpoint of this task: ",
                          end = " (without the file, a new training begins)";
        const bool fits = f.text.starts_with(begin) && f.text.ends_with(end);
        CHECK(fits);
        return fits ? f.text.substr(begin.size(), f.text.size() - begin.size() - end.size()) : f.text;
    };
    auto asked = with;
    asked.mini_batch_size = 6;
    CHECK(refused(setup_with(adam{}), asked) == "mini-batch size 5 when it began, 6 came");
    asked = with, asked.seed = 5;
    CHECK(refused(setup_with(adam{}), asked) == "seed 4 when it began, 5 came");
    asked = with, asked.shuffle = false;
    CHECK(refused(setup_with(adam{}), asked) == "shuffle 1 when it began, 0 came");
    asked = with, asked.learning_rate = 0.5;
    CHECK(refused(setup_with(adam{}), asked) == "learning rate 0.001000 when it began, 0.500000 came");
    asked = with, asked.beta1 = 0.5;
    CHECK(refused(setup_with(adam{}), asked) == "beta1 0.900000 when it began, 0.500000 came");
    auto fewer = setup_with(adam{});
    fewer.examples = count - 1;
    fewer.inputs[0] = fewer.inputs[0].first((count - 1) * 5);
    fewer.targets[0] = fewer.targets[0].first(count - 1);
    CHECK(refused(fewer, with) == "it has 22 examples, 21 came");
    auto others = data.x;
    others[17] += 1;
    auto changed = setup_with(adam{});
    changed.inputs[0] = others;
    CHECK(refused(changed, with) == "it was begun with other examples");
    CHECK(failure([&] { (void)update(net, setup_with(sgd{}), with); }).text ==
          file.path.string() + ": checkpoint/optimizer: this training has \"sgd\", the checkpoint \"adam\"");

    net_type own(1);
    trainer t(own, loss_of(), adam{});
    t.load_checkpoint(file.path);  // a trainer takes it
    CHECK(t.steps() == 5);
    t.save_checkpoint(file.path);
    CHECK(refused(setup_with(adam{}), with) == "it was written by a trainer");
    with.checkpoint = file.path / "in" / "a_file";
    CHECK(failure([&] { (void)update(net, setup_with(adam{}), with); }).is(errc::io));
}

#ifndef _WIN32
TEST_CASE("a process that is killed at any instant goes on and ends with the same bits") {
    using namespace resumed_tasks;
    const place file("killed"), done("killed_done");
    const net_type net(1);
    update_options with = options;
    with.epochs = 25;
    const auto expected = weights(update(net, setup_with(adamw()), with));
    with.checkpoint = {file.path, 1};
    int kills = 0;
    for (; kills < 200 && !std::filesystem::exists(done.path); ++kills) {
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            try {
                update(net, setup_with(adamw()), with).save(done.path);
            } catch (...) {
                _exit(1);
            }
            _exit(0);
        }
        philox random(1, static_cast<std::uint64_t>(kills));
        std::this_thread::sleep_for(std::chrono::microseconds(2000 + random.below(30000) * (1 + kills / 20)));
        kill(child, SIGKILL);
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE((WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0)));
    }
    CHECK(kills > 1);
    CHECK(same_bits(weights(update(net, setup_with(adamw()), with)), expected));
    const auto folder = file.path.parent_path();
    for (const auto& entry : std::filesystem::directory_iterator(folder))  // of those that were killed while they wrote
        if (entry.path().filename().string().starts_with(file.path.filename().string() + "."))
            std::filesystem::remove(entry.path());
}
#endif
