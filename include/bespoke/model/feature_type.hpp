#pragma once

#include "feature.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// The types that a model declares for its features. Core ML specification, FeatureTypes.proto. Comparisons and what
/// looks into a variant are defined with the implementation: they are dear to compile.
namespace bespoke {

/// How many: from `lower_bound` to `upper_bound`, both included; a negative upper bound is none.
struct size_range {
    extent lower_bound = 0;
    extent upper_bound = unset;

    constexpr bool contains(extent size) const {
        return size >= lower_bound && (upper_bound < 0 || size <= upper_bound);
    }
    friend constexpr bool operator==(const size_range&, const size_range&) = default;
};

struct int64_feature_type {
    friend bool operator==(const int64_feature_type&, const int64_feature_type&) = default;
};
struct double_feature_type {
    friend bool operator==(const double_feature_type&, const double_feature_type&) = default;
};
struct string_feature_type {
    friend bool operator==(const string_feature_type&, const string_feature_type&) = default;
};
/// The values of a dictionary are doubles.
struct dictionary_feature_type {
    enum class key { int64_key_type, string_key_type };
    key key_type = key::int64_key_type;
    friend bool operator==(const dictionary_feature_type&, const dictionary_feature_type&) = default;
};
struct sequence_feature_type {
    enum class element { int64_type, string_type };
    element type = element::int64_type;
    bespoke::size_range size_range = {};
    friend bool operator==(const sequence_feature_type&, const sequence_feature_type&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct enumerated_shapes {
    std::vector<bespoke::shape> shapes = {};
    friend bool operator==(const enumerated_shapes&, const enumerated_shapes&);
};
/// One range for each axis.
struct shape_range {
    std::vector<size_range> size_ranges = {};
    friend bool operator==(const shape_range&, const shape_range&);
};

struct array_feature_type {
    /// The required shape, or the default one where `shape_flexibility` is given. Rank 0 with no flexibility
    /// is undeclared: any shape.
    bespoke::shape shape = {};
    array_data_type data_type = array_data_type::invalid_array_data_type;
    std::variant<std::monostate, enumerated_shapes, shape_range> shape_flexibility = {};
    /// What every element is where an optional feature is not given.
    std::variant<std::monostate, std::int32_t, float, double> default_optional_value = {};

    friend bool operator==(const array_feature_type&, const array_feature_type&);

    /// `shape`, or what stands for it: the first enumerated shape, the lower bounds of the ranges.
    bespoke::shape default_shape() const;
    bool accepts(const bespoke::shape& s) const;
    /// The shape of an output of this type for a blob of the shape `made`: of a flexible one that of the blob, perhaps
    /// without some first axes of one element, or [C] of [.., 1, C, 1, 1]; else `default_shape` where that has as many
    /// elements. Nothing: they do not fit.
    std::optional<bespoke::shape> shape_of(const bespoke::shape& made) const;
    /// Elements are converted where that keeps their meaning: any to floating point, but not the other way.
    bool accepts(array_data_type type) const {
        return type == data_type || data_type != array_data_type::int32;
    }
};

struct enumerated_image_sizes {
    std::vector<image_size> sizes = {};
    friend bool operator==(const enumerated_image_sizes&, const enumerated_image_sizes&);
};
struct image_size_range {
    size_range width_range = {}, height_range = {};
    friend bool operator==(const image_size_range&, const image_size_range&);
};

struct image_feature_type {
    /// The required size, or the default one where `size_flexibility` is given; there 0 x 0 is undeclared.
    extent width = 0, height = 0;
    std::variant<std::monostate, enumerated_image_sizes, image_size_range> size_flexibility = {};
    image_color_space color_space = image_color_space::invalid_color_space;

    friend bool operator==(const image_feature_type&, const image_feature_type&);

    /// `width` and `height`, or what stands for them: the first enumerated size, the lower bounds of the ranges.
    image_size default_size() const;
    bool accepts(image_size size) const;
};

struct feature_type {
    std::variant<int64_feature_type, double_feature_type, string_feature_type, array_feature_type,
                 dictionary_feature_type, sequence_feature_type, image_feature_type>
        type = {};
    bool is_optional = false;

    friend bool operator==(const feature_type&, const feature_type&);

    /// Null where the type is another.
    const array_feature_type* multi_array_type() const;
    const image_feature_type* image_type() const;
};

/// "1..8", or "1.." where there is no upper bound.
std::string to_text(const size_range& range);
/// What is wanted, for people: "a multi-array FLOAT32 [1, 8..32, 8..]", "an image RGB 20 x 10".
std::string to_text(const feature_type& type);
/// Whether `value` can be given for a feature of type `type`.
bool accepts(const feature_type& type, const feature_value& value);
/// What is wrong with a declared type itself, or nothing.
std::optional<fault> fault_of(const feature_type& type);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::accepts;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::array_feature_type;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::enumerated_image_sizes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::enumerated_shapes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::fault_of;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::feature_type;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::image_feature_type;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::image_size_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::shape_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_text;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <limits>
#include <span>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const enumerated_shapes&, const enumerated_shapes&) = default;
bool operator==(const shape_range&, const shape_range&) = default;
bool operator==(const array_feature_type&, const array_feature_type&) = default;
bool operator==(const enumerated_image_sizes&, const enumerated_image_sizes&) = default;
bool operator==(const image_size_range&, const image_size_range&) = default;
bool operator==(const image_feature_type&, const image_feature_type&) = default;
bool operator==(const feature_type&, const feature_type&) = default;

bespoke::shape array_feature_type::default_shape() const {
    if (shape.rank() > 0) return shape;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
        return enumerated->shapes.empty() ? shape : enumerated->shapes.front();
    bespoke::shape lowest;
    if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
        for (const size_range& r : ranges->size_ranges) lowest.push_back(r.lower_bound);
    return lowest;
}
bool array_feature_type::accepts(const bespoke::shape& s) const {
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
        return std::ranges::find(enumerated->shapes, s) != enumerated->shapes.end();
    if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
        return std::equal(ranges->size_ranges.begin(), ranges->size_ranges.end(), s.begin(), s.end(),
                          [](const size_range& r, extent e) { return r.contains(e); });
    return shape.rank() == 0 || s == shape;
}
std::optional<bespoke::shape> array_feature_type::shape_of(const bespoke::shape& made) const {
    if (!std::holds_alternative<std::monostate>(shape_flexibility)) {
        const extent* first = made.begin();
        while (!accepts(bespoke::shape(std::span(first, made.end()))) && first != made.end() && *first == 1) ++first;
        const bespoke::shape last(std::span(first, made.end()));
        if (accepts(last)) return last;
        if (last.rank() == 3 && last.size() == last[0] && accepts(bespoke::shape{last[0]}))
            return bespoke::shape{last[0]};
    }
    const bespoke::shape usual = default_shape();
    if (checked_size(usual, std::numeric_limits<extent>::max()) == made.size()) return usual;
    return std::nullopt;
}
image_size image_feature_type::default_size() const {
    if (width != 0 || height != 0) return {width, height};
    if (const auto* enumerated = std::get_if<enumerated_image_sizes>(&size_flexibility))
        return enumerated->sizes.empty() ? image_size{} : enumerated->sizes.front();
    if (const auto* range = std::get_if<image_size_range>(&size_flexibility))
        return {range->width_range.lower_bound, range->height_range.lower_bound};
    return {};
}
bool image_feature_type::accepts(image_size size) const {
    if (const auto* enumerated = std::get_if<enumerated_image_sizes>(&size_flexibility))
        return std::ranges::find(enumerated->sizes, size) != enumerated->sizes.end();
    if (const auto* range = std::get_if<image_size_range>(&size_flexibility))
        return range->width_range.contains(size.width) && range->height_range.contains(size.height);
    return size == image_size{width, height};
}
const array_feature_type* feature_type::multi_array_type() const { return std::get_if<array_feature_type>(&type); }
const image_feature_type* feature_type::image_type() const { return std::get_if<image_feature_type>(&type); }

std::string to_text(const size_range& range) {
    if (range.upper_bound < 0) return std::to_string(range.lower_bound) + "..";
    if (range.lower_bound == range.upper_bound) return std::to_string(range.lower_bound);
    return std::to_string(range.lower_bound) + ".." + std::to_string(range.upper_bound);
}

std::string to_text(const feature_type& type) {
    if (std::holds_alternative<int64_feature_type>(type.type)) return std::string(kind_of<std::int64_t>());
    if (std::holds_alternative<double_feature_type>(type.type)) return std::string(kind_of<double>());
    if (std::holds_alternative<string_feature_type>(type.type)) return std::string(kind_of<std::string>());
    if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type))
        return std::string(dictionary->key_type == dictionary_feature_type::key::int64_key_type
                               ? kind_of<int64_dictionary>()
                               : kind_of<string_dictionary>());
    if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type))
        return "a sequence of " + to_text(sequence->size_range) +
               (sequence->type == sequence_feature_type::element::int64_type ? " int64" : " strings");
    if (const image_feature_type* picture = type.image_type()) {
        std::string text(kind_of<image>());
        text.append(" ").append(name_of(picture->color_space));
        if (const auto* enumerated = std::get_if<enumerated_image_sizes>(&picture->size_flexibility)) {
            for (std::size_t i = 0; i < enumerated->sizes.size(); ++i)
                text.append(i > 0 ? " or " : " ").append(to_text(enumerated->sizes[i]));
        } else if (const auto* range = std::get_if<image_size_range>(&picture->size_flexibility)) {
            text.append(" ").append(to_text(range->width_range)).append(" x ").append(to_text(range->height_range));
        } else {
            text.append(" ").append(to_text(picture->default_size()));
        }
        return text;
    }
    const array_feature_type& array = *type.multi_array_type();
    std::string text(kind_of<multi_array>());
    text.append(" ").append(name_of(array.data_type));
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&array.shape_flexibility)) {
        for (std::size_t i = 0; i < enumerated->shapes.size(); ++i)
            text.append(i > 0 ? " or " : " ").append(to_text(enumerated->shapes[i]));
    } else if (const auto* ranges = std::get_if<shape_range>(&array.shape_flexibility)) {
        for (std::size_t i = 0; i < ranges->size_ranges.size(); ++i)
            text.append(i > 0 ? ", " : " [").append(to_text(ranges->size_ranges[i]));
        text.append("]");
    } else if (array.shape.rank() > 0) {
        text.append(" ").append(to_text(array.shape));
    } else {
        text.append(" of any shape");
    }
    return text;
}

