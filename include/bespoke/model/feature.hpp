#pragma once

#include "../core/error.hpp"
#include "../core/tensor.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What goes into a model and comes out of it: values under names, and the types that a model declares.
/// Core ML specification, FeatureTypes.proto. Images are not there yet.
namespace bespoke {

// --- values -----------------------------------------------------------------------------------------

/// `ArrayDataType`, with the specification's numbers.
enum class array_data_type {
    invalid_array_data_type = 0,
    float32 = 65568,
    float64 = 65600,  ///< `DOUBLE`
    int32 = 131104,
};

constexpr std::string_view name_of(array_data_type type) {
    switch (type) {
        case array_data_type::float32:
            return "FLOAT32";
        case array_data_type::float64:
            return "DOUBLE";
        case array_data_type::int32:
            return "INT32";
        default:
            return "INVALID_ARRAY_DATA_TYPE";
    }
}

/// The C++ types that a multi-array can hold.
template <class T>
concept array_element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t>;

template <array_element T>
inline constexpr array_data_type data_type_of = std::same_as<T, float>    ? array_data_type::float32
                                                : std::same_as<T, double> ? array_data_type::float64
                                                                          : array_data_type::int32;

/// An xtensor expression of these, evaluated or not.
template <class E>
concept array_expression =
    xt::is_xexpression<std::decay_t<E>>::value && array_element<typename std::decay_t<E>::value_type>;

/// An array of float, double or int32 behind one type. Made from any xtensor expression of these.
class multi_array {
public:
    using variant = std::variant<tensor<float>, tensor<double>, tensor<std::int32_t>>;

    /// One float32 zero of rank 0.
    multi_array() = default;
    /// Throws errc::bad_argument where `values` has more than `max_rank` axes.
    template <array_expression E>
    multi_array(E&& values)
        : multi_array(tensor<typename std::decay_t<E>::value_type>(std::forward<E>(values)), checked()) {}

    bespoke::shape shape() const {
        return std::visit([](const auto& values) { return shape_of(values); }, values_);
    }
    array_data_type data_type() const {
        return std::visit(
            [](const auto& values) {
                return data_type_of<typename std::decay_t<decltype(values)>::value_type>;
            },
            values_);
    }
    /// Null where the elements are of another type.
    template <array_element T>
    const tensor<T>* get_if() const {
        return std::get_if<tensor<T>>(&values_);
    }
    /// A copy whose elements are of type T. Fractions are cut off and what int32 cannot hold is clamped to
    /// its range (NaN to 0).
    template <array_element T>
    tensor<T> cast() const {
        return std::visit(
            [](const auto& values) {
                tensor<T> result(values.shape());
                std::transform(values.begin(), values.end(), result.begin(),
                               [](auto v) { return converted<T>(v); });
                return result;
            },
            values_);
    }
    const variant& values() const { return values_; }

    friend bool operator==(const multi_array&, const multi_array&) = default;

private:
    struct checked {};
    template <class T>
    multi_array(tensor<T>&& values, checked) : values_(std::move(values)) {
        const std::size_t rank = std::get<tensor<T>>(values_).dimension();
        if (rank > max_rank)
            throw error(errc::bad_argument, "multi-array: at most " + std::to_string(max_rank) +
                                                " axes wanted, but " + std::to_string(rank) + " came");
    }
    template <class T, class U>
    static T converted(U value) {
        if constexpr (std::same_as<T, std::int32_t> && std::floating_point<U>) {
            using limits = std::numeric_limits<std::int32_t>;
            if (value != value) return 0;
            const auto wide = static_cast<double>(value);
            return static_cast<T>(std::clamp(wide, double{limits::min()}, double{limits::max()}));
        } else {
            return static_cast<T>(value);
        }
    }

