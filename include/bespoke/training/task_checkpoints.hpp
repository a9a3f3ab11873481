#pragma once

#include "update_task.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

/// How a task goes on from its checkpoint, and writes it. Compiled with the implementation alone.
namespace bespoke {

template <class T>
void resume_task(learner<T>& task, std::size_t examples, std::span<const example_data<T>> in,
                 std::span<const example_data<T>> targets) {
    const checkpoint_file& checkpoint = task.checkpoint;
    const update_settings& settings = task.settings;
    trainer<T>* const training = task.training.get();
    update_cursor& cursor = task.cursor;
    cursor.examples = examples;
    for (const auto& list : {in, targets})
        for (const example_data<T>& values : list)
            cursor.examples_id = checkpoint.files->mix(cursor.examples_id, std::as_bytes(values));
    if (!checkpoint.files->is_there(checkpoint.path)) return;
    const training_state mine = training->state(), there = checkpoint.files->read(checkpoint.path, mine);
    const auto wanted = [&](bool holds, const std::string& what) {
        if (!holds)
            throw error(errc::bad_value, checkpoint.path.string() + ": it is not a checkpoint of this task: " + what +
                                             " (without the file, a new training begins)");
    };
    wanted(there.cursor.has_value(), "it was written by a trainer");
    update_cursor from = *there.cursor;
    wanted(from.examples == cursor.examples, "it has " + std::to_string(from.examples) + " examples, " +
                                                 std::to_string(examples) + " came");
    wanted(from.examples_id == cursor.examples_id, "it was begun with other examples");
    const auto as_begun = [&](const char* name, auto begun, auto came) {
        wanted(begun == came, std::string(name) + " " + std::to_string(begun) + " when it began, " +
                                  std::to_string(came) + " came");
    };
    as_begun("mini-batch size", from.begun.mini_batch_size, settings.mini_batch_size);
    as_begun("shuffle", from.begun.shuffle, settings.shuffle);
    as_begun("seed", from.begun.seed, settings.seed);
    as_begun("learning rate", from.begun.learning_rate, settings.learning_rate);
    bool has_rate = false;
    for (std::size_t k = 0; k < mine.hyper_parameters.size(); ++k) {
        const auto& [name, value] = mine.hyper_parameters[k];
        if (name.ends_with(".learning_rate") && !std::exchange(has_rate, true)) continue;  // a handler may set it
        as_begun(name.c_str() + name.find('.') + 1, there.hyper_parameters[k].value, value);
    }
    wanted(from.first <= examples && from.mini_batch <= static_cast<extent>(examples), "it is behind its last example");
    check_settings(from.settings);
    training->restore(there);
    if (from.begun.epochs != settings.epochs) from.settings.epochs = settings.epochs;
    from.begun = settings;
    cursor = from;
    task.resumes = true;
}

template <class T>
void save_task(learner<T>& task, const update_settings& now, const update_metrics& metrics) {
    training_state state = task.training->state();
    task.cursor.settings = now;
    task.cursor.metrics = metrics;
    state.cursor = task.cursor;
    task.checkpoint.files->write(task.checkpoint.path, state);
}

}  // namespace bespoke
