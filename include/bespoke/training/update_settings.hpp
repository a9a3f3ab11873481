#pragma once

#include "../core/error.hpp"
#include "optimizers.hpp"

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace bespoke {

struct training_state;
struct update_settings;
struct update_metrics;
template <class T>
struct learner;

/// The part of a task that has to do with its checkpoints, see task_checkpoints.hpp.
template <class T>
struct task_checkpoints {
    void (*resume)(learner<T>& task, std::size_t examples, std::span<const std::span<const T>> inputs,
                   std::span<const std::span<const T>> targets);
    void (*save)(learner<T>& task, const update_settings& now, const update_metrics& metrics);
};

/// How checkpoints get into files and out of them, see model/checkpoint.hpp.
struct checkpoint_access {
    /// Throws errc::io; the file is then as it was.
    void (*write)(const std::filesystem::path& path, const training_state& state);
    /// What the file holds, in the order of `like`, which has the same parameters and optimizer. Throws `error`.
    training_state (*read)(const std::filesystem::path& path, const training_state& like);
    bool (*is_there)(const std::filesystem::path& path);
    /// A number that follows from `before` and all of the bytes.
    std::uint64_t (*mix)(std::uint64_t before, std::span<const std::byte> bytes);
    // Called from here, who has no checkpoints does not compile them.
    task_checkpoints<float> floats;
    task_checkpoints<double> doubles;
};
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
extern const checkpoint_access checkpoint_files;
}

/// Where a task writes checkpoints: at its begin, behind each epoch, and where it is told to stop; with `every`, behind
/// so many mini-batches of an epoch too. Where the file is there already, the task goes on from it.
class checkpoint_file {
public:
    checkpoint_file() = default;
    template <class Path>
        requires std::convertible_to<const Path&, std::filesystem::path>
    checkpoint_file(const Path& where, extent every_mini_batches = 0)
        : path(where), every(every_mini_batches),
          files(&define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::checkpoint_files) {}

    std::filesystem::path path{};
    extent every = 0;
    const checkpoint_access* files = nullptr;  ///< null: no checkpoints
};

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
    /// `.checkpoint = "run.checkpoint"`: the process may be killed at any moment. The same task, made again with the
    /// same model, examples and options, goes on where the file says, and ends with the same bits as one that was not
    /// killed. A handler sees `training_begin` again; the settings are those of the file behind it. With other `epochs`
    /// the training ends earlier or later. Remove the file for a new training: one of other examples or options is
    /// refused.
    checkpoint_file checkpoint{};
};

/// At the end of an epoch and of the task, `epoch` and `mini_batch` are the last that ran.
struct update_metrics {
    double loss = 0;  ///< of the mini-batch before its update, or the mean over the epoch's examples
    extent epoch = 0, mini_batch = 0;
};

/// Throws `error` for values outside their range.
inline void check_settings(const update_settings& settings) {
    const auto wanted = [](bool holds, const char* what, sentence::part came) {
        if (!holds) throw error(fault{errc::bad_argument, sentence("update: ", what, " wanted, ", came, " came")});
    };
    wanted(settings.epochs >= 0, "epochs from 0 up", settings.epochs);
    wanted(settings.mini_batch_size >= 1, "a mini-batch size from 1 up", settings.mini_batch_size);
    wanted(settings.learning_rate >= 0 && std::isfinite(settings.learning_rate), "a learning rate from 0 up",
           settings.learning_rate);
}

/// Sets what the caller wants otherwise. Throws `error` for values outside their range, and for those that the
/// optimizer does not know. The learning rate is that of the first transformation that has one; momentum, beta1, beta2
/// and eps are set in, and checked of, each that has them.
inline void apply_options(const update_options& options, update_settings& settings,
                          std::span<const optimizer_parameters> optimizer) {
    const auto wanted = [](bool holds, const char* what) {
        if (!holds) throw error(errc::bad_argument, std::string("update: ") + what);
    };
    const auto set = [&](double* optimizer_parameters::*member, const std::optional<double>& value,
                         const char* missing) {
        bool known = false;
        for (const auto& parameters : optimizer) {
            if (parameters.*member == nullptr) continue;
            known = true;
            *(parameters.*member) = value.value_or(*(parameters.*member));
        }
        wanted(known || !value, missing);
    };
    settings.epochs = options.epochs.value_or(settings.epochs);
    settings.mini_batch_size = options.mini_batch_size.value_or(settings.mini_batch_size);
    settings.shuffle = options.shuffle.value_or(settings.shuffle);
    settings.seed = options.seed.value_or(settings.seed);
    if (double* const rate = learning_rate_of(optimizer))
        settings.learning_rate = *rate = options.learning_rate.value_or(*rate);
    else
        wanted(!options.learning_rate, "this optimizer has no learning rate");
    set(&optimizer_parameters::momentum, options.momentum, "this optimizer has no momentum");
    const auto* missing = "this optimizer has no beta1, beta2 and eps";
    set(&optimizer_parameters::beta1, options.beta1, missing);
    set(&optimizer_parameters::beta2, options.beta2, missing);
    set(&optimizer_parameters::eps, options.eps, missing);
    check_parameters(optimizer, "update: ");
    check_settings(settings);
}

}  // namespace bespoke
