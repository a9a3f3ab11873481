#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/update_task.hpp>

#include "material.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <thread>

using namespace bespoke;

namespace {

constexpr auto description =
    compose(input{"x", {5}}, inner_product{.output_channels = 6} | named("stem"), bespoke::tanh{},
            inner_product{.output_channels = 8} | named("fc1") | updatable, bespoke::tanh{},
            inner_product{.output_channels = 3} | named("fc2") | updatable, softmax_nd{} | named("p"));
using net_type = network<description>;
using task_type = update_task<net_type>;
using handlers_type = update_handlers<net_type>;
using context_type = update_context<net_type>;

using training_test::all_weights;
using training_test::equal_bits;
using training_test::examples;

/// Examples that live as long as the setup.
struct material : training_test::material {
    training_setup<float> setup(const any_optimizer<float>& with = sgd{.learning_rate = 0.5,
                                                                       .momentum = 0.5}) const {
        return {.examples = examples,
                .inputs = {x},
                .losses = {categorical_cross_entropy{}},
                .targets = {labels},
                .with = with};
    }
};
const material data;

/// The loop that an update runs, by hand.
std::vector<float> by_hand(const net_type& net, const update_settings& s, const any_optimizer<float>& with) {
    net_type copy(net);
    trainer t(copy, {categorical_cross_entropy{}}, with);
    const std::vector<example_data<float>> x{data.x}, labels{data.labels};
    t.load(examples, x, labels);
    for (extent epoch = 0; epoch < s.epochs; ++epoch) {
        std::vector<std::size_t> order(examples);
        std::iota(order.begin(), order.end(), std::size_t{0});
        if (s.shuffle) {
            philox random(s.seed, static_cast<std::uint64_t>(epoch));
            bespoke::shuffle(std::span(order), random);
        }
        const auto size = static_cast<std::size_t>(s.mini_batch_size);
        for (std::size_t first = 0; first < examples; first += size)
            t.step(std::span(order).subspan(first, std::min(size, examples - first)));
    }
    return all_weights(copy);
}

std::string thrown_by(const std::function<void()>& run, errc code) {
    try {
        run();
    } catch (const error& e) {
        REQUIRE(e.code() == code);
        return e.what();
    }
    return "nothing was thrown";
}

}  // namespace

TEST_CASE(
    "an update is the mini-batches in the order of the seed, synchronous or not, and leaves its model "
    "alone") {
    const net_type net(1);
    const auto before = all_weights(net);
    const auto setup = data.setup();
    for (const bool shuffle : {true, false}) {
        const update_options options{.epochs = 3, .mini_batch_size = 8, .shuffle = shuffle, .seed = 7};
        const auto expected =
            by_hand(net, {.epochs = 3, .mini_batch_size = 8, .shuffle = shuffle, .seed = 7}, setup.with);
        update_task task(net, setup, options);
        const net_type result = task.result();
        REQUIRE(task.finished());
        REQUIRE(equal_bits(all_weights(result), expected));
        REQUIRE(equal_bits(all_weights(task.result()), expected));  // as often as wanted
        REQUIRE(equal_bits(all_weights(update(net, setup, options)), expected));
        REQUIRE(equal_bits(all_weights(net), before));
        REQUIRE_FALSE(equal_bits(expected, before));
    }
    const auto with_seed = [&](std::uint64_t seed) {
        return all_weights(update(net, setup, {.epochs = 2, .seed = seed}));
    };
    REQUIRE(equal_bits(with_seed(1), with_seed(1)));
    REQUIRE_FALSE(equal_bits(with_seed(1), with_seed(2)));
}

TEST_CASE("the updated model predicts as one into which its parameters are copied") {
    const net_type net(1);
    net_type result = update(net, data.setup(), {.epochs = 20});
    net_type fresh(2);
    std::copy_n(result.core().parameters().block().data(), result.core().parameters().block().size(),
                fresh.core().parameters().block().data());
    fresh.prepare();
    std::size_t right = 0;
    for (std::size_t i = 0; i < examples; ++i) {
        const std::span<const float> x(data.x.data() + i * 5, 5);
        const std::vector<float> p(result(x).begin(), result(x).end());
        REQUIRE(equal_bits(p, std::vector<float>(fresh(x).begin(), fresh(x).end())));
        right += static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin()) == i % 3;
    }
    REQUIRE(right >= 20);  // it has learned
}

