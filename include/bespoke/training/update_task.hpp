#pragma once

#include "../core/error.hpp"
#include "../core/random.hpp"
#include "trainer.hpp"

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>

namespace bespoke {

/// How a training goes on: the values in force, which handlers may change at any event.
struct update_settings {
    extent epochs = 1;
    extent mini_batch_size = 16;
    bool shuffle = true;     ///< a new order of the examples in each epoch
    std::uint64_t seed = 0;  ///< decides the orders
    double learning_rate = 0;
};

/// What a caller wants otherwise than the model says (Core ML's MLParameterKey).
struct update_options {
    std::optional<extent> epochs{}, mini_batch_size{};
    std::optional<bool> shuffle{};
    std::optional<std::uint64_t> seed{};
    std::optional<double> learning_rate{}, momentum{}, beta1{}, beta2{}, eps{};
};

enum class update_event : unsigned { training_begin = 1, mini_batch_end = 2, epoch_end = 4 };
inline constexpr unsigned all_update_events = 7;

/// At the end of an epoch and of the task, `epoch` and `mini_batch` are the last that ran.
struct update_metrics {
    double loss = 0;  ///< of the mini-batch before its update, or the mean over the epoch's examples
    extent epoch = 0, mini_batch = 0;
};

/// Calls `visit(o)` for each gradient transformation in an optimizer, wherever in a chain or a choice it stands.
template <class Optimizer, class Visit>
void each_transformation(Optimizer& o, const Visit& visit) {
    if constexpr (requires { o.kind; })
        std::visit([&](auto& kind) { each_transformation(kind, visit); }, o.kind);
    else if constexpr (requires { o.links; })
        std::apply([&](auto&... link) { (each_transformation(link, visit), ...); }, o.links);
    else
        visit(o);
}

/// The (first) learning rate of an optimizer; null: it has none.
template <class Optimizer>
double* learning_rate_of(Optimizer& optimizer) {
    double* found = nullptr;
    each_transformation(optimizer, [&](auto& o) {
        if constexpr (requires {
                          { o.learning_rate } -> std::convertible_to<double>;
                      })
            if (!found) found = &o.learning_rate;
    });
    return found;
}

/// Throws `error` for values outside their range.
inline void check_settings(const update_settings& settings) {
    const auto wanted = [](bool holds, const char* what) {
        if (!holds) throw error(errc::bad_argument, std::string("update: ") + what);
    };
    wanted(settings.epochs >= 0, "epochs from 0 up wanted");
    wanted(settings.mini_batch_size >= 1, "a mini-batch size from 1 up wanted");
    wanted(settings.learning_rate >= 0 && std::isfinite(settings.learning_rate),
           "a learning rate from 0 up wanted");
}

/// Sets what the caller wants otherwise. Throws `error` for values outside their range, and for those that the
/// optimizer does not know.
template <class Optimizer>
void apply_options(const update_options& options, update_settings& settings, Optimizer& optimizer) {
    const auto wanted = [](bool holds, const char* what) {
        if (!holds) throw error(errc::bad_argument, std::string("update: ") + what);
    };
    if (options.epochs) settings.epochs = *options.epochs;
    if (options.mini_batch_size) settings.mini_batch_size = *options.mini_batch_size;
    if (options.shuffle) settings.shuffle = *options.shuffle;
    if (options.seed) settings.seed = *options.seed;
    if (double* rate = learning_rate_of(optimizer)) {
        if (options.learning_rate) *rate = *options.learning_rate;
        settings.learning_rate = *rate;
    } else {
        wanted(!options.learning_rate, "this optimizer has no learning rate");
    }
    bool has_momentum = false, has_moments = false;
    each_transformation(optimizer, [&](auto& o) {
        if constexpr (requires {
                          { o.momentum } -> std::convertible_to<double>;
                      }) {
            has_momentum = true;
            o.momentum = options.momentum.value_or(o.momentum);
            wanted(o.momentum >= 0 && std::isfinite(o.momentum), "a momentum from 0 up wanted");
        }
        if constexpr (requires { o.beta1, o.beta2, o.eps; }) {
            has_moments = true;
            o.beta1 = options.beta1.value_or(o.beta1);
            o.beta2 = options.beta2.value_or(o.beta2);
            o.eps = options.eps.value_or(o.eps);
            wanted(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1,
                   "beta1 and beta2 from 0 to below 1 wanted");
            wanted(o.eps >= 0 && std::isfinite(o.eps), "an eps from 0 up wanted");
        }
    });
    wanted(has_momentum || !options.momentum, "this optimizer has no momentum");
    wanted(has_moments || !(options.beta1 || options.beta2 || options.eps),
           "this optimizer has no beta1, beta2 and eps");
    check_settings(settings);
}

/// What a task needs of a model: something to train it with, that holds the examples.
template <class Trainer>
struct learner {
    std::unique_ptr<Trainer> trainer;
    update_settings settings;
};

template <class Model>
class update_context;

/// Called on the thread of the task, for the events asked for and when the task ends.
template <class Model>
struct update_handlers {
    unsigned events = all_update_events;  ///< a sum of update_event
    std::function<void(update_context<Model>&)> progress{};
    std::function<void(update_context<Model>&)> completion{};
};

/// What a handler sees and may change.
template <class Model>
class update_context {
public:
    update_event event = update_event::training_begin;
    update_metrics metrics;
    update_settings settings;  ///< changes take effect at the next mini-batch; shuffle and seed, next epoch
    const Model& model;        ///< as it is now
    std::exception_ptr failure{};  ///< at completion: why the task ended early, if it failed
    bool cancelled = false;        ///< at completion: the task was told to stop