    variant values_;
};

using string_dictionary = std::map<std::string, double>;
using int64_dictionary = std::map<std::int64_t, double>;
using int64_sequence = std::vector<std::int64_t>;
using string_sequence = std::vector<std::string>;

/// One value of any feature type.
using feature_value = std::variant<std::int64_t, double, std::string, multi_array, string_dictionary,
                                   int64_dictionary, int64_sequence, string_sequence>;

namespace detail {

template <class... F>
struct overloaded : F... {
    using F::operator()...;
};

template <class... F>
overloaded(F...) -> overloaded<F...>;

template <class T, class Variant>
inline constexpr bool is_alternative = false;
template <class T, class... Alternatives>
inline constexpr bool is_alternative<T, std::variant<Alternatives...>> = (std::same_as<T, Alternatives> ||
                                                                          ...);

}  // namespace detail

/// "[1, 8, 8]"
inline std::string to_text(const shape& s) {
    std::string text = "[";
    for (std::size_t axis = 0; axis < s.rank(); ++axis)
        text += (axis > 0 ? ", " : "") + std::to_string(s[axis]);
    return text + "]";
}

/// What `features::get<T>` is asked for, for people: "a multi-array FLOAT32".
template <class T>
std::string kind_of() {
    if constexpr (std::same_as<T, std::int64_t>)
        return "an int64";
    else if constexpr (std::same_as<T, double>)
        return "a double";
    else if constexpr (std::same_as<T, std::string>)
        return "a string";
    else if constexpr (std::same_as<T, multi_array>)
        return "a multi-array";
    else if constexpr (std::same_as<T, string_dictionary>)
        return "a dictionary of strings";
    else if constexpr (std::same_as<T, int64_dictionary>)
        return "a dictionary of int64";
    else if constexpr (std::same_as<T, int64_sequence>)
        return "a sequence of int64";
    else if constexpr (std::same_as<T, string_sequence>)
        return "a sequence of strings";
    else
        return "a multi-array " + std::string(name_of(data_type_of<typename T::value_type>));
}

/// What a value is, for people: "a multi-array FLOAT32 [1, 8, 8]".
inline std::string to_text(const feature_value& value) {
    return std::visit(
        detail::overloaded{
            [](const multi_array& a) {
                return kind_of<multi_array>() + " " + std::string(name_of(a.data_type())) + " " +
                       to_text(a.shape());
            },
            [](const int64_sequence& s) { return "a sequence of " + std::to_string(s.size()) + " int64"; },
            [](const string_sequence& s) { return "a sequence of " + std::to_string(s.size()) + " strings"; },
            []<class T>(const T&) { return kind_of<T>(); }},
        value);
}

/// Values under names, in the order of the names:
///
///     features{{"image", image}, {"label", 3}, {"title", "a"}}
class features {
public:
    using map = std::map<std::string, feature_value, std::less<>>;

    features() = default;
    /// Throws errc::duplicate_name.
    features(std::initializer_list<map::value_type> values) {
        for (const auto& [name, value] : values)
            if (!values_.emplace(name, value).second)
                throw error(errc::duplicate_name, "feature \"" + name + "\" is given twice");
    }

    /// Throws errc::unknown_name with the names that there are.
    const feature_value& at(std::string_view name) const {
        if (const feature_value* value = find(name)) return *value;
        std::string names;
        for (const auto& [other, value] : values_) names += (names.empty() ? "\"" : ", \"") + other + "\"";
        throw error(errc::unknown_name, "no feature \"" + std::string(name) + "\"; there " +
                                            (names.empty()         ? "is none"
                                             : values_.size() == 1 ? "is only " + names
                                                                   : "are " + names));
    }
    /// The value, which must be of type T: an alternative of `feature_value`, or the `tensor` in a
    /// multi-array. Throws errc::unknown_name, or errc::bad_value where the value is something else.
    template <class T>
    const T& get(std::string_view name) const {
        const feature_value& value = at(name);
        const T* found = nullptr;
        if constexpr (detail::is_alternative<T, feature_value>) {
            found = std::get_if<T>(&value);
        } else {
            static_assert(detail::is_alternative<T, multi_array::variant>,
                          "no feature holds a value of this type");
            if (const auto* array = std::get_if<multi_array>(&value))
                found = std::get_if<T>(&array->values());
        }
        if (!found)
            throw error(errc::bad_value, "feature \"" + std::string(name) + "\": " + kind_of<T>() +
                                             " wanted, but it is " + to_text(value));
        return *found;
    }
    /// Null where there is no such name.
    const feature_value* find(std::string_view name) const {
        const auto found = values_.find(name);
        return found == values_.end() ? nullptr : &found->second;
    }
    bool contains(std::string_view name) const { return find(name) != nullptr; }
    /// Adds the value or replaces the one of this name.
    void set(std::string name, feature_value value) {
        values_.insert_or_assign(std::move(name), std::move(value));
    }

    std::size_t size() const { return values_.size(); }
    bool empty() const { return values_.empty(); }
    map::const_iterator begin() const { return values_.begin(); }
    map::const_iterator end() const { return values_.end(); }

    friend bool operator==(const features&, const features&) = default;

private:
    map values_;
};

// --- types ------------------------------------------------------------------------------------------

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

struct enumerated_shapes {
    std::vector<bespoke::shape> shapes = {};
    friend bool operator==(const enumerated_shapes&, const enumerated_shapes&) = default;
};
/// One range for each axis.
struct shape_range {
    std::vector<size_range> size_ranges = {};
    friend bool operator==(const shape_range&, const shape_range&) = default;
};

struct array_feature_type {
    /// The required shape, or the default one where `shape_flexibility` is given. Rank 0 with no flexibility
    /// is undeclared: any shape.
    bespoke::shape shape = {};
    array_data_type data_type = array_data_type::invalid_array_data_type;
    std::variant<std::monostate, enumerated_shapes, shape_range> shape_flexibility = {};
    /// What every element is where an optional feature is not given.
    std::variant<std::monostate, std::int32_t, float, double> default_optional_value = {};

    friend bool operator==(const array_feature_type&, const array_feature_type&) = default;

