#pragma once

#include <bespoke/convert/schema.hpp>

#include <nlohmann/json.hpp>
#include <protozero/pbf_writer.hpp>

#include <string>
#include <string_view>
#include <vector>

/// Documents as protobuf, by the schema: what `.mlmodel` files of the tests are made with.
namespace check {

using nlohmann::json;

inline std::int64_t integer_of(const json& value) {
    return value.is_string() ? std::stoll(value.get<std::string>()) : value.get<std::int64_t>();
}
inline std::int32_t enumerator_of(const bespoke::field_schema& f, const json& value) {
    if (!value.is_string()) return value.get<std::int32_t>();
    for (const auto& e : f.enumeration->enumerators)
        if (e.name == value.get<std::string>()) return static_cast<std::int32_t>(e.number);
    throw std::out_of_range(value.get<std::string>());
}

std::string to_protobuf(const json& document, const bespoke::message_schema& message);

inline void write_value(protozero::pbf_writer& out, const bespoke::field_schema& f, const json& value) {
    using bespoke::schema_type;
    switch (f.type) {
        case schema_type::boolean:
            return out.add_bool(f.number, value.get<bool>());
        case schema_type::int32:
        case schema_type::int64:
            return out.add_int64(f.number, integer_of(value));
        case schema_type::uint32:
        case schema_type::uint64:
            return out.add_uint64(f.number, static_cast<std::uint64_t>(integer_of(value)));
        case schema_type::real:
            return out.add_float(f.number, value.get<float>());
        case schema_type::number:
            return out.add_double(f.number, value.get<double>());
        case schema_type::text:
            return out.add_string(f.number, value.get<std::string>());
        case schema_type::bytes: {
            const auto& bytes = value.get_binary();
            return out.add_bytes(f.number, reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }
        case schema_type::enumerator:
            return out.add_enum(f.number, enumerator_of(f, value));
        default:
            return out.add_message(f.number, f.message == nullptr ? "" : to_protobuf(value, *f.message));
    }
}

/// Repeated floats and integers are packed, as writers of proto3 do.
inline std::string to_protobuf(const json& document, const bespoke::message_schema& message) {
    using bespoke::schema_type;
    std::string bytes;
    protozero::pbf_writer out(bytes);
    for (const auto& [key, value] : document.items()) {
        const auto field = std::find_if(message.fields.begin(), message.fields.end(),
                                        [&, &name = key](const auto& f) { return f.key == name; });
        if (field == message.fields.end()) throw std::out_of_range(std::string(message.name) + "." + key);
        if (field->type == schema_type::map) {
            for (const auto& [name, element] : value.items())
                out.add_message(field->number,
                                to_protobuf(json{{"key", name}, {"value", element}}, *field->message));
        } else if (!field->repeated) {
            write_value(out, *field, value);
        } else if (field->type == schema_type::real) {
            const auto values = value.get<std::vector<float>>();
            out.add_packed_float(field->number, values.begin(), values.end());
        } else if (field->type == schema_type::int64 || field->type == schema_type::uint64) {
            std::vector<std::int64_t> values;
            for (const json& element : value) values.push_back(integer_of(element));
            out.add_packed_int64(field->number, values.begin(), values.end());
        } else {
            for (const json& element : value) write_value(out, *field, element);
        }
    }
    return bytes;
}

/// The `.mlmodel` file that says the same as a JSON document.
inline std::string to_mlmodel(const json& document) {
    return to_protobuf(document, *bespoke::find_message("Model"));
}

}  // namespace check
