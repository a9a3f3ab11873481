#pragma once

#include "../core/error.hpp"
#include "../core/tensor.hpp"
#include "image.hpp"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What goes into a model and comes out of it: values under names. Core ML specification, FeatureTypes.proto.
/// The types that a model declares stand in feature_type.hpp.
namespace bespoke {

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

/// A vector or the like: no array yet.
template <class V>
concept numbers_without_shape =
    array_like<V> && !array_expression<V> && !std::convertible_to<V, std::string_view> &&
    !std::same_as<V, std::vector<std::int64_t>>;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// An array of float, double or int32 behind one type. Made from any xtensor expression of these. Copies share the
/// elements, which never change.
class multi_array {
public:
    using variant = std::variant<tensor<float>, tensor<double>, tensor<std::int32_t>>;

    /// One float32 zero of rank 0.
    multi_array();
    multi_array(const multi_array&) = default;  // nothing moves: what was moved from would have no elements
    multi_array& operator=(const multi_array&) = default;
    /// Throws errc::bad_argument where `values` has more than `max_rank` axes.
    template <array_expression E>
    multi_array(E&& values) : multi_array(checked(), as_tensor(std::forward<E>(values))) {}
    /// Says what is wanted instead.
    template <numbers_without_shape V>
    multi_array(const V&) {
        static_assert(!std::same_as<V, V>,
                      "a multi-array has a shape, and floats, doubles or int32 in it: a bespoke::tensor, or "
                      "xt::adapt(values, {1, 1, 8, 8}), wanted");
    }

    bespoke::shape shape() const;
    array_data_type data_type() const;
    /// Null where the elements are of another type.
    template <array_element T>
    const tensor<T>* get_if() const;
    /// A copy whose elements are of type T. Fractions are cut off and what int32 cannot hold is clamped to
    /// its range (NaN to 0).
    template <array_element T>
    tensor<T> cast() const;
    const variant& values() const;

    friend bool operator==(const multi_array& a, const multi_array& b) { return a.equals(b); }

private:
    struct checked {};
    multi_array(checked, tensor<float>&& values);
    multi_array(checked, tensor<double>&& values);
    multi_array(checked, tensor<std::int32_t>&& values);
    bool equals(const multi_array& other) const;