TEST_CASE("events come in order, with their metrics") {
    const net_type net(1);
    std::vector<std::string> events;
    std::vector<double> losses;
    double sum = 0;
    const std::thread::id here = std::this_thread::get_id();
    bool elsewhere = true;
    handlers_type handlers;
    handlers.progress = [&](context_type& c) {
        elsewhere = elsewhere && std::this_thread::get_id() != here;
        const auto& m = c.metrics;
        const std::string at = std::to_string(m.epoch) + "." + std::to_string(m.mini_batch);
        switch (c.event) {
            case update_event::training_begin:
                events.push_back("begin " + at);
                REQUIRE(equal_bits(all_weights(c.model), all_weights(net)));
                break;
            case update_event::mini_batch_end:
                events.push_back("batch " + at);
                sum += m.loss * (m.mini_batch == 2 ? 6 : 8);
                losses.push_back(m.loss);
                break;
            case update_event::epoch_end:
                events.push_back("epoch " + at);
                REQUIRE(m.loss == Approx(sum / examples).epsilon(1e-12));
                sum = 0;
                break;
        }
    };
    int completions = 0;
    handlers.completion = [&](context_type& c) {
        ++completions;
        events.push_back("completion " + std::to_string(c.metrics.epoch) + "." +
                         std::to_string(c.metrics.mini_batch));
        REQUIRE(c.failure == nullptr);
        REQUIRE_FALSE(c.cancelled);
        REQUIRE_FALSE(equal_bits(all_weights(c.model), all_weights(net)));
    };
    task_type task(net, data.setup(), {.epochs = 2, .mini_batch_size = 8}, handlers);
    task.wait();
    REQUIRE(elsewhere);
    REQUIRE(completions == 1);
    REQUIRE(events == std::vector<std::string>{"begin 0.0", "batch 0.0", "batch 0.1", "batch 0.2",
                                               "epoch 0.2", "batch 1.0", "batch 1.1", "batch 1.2",
                                               "epoch 1.2", "completion 1.2"});
    REQUIRE(losses.size() == 6);
    REQUIRE(losses[5] < losses[0]);
    REQUIRE(task.metrics().epoch == 1);

    // only what was asked for
    events.clear();
    handlers.events = update_event::epoch_end;
    handlers.progress = [&](context_type& c) {
        events.push_back(std::to_string(static_cast<unsigned>(c.event)));
    };
    handlers.completion = {};
    task_type(net, data.setup(), {.epochs = 2, .mini_batch_size = 8}, handlers).wait();
    REQUIRE(events == std::vector<std::string>{"4", "4"});

    // or several of them; whoever copies the model may predict with it
    events.clear();
    handlers.events = update_event::training_begin | update_event::epoch_end;
    handlers.progress = [&](context_type& c) {
        net_type now(c.model);
        const auto p = now(std::span(data.x).first(5));
        events.push_back(c.event == update_event::epoch_end ? "epoch" : "begin");
        losses.push_back(static_cast<double>(p[0]));
    };
    losses.clear();
    net_type learned = task_type(net, data.setup(), {.epochs = 1, .mini_batch_size = 8}, handlers).result();
    REQUIRE(events == std::vector<std::string>{"begin", "epoch"});
    REQUIRE(losses[1] == static_cast<double>(learned(std::span(data.x).first(5))[0]));
    REQUIRE(losses[0] != losses[1]);
    static_assert((all_update_events & update_event::mini_batch_end) == update_event::mini_batch_end);
}

TEST_CASE("no epoch is no change") {
    const net_type net(1);
    std::string events;
    handlers_type handlers;
    handlers.progress = [&](context_type&) { events += "p"; };
    handlers.completion = [&](context_type&) { events += "c"; };
    task_type task(net, data.setup(), {.epochs = 0}, handlers);
    REQUIRE(equal_bits(all_weights(task.result()), all_weights(net)));
    REQUIRE(events == "pc");
}

