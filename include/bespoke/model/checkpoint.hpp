#pragma once

#include "../training/checkpoint.hpp"
#include "../training/task_checkpoints.hpp"
#include "object_reader.hpp"
#include "safetensors.hpp"
#include "weight_codec.hpp"

/// Checkpoints of a training as files: safetensors, the parameters as tensors "learning.fc.weights" and
/// "frozen.conv.bias", what the optimizer keeps for them as "moment0.fc.weights", and the rest in the metadata, as JSON
/// under "checkpoint". Under "checkpointId" stands a number that follows from all of them: a file that is not as it was
/// written is refused.
#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bespoke {
namespace detail {

inline constexpr std::uint64_t checkpoint_version = 1;

inline std::string parameter_tensor(const training_state::parameter& p) {
    return (p.learns ? "learning." : "frozen.") + p.name;
}
inline std::string moment_tensor(std::size_t number, const training_state::parameter& p) {
    return "moment" + std::to_string(number) + "." + p.name;
}
/// Of tensors sorted by name, and what stands beside them.
inline std::string checkpoint_id(std::vector<tensor_entry> tensors, const std::string& facts) {
    tensors.push_back({"checkpoint", "U8", shape{static_cast<extent>(facts.size())}, std::as_bytes(std::span(facts))});
    return id_of(tensors);
}

/// JSON has no infinity.
inline json json_of(double value) { return std::isfinite(value) ? json(value) : json(shown(value)); }

/// What the file has under "checkpoint"; the names of hyper-parameters are those of `like`.
inline training_state read_facts(const json& document, const std::string& path, const training_state& like) {
    training_state result{.element_size = like.element_size};
    object_reader facts(&document, path + ": checkpoint", /*complete=*/true);
    constexpr auto any = std::numeric_limits<std::uint64_t>::max();
    if (const std::uint64_t version = facts.natural("version", any); version != checkpoint_version)
        facts.fail(errc::unsupported, "version",
                   std::to_string(checkpoint_version) + " wanted, " + std::to_string(version) + " came");
    result.steps = facts.natural("steps", any);
    result.moments = facts.natural("moments", any);
    result.optimizer = facts.text("optimizer");
    if (result.optimizer != like.optimizer)
        facts.fail(errc::bad_value, "optimizer",
                   "this training has " + in_quotes(like.optimizer) + ", the checkpoint " +
                       in_quotes(result.optimizer));
    const auto same = [&](std::string_view key, const std::vector<std::string>& mine) {
        std::vector<std::string> theirs = facts.texts(key);
        for (std::size_t i = 0; i < std::max(theirs.size(), mine.size()); ++i) {
            const auto of = [&](const auto& list) { return i < list.size() ? in_quotes(list[i]) : "none"; };
            if (of(theirs) != of(mine))
                throw error(errc::bad_value, facts.place(key) + "/" + std::to_string(i) + ": this training has " +
                                                 of(mine) + ", the checkpoint " + of(theirs));
        }
        return theirs;
    };
    result.layers = same("layers", like.layers);
    result.losses = same("losses", like.losses);
    object_reader numbers = facts.object("hyperParameters");
    for (const auto& [name, value] : like.hyper_parameters)
        result.hyper_parameters.push_back({name, numbers.number(name)});
    numbers.finish();
    result.notes = facts.map_of_texts("notes");
    if (facts.has("task")) {
        object_reader task = facts.object("task");
        update_cursor::each(result.cursor.emplace(), [&]<class V>(const std::string& name, V& to) {
            if constexpr (std::is_same_v<V, bool>) to = task.boolean(name);
            else if constexpr (std::is_same_v<V, double>) to = task.number(name);
            else to = static_cast<V>(task.natural(name, std::numeric_limits<V>::max()));
        });
        task.finish();
    }
    facts.finish();
    return result;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

void write_checkpoint(const std::filesystem::path& path, const training_state& state) {
    std::vector<tensor_entry> tensors;
    const std::string_view dtype = state.element_size == sizeof(double) ? "F64" : "F32";
    for (const auto& p : state.parameters) {
        tensors.push_back({detail::parameter_tensor(p), dtype, p.dimensions, p.bytes});
        for (std::size_t m = 0; m < p.moments.size(); ++m)
            tensors.push_back({detail::moment_tensor(m, p), dtype, p.dimensions, p.moments[m]});
    }
    std::ranges::sort(tensors, {}, &tensor_entry::name);
    detail::json_document document(detail::json::value_t::object);
    detail::json& facts = *document;
    facts["version"] = detail::checkpoint_version;
    facts["steps"] = state.steps;
    facts["moments"] = state.moments;
    facts["optimizer"] = state.optimizer;
    const auto put_list = [&](const char* name, const std::vector<std::string>& texts) {
        detail::json& list = facts[name] = detail::json::value_t::array;
        for (const std::string& text : texts) list.push_back(text);  // see json_document: no list of its own
    };
    put_list("layers", state.layers);
    put_list("losses", state.losses);
    detail::json &numbers = facts["hyperParameters"] = detail::json::object(),
                 &notes = facts["notes"] = detail::json::object();
    for (const auto& [name, value] : state.hyper_parameters) numbers[name] = detail::json_of(value);
    for (const auto& [name, value] : state.notes) notes[name] = value;
    if (state.cursor) {
        detail::json& task = facts["task"] = detail::json::value_t::object;
        update_cursor::each(*state.cursor, [&]<class V>(const std::string& name, const V& value) {
            if constexpr (std::is_same_v<V, double>) task[name] = detail::json_of(value);
            else task[name] = value;
        });
    }
    std::string text;
    try {
        text = facts.dump();
    } catch (const detail::json::exception&) {
        throw error(errc::bad_argument, path.string() + ": a text of the checkpoint is not UTF-8");
    }
    write_file_atomically(path, to_safetensors(tensors, {{"checkpoint", text},
                                                         {"checkpointId", detail::checkpoint_id(tensors, text)}}));
}

training_state read_checkpoint(const std::filesystem::path& path, const training_state& like) {
    const std::string name = path.string();
    const safetensors file = safetensors::load(path);
    const auto& metadata = file.metadata();
    const auto facts = metadata.find("checkpoint"), id = metadata.find("checkpointId");
    if (facts == metadata.end() || id == metadata.end())
        throw error(errc::bad_value,
                    name + ": a checkpoint wanted, this has no \"checkpoint\" and \"checkpointId\" in its metadata");
    const std::string now = detail::checkpoint_id(file.entries(), facts->second);
    if (now != id->second)
        throw error(errc::bad_value, name + ": it is not as it was written: its checkpointId is " +
                                         in_quotes(id->second) + ", what it holds has " + in_quotes(now));
    const detail::json_document document = detail::parse_json(facts->second, name + ": checkpoint");
    training_state result = detail::read_facts(*document, name, like);
    std::size_t used = 0;
    const auto take = [&](const std::string& tensor, const shape& dimensions) {
        const auto fail = [&](errc code, const std::string& what) {
            throw error(code, name + ": tensor " + in_quotes(tensor) + ": " + what);
        };
        const tensor_entry* const found = file.find(tensor);
        if (found == nullptr) fail(errc::unknown_name, "this training wants it, the checkpoint lacks it");
        const std::string_view dtype = like.element_size == sizeof(double) ? "F64" : "F32";
        if (found->dtype != dtype)
            fail(errc::bad_value, std::string(dtype) + " wanted, " + std::string(found->dtype) + " came");
        if (!(found->dimensions == dimensions))
            fail(errc::shape_mismatch, "the shape " + bespoke::to_text(dimensions) + " wanted, " +
                                           bespoke::to_text(found->dimensions) + " came");
        ++used;
        return found->bytes;
    };
    for (const auto& mine : like.parameters) {
        auto& p = result.parameters.emplace_back(mine);
        p.moments.clear();
        p.bytes = take(detail::parameter_tensor(p), p.dimensions);
        for (std::size_t m = 0; p.learns && m < result.moments; ++m)
            p.moments.push_back(take(detail::moment_tensor(m, p), p.dimensions));
    }
    if (used != file.entries().size()) {
        std::vector<std::string> known;
        for (const auto& p : result.parameters) {
            known.push_back(detail::parameter_tensor(p));
            for (std::size_t m = 0; m < p.moments.size(); ++m) known.push_back(detail::moment_tensor(m, p));
        }
        for (const tensor_entry& entry : file.entries())
            if (std::ranges::find(known, entry.name) == known.end())
                throw error(errc::unknown_name, name + ": tensor " + in_quotes(detail::excerpt(entry.name)) +
                                                    ": this training has no such tensor");
    }
    result.owner = file.owner();
    return result;
}

bool is_checkpoint_there(const std::filesystem::path& path) { return exists(detail::status_of(path)); }

std::uint64_t mix_bytes(std::uint64_t before, std::span<const std::byte> bytes) {
    return detail::hash_of(bytes, before ^ bytes.size());
}

const checkpoint_access checkpoint_files{&write_checkpoint,
                                         &read_checkpoint,
                                         &is_checkpoint_there,
                                         &mix_bytes,
                                         {&resume_task<float>, &save_task<float>},
                                         {&resume_task<double>, &save_task<double>}};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
