#pragma once

#include "../core/error.hpp"
#include "model_schema.hpp"
#include "network_schema.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

/// The messages of the Core ML specification: what a reader of protobuf must know of each, as data.
///
/// The notation of the tables: "Message: type key number key number; type* key number ...", where a star says
/// "repeated" and "map<key,value>" is a map; "enum Name: A B C" numbers from 0, "enum Name: A 10 B 20" as it says. The
/// type `any` is a message that nobody looks into.
namespace bespoke {

enum class schema_type : unsigned char {
    boolean,
    int32,
    int64,
    uint32,
    uint64,
    real,    ///< float
    number,  ///< double
    text,
    bytes,
    enumerator,
    message,
    map,
    any,
};

/// Names of an enumeration and their numbers.
struct enum_schema {
    struct enumerator {
        std::string_view name;
        std::int64_t number;
    };
    std::vector<enumerator> enumerators;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct message_schema;

struct field_schema {
    std::string_view key;   ///< its name in JSON
    std::uint32_t number;
    std::string_view type_name;
    schema_type type{};
    bool repeated = false;
    const message_schema* message = nullptr;   ///< of a message; of a map its entry, with the fields "key" and "value"
    const enum_schema* enumeration = nullptr;
};

struct message_schema {
    std::string_view name{};
    std::vector<field_schema> fields;  ///< by number

    /// Null where there is none.
    const field_schema* find(std::uint32_t number) const;
    const field_schema* find(std::string_view key) const;
};

/// The message called so ("ConvolutionLayerParams"), or null.
const message_schema* find_message(std::string_view name);
/// All messages.
std::vector<const message_schema*> all_messages();

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::all_messages;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::field_schema;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::find_message;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::message_schema;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <charconv>
#include <map>

namespace bespoke {

namespace detail {

/// The tables, read once.
class schema_tables {
public:
    schema_tables() {
        read(network_schema);
        read(model_schema);
        std::vector<message_schema*> read_messages;  // resolving adds the entries of maps
        for (auto& [name, message] : messages) read_messages.push_back(&message);
        for (message_schema* message : read_messages) finish(*message);
    }

    std::map<std::string_view, message_schema> messages;

private:
    static std::string_view next_word(std::string_view& text) {
        const std::size_t begin = std::min(text.find_first_not_of(" \n"), text.size());
        const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
        const std::string_view word = text.substr(begin, end - begin);
        text.remove_prefix(end);
        return word;
    }
    /// The number at the front of `word`, or -1.
    static std::int64_t number_in(std::string_view word) {
        std::int64_t number = -1;
        std::from_chars(word.data(), word.data() + word.size(), number);
        return number;
    }

    void read(std::string_view text) {
        message_schema* message = nullptr;
        enum_schema* enumeration = nullptr;
        bool is_enum = false;
        std::string_view type, key;
        for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
            if (word == "enum") {
                is_enum = true;
            } else if (word.ends_with(':')) {
                const std::string_view name = word.substr(0, word.size() - 1);
                enumeration = is_enum ? &enums_[name] : nullptr;
                message = is_enum ? nullptr : &messages[name];
                if (message != nullptr) message->name = name;
                is_enum = false;
                type = key = {};
            } else if (enumeration != nullptr) {
                if (const std::int64_t number = number_in(word); number >= 0)
                    enumeration->enumerators.back().number = number;
                else
                    enumeration->enumerators.push_back(
                        {word, static_cast<std::int64_t>(enumeration->enumerators.size())});
            } else if (type.empty()) {
                type = word;
            } else if (key.empty()) {
                key = word;
            } else {
                message->fields.push_back({key, static_cast<std::uint32_t>(number_in(word)), type});
                key = {};
                if (word.ends_with(';')) type = {};
            }
        }
    }

    void finish(message_schema& message) {
        std::sort(message.fields.begin(), message.fields.end(),
                  [](const field_schema& a, const field_schema& b) { return a.number < b.number; });
        for (field_schema& f : message.fields) resolve(f);
    }

    void resolve(field_schema& f) {
        std::string_view name = f.type_name;
        f.repeated = name.ends_with('*');
        if (f.repeated) name.remove_suffix(1);
        static constexpr std::pair<std::string_view, schema_type> scalars[] = {
            {"bool", schema_type::boolean},  {"int32", schema_type::int32},   {"int64", schema_type::int64},
            {"uint32", schema_type::uint32}, {"uint64", schema_type::uint64}, {"float", schema_type::real},
            {"double", schema_type::number}, {"string", schema_type::text},   {"bytes", schema_type::bytes},
            {"any", schema_type::any}};
        for (const auto& [scalar, type] : scalars)
            if (name == scalar) {
                f.type = type;
                return;
            }
        if (name.starts_with("map<")) {
            const std::string_view types = name.substr(4, name.size() - 5);
            const std::size_t comma = types.find(',');
            message_schema& entry = messages[name];
            if (entry.fields.empty()) {
                entry = {name, {{"key", 1, types.substr(0, comma)}, {"value", 2, types.substr(comma + 1)}}};
                finish(entry);
            }
            f.type = schema_type::map;
            f.message = &entry;
        } else if (const auto enumeration = enums_.find(name); enumeration != enums_.end()) {
            f.type = schema_type::enumerator;
            f.enumeration = &enumeration->second;
        } else if (const auto message = messages.find(name); message != messages.end()) {
            f.type = schema_type::message;
            f.message = &message->second;
        } else {
            throw error(errc::unknown_name, "the schema has no type " + std::string(name));
        }
    }

    std::map<std::string_view, enum_schema> enums_;
};

inline const schema_tables& schema() {
    static const schema_tables tables;
    return tables;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

const field_schema* message_schema::find(std::uint32_t number) const {
    const auto place = std::lower_bound(fields.begin(), fields.end(), number,
                                        [](const field_schema& f, std::uint32_t n) { return f.number < n; });
    return place != fields.end() && place->number == number ? &*place : nullptr;
}
const field_schema* message_schema::find(std::string_view key) const {
    const auto place = std::ranges::find(fields, key, &field_schema::key);
    return place != fields.end() ? &*place : nullptr;
}

const message_schema* find_message(std::string_view name) {
    const auto& messages = detail::schema().messages;
    const auto place = messages.find(name);
    return place != messages.end() ? &place->second : nullptr;
}
std::vector<const message_schema*> all_messages() {
    std::vector<const message_schema*> all;
    for (const auto& [name, message] : detail::schema().messages) all.push_back(&message);
    return all;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
