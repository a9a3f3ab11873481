#pragma once

#include "../core/error.hpp"
#include "../core/random.hpp"
#include "checkpoint.hpp"
#include "trainer.hpp"
#include "update_settings.hpp"

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <system_error>
#include <thread>

namespace bespoke {

/// What happens in a training, or several such things: `update_event::training_begin | update_event::epoch_end`.
enum class update_event : unsigned { training_begin = 1, mini_batch_end = 2, epoch_end = 4 };
constexpr update_event operator|(update_event a, update_event b) {
    return static_cast<update_event>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr update_event operator&(update_event a, update_event b) {
    return static_cast<update_event>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
inline constexpr update_event all_update_events =
    update_event::training_begin | update_event::mini_batch_end | update_event::epoch_end;

/// What a task needs of a model: something to train it with, that holds the examples.
template <class T>
struct learner {
    std::unique_ptr<trainer<T>> training;
    update_settings settings;
    bool frozen_wait = false;              ///< frozen steps have to run
    std::vector<std::vector<T>> inputs{};  ///< until they have
    std::string not_finite{};              ///< the first input that is not, with its example
    checkpoint_file checkpoint{};
    update_cursor cursor{};
    bool resumes = false;  ///< from there

    /// Goes on from the checkpoint of these examples, where there is one.
    void resume(const checkpoint_file& file, std::size_t examples, std::span<const example_data<T>> in,
                std::span<const example_data<T>> targets) {
        checkpoint = file;
        cursor.begun = settings;
        if (checkpoint.files != nullptr) checkpoints().resume(*this, examples, in, targets);
    }
    void save(const update_settings& now, const update_metrics& metrics) {
        if (checkpoint.files != nullptr) checkpoints().save(*this, now, metrics);
    }
    const task_checkpoints<T>& checkpoints() const {
        if constexpr (std::is_same_v<T, float>) return checkpoint.files->floats;
        else return checkpoint.files->doubles;
    }

    /// Checks the examples and takes them over.
    void take(std::size_t examples, std::span<const example_data<T>> in, std::span<const example_data<T>> targets) {
        frozen_wait = training->take(examples, in, targets);
        for (std::size_t i = 0; i < in.size() && not_finite.empty(); ++i) {
            if (kernels::all_finite(static_cast<extent>(in[i].size()), in[i].data())) continue;
            const auto first = std::ranges::find_if(in[i], [](T x) { return !std::isfinite(x); }) - in[i].begin();
            const plan_view& p = training->plan();
            not_finite = "input \"" + std::string(p[p.blobs[p.inputs[i]].name]) + "\" of example " +
                         std::to_string(static_cast<std::size_t>(first) / (in[i].size() / examples));
        }
        if (!frozen_wait) return;
        for (const auto& values : in) inputs.emplace_back(values.begin(), values.end());
    }
};

/// What a running training and whoever watches it share. `tell` may change the settings and throw.
struct update_progress {
    update_settings settings;
    update_metrics metrics;
    std::atomic<bool> stop = false;
};

/// The frozen steps, then all epochs. `tell(context, event)` is called for every event.
template <class T>
void run_epochs(learner<T>& learning, update_progress& progress, void (*tell)(void*, update_event), void* context);

template <class Model>
class update_context;

/// Called on the thread of the task, for the events asked for and when the task ends. What `progress` throws ends the
/// training; `wait` rethrows it.
template <class Model>
struct update_handlers {
    update_event events = all_update_events;  ///< which `progress` wants
    std::function<void(update_context<Model>&)> progress{};
    std::function<void(update_context<Model>&)> completion{};
};

/// What a handler sees and may change.
template <class Model>
class update_context {
public:
    update_event event = update_event::training_begin;
    const update_metrics& metrics;
    update_settings& settings;  ///< changes take effect at the next mini-batch; shuffle and seed, next epoch
    const Model& model;         ///< as it is now; to predict with it, copy it
    std::exception_ptr failure{};  ///< at completion: why the task ended early, if it failed
    bool cancelled = false;        ///< at completion: the task was told to stop

    update_context(const Model& m, update_progress& progress)
        : metrics(progress.metrics), settings(progress.settings), model(m), stop_(progress.stop) {}
    /// Ends the training after this handler. What was learned so far stays.
    void cancel() { stop_ = true; }

private:
    std::atomic<bool>& stop_;
};

/// Trains a copy of a model on examples, on a thread of its own (Core ML's MLUpdateTask).
///
/// Made, it runs: the caller waits only for the copies of the model and of the examples, and for their checks. The
/// model that it was made from goes on predicting, unchanged, or is destroyed; `result` gives the updated one. Several
/// threads may ask a task at a time. To destroy a running one, or to assign another one to it, cancels it; its own
/// handlers must not do that. One that was moved from throws where it is used. `Model` is a loaded `model`, whose
/// examples are features, or a composed `network<...>` with a `training_setup`: what
/// `make_learner(model, examples, options)` takes.
template <class Model>
class [[nodiscard]] update_task {
public:
    /// Throws `error` at once where the model cannot be updated or the examples do not fit.
    template <class Examples>
    update_task(const Model& model, const Examples& examples, const update_options& options = {},
                update_handlers<Model> handlers = {})
        : state_(std::make_unique<state>(model, std::move(handlers))) {
        constexpr bool fits = requires(Model& m) { make_learner(m, examples, options); };
        static_assert(fits, "examples for this model wanted: std::vector<features> for a loaded one, "
                            "training_setup<float> (or double) for a composed network");
        if constexpr (fits) start(make_learner(state_->model, examples, options));
    }
    update_task(update_task&&) = default;
    update_task& operator=(update_task other) noexcept {
        state_.swap(other.state_);
        thread_.swap(other.thread_);
        return *this;
    }
    ~update_task() {
        if (state_) cancel();
        if (thread_.joinable()) thread_.join();
    }

    /// Ends the training after the current mini-batch. What was learned so far stays.
    void cancel() { owned().progress.stop = true; }
    /// Whether it has ended; does not wait.
    bool finished() const { return owned().finished; }
    /// Waits for the end and rethrows what went wrong, if anything did.
    void wait() {
        state& s = owned();
        if (s.runs_on.load() == std::this_thread::get_id())
            throw error(errc::bad_argument, "update: a handler waits for its own task");
        {
            const std::lock_guard lock(s.waiting);
            if (thread_.joinable()) thread_.join();
        }
        if (s.context.failure) std::rethrow_exception(s.context.failure);
    }
    /// Waits, and gives a copy of the updated model, as often as wanted. Throws what `wait` throws.
    Model result() {
        wait();
        return state_->model;
    }
    /// Waits, and gives those of the end; while it runs, handlers see them. Throws what `wait` throws.
    const update_metrics& metrics() {
        wait();
        return state_->progress.metrics;
    }

private:
    struct state {
        Model model;
        update_progress progress;
        std::atomic<bool> finished = false;
        update_handlers<Model> handlers;
        update_context<Model> context;
        std::atomic<std::thread::id> runs_on{};
        std::mutex waiting;

        state(const Model& m, update_handlers<Model> h)
            : model(m), handlers(std::move(h)), context(model, progress) {}
    };

    template <class T>
    void start(learner<T> learner) {
        state_->progress.settings = learner.settings;
        try {
            thread_ = std::thread([s = state_.get(), learning = std::move(learner)]() mutable { run(*s, learning); });
        } catch (const std::system_error&) {
            throw error(errc::bad_argument, "update: the system gives no thread for the task");
        }
    }

    template <class T>
    static void run(state& s, learner<T>& learning) {
        s.runs_on = std::this_thread::get_id();
        try {
            run_epochs(learning, s.progress, &tell, &s);
        } catch (...) {
            s.context.failure = std::current_exception();
        }
        s.context.cancelled = s.progress.stop;
        try {
            if (s.handlers.completion) s.handlers.completion(s.context);
        } catch (...) {
            if (!s.context.failure) s.context.failure = std::current_exception();
        }
        s.runs_on = std::thread::id();
        s.finished = true;
    }
    static void tell(void* to, update_event event) {
        state& s = *static_cast<state*>(to);
        s.context.event = event;
        if (s.handlers.progress && (s.handlers.events & event) != update_event{}) s.handlers.progress(s.context);
    }

    state& owned() const {
        if (state_ == nullptr) throw error(errc::bad_argument, "the task was moved from");
        return *state_;
    }

    std::unique_ptr<state> state_;
    std::thread thread_;
};

/// The synchronous call: trains a copy of `model`, which itself stays as it is, and returns that.
template <class Model, class Examples>
[[nodiscard]] Model update(const Model& model, const Examples& examples, const update_options& options = {}) {
    return update_task<Model>(model, examples, options).result();
}

// --- composed networks --------------------------------------------------------------------------------

/// How to train a composed network: for each input, and for each loss, the values of all examples, one after the other,
/// and what changes which parameters. It only looks at the values: `update` and the constructor of a task copy them,
/// until then they must stay.
template <class T>
struct training_setup {
    std::size_t examples = 0;
    std::vector<example_data<T>> inputs{};
    std::vector<any_loss<T>> losses{};
    std::vector<example_data<T>> targets{};
    any_optimizer<T> with = adam{};
    train which = train::updatable_layers;
};

/// `update(net, training_setup<float>{.examples = n, ..., .losses = {categorical_cross_entropy{}}, ...})`
template <class Network>
    requires requires { typename Network::engine_type; }
auto make_learner(Network& network, const training_setup<typename Network::value_type>& setup,
                  const update_options& options) {
    return make_learner(trainable<typename Network::value_type>(network), setup, options);
}
template <class T>
learner<T> make_learner(trainable<T> network, const training_setup<T>& setup, const update_options& options);

// Not inline: see network/memory.hpp.

template <class T>
learner<T> make_learner(trainable<T> network, const training_setup<T>& setup, const update_options& options) {
    learner<T> result;
    any_optimizer<T> optimizer = setup.with;
    apply_options(options, result.settings, optimizer.parameters());
    result.training = std::make_unique<trainer<T>>(network, setup.losses, std::move(optimizer), setup.which);
    result.resume(options.checkpoint, setup.examples, setup.inputs, setup.targets);
    result.take(setup.examples, setup.inputs, setup.targets);
    return result;
}

template <class T>
void run_epochs(learner<T>& learning, update_progress& progress, void (*tell)(void*, update_event), void* context) {
    trainer<T>& training = *learning.training;
    update_settings& settings = progress.settings;
    update_metrics& metrics = progress.metrics;
    const std::atomic<bool>& stop = progress.stop;
    double* const rate = learning_rate_of(training.chosen_optimizer().parameters());
    const auto happened = [&](update_event event) {
        tell(context, event);
        check_settings(settings);
        if (rate != nullptr) *rate = settings.learning_rate;
    };
    const std::string hint =
        learning.not_finite.empty() ? "a smaller learning rate may help" : "neither is " + learning.not_finite;
    const auto check = [&](bool finite, const char* what) {
        if (!finite)
            throw error(value_fault("the training diverged: ", what, " of epoch ", metrics.epoch, ", mini-batch ",
                                    metrics.mini_batch, " is not finite; ", hint));
    };
    const std::vector<example_data<T>> inputs(learning.inputs.begin(), learning.inputs.end());
    for (bool more = learning.frozen_wait; more && !stop;) more = training.run_frozen(inputs);
    learning.inputs.clear();
    std::vector<std::size_t> order(training.examples());
    happened(update_event::training_begin);
    update_cursor& at = learning.cursor;
    if (learning.resumes) {
        settings = at.settings;
        metrics = at.metrics;
        if (rate != nullptr) *rate = settings.learning_rate;
    } else {
        learning.save(settings, metrics);
    }
    while (at.epoch < settings.epochs && !stop) {
        metrics.epoch = at.epoch;
        if (at.first == 0) at.shuffle = settings.shuffle, at.seed = settings.seed;
        std::iota(order.begin(), order.end(), std::size_t{0});
        if (at.shuffle) {
            philox random(at.seed, static_cast<std::uint64_t>(at.epoch));
            bespoke::shuffle(std::span(order), random);
        }
        while (at.first < order.size() && !stop) {
            metrics.mini_batch = at.mini_batch;
            const std::size_t count =
                std::min(static_cast<std::size_t>(settings.mini_batch_size), order.size() - at.first);
            metrics.loss = training.step(std::span(order).subspan(at.first, count));
            check(std::isfinite(metrics.loss), "the loss");
            at.sum += metrics.loss * static_cast<double>(count);
            at.first += count;
            ++at.mini_batch;
            happened(update_event::mini_batch_end);
            if (learning.checkpoint.every > 0 && at.mini_batch % learning.checkpoint.every == 0 && !stop)
                learning.save(settings, metrics);
        }
        check(training.finite(), "a weight after the last update");
        if (stop) return learning.save(settings, metrics);
        metrics.loss = at.sum / static_cast<double>(order.size());
        happened(update_event::epoch_end);
        ++at.epoch;
        at.first = 0, at.mini_batch = 0, at.sum = 0;
        learning.save(settings, metrics);
    }
}

}  // namespace bespoke