TEST_CASE("what a handler sets takes effect") {
    const net_type net(1);
    SECTION("the learning rate") {
        // a rate of 0 from the second mini-batch on: one update in all
        handlers_type handlers;
        handlers.progress = [](context_type& c) {
            if (c.event == update_event::training_begin) REQUIRE(c.settings.learning_rate == 0.25);
            if (c.event == update_event::mini_batch_end) c.settings.learning_rate = 0;
        };
        const update_options options{
            .epochs = 2, .mini_batch_size = 8, .shuffle = false, .learning_rate = 0.25};
        const net_type result =
            task_type(net, data.setup(sgd{.learning_rate = 9}), options, handlers).result();
        net_type expected(net);
        trainer t(expected, {categorical_cross_entropy{}}, sgd{.learning_rate = 0.25});
        const std::vector<example_data<float>> x{data.x}, labels{data.labels};
        t.load(examples, x, labels);
        const std::vector<std::size_t> first{0, 1, 2, 3, 4, 5, 6, 7};
        t.step(first);
        REQUIRE(equal_bits(all_weights(result), all_weights(expected)));
    }
    SECTION("the mini-batch size") {
        std::vector<extent> batches;
        handlers_type handlers;
        handlers.progress = [&](context_type& c) {
            if (c.event == update_event::training_begin) c.settings.mini_batch_size = 11;
            if (c.event == update_event::mini_batch_end) c.settings.mini_batch_size = 4;
            if (c.event == update_event::epoch_end) batches.push_back(c.metrics.mini_batch + 1);
        };
        task_type(net, data.setup(), {.epochs = 2, .mini_batch_size = 8}, handlers).wait();
        REQUIRE(batches == std::vector<extent>{4, 6});  // 11 + 4 + 4 + 3, then 5 times 4 + 2
    }
    SECTION("the number of epochs, shuffle and seed") {
        handlers_type handlers;
        handlers.progress = [&](context_type& c) {
            if (c.event != update_event::training_begin) return;
            c.settings.epochs = 3;
            c.settings.shuffle = true;
            c.settings.seed = 12;
        };
        const auto setup = data.setup();
        const net_type result =
            task_type(net, setup, {.epochs = 1, .mini_batch_size = 8, .shuffle = false}, handlers).result();
        REQUIRE(equal_bits(
            all_weights(result),
            by_hand(net, {.epochs = 3, .mini_batch_size = 8, .shuffle = true, .seed = 12}, setup.with)));
    }
    SECTION("but not what makes no sense") {
        const auto with = [&](auto change) {
            handlers_type handlers;
            handlers.progress = [change](context_type& c) { change(c.settings); };
            return thrown_by([&] { task_type(net, data.setup(), {}, handlers).wait(); }, errc::bad_argument);
        };
        REQUIRE(with([](update_settings& s) { s.mini_batch_size = 0; }) ==
                "update: a mini-batch size from 1 up wanted, 0 came");
        REQUIRE(with([](update_settings& s) { s.epochs = -1; }) == "update: epochs from 0 up wanted, -1 came");
        REQUIRE(with([](update_settings& s) { s.learning_rate = std::nan(""); }) ==
                "update: a learning rate from 0 up wanted, NaN came");
    }
}

TEST_CASE("a task is cancelled by its handler") {
    const net_type net(1);
    std::string events;
    bool cancelled = false;
    handlers_type handlers;
    handlers.progress = [&](context_type& c) {
        events += std::to_string(static_cast<unsigned>(c.event));
        if (c.metrics.epoch == 1 && c.metrics.mini_batch == 1) c.cancel();
    };
    handlers.completion = [&](context_type& c) {
        cancelled = c.cancelled;
        REQUIRE(c.metrics.epoch == 1);
        REQUIRE(c.metrics.mini_batch == 1);
    };
    const auto setup = data.setup();
    task_type task(net, setup, {.epochs = 100, .mini_batch_size = 11, .shuffle = false}, handlers);
    // what was learned until then stays: two epochs of two mini-batches
    REQUIRE(equal_bits(all_weights(task.result()),
                      by_hand(net, {.epochs = 2, .mini_batch_size = 11, .shuffle = false}, setup.with)));
    REQUIRE(cancelled);
    REQUIRE(events ==
            "1"
            "224"
            "22");
    // before anything
    handlers.progress = [](context_type& c) { c.cancel(); };
    handlers.completion = {};
    REQUIRE(
        equal_bits(all_weights(task_type(net, setup, {.epochs = 100}, handlers).result()), all_weights(net)));
}

