#pragma once

#include "../core/error.hpp"
#include "../core/shape.hpp"
#include "base64.hpp"
#include "json.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// `text` in quotes for an error: cut after 60 characters, what is not printable ASCII as '?'.
std::string in_quotes(std::string_view text);

/// Reads one object of a document in protobuf's JSON mapping, member after member. A member that is absent
/// or null has the default of its type, or is an error in a complete object. Throws `error` with the place of what does
/// not fit:
/// "/neuralNetwork/layers/7/convolution/kernelSize/1: an integer wanted, "x" came". A document that was not read
/// from text (convert/mlmodel.hpp) may hold bytes and repeated floats as binary values.
class object_reader {
public:
    /// `json` is the nlohmann::json of the object; it must outlive the reader. Of one that is `complete` every member
    /// that is read must be there, as in the objects inside it.
    object_reader(const void* json, std::string place, bool complete = false);

    /// JSON pointer of the object.
    const std::string& place() const { return place_; }
    std::string place(std::string_view key) const;
    /// Whether the member is there and not null. Does not count as reading it.
    bool has(std::string_view key) const;
    bool is_binary(std::string_view key) const;
    /// Names of all members that are not null.
    std::vector<std::string_view> keys() const;

    bool boolean(std::string_view key);
    /// A number without a fraction, or one in a string.
    std::int64_t integer(std::string_view key);
    std::int32_t small_integer(std::string_view key);
    /// An integer from 0 to `most`, spelled as such.
    std::uint64_t natural(std::string_view key, std::uint64_t most);
    double number(std::string_view key);
    /// A number that a float can hold.
    float real(std::string_view key);
    std::string text(std::string_view key);
    std::vector<std::int64_t> integers(std::string_view key);
    /// Extents, as many as a shape may have.
    shape extents(std::string_view key);
    std::vector<bool> booleans(std::string_view key);
    std::vector<float> reals(std::string_view key);
    /// Of base64, or a binary value.
    std::vector<std::byte> bytes(std::string_view key);
    std::vector<std::string> texts(std::string_view key);
    /// The position of the enumerator in `names`, given by name or by its number in `numbers` (0, 1, ... where
    /// that is empty). Absent: the one whose number is 0.
    std::size_t enumerator(std::string_view key, std::span<const std::string_view> names,
                           std::span<const std::int64_t> numbers = {});
    std::map<std::string, std::string> map_of_texts(std::string_view key);
    /// The member as an object; an empty one where it is absent.
    object_reader object(std::string_view key);
    std::vector<object_reader> objects(std::string_view key);
    /// How many elements the array or the binary value of floats has, without reading it. Absent: 0.
    std::size_t length(std::string_view key) const;

    /// The member there is of these; empty: none. Two are an error.
    std::string_view one_of(std::span<const std::string_view> keys);
    /// Every member must have been read.
    void finish() const;
    [[noreturn]] void fail(errc code, std::string_view key, const std::string& what) const;

private:
    const void* find(std::string_view key) const;
    const void* take(std::string_view key);
    template <class Convert>
    auto read(std::string_view key, const Convert& convert);
    template <class Convert>
    auto read_elements(std::string_view key, const Convert& convert);