bool accepts(const feature_type& type, const feature_value& value) {
    if (std::holds_alternative<int64_feature_type>(type.type)) return std::holds_alternative<std::int64_t>(value);
    if (std::holds_alternative<double_feature_type>(type.type))
        return std::holds_alternative<double>(value) || std::holds_alternative<std::int64_t>(value);
    if (std::holds_alternative<string_feature_type>(type.type)) return std::holds_alternative<std::string>(value);
    if (const auto* array = type.multi_array_type()) {
        const auto* given = std::get_if<multi_array>(&value);
        return given != nullptr && array->accepts(given->data_type()) && array->accepts(given->shape());
    }
    if (const image_feature_type* picture = type.image_type()) {
        const auto* given = std::get_if<image>(&value);
        return given != nullptr && accepts(picture->color_space, given->layout()) && picture->accepts(given->size());
    }
    if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type))
        return dictionary->key_type == dictionary_feature_type::key::int64_key_type
                   ? std::holds_alternative<int64_dictionary>(value)
                   : std::holds_alternative<string_dictionary>(value);
    const auto& sequence = std::get<sequence_feature_type>(type.type);
    const auto fits = [&](const auto* given) {
        return given != nullptr && sequence.size_range.contains(static_cast<extent>(given->size()));
    };
    return sequence.type == sequence_feature_type::element::int64_type ? fits(std::get_if<int64_sequence>(&value))
                                                                       : fits(std::get_if<string_sequence>(&value));
}

