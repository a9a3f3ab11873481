#include <bespoke/model/network_files.hpp>
#include <bespoke/training/task_checkpoints.hpp>

#include "../model/failure.hpp"
#include "resumed.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <thread>

#ifndef _WIN32
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace bespoke;
using check::failure;

namespace {
namespace resumed_tasks {

using namespace resumed;

training_setup<float> setup_with(const any_optimizer<float>& with) {
    return {.examples = examples, .inputs = {kept.x}, .losses = loss_of(), .targets = {kept.labels}, .with = with};
}
const any_optimizer<float>& adamw() {
    static const any_optimizer<float> it =
        chain(clip_by_global_norm{0.5}, adam{.learning_rate = 0.05}, decay_weights{1e-3});
    return it;
}

/// What handlers do in a training, and when they end it.
struct scheduled {
    update_handlers<resumed_net> handlers{};
    std::vector<double> losses{};  ///< of epochs
    extent batches = 0, stop_at = -1;

    scheduled() {
        handlers.progress = [this](update_context<resumed_net>& context) {
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

}  // namespace resumed_tasks
}  // namespace

TEST_CASE("a task that is cancelled anywhere goes on from its checkpoint, in what its handlers have set") {
    using namespace resumed_tasks;
    const resumed_net net(1);
    scheduled undisturbed;
    update_task reference(net, setup_with(adamw()), options, undisturbed.handlers);
    const auto expected = all_weights(reference.result());
    CHECK(undisturbed.losses.size() == 5);
    for (const extent first : {1, 4, 5, 6, 11, 20, 26}) {
        const kept_file file("task");
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
        CHECK(equal_bits(all_weights(last.result()), expected));
        CHECK(last.metrics().loss == reference.metrics().loss);
        CHECK(last.metrics().epoch == reference.metrics().epoch);
        CHECK(last.metrics().mini_batch == reference.metrics().mini_batch);
        auto losses = stopped.losses;
        for (const auto* more : {&again, &once_more})
            losses.insert(losses.end(), more->losses.begin(), more->losses.end());
        CHECK(losses == undisturbed.losses);
        // done is done
        CHECK(equal_bits(all_weights(update(net, setup_with(adamw()), with)), expected));
    }
}

TEST_CASE("more epochs go on where fewer ended") {
    using namespace resumed_tasks;
    const kept_file file("more");
    const resumed_net net(1);
    update_options few = options, many = options;
    few.checkpoint = many.checkpoint = file.path;
    few.epochs = 3;
    const auto of_few = update(net, setup_with(adamw()), few);
    const auto at_once = all_weights(update(net, setup_with(adamw()), options));
    CHECK(equal_bits(all_weights(update(net, setup_with(adamw()), many)), at_once));
    CHECK(!equal_bits(all_weights(of_few), at_once));
}

TEST_CASE("a task refuses the checkpoint of another one") {
    using namespace resumed_tasks;
    const kept_file file("other");
    const resumed_net net(1);
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
    fewer.examples = examples - 1;
    fewer.inputs[0] = fewer.inputs[0].first((examples - 1) * 5);
    fewer.targets[0] = fewer.targets[0].first(examples - 1);
    CHECK(refused(fewer, with) == "it has 22 examples, 21 came");
    auto others = kept.x;
    others[17] += 1;
    auto changed = setup_with(adam{});
    changed.inputs[0] = others;
    CHECK(refused(changed, with) == "it was begun with other examples");
    CHECK(failure([&] { (void)update(net, setup_with(sgd{}), with); }).text ==
          file.path.string() + ": checkpoint/optimizer: this training has \"sgd\", the checkpoint \"adam\"");

    resumed_net own(1);
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
    const kept_file file("killed"), done("killed_done");
    const resumed_net net(1);
    update_options with = options;
    with.epochs = 25;
    const auto expected = all_weights(update(net, setup_with(adamw()), with));
    with.checkpoint = {file.path, 1};
    unsigned kills = 0;
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
        philox random(1, kills);
        std::this_thread::sleep_for(std::chrono::microseconds(2000 + random.below(30000) * (1 + kills / 20)));
        kill(child, SIGKILL);
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE((WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0)));
    }
    CHECK(kills > 1);
    CHECK(equal_bits(all_weights(update(net, setup_with(adamw()), with)), expected));
    const auto folder = file.path.parent_path();
    for (const auto& entry : std::filesystem::directory_iterator(folder))  // of those that were killed while they wrote
        if (entry.path().filename().string().starts_with(file.path.filename().string() + "."))
            std::filesystem::remove(entry.path());
}
#endif
