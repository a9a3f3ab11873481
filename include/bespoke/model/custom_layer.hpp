#pragma once

#include "layer_fields.hpp"

#include <string_view>

/// The specification's `custom`: a layer that its user wrote. One whose `key` is "custom" has its className as
/// `nested_key`; a document has its fields in "parameters" and its parameter arrays, in their order, in "weights".
/// Core ML specification, CustomLayerParams.
namespace bespoke {

inline constexpr std::string_view custom_key = "custom";

namespace detail {

/// Whether "parameters" can hold every field: numbers, flags, strings and enumerations.
constexpr bool has_scalars_only(const field_table& table) {
    for (const field_entry& f : table.entries)
        if (f.kind > field_kind::enumerator) return false;
    return true;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Reads "parameters" into the fields that they name; the others keep their defaults. Throws `error` with the place of
/// what does not fit.
void read_custom_fields(const detail::field_table& table, void* layer, object_reader& custom, text_pool& texts);
/// Writes "className", and "parameters" with every field.
void write_custom_fields(const detail::field_table& table, std::string_view class_name, const void* layer,
                         object_writer& custom);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <cstring>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

void read_custom_fields(const detail::field_table& table, void* layer, object_reader& custom, text_pool& texts) {
    void* members[detail::field_table::most];
    table.locate(layer, members);
    object_reader parameters = custom.object("parameters");
    implied_fields none;
    for (std::size_t i = 0; i < table.entries.size(); ++i) {
        detail::field_entry f = table.entries[i];
        object_reader value = parameters.object(f.key);
        if (!parameters.has(f.key)) continue;
        static constexpr std::string_view kinds[] = {"doubleValue", "stringValue", "intValue", "longValue",
                                                     "boolValue"};
        f.key = value.one_of(kinds);
        if (f.key.empty()) value.fail(errc::bad_value, "", "a value wanted, none came");
        detail::read_field(f, members[i], value, none, texts);
        value.finish();
    }
    parameters.finish();
}

void write_custom_fields(const detail::field_table& table, std::string_view class_name, const void* layer,
                         object_writer& custom) {
    custom.text("className", class_name);
    void* members[detail::field_table::most];
    table.locate(const_cast<void*>(layer), members);
    object_writer parameters;
    for (std::size_t i = 0; i < table.entries.size(); ++i) {
        const detail::field_entry& f = table.entries[i];
        object_writer value;
        if (f.kind == detail::field_kind::boolean) {
            value.present("boolValue", *static_cast<const bool*>(members[i]));
        } else if (f.kind == detail::field_kind::int64) {
            value.present("longValue", *static_cast<const std::int64_t*>(members[i]));
        } else if (f.kind == detail::field_kind::int32) {
            value.present("intValue", *static_cast<const std::int32_t*>(members[i]));
        } else if (f.kind == detail::field_kind::real) {
            value.present("doubleValue", static_cast<double>(*static_cast<const float*>(members[i])));
        } else if (f.kind == detail::field_kind::number) {
            value.present("doubleValue", *static_cast<const double*>(members[i]));
        } else if (f.kind == detail::field_kind::text) {
            value.present("stringValue", *static_cast<const std::string_view*>(members[i]));
        } else {
            int number = 0;
            std::memcpy(&number, members[i], sizeof number);
            value.present("stringValue", f.names[static_cast<std::size_t>(number)]);
        }
        parameters.object(f.key, value);
    }
    if (!parameters.empty()) custom.object("parameters", parameters);
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
