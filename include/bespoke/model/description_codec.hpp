#pragma once

#include "description.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

/// The interface of a model between document and `model_description`.
namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Reads a ModelDescription object. Throws `error` with the place of what does not fit.
model_description read_description(object_reader& in);
object_writer write_description(const model_description& description);

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

inline constexpr std::string_view array_data_type_names[] = {"INVALID_ARRAY_DATA_TYPE", "FLOAT32", "DOUBLE", "INT32"};
inline constexpr std::int64_t array_data_type_numbers[] = {0, 65568, 65600, 131104};

inline void write_shape(object_writer& out, std::string_view key, const shape& dimensions) {
    out.integers(key, std::span<const extent>(dimensions.begin(), dimensions.rank()));
}

/// A message without fields.
inline void read_empty(object_reader& outer, std::string_view key) { outer.object(key).finish(); }

inline size_range read_size_range(object_reader& in) {
    size_range range;
    range.lower_bound = in.integer("lowerBound");
    range.upper_bound = in.integer("upperBound");
    in.finish();
    return range;
}
inline object_writer write_size_range(const size_range& range) {
    object_writer out;
    out.integer("lowerBound", range.lower_bound);
    out.integer("upperBound", range.upper_bound);
    return out;
}

inline array_feature_type read_array_type(object_reader& in) {
    array_feature_type type;
    type.shape = in.extents("shape");
    type.data_type = static_cast<array_data_type>(
        array_data_type_numbers[in.enumerator("dataType", array_data_type_names, array_data_type_numbers)]);
    static constexpr std::string_view flexibilities[] = {"enumeratedShapes", "shapeRange"};
    const std::string_view flexibility = in.one_of(flexibilities);
    object_reader inner = in.object(flexibility.empty() ? flexibilities[0] : flexibility);
    if (flexibility == "enumeratedShapes") {
        enumerated_shapes list;
        for (object_reader& s : inner.objects("shapes")) {
            list.shapes.push_back(s.extents("shape"));
            s.finish();
        }
        type.shape_flexibility = std::move(list);
    } else if (flexibility == "shapeRange") {
        shape_range list;
        for (object_reader& r : inner.objects("sizeRanges")) list.size_ranges.push_back(read_size_range(r));
        type.shape_flexibility = std::move(list);
    }
    inner.finish();
    static constexpr std::string_view defaults[] = {"intDefaultValue", "floatDefaultValue", "doubleDefaultValue"};
    const std::string_view kind = in.one_of(defaults);
    if (kind == defaults[0]) {
        type.default_optional_value = in.small_integer(kind);
    } else if (kind == defaults[1]) {
        type.default_optional_value = in.real(kind);
    } else if (kind == defaults[2]) {
        type.default_optional_value = in.number(kind);
    }
    in.finish();
    return type;
}
inline object_writer write_array_type(const array_feature_type& type) {
    object_writer out;
    write_shape(out, "shape", type.shape);
    for (std::size_t i = 0; i < std::size(array_data_type_numbers); ++i)
        if (array_data_type_numbers[i] == static_cast<std::int64_t>(type.data_type))
            out.enumerator("dataType", array_data_type_names, i);
    object_writer inner;
    std::vector<object_writer> list;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&type.shape_flexibility)) {
        for (const shape& s : enumerated->shapes) write_shape(list.emplace_back(), "shape", s);
        inner.objects("shapes", list);
        out.object("enumeratedShapes", inner);
    } else if (const auto* ranges = std::get_if<shape_range>(&type.shape_flexibility)) {
        for (const size_range& r : ranges->size_ranges) list.push_back(write_size_range(r));
        inner.objects("sizeRanges", list);
        out.object("shapeRange", inner);
    }
    // members of a oneof are written even where they are zero
    if (const auto* whole = std::get_if<std::int32_t>(&type.default_optional_value))
        out.present("intDefaultValue", *whole);
    else if (const auto* real = std::get_if<float>(&type.default_optional_value))
        out.present("floatDefaultValue", *real);
    else if (const auto* number = std::get_if<double>(&type.default_optional_value))
        out.present("doubleDefaultValue", *number);
    return out;
}