    const void* json_;
    std::string place_;
    bool complete_;
    std::vector<std::string> asked_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::in_quotes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::object_reader;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace bespoke {
namespace detail {

inline const json& as_json(const void* opaque) { return *static_cast<const json*>(opaque); }

/// `name` as a step of a JSON pointer (RFC 6901).
inline std::string pointer_step(std::string_view name) {
    std::string step = "/";
    for (char c : name.substr(0, 60)) {
        if (c == '~')
            step += "~0";
        else if (c == '/')
            step += "~1";
        else
            step += c < ' ' || c > '~' ? '?' : c;
    }
    return step;
}

/// What a value is, for an error.
inline std::string described_value(const json& value) {
    if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
    if (value.is_object()) return "an object";
    if (value.is_array()) return "an array";
    if (value.is_binary()) return std::to_string(value.get_binary().size()) + " bytes";
    return value.dump();
}

[[noreturn]] inline void unfit(const std::string& place, std::string_view wanted, const json& value) {
    throw error(errc::bad_value, place + ": " + std::string(wanted) + " wanted, " + described_value(value) + " came");
}

inline bool to_boolean(const json& value, const std::string& place) {
    if (!value.is_boolean()) unfit(place, "true or false", value);
    return value.get<bool>();
}
inline std::int64_t to_integer(const json& value, const std::string& place) {
    constexpr std::string_view wanted = "an integer of 64 bits";
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            return static_cast<std::int64_t>(number);
    } else if (value.is_number_integer()) {
        return value.get<std::int64_t>();
    } else if (value.is_number_float()) {
        const auto number = value.get<double>();
        if (number == std::floor(number) && std::abs(number) < 0x1p62) return static_cast<std::int64_t>(number);
    } else if (value.is_string()) {
        const auto& digits = value.get_ref<const std::string&>();
        std::int64_t number = 0;
        const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (problem == std::errc() && end == digits.data() + digits.size()) return number;
    }
    unfit(place, wanted, value);
}

inline double to_number(const json& value, const std::string& place) {
    if (value.is_number()) return value.get<double>();
    if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
        if (text == "Infinity") return std::numeric_limits<double>::infinity();
        if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
        if (const auto number = parse_number(text)) return *number;
    }
    unfit(place, "a number", value);
}

inline float to_real(const json& value, const std::string& place) {
    const double number = to_number(value, place);
    // beyond the largest float by half a unit: it would round to infinity
    if (std::isfinite(number) && std::abs(number) >= 0x1.ffffffp127) unfit(place, "a number of 32 bits", value);
    return static_cast<float>(number);
}

inline const std::string& to_text(const json& value, const std::string& place) {
    if (!value.is_string()) unfit(place, "a string", value);
    return value.get_ref<const std::string&>();
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::string in_quotes(std::string_view text) { return "\"" + detail::excerpt(text) + "\""; }

object_reader::object_reader(const void* json, std::string place, bool complete)
    : json_(json), place_(std::move(place)), complete_(complete) {
    if (json_ != nullptr && !detail::as_json(json_).is_object())
        detail::unfit(place_.empty() ? "/" : place_, "an object", detail::as_json(json_));
}
std::string object_reader::place(std::string_view key) const { return place_ + detail::pointer_step(key); }

const void* object_reader::find(std::string_view key) const {
    if (json_ == nullptr) return nullptr;
    const auto& object = detail::as_json(json_).get_ref<const detail::json::object_t&>();
    const auto member = object.find(key);
    return member == object.end() || member->second.is_null() ? nullptr : &member->second;
}
const void* object_reader::take(std::string_view key) {
    asked_.emplace_back(key);
    const void* const member = find(key);
    if (complete_ && member == nullptr) fail(errc::bad_value, key, "it is missing");
    return member;
}
bool object_reader::has(std::string_view key) const { return find(key) != nullptr; }
bool object_reader::is_binary(std::string_view key) const {
    const void* member = find(key);
    return member != nullptr && detail::as_json(member).is_binary();
}
std::vector<std::string_view> object_reader::keys() const {
    std::vector<std::string_view> names;
    if (json_ != nullptr)
        for (const auto& [key, value] : detail::as_json(json_).get_ref<const detail::json::object_t&>())
            if (!value.is_null()) names.push_back(key);
    return names;
}
std::size_t object_reader::length(std::string_view key) const {
    const void* member = find(key);
    if (member == nullptr) return 0;
    const auto& value = detail::as_json(member);
    if (value.is_binary()) return value.get_binary().size() / sizeof(float);
    return value.is_array() ? value.size() : (detail::unfit(place(key), "an array", value), std::size_t{0});
}

/// What `convert(value, place)` makes of the member; where it is absent, the default of that type.
template <class Convert>
auto object_reader::read(std::string_view key, const Convert& convert) {
    const void* member = take(key);
    using result = std::remove_cvref_t<decltype(convert(detail::as_json(member), place(key)))>;
    return member == nullptr ? result{} : convert(detail::as_json(member), place(key));
}
/// The same of each element of an array.
template <class Convert>
auto object_reader::read_elements(std::string_view key, const Convert& convert) {
    std::vector<std::remove_cvref_t<decltype(convert(detail::as_json(nullptr), place_))>> values;
    if (const void* member = take(key)) {
        const std::string where = place(key);
        const auto& array = detail::as_json(member);
        if (!array.is_array()) detail::unfit(where, "an array", array);
        for (const detail::json& element : array)
            values.push_back(convert(element, where + "/" + std::to_string(values.size())));
    }
    return values;
}

bool object_reader::boolean(std::string_view key) { return read(key, detail::to_boolean); }
std::int64_t object_reader::integer(std::string_view key) { return read(key, detail::to_integer); }
std::int32_t object_reader::small_integer(std::string_view key) {
    const std::int64_t number = integer(key);
    if (!std::in_range<std::int32_t>(number))
        fail(errc::bad_value, key, "an integer of 32 bits wanted, " + std::to_string(number) + " came");
    return static_cast<std::int32_t>(number);
}
std::uint64_t object_reader::natural(std::string_view key, std::uint64_t most) {
    return read(key, [&](const detail::json& value, const std::string& where) {
        if (value.is_number_unsigned() && value.get<std::uint64_t>() <= most) return value.get<std::uint64_t>();
        detail::unfit(where, "an integer from 0 to " + std::to_string(most), value);
    });
}
double object_reader::number(std::string_view key) { return read(key, detail::to_number); }
float object_reader::real(std::string_view key) { return read(key, detail::to_real); }
std::string object_reader::text(std::string_view key) { return read(key, detail::to_text); }
std::vector<std::int64_t> object_reader::integers(std::string_view key) {
    return read_elements(key, detail::to_integer);
}
shape object_reader::extents(std::string_view key) {
    const auto numbers = integers(key);
    if (numbers.size() > max_rank)
        fail(errc::bad_value, key,
             "at most " + std::to_string(max_rank) + " numbers wanted, " + std::to_string(numbers.size()) + " came");
    return shape(std::span<const extent>(numbers));
}
std::vector<bool> object_reader::booleans(std::string_view key) { return read_elements(key, detail::to_boolean); }
std::vector<std::string> object_reader::texts(std::string_view key) { return read_elements(key, detail::to_text); }
std::vector<float> object_reader::reals(std::string_view key) {
    std::vector<float> values;
    if (const void* member = take(key)) {
        const auto& array = detail::as_json(member);
        if (array.is_binary()) {
            static_assert(std::endian::native == std::endian::little, "floats are read as they lie in memory");
            values.resize(array.get_binary().size() / sizeof(float));
            if (!values.empty()) std::memcpy(values.data(), array.get_binary().data(), values.size() * sizeof(float));
            return values;
        }
        if (!array.is_array()) detail::unfit(place(key), "an array", array);
        values.reserve(array.size());
        // the place is spelled out only for what does not fit: there may be millions
        for (const auto& element : array)
            values.push_back(element.is_number_float() && std::abs(element.template get<double>()) < 1e38
                                 ? static_cast<float>(element.template get<double>())
                                 : detail::to_real(element, place(key) + "/" + std::to_string(values.size())));
    }
    return values;
}
std::vector<std::byte> object_reader::bytes(std::string_view key) {
    const void* member = take(key);
    if (member == nullptr) return {};
    const auto& value = detail::as_json(member);
    if (value.is_binary()) {
        const auto all = std::as_bytes(std::span(value.get_binary().data(), value.get_binary().size()));
        return {all.begin(), all.end()};
    }
    auto decoded = decode_base64(detail::to_text(value, place(key)));
    if (!decoded) fail(errc::malformed_file, key, "base64 wanted");
    return *std::move(decoded);
}
std::size_t object_reader::enumerator(std::string_view key, std::span<const std::string_view> names,
                                      std::span<const std::int64_t> numbers) {
    const auto number_of = [&](std::size_t i) { return numbers.empty() ? static_cast<std::int64_t>(i) : numbers[i]; };
    const void* member = take(key);
    const detail::json zero = 0;
    const auto& value = member == nullptr ? zero : detail::as_json(member);
    for (std::size_t i = 0; i < names.size(); ++i)
        if (value.is_string() ? value.get_ref<const std::string&>() == names[i]
                              : value.is_number_integer() && value.get<std::int64_t>() == number_of(i))
            return i;
    const std::string wanted = detail::alternatives({names.begin(), names.end()});
    if (member == nullptr) fail(errc::bad_value, key, wanted + " wanted, none came");
    detail::unfit(place(key), wanted, value);
}
std::map<std::string, std::string> object_reader::map_of_texts(std::string_view key) {
    std::map<std::string, std::string> values;
    if (const void* member = take(key)) {
        const auto& object = detail::as_json(member);
        if (!object.is_object()) detail::unfit(place(key), "an object", object);
        for (const auto& [name, value] : object.items())
            values.emplace(name, detail::to_text(value, place(key) + detail::pointer_step(name)));
    }
    return values;
}
object_reader object_reader::object(std::string_view key) { return {take(key), place(key), complete_}; }
std::vector<object_reader> object_reader::objects(std::string_view key) {
    return read_elements(key, [this](const detail::json& element, const std::string& where) {
        return object_reader(&element, where, complete_);
    });
}

std::string_view object_reader::one_of(std::span<const std::string_view> keys) {
    std::string_view found;
    for (std::string_view key : keys) {
        asked_.emplace_back(key);
        if (!has(key)) continue;
        if (!found.empty())
            throw error(errc::bad_value, place_ + ": " + in_quotes(found) + " and " + in_quotes(key) +
                                             " exclude each other");
        found = key;
    }
    return found;
}
void object_reader::finish() const {
    if (json_ == nullptr) return;
    for (const auto& [key, value] : detail::as_json(json_).get_ref<const detail::json::object_t&>())
        if (std::ranges::find(asked_, key) == asked_.end())
            throw error(errc::unknown_name,
                        (place_.empty() ? "/" : place_) + ": unknown field " + in_quotes(key) +
                            detail::suggestion(key, asked_));
}
void object_reader::fail(errc code, std::string_view key, const std::string& what) const {
    throw error(code, (!key.empty() ? place(key) : place_.empty() ? "/" : place_) + ": " + what);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