TEST_CASE("a task is cancelled from outside, and by its destruction") {
    const net_type net(1);
    std::atomic<bool> begun = false, completed = false;
    handlers_type handlers;
    handlers.events = update_event::mini_batch_end;
    handlers.progress = [&](context_type&) { begun = true; };
    handlers.completion = [&](context_type& c) { completed = c.cancelled; };
    const update_options endless{.epochs = extent{1} << 60};
    {
        task_type task(net, data.setup(), endless, handlers);
        while (!begun) std::this_thread::yield();
        REQUIRE_FALSE(task.finished());
        task.cancel();
        task.wait();
        REQUIRE(completed);
        REQUIRE(task.finished());
        REQUIRE_FALSE(equal_bits(all_weights(task.result()), all_weights(net)));
    }
    begun = completed = false;
    {
        task_type task(net, data.setup(), endless, handlers);
        while (!begun) std::this_thread::yield();
    }
    REQUIRE(completed);  // the destructor waited
    completed = false;
    {
        task_type task(net, data.setup(), endless, handlers);
        task_type moved(std::move(task));
    }
    REQUIRE(completed);
    task_type kept(net, data.setup(), endless, handlers);
    completed = false;
    kept = task_type(net, data.setup(), {.epochs = 1, .mini_batch_size = 4});
    REQUIRE(completed);  // that of before has ended
    CHECK_FALSE(equal_bits(all_weights(kept.result()), all_weights(net)));
}

namespace {

/// A frozen layer that is watched: where it runs, and a gate in which it waits, for some seconds at most.
struct watched {
    static inline std::atomic<int> runs = 0, runs_here = 0;
    static inline std::atomic<bool> open = false;
    static inline std::thread::id here{};

    static constexpr std::string_view key = "watched";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W&) const noexcept {
        ++(std::this_thread::get_id() == here ? runs_here : runs);
        for (int turn = 0; !open && turn < 5000; ++turn) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::copy_n(x.data, x.size(), y.data);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy, Dx, const P&, const Dp&, W&) const noexcept {}
    [[maybe_unused]] friend bool operator==(const watched&, const watched&) = default;
};
constexpr auto slow_description = compose(input{"x", {5}}, watched{} | named("watched"),
                                          inner_product{.output_channels = 3} | named("fc") | updatable,
                                          softmax_nd{} | named("p"));

}  // namespace

TEST_CASE("frozen layers run on the task's thread, and a cancelled task leaves those that are left") {
    constexpr std::size_t many = 300;
    const network<slow_description> net(1);
    const std::vector<float> x(many * 5, 0.5f), labels(many, 1);
    const training_setup<float> setup{
        .examples = many, .inputs = {x}, .losses = {categorical_cross_entropy{}}, .targets = {labels}, .with = sgd{}};
    watched::here = std::this_thread::get_id();
    watched::open = watched::runs = watched::runs_here = 0;
    {
        update_task task(net, setup, {.epochs = 1});
        while (watched::runs == 0) std::this_thread::yield();
        task.cancel();
        watched::open = true;
        const network<slow_description> result = task.result();
        REQUIRE(watched::runs < static_cast<int>(many));
        REQUIRE(result.core().parameters().block()[0] == net.core().parameters().block()[0]);
    }
    watched::runs = 0;
    std::vector<float> kept(many * 5, 0.5f);
    auto again = setup;
    again.inputs = {kept};
    update_task task(net, again, {.epochs = 2});
    kept.assign(kept.size(), -1);  // the task has its own
    const network<slow_description> result = task.result();
    REQUIRE(watched::runs == static_cast<int>(many));
    REQUIRE(watched::runs_here == 0);
    const auto expected = update(net, setup, {.epochs = 2});
    for (extent i = 0; i < result.core().parameters().block().size(); ++i)
        REQUIRE(result.core().parameters().block()[i] == expected.core().parameters().block()[i]);

    again.targets = {std::span(labels).first(many - 1)};
    REQUIRE(thrown_by([&] { (void)update_task<network<slow_description>>(net, again, {}); }, errc::shape_mismatch) ==
            "target of loss 0: 300 elements wanted, 299 came");
}

TEST_CASE("what a handler throws arrives in wait") {
    const net_type net(1);
    bool failed = false;
    handlers_type handlers;
    handlers.progress = [](context_type& c) {
        if (c.event == update_event::epoch_end) throw std::string("thrown by a handler");
    };
    handlers.completion = [&](context_type& c) { failed = c.failure != nullptr && !c.cancelled; };
    task_type task(net, data.setup(), {.epochs = 5}, handlers);
    for (int i = 0; i < 2; ++i) REQUIRE_THROWS_AS(task.wait(), std::string);
    REQUIRE_THROWS_AS(task.result(), std::string);
    REQUIRE_THROWS_AS(task.metrics(), std::string);
    REQUIRE(failed);
    // of the completion, too
    handlers.progress = {};
    handlers.completion = [](context_type&) { throw 7; };
    task_type other(net, data.setup(), {}, handlers);
    REQUIRE_THROWS_AS(other.wait(), int);
}