    /// `shape`, or what stands for it: the first enumerated shape, the lower bounds of the ranges.
    bespoke::shape default_shape() const {
        if (shape.rank() > 0) return shape;
        if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
            return enumerated->shapes.empty() ? shape : enumerated->shapes.front();
        bespoke::shape lowest;
        if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
            for (const size_range& r : ranges->size_ranges) lowest.push_back(r.lower_bound);
        return lowest;
    }
    bool accepts(const bespoke::shape& s) const {
        if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
            return std::ranges::find(enumerated->shapes, s) != enumerated->shapes.end();
        if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
            return std::ranges::equal(ranges->size_ranges, s,
                                      [](const size_range& r, extent e) { return r.contains(e); });
        return shape.rank() == 0 || s == shape;
    }
    /// Elements are converted where that keeps their meaning: any to floating point, but not the other way.
    bool accepts(array_data_type type) const {
        return type == data_type || data_type != array_data_type::int32;
    }
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

struct feature_type {
    std::variant<int64_feature_type, double_feature_type, string_feature_type, array_feature_type,
                 dictionary_feature_type, sequence_feature_type>
        type = {};
    bool is_optional = false;

    friend bool operator==(const feature_type&, const feature_type&) = default;

    /// Null where the type is another.
    const array_feature_type* multi_array_type() const { return std::get_if<array_feature_type>(&type); }
};

/// "1..8", or "1.." where there is no upper bound.
inline std::string to_text(const size_range& range) {
    if (range.upper_bound < 0) return std::to_string(range.lower_bound) + "..";
    if (range.lower_bound == range.upper_bound) return std::to_string(range.lower_bound);
    return std::to_string(range.lower_bound) + ".." + std::to_string(range.upper_bound);
}

/// What is wanted, for people: "a multi-array FLOAT32 [1, 8..32, 8..]".
inline std::string to_text(const feature_type& type) {
    return std::visit(
        detail::overloaded{
            [](const int64_feature_type&) { return kind_of<std::int64_t>(); },
            [](const double_feature_type&) { return kind_of<double>(); },
            [](const string_feature_type&) { return kind_of<std::string>(); },
            [](const array_feature_type& a) {
                std::string text = kind_of<multi_array>() + " " + std::string(name_of(a.data_type));
                if (const auto* enumerated = std::get_if<enumerated_shapes>(&a.shape_flexibility)) {
                    for (std::size_t i = 0; i < enumerated->shapes.size(); ++i)
                        text += (i > 0 ? " or " : " ") + to_text(enumerated->shapes[i]);
                } else if (const auto* ranges = std::get_if<shape_range>(&a.shape_flexibility)) {
                    for (std::size_t i = 0; i < ranges->size_ranges.size(); ++i)
                        text += (i > 0 ? ", " : " [") + to_text(ranges->size_ranges[i]);
                    text += "]";
                } else if (a.shape.rank() > 0) {
                    text += " " + to_text(a.shape);
                } else {
                    text += " of any shape";
                }
                return text;
            },
            [](const dictionary_feature_type& d) {
                return d.key_type == dictionary_feature_type::key::int64_key_type
                           ? kind_of<int64_dictionary>()
                           : kind_of<string_dictionary>();
            },
            [](const sequence_feature_type& s) {
                return "a sequence of " + to_text(s.size_range) +
                       (s.type == sequence_feature_type::element::int64_type ? " int64" : " strings");
            }},
        type.type);
}

/// Whether `value` can be given for a feature of type `type`.
inline bool accepts(const feature_type& type, const feature_value& value) {
    return std::visit(
        detail::overloaded{[](const int64_feature_type&, std::int64_t) { return true; },
                           [](const double_feature_type&, double) { return true; },
                           [](const double_feature_type&, std::int64_t) { return true; },
                           [](const string_feature_type&, const std::string&) { return true; },
                           [](const array_feature_type& t, const multi_array& a) {
                               return t.accepts(a.data_type()) && t.accepts(a.shape());
                           },
                           [](const dictionary_feature_type& t, const int64_dictionary&) {
                               return t.key_type == dictionary_feature_type::key::int64_key_type;
                           },
                           [](const dictionary_feature_type& t, const string_dictionary&) {
                               return t.key_type == dictionary_feature_type::key::string_key_type;
                           },
                           [](const sequence_feature_type& t, const int64_sequence& s) {
                               return t.type == sequence_feature_type::element::int64_type &&
                                      t.size_range.contains(static_cast<extent>(s.size()));
                           },
                           [](const sequence_feature_type& t, const string_sequence& s) {
                               return t.type == sequence_feature_type::element::string_type &&
                                      t.size_range.contains(static_cast<extent>(s.size()));
                           },
                           [](const auto&, const auto&) { return false; }},
        type.type, value);
}

/// What is wrong with a declared type itself, or nothing.
inline std::optional<fault> fault_of(const feature_type& type) {
    const auto check_range = [](const size_range& r) -> std::optional<fault> {
        if (r.lower_bound >= 0 && (r.upper_bound < 0 || r.lower_bound <= r.upper_bound)) return std::nullopt;
        return value_fault("a range from a lower bound of 0 or more up to an upper bound wanted, but it is ",
                           r.lower_bound, " to ", r.upper_bound);
    };
    if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type))
        return check_range(sequence->size_range);
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

}  // namespace bespoke