inline constexpr std::string_view color_space_names[] = {
    name_of(image_color_space::invalid_color_space), name_of(image_color_space::grayscale),
    name_of(image_color_space::rgb), name_of(image_color_space::bgr), "GRAYSCALE_FLOAT16"};
inline constexpr std::int64_t color_space_numbers[] = {0, 10, 20, 30, 40};

inline image_feature_type read_image_type(object_reader& in) {
    image_feature_type type;
    type.width = in.integer("width");
    type.height = in.integer("height");
    const std::size_t space = in.enumerator("colorSpace", color_space_names, color_space_numbers);
    if (color_space_names[space] == "GRAYSCALE_FLOAT16")
        in.fail(errc::unsupported, "colorSpace", "images of this colour space are not supported");
    type.color_space = static_cast<image_color_space>(color_space_numbers[space]);
    static constexpr std::string_view flexibilities[] = {"enumeratedSizes", "imageSizeRange"};
    const std::string_view flexibility = in.one_of(flexibilities);
    object_reader inner = in.object(flexibility.empty() ? flexibilities[0] : flexibility);
    if (flexibility == flexibilities[0]) {
        enumerated_image_sizes list;
        for (object_reader& size : inner.objects("sizes")) {
            list.sizes.push_back({size.integer("width"), size.integer("height")});
            size.finish();
        }
        type.size_flexibility = std::move(list);
    } else if (flexibility == flexibilities[1]) {
        object_reader width = inner.object("widthRange"), height = inner.object("heightRange");
        type.size_flexibility = image_size_range{read_size_range(width), read_size_range(height)};
    }
    inner.finish();
    in.finish();
    return type;
}
inline object_writer write_image_type(const image_feature_type& type) {
    object_writer out, inner;
    out.integer("width", type.width);
    out.integer("height", type.height);
    if (const auto* enumerated = std::get_if<enumerated_image_sizes>(&type.size_flexibility)) {
        std::vector<object_writer> list;
        for (image_size size : enumerated->sizes) {
            list.emplace_back().integer("width", size.width);
            list.back().integer("height", size.height);
        }
        inner.objects("sizes", list);
        out.object("enumeratedSizes", inner);
    } else if (const auto* range = std::get_if<image_size_range>(&type.size_flexibility)) {
        inner.object("widthRange", write_size_range(range->width_range));
        inner.object("heightRange", write_size_range(range->height_range));
        out.object("imageSizeRange", inner);
    }
    for (std::size_t i = 0; i < std::size(color_space_numbers); ++i)
        if (color_space_numbers[i] == static_cast<std::int64_t>(type.color_space))
            out.enumerator("colorSpace", color_space_names, i);
    return out;
}

inline feature_type read_feature_type(object_reader& in) {
    feature_type result;
    result.is_optional = in.boolean("isOptional");
    static constexpr std::string_view kinds[] = {"int64Type",      "doubleType",   "stringType", "multiArrayType",
                                                 "dictionaryType", "sequenceType", "imageType",  "stateType"};
    const std::string_view kind = in.one_of(kinds);
    if (kind.empty()) in.fail(errc::bad_value, "", "a feature type wanted, none came");
    if (kind == "stateType")
        in.fail(errc::unsupported, kind, "features of this type are not supported");
    object_reader inner = in.object(kind);
    if (kind == "int64Type") {
        result.type = int64_feature_type{};
    } else if (kind == "doubleType") {
        result.type = double_feature_type{};
    } else if (kind == "stringType") {
        result.type = string_feature_type{};
    } else if (kind == "multiArrayType") {
        result.type = read_array_type(inner);
    } else if (kind == "imageType") {
        result.type = read_image_type(inner);
    } else if (kind == "dictionaryType") {
        static constexpr std::string_view keys[] = {"int64KeyType", "stringKeyType"};
        const std::string_view key = inner.one_of(keys);
        if (key.empty()) inner.fail(errc::bad_value, "", "a key type wanted, none came");
        read_empty(inner, key);
        result.type = dictionary_feature_type{key == keys[0] ? dictionary_feature_type::key::int64_key_type
                                                             : dictionary_feature_type::key::string_key_type};
    } else {
        static constexpr std::string_view elements[] = {"int64Type", "stringType"};
        const std::string_view element = inner.one_of(elements);
        if (element.empty()) inner.fail(errc::bad_value, "", "a type of the elements wanted, none came");
        read_empty(inner, element);
        sequence_feature_type sequence;
        if (element == elements[1]) sequence.type = sequence_feature_type::element::string_type;
        object_reader range = inner.object("sizeRange");
        sequence.size_range = read_size_range(range);
        if (!inner.has("sizeRange")) sequence.size_range = {};
        result.type = sequence;
    }
    inner.finish();
    in.finish();
    return result;
}
inline object_writer write_feature_type(const feature_type& type) {
    object_writer out, inner;
    if (std::holds_alternative<int64_feature_type>(type.type)) {
        out.object("int64Type", inner);
    } else if (std::holds_alternative<double_feature_type>(type.type)) {
        out.object("doubleType", inner);
    } else if (std::holds_alternative<string_feature_type>(type.type)) {
        out.object("stringType", inner);
    } else if (const auto* array = type.multi_array_type()) {
        out.object("multiArrayType", write_array_type(*array));
    } else if (const image_feature_type* picture = type.image_type()) {
        out.object("imageType", write_image_type(*picture));
    } else if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type)) {
        inner.object(dictionary->key_type == dictionary_feature_type::key::int64_key_type ? "int64KeyType"
                                                                                          : "stringKeyType",
                     {});
        out.object("dictionaryType", inner);
    } else if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type)) {
        inner.object(sequence->type == sequence_feature_type::element::int64_type ? "int64Type" : "stringType", {});
        if (!(sequence->size_range == size_range{})) inner.object("sizeRange", write_size_range(sequence->size_range));
        out.object("sequenceType", inner);
    }
    out.boolean("isOptional", type.is_optional);
    return out;
}

