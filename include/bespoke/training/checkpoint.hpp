#pragma once

#include "trainer.hpp"
#include "update_settings.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// What a training needs to go on as if nothing had been: `training.save_checkpoint(path)`,
/// `training.load_checkpoint(path)`, and `update(net, setup, {.checkpoint = path})`.
namespace bespoke {

/// Where a task is.
struct update_cursor {
    update_settings begun;     ///< as the task was made
    update_settings settings;  ///< in force
    update_metrics metrics;
    extent epoch = 0, mini_batch = 0;  ///< that come next
    std::size_t first = 0;             ///< place of the next example in the epoch's order
    double sum = 0;            ///< of the losses of the examples before
    bool shuffle = true;       ///< of this epoch
    std::uint64_t seed = 0;    ///< likewise
    std::uint64_t examples = 0, examples_id = 0;  ///< how many, and which

    /// Calls `visit(name, field)` for each.
    template <class Cursor, class Visit>
    static void each(Cursor& c, const Visit& visit) {
        const auto each_setting = [&](const std::string& prefix, auto& s) {
            visit(prefix + "epochs", s.epochs);
            visit(prefix + "mini_batch_size", s.mini_batch_size);
            visit(prefix + "shuffle", s.shuffle);
            visit(prefix + "seed", s.seed);
            visit(prefix + "learning_rate", s.learning_rate);
        };
        each_setting("begun.", c.begun);
        each_setting("settings.", c.settings);
        visit("metrics.loss", c.metrics.loss);
        visit("metrics.epoch", c.metrics.epoch);
        visit("metrics.mini_batch", c.metrics.mini_batch);
        visit("epoch", c.epoch);
        visit("mini_batch", c.mini_batch);
        visit("first", c.first);
        visit("sum", c.sum);
        visit("shuffle", c.shuffle);
        visit("seed", c.seed);
        visit("examples", c.examples);
        visit("examples_id", c.examples_id);
    }
};

/// What a checkpoint holds. The arrays lie elsewhere.
struct training_state {
    struct parameter {
        std::string name;  ///< "fc.weights"
        shape dimensions;
        bool learns;
        std::span<const std::byte> bytes;
        std::vector<std::span<const std::byte>> moments{};  ///< where it learns: what the optimizer keeps for it
    };
    struct hyper_parameter {
        std::string name;  ///< "1.learning_rate": of the second transformation
        double value;
    };
    std::size_t element_size;
    std::vector<std::string> layers{};  ///< their types, as errors say them: "innerProduct"
    std::vector<std::string> losses{};  ///< likewise: "huberLossLayer, delta 0.25"
    std::vector<parameter> parameters{};
    std::string optimizer{};  ///< "clip_by_global_norm, adam, decay_weights"
    std::vector<hyper_parameter> hyper_parameters{};
    std::uint64_t steps = 0, moments = 0;
    std::map<std::string, std::string> notes{};
    std::optional<update_cursor> cursor{};    ///< of a task
    std::shared_ptr<const void> owner{};      ///< of arrays that nobody else has
};

template <class T>
training_state trainer<T>::state() const {
    core().parameter_gradients();  // throws where the network was moved from
    const engine<T>& now = core();
    const plan_view& p = plan();
    any_optimizer<T> chosen = optimizer_;
    training_state result{.element_size = sizeof(T)};
    for (const step_facts& step : p.steps) {
        const std::string_view place = p[step.place], type = place.substr(std::min(place.rfind('('), place.size()));
        result.layers.emplace_back(type.ends_with(')') ? type.substr(1, type.size() - 2) : "");  // it was too long
    }
    for (const any_loss<T>& loss : losses_) result.losses.push_back(loss.name());
    result.steps = steps_;
    result.moments = static_cast<std::uint64_t>(chosen.moments());
    const auto list = chosen.parameters();
    for (std::size_t k = 0; k < list.size(); ++k) {
        result.optimizer += (k == 0 ? "" : ", ") + std::string(list[k].name);
        list[k].each([&](const char* name, const double* value) {
            result.hyper_parameters.push_back({std::to_string(k) + "." + name, *value});
        });
    }
    const extent total = gradients_.size();
    const T* kept = state_.data();
    if (state_.size() != chosen.moments() * total) {  // the next step begins with zeros
        const auto zeros = std::make_shared<buffer<T>>(chosen.moments() * total);
        kept = zeros->data();
        result.owner = zeros;
    }
    const auto bytes_of = [](const T* values, extent size) {
        return std::as_bytes(std::span(values, static_cast<std::size_t>(size)));
    };
    std::size_t k = 0;
    for (std::size_t i = 0; i < p.parameters.size(); ++i) {
        const parameter_facts& facts = p.parameters[i];
        const extent size = facts.dimensions.size();
        const bool learns = k < slots_.size() && slot_parameters_[k] == i;
        result.parameters.push_back({std::string(p[p.steps[facts.step].name]) + "." + std::string(facts.name),
                                     facts.dimensions, learns, bytes_of(size == 0 ? nullptr : now.parameter(i), size)});
        if (!learns) continue;
        for (extent m = 0; m < chosen.moments(); ++m)
            result.parameters.back().moments.push_back(bytes_of(kept + m * total + slots_[k].offset, size));
        ++k;
    }
    return result;
}

template <class T>
void trainer<T>::restore(const training_state& from) {
    engine<T>& engine = core();
    any_optimizer<T> chosen = optimizer_;
    const auto set = [&](std::span<const optimizer_parameters> list) {
        std::size_t next = 0;
        for (const optimizer_parameters& one : list)
            one.each([&](const char*, double* value) { *value = from.hyper_parameters[next++].value; });
    };
    const auto list = optimizer_.parameters();
    set(chosen.parameters());
    check_parameters(chosen.parameters(), "checkpoint: ");
    if (static_cast<std::uint64_t>(chosen.moments()) != from.moments)
        throw error(errc::bad_value, "checkpoint: the optimizer keeps " + std::to_string(chosen.moments()) +
                                         " numbers for each weight, the checkpoint has " +
                                         std::to_string(from.moments));
    const auto copy = [](std::span<const std::byte> bytes, T* to) {
        if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    };
    const auto& facts = plan().parameters;
    const bool has_kept = examples_.count() > 0 && plan_.has_frozen();
    buffer<T> kept(chosen.moments() * gradients_.size());
    std::vector<std::pair<std::size_t, T*>> changed;
    std::size_t k = 0;
    for (std::size_t i = 0; i < facts.size(); ++i) {
        const auto& parameter = from.parameters[i];
        for (std::size_t m = 0; m < parameter.moments.size(); ++m)
            copy(parameter.moments[m], kept.data() + static_cast<extent>(m) * gradients_.size() + slots_[k].offset);
        if (parameter.learns) ++k;
        if (parameter.bytes.empty() ||
            std::memcmp(std::as_const(engine).parameter(i), parameter.bytes.data(), parameter.bytes.size()) == 0)
            continue;
        if (has_kept && !parameter.learns)
            throw error(errc::bad_argument, "checkpoint: " + parameter.name +
                                                ", which do not learn, are others than those that the examples came "
                                                "through: load the checkpoint first, then the examples");
        changed.emplace_back(i, engine.parameter(i));
    }
    engine.measure();  // from here on nothing fails
    for (const auto& [number, to] : changed) copy(from.parameters[number].bytes, to);
    set(list);
    state_ = std::move(kept);
    steps_ = from.steps;
    engine.change();
}

template <class T>
void trainer<T>::save_checkpoint(const std::filesystem::path& path,
                                 const std::map<std::string, std::string>& notes) const {
    training_state now = state();
    now.notes = notes;
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::checkpoint_files.write(path, now);
}

template <class T>
std::map<std::string, std::string> trainer<T>::load_checkpoint(const std::filesystem::path& path) {
    training_state there =
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::checkpoint_files.read(path, state());
    restore(there);
    return std::move(there.notes);
}

}  // namespace bespoke