    update_context(const Model& m, std::atomic<bool>& stop) : model(m), stop_(stop) {}
    /// Ends the training after this handler. What was learned so far stays.
    void cancel() { stop_ = true; }

private:
    std::atomic<bool>& stop_;
};

/// Trains a copy of a model on examples, on a thread of its own (Core ML's MLUpdateTask).
///
/// Made, it runs. The model that it was made from goes on predicting, unchanged; `result` gives the updated
/// one. To destroy a running task cancels it. `Model` is a loaded `model`, whose examples are features, or a
/// composed `network<...>` with a `training_setup`: what `make_learner(model, examples, options)` takes.
template <class Model>
class update_task {
public:
    /// Throws `error` at once where the model cannot be updated or the examples do not fit.
    template <class Examples>
    update_task(const Model& model, const Examples& examples, const update_options& options = {},
                update_handlers<Model> handlers = {})
        : state_(std::make_unique<state>(model, std::move(handlers))) {
        auto learner = make_learner(state_->model, examples, options);
        state_->context.settings = learner.settings;
        thread_ =
            std::jthread([s = state_.get(), learner = std::move(learner)]() mutable { run(*s, learner); });
    }
    update_task(update_task&&) = default;
    update_task& operator=(update_task&&) = delete;
    ~update_task() {
        if (state_) cancel();
    }

    /// Ends the training after the current mini-batch. What was learned so far stays.
    void cancel() { state_->stop = true; }
    bool finished() const { return state_->finished; }
    /// Waits for the end and rethrows what went wrong, if anything did.
    void wait() {
        if (thread_.joinable()) thread_.join();
        if (state_->context.failure) std::rethrow_exception(state_->context.failure);
    }
    /// Waits, and gives the updated model.
    Model result() {
        wait();
        return state_->model;
    }
    const update_metrics& metrics() {
        wait();
        return state_->context.metrics;
    }

private:
    struct state {
        Model model;
        std::atomic<bool> stop = false, finished = false;
        update_handlers<Model> handlers;
        update_context<Model> context;

        state(const Model& m, update_handlers<Model> h)
            : model(m), handlers(std::move(h)), context(model, stop) {}
    };