inline std::vector<feature_description> read_feature_descriptions(object_reader& outer, std::string_view key) {
    std::vector<feature_description> list;
    for (object_reader& in : outer.objects(key)) {
        feature_description& d = list.emplace_back();
        d.name = in.text("name");
        d.short_description = in.text("shortDescription");
        object_reader type = in.object("type");
        d.type = read_feature_type(type);
        in.finish();
    }
    return list;
}
inline void write_feature_descriptions(object_writer& outer, std::string_view key,
                                       const std::vector<feature_description>& list) {
    std::vector<object_writer> elements;
    for (const feature_description& d : list) {
        object_writer& out = elements.emplace_back();
        out.text("name", d.name);
        out.text("shortDescription", d.short_description);
        out.object("type", write_feature_type(d.type));
    }
    outer.objects(key, elements);
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

model_description read_description(object_reader& in) {
    model_description result;
    for (std::string_view key : {"functions", "defaultFunctionName", "state"})
        if (in.has(key)) in.fail(errc::unsupported, key, "models with functions or states are not supported");
    result.input = detail::read_feature_descriptions(in, "input");
    result.output = detail::read_feature_descriptions(in, "output");
    result.predicted_feature_name = in.text("predictedFeatureName");
    result.predicted_probabilities_name = in.text("predictedProbabilitiesName");
    result.training_input = detail::read_feature_descriptions(in, "trainingInput");
    object_reader about = in.object("metadata");
    result.metadata.short_description = about.text("shortDescription");
    result.metadata.version_string = about.text("versionString");
    result.metadata.author = about.text("author");
    result.metadata.license = about.text("license");
    result.metadata.user_defined = about.map_of_texts("userDefined");
    about.finish();
    in.finish();
    if (const auto problem = fault_of(result)) in.fail(problem->code, "", std::string(problem->what.view()));
    return result;
}

object_writer write_description(const model_description& description) {
    object_writer out, about;
    detail::write_feature_descriptions(out, "input", description.input);
    detail::write_feature_descriptions(out, "output", description.output);
    out.text("predictedFeatureName", description.predicted_feature_name);
    out.text("predictedProbabilitiesName", description.predicted_probabilities_name);
    detail::write_feature_descriptions(out, "trainingInput", description.training_input);
    about.text("shortDescription", description.metadata.short_description);
    about.text("versionString", description.metadata.version_string);
    about.text("author", description.metadata.author);
    about.text("license", description.metadata.license);
    about.map_of_texts("userDefined", description.metadata.user_defined);
    if (!about.empty()) out.object("metadata", about);
    return out;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