TEST_CASE("a training that diverges is an error that says when") {
    const net_type net(1);
    material broken;
    broken.x[15 * 5] = std::numeric_limits<float>::quiet_NaN();
    const auto setup = broken.setup();
    bool kept = false;
    handlers_type handlers;
    handlers.completion = [&](context_type& c) {
        // the first mini-batch was learned, the second changed nothing
        kept = !equal_bits(all_weights(c.model), all_weights(net));
        for (float v : all_weights(c.model)) kept = kept && std::isfinite(v);
    };
    REQUIRE(thrown_by(
                [&] {
                    const update_options options{.epochs = 50, .mini_batch_size = 11, .shuffle = false};
                    task_type(net, setup, options, handlers).wait();
                },
                errc::bad_value) ==
            "the training diverged: the loss of epoch 0, mini-batch 1 is not finite; neither is input \"x\" of example "
            "15");
    REQUIRE(kept);
    // also where no loss follows to show it
    const update_options once{.epochs = 1, .mini_batch_size = 22, .learning_rate = 1e300};
    REQUIRE(thrown_by([&] { (void)update(net, data.setup(), once); }, errc::bad_value) ==
            "the training diverged: a weight after the last update of epoch 0, mini-batch 0 is not finite; a "
            "smaller learning rate may help");
}

TEST_CASE("what cannot be updated is refused at once") {
    const net_type net(1);
    auto setup = data.setup();
    setup.targets = {std::span<const float>(data.x).first(3)};
    REQUIRE(thrown_by([&] { task_type task(net, setup); }, errc::shape_mismatch) ==
            "target of loss 0: 22 elements wanted, 3 came");
    setup = data.setup();
    setup.losses = {};
    setup.targets = {};
    REQUIRE(thrown_by([&] { task_type task(net, setup); }, errc::not_updatable) ==
            "this network cannot be trained\n  no loss: name one, with the blob that it looks at");
    REQUIRE(thrown_by([&] { task_type task(net, data.setup(), {.epochs = -3}); }, errc::bad_argument) ==
            "update: epochs from 0 up wanted, -3 came");
}

TEST_CASE("many tasks at once, of one model, do not disturb each other") {
    const net_type net(1, 2);
    const auto setup = data.setup(chain(clip_by_global_norm{1}, adam{.learning_rate = 1e-2}));
    const update_options options{.epochs = 5, .mini_batch_size = 4, .seed = 3};
    const auto expected = all_weights(update(net, setup, options));
    std::vector<task_type> tasks;
    for (int i = 0; i < 4; ++i) tasks.emplace_back(net, setup, options);
    for (auto& task : tasks) REQUIRE(equal_bits(all_weights(task.result()), expected));
    for (std::size_t threads : {std::size_t{1}, std::size_t{5}}) {
        net_type other(1, threads);
        REQUIRE(equal_bits(all_weights(update(other, setup, options)), expected));
    }
}

TEST_CASE("several threads ask a task, and its handlers do not wait for it") {
    const net_type net(1);
    std::atomic<bool> asked = false;
    task_type* itself = nullptr;
    std::string refusal;
    handlers_type handlers;
    handlers.progress = [&](context_type&) {
        while (!asked) std::this_thread::yield();
    };
    handlers.completion = [&](context_type&) {
        refusal = thrown_by([&] { itself->wait(); }, errc::bad_argument);
    };
    task_type task(net, data.setup(), {.epochs = 2}, handlers);
    itself = &task;
    std::vector<std::vector<float>> results(3);
    std::vector<std::thread> threads;
    for (auto& result : results)
        threads.emplace_back([&] {
            asked = true;
            static_cast<void>(task.finished());
            result = all_weights(task.result());
        });
    for (auto& thread : threads) thread.join();
    for (const auto& result : results) CHECK(equal_bits(result, all_weights(task.result())));
    CHECK(refusal == "update: a handler waits for its own task");

    const task_type elsewhere(std::move(task));
    CHECK(elsewhere.finished());
    CHECK(thrown_by([&] { task.wait(); }, errc::bad_argument) == "the task was moved from");
    CHECK_THROWS_AS(task.finished(), error);
    CHECK_THROWS_AS(task.cancel(), error);
}

TEST_CASE("a task does without the network that it was made from") {
    auto net = std::make_unique<net_type>(1, 2);
    const net_type expected = update(*net, data.setup(), {.epochs = 2});
    task_type task(*net, data.setup(), {.epochs = 2});
    net.reset();
    CHECK(equal_bits(all_weights(task.result()), all_weights(expected)));
}