    template <class Learner>
    static void run(state& s, Learner& learner) {
        try {
            train(s, *learner.trainer);
        } catch (...) {
            s.context.failure = std::current_exception();
        }
        s.context.cancelled = s.stop;
        if (s.handlers.completion) {
            try {
                s.handlers.completion(s.context);
            } catch (...) {
                if (!s.context.failure) s.context.failure = std::current_exception();
            }
        }
        s.finished = true;
    }

    template <class Trainer>
    static void train(state& s, Trainer& trainer) {
        auto& context = s.context;
        auto& metrics = context.metrics;
        const auto tell = [&](update_event event) {
            context.event = event;
            if (s.handlers.progress && (s.handlers.events & static_cast<unsigned>(event)) != 0)
                s.handlers.progress(context);
            check_settings(context.settings);
            if (double* rate = learning_rate_of(trainer.chosen_optimizer()))
                *rate = context.settings.learning_rate;
        };
        const auto diverged = [&](const char* what) {
            throw error(errc::bad_value,
                        std::string(sentence("the training diverged: ", what, " of epoch ", metrics.epoch,
                                             ", mini-batch ", metrics.mini_batch,
                                             " is not finite; a smaller learning rate may help")
                                        .view()));
        };
        std::vector<std::size_t> order(trainer.examples());
        tell(update_event::training_begin);
        for (extent epoch = 0; epoch < context.settings.epochs && !s.stop; ++epoch) {
            metrics.epoch = epoch;
            std::iota(order.begin(), order.end(), std::size_t{0});
            if (context.settings.shuffle) {
                philox random(context.settings.seed, static_cast<std::uint64_t>(epoch));
                bespoke::shuffle(std::span(order), random);
            }
            double sum = 0;
            std::size_t first = 0;
            for (extent mini_batch = 0; first < order.size() && !s.stop; ++mini_batch) {
                metrics.mini_batch = mini_batch;
                const std::size_t count = std::min(static_cast<std::size_t>(context.settings.mini_batch_size),
                                                   order.size() - first);
                metrics.loss = trainer.step(std::span(order).subspan(first, count));
                if (!std::isfinite(metrics.loss)) diverged("the loss");
                sum += metrics.loss * static_cast<double>(count);
                first += count;
                tell(update_event::mini_batch_end);
            }
            if (!trainer.finite()) diverged("a weight after the last update");
            if (s.stop) break;
            metrics.loss = sum / static_cast<double>(order.size());
            tell(update_event::epoch_end);
        }
    }

    std::unique_ptr<state> state_;
    std::jthread thread_;
};

/// The synchronous call: trains a copy of `model` and returns it.
template <class Model, class Examples>
Model update(const Model& model, const Examples& examples, const update_options& options = {}) {
    return update_task<Model>(model, examples, options).result();
}

// --- composed networks --------------------------------------------------------------------------------

/// How to train a composed network: for each input, and for each loss, the values of all examples, one after
/// the other (they are copied), and what changes which parameters.
template <class T, class Loss, optimizer Optimizer>
struct training_setup {
    std::size_t examples = 0;
    std::vector<example_data<T>> inputs{};
    std::vector<Loss> losses{};
    std::vector<example_data<T>> targets{};
    Optimizer with{};
    train which = train::updatable_layers;
};

/// `update(net, training_setup<float, categorical_cross_entropy, adam>{.examples = n, ...}, {.epochs = 10})`
template <class Network, class T, class Loss, optimizer Optimizer>
    requires requires { typename Network::engine_type; }
auto make_learner(Network& network, const training_setup<T, Loss, Optimizer>& setup,
                  const update_options& options) {
    using trainer_type = trainer<Network, Optimizer, Loss>;
    update_settings settings;
    Optimizer optimizer = setup.with;
    apply_options(options, settings, optimizer);
    auto result = std::make_unique<trainer_type>(network, setup.losses, optimizer, setup.which);
    result->load(setup.examples, setup.inputs, setup.targets);
    return learner<trainer_type>{std::move(result), settings};
}

}  // namespace bespoke