std::optional<fault> fault_of(const feature_type& type) {
    const auto check_range = [](const size_range& r) -> std::optional<fault> {
        if (r.lower_bound >= 0 && (r.upper_bound < 0 || r.lower_bound <= r.upper_bound)) return std::nullopt;
        return value_fault("a range from a lower bound of 0 or more up to an upper bound wanted, but it is ",
                           r.lower_bound, " to ", r.upper_bound);
    };
    if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type))
        return check_range(sequence->size_range);
    if (const image_feature_type* picture = type.image_type()) {
        if (name_of(picture->color_space) == name_of(image_color_space::invalid_color_space))
            return value_fault("an image GRAYSCALE, RGB or BGR wanted, but its colour space is not given");
        const auto check_size = [](image_size size) -> std::optional<fault> {
            if (size.width >= 1 && size.height >= 1) return std::nullopt;
            return value_fault("an image of 1 x 1 or more wanted, but it is ", size.width, " x ", size.height);
        };
        if (const auto* enumerated = std::get_if<enumerated_image_sizes>(&picture->size_flexibility)) {
            if (enumerated->sizes.empty()) return value_fault("enumerated sizes wanted, but there is none");
            for (image_size size : enumerated->sizes)
                if (auto problem = check_size(size)) return problem;
        } else if (const auto* range = std::get_if<image_size_range>(&picture->size_flexibility)) {
            if (auto problem = check_range(range->width_range)) return problem;
            if (auto problem = check_range(range->height_range)) return problem;
        }
        const image_size size = picture->default_size();
        if (auto problem = check_size(size)) return problem;
        if (!picture->accepts(size))
            return value_fault("a default size that the flexibility allows wanted, but it is ", size.width, " x ",
                               size.height);
        return std::nullopt;
    }
    const array_feature_type* array = type.multi_array_type();
    if (!array) return std::nullopt;

    if (name_of(array->data_type) == name_of(array_data_type::invalid_array_data_type))
        return value_fault(
            "a multi-array of FLOAT32, DOUBLE or INT32 wanted, but its data type is not given");
    const auto check_shape = [](const bespoke::shape& s) -> std::optional<fault> {
        for (extent e : s)
            if (e < 1) return value_fault("a shape of extents of 1 or more wanted, but it is ", s);
        return std::nullopt;
    };
    if (auto problem = check_shape(array->shape)) return problem;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&array->shape_flexibility)) {
        if (enumerated->shapes.empty()) return value_fault("enumerated shapes wanted, but there is none");
        for (const bespoke::shape& s : enumerated->shapes)
            if (auto problem = check_shape(s)) return problem;
    } else if (const auto* ranges = std::get_if<shape_range>(&array->shape_flexibility)) {
        if (ranges->size_ranges.empty() || ranges->size_ranges.size() > max_rank)
            return value_fault("size ranges of 1 to ", max_rank, " axes wanted, but there are ",
                               ranges->size_ranges.size());
        for (const size_range& r : ranges->size_ranges)
            if (auto problem = check_range(r)) return problem;
    }
    if (!array->accepts(array->default_shape()))
        return value_fault("a default shape that the flexibility allows wanted, but it is ", array->shape);
    return std::nullopt;
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