    struct elements;  // who composes networks only should not pay for three xtensor classes
    std::shared_ptr<const elements> values_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::multi_array;

using string_dictionary = std::map<std::string, double>;
using int64_dictionary = std::map<std::int64_t, double>;
using int64_sequence = std::vector<std::int64_t>;
using string_sequence = std::vector<std::string>;

/// One value of any feature type.
using feature_value = std::variant<std::int64_t, double, std::string, multi_array, string_dictionary,
                                   int64_dictionary, int64_sequence, string_sequence, image>;

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
inline constexpr bool is_alternative<T, std::variant<Alternatives...>> = (std::same_as<T, Alternatives> || ...);

}  // namespace detail

/// What `features::get<T>` is asked for, for people: "a multi-array FLOAT32".
template <class T>
constexpr std::string_view kind_of() {
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
    else if constexpr (std::same_as<T, image>)
        return "an image";
    else if constexpr (std::same_as<T, tensor<float>>)
        return "a multi-array FLOAT32";
    else if constexpr (std::same_as<T, tensor<double>>)
        return "a multi-array DOUBLE";
    else
        return "a multi-array INT32";
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// "[1, 8, 8]"
std::string to_text(const shape& s);
/// "20 x 10"
std::string to_text(const image_size& size);
/// What a value is, for people: "a multi-array FLOAT32 [1, 8, 8]".
std::string to_text(const feature_value& value);

/// Values under names, in the order of the names:
///
///     features{{"image", image}, {"label", 3}, {"title", "a"}}
class features {
public:
    using map = std::map<std::string, feature_value, std::less<>>;

    // defined with the implementation: they are dear to compile
    features();
    features(const features&);
    features(features&&) noexcept;
    features& operator=(const features&);
    features& operator=(features&&) noexcept;
    ~features();
    /// Throws errc::duplicate_name.
    features(std::initializer_list<map::value_type> values);

    /// Looks at the value, which stays here. Throws errc::unknown_name with the names that there are.
    const feature_value& at(std::string_view name) const&;
    feature_value at(std::string_view name) && { return std::as_const(*this).at(name); }
    /// The value, which must be of type T: an alternative of `feature_value`, or the `tensor` in a
    /// multi-array. Throws errc::unknown_name, or errc::bad_value where the value is something else.
    template <class T>
    const T& get(std::string_view name) const& {
        constexpr bool is_value = detail::is_alternative<T, feature_value>;
        constexpr bool is_tensor = detail::is_alternative<T, multi_array::variant>;
        static_assert(is_value || is_tensor,
                      "no feature holds a value of this type: an alternative of feature_value (std::int64_t, double, "
                      "std::string ...) or a tensor wanted");
        const feature_value& value = at(name);
        if constexpr (is_value) {
            if (const T* found = std::get_if<T>(&value)) return *found;
        } else if constexpr (is_tensor) {
            if (const auto* array = std::get_if<multi_array>(&value))
                if (const T* found = array->get_if<typename T::value_type>()) return *found;
        }
        refuse(name, kind_of<T>(), value);
    }
    /// Of features that nobody keeps, as `m.predict(x).get<T>("y")`: a copy, which outlives them.
    template <class T>
    T get(std::string_view name) && {
        return std::as_const(*this).template get<T>(name);
    }
    /// Null where there is no such name.
    const feature_value* find(std::string_view name) const;
    bool contains(std::string_view name) const { return find(name) != nullptr; }
    /// Adds the value or replaces the one of this name.
    void set(std::string name, feature_value value);

    std::size_t size() const { return values_.size(); }
    bool empty() const { return values_.empty(); }
    map::const_iterator begin() const { return values_.begin(); }
    map::const_iterator end() const { return values_.end(); }

    friend bool operator==(const features& a, const features& b) { return a.equals(b); }

private:
    [[noreturn]] static void refuse(std::string_view name, std::string_view wanted, const feature_value& came);
    bool equals(const features& other) const;

    map values_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::features;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_text;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <limits>

namespace bespoke {
namespace detail {

template <class T, class U>
T converted(U value) {
    if constexpr (std::same_as<T, std::int32_t> && std::floating_point<U>) {
        using limits = std::numeric_limits<std::int32_t>;
        if (value != value) return 0;
        const auto wide = static_cast<double>(value);
        return static_cast<T>(std::clamp(wide, double{limits::min()}, double{limits::max()}));
    } else {
        return static_cast<T>(value);
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct multi_array::elements {
    variant values;

    template <class T>
    explicit elements(tensor<T>&& given) : values(std::in_place_type<tensor<T>>) {
        const std::size_t rank = given.dimension();
        if (rank > max_rank)
            throw error(errc::bad_argument, "multi-array: at most " + std::to_string(max_rank) + " axes wanted, but " +
                                                std::to_string(rank) + " came");
        take(std::get<tensor<T>>(values), std::move(given));
    }
};

multi_array::multi_array() : multi_array(checked(), tensor<float>()) {}
multi_array::multi_array(checked, tensor<float>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}
multi_array::multi_array(checked, tensor<double>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}
multi_array::multi_array(checked, tensor<std::int32_t>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}

const multi_array::variant& multi_array::values() const { return values_->values; }
template <array_element T>
const tensor<T>* multi_array::get_if() const {
    return std::get_if<tensor<T>>(&values_->values);
}
template const tensor<float>* multi_array::get_if() const;
template const tensor<double>* multi_array::get_if() const;
template const tensor<std::int32_t>* multi_array::get_if() const;
bool multi_array::equals(const multi_array& other) const { return values() == other.values(); }

bespoke::shape multi_array::shape() const {
    return std::visit([](const auto& values) { return shape_of(values); }, values());
}
array_data_type multi_array::data_type() const {
    return std::visit(
        [](const auto& values) { return data_type_of<typename std::decay_t<decltype(values)>::value_type>; }, values());
}
template <array_element T>
tensor<T> multi_array::cast() const {
    return std::visit(
        [](const auto& values) {
            tensor<T> result(values.shape());
            std::transform(values.begin(), values.end(), result.begin(),
                           [](auto v) { return detail::converted<T>(v); });
            return result;
        },
        values());
}
template tensor<float> multi_array::cast() const;
template tensor<double> multi_array::cast() const;
template tensor<std::int32_t> multi_array::cast() const;

std::string to_text(const shape& s) {
    std::string text = "[";
    for (std::size_t axis = 0; axis < s.rank(); ++axis)
        text += (axis > 0 ? ", " : "") + std::to_string(s[axis]);
    return text + "]";
}

std::string to_text(const image_size& size) {
    return std::to_string(size.width) + " x " + std::to_string(size.height);
}

std::string to_text(const feature_value& value) {
    return std::visit(
        detail::overloaded{[](const multi_array& a) {
                               return std::string(kind_of<multi_array>())
                                   .append(" ")
                                   .append(name_of(a.data_type()))
                                   .append(" ")
                                   .append(to_text(a.shape()));
                           },
                           [](const image& i) {
                               return std::string(kind_of<image>())
                                   .append(" ")
                                   .append(name_of(i.layout()))
                                   .append(" ")
                                   .append(to_text(i.size()));
                           },
                           [](const int64_sequence& s) {
                               return "a sequence of " + std::to_string(s.size()) + " int64";
                           },
                           [](const string_sequence& s) {
                               return "a sequence of " + std::to_string(s.size()) + " strings";
                           },
                           []<class T>(const T&) { return std::string(kind_of<T>()); }},
        value);
}

features::features() = default;
features::features(const features&) = default;
features::features(features&&) noexcept = default;
features& features::operator=(const features&) = default;
features& features::operator=(features&&) noexcept = default;
features::~features() = default;
features::features(std::initializer_list<map::value_type> values) {
    for (const auto& [name, value] : values)
        if (!values_.emplace(name, value).second)
            throw error(errc::duplicate_name, "feature \"" + name + "\" is given twice");
}

const feature_value& features::at(std::string_view name) const& {
    if (const feature_value* value = find(name)) return *value;
    std::string names;
    for (const auto& [other, value] : values_) names += (names.empty() ? "\"" : ", \"") + other + "\"";
    throw error(errc::unknown_name, "no feature \"" + std::string(name) + "\"; there " +
                                        (names.empty()         ? "is none"
                                         : values_.size() == 1 ? "is only " + names
                                                               : "are " + names));
}
void features::refuse(std::string_view name, std::string_view wanted, const feature_value& came) {
    throw error(errc::bad_value, "feature \"" + std::string(name) + "\": " + std::string(wanted) +
                                     " wanted, but it is " + to_text(came));
}
const feature_value* features::find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
}
void features::set(std::string name, feature_value value) {
    // of insert_or_assign g++ 12 leaves an empty part: lld and mold lose how exceptions leave what lies behind it
    values_[std::move(name)] = std::move(value);
}
bool features::equals(const features& other) const { return values_ == other.values_; }

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
