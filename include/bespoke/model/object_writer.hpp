#pragma once

#include "object_reader.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Writes one object of a document in the canonical form of protobuf's JSON mapping: defaults left out,
/// 64-bit integers as strings, the shortest number that reads back as the same float.
class object_writer {
public:
    void boolean(std::string_view key, bool value);
    void integer(std::string_view key, std::int64_t value);
    void small_integer(std::string_view key, std::int32_t value);
    void number(std::string_view key, double value);
    void real(std::string_view key, float value);
    void text(std::string_view key, std::string_view value);
    void enumerator(std::string_view key, std::span<const std::string_view> names, std::size_t value);
    void integers(std::string_view key, std::span<const std::int64_t> values);
    void booleans(std::string_view key, const std::vector<bool>& values);
    void reals(std::string_view key, std::span<const float> values);
    void texts(std::string_view key, std::span<const std::string> values);
    void map_of_texts(std::string_view key, const std::map<std::string, std::string>& values);
    /// Members of a oneof: written even where they are zero.
    void present(std::string_view key, bool value);
    void present(std::string_view key, std::int32_t value);
    void present(std::string_view key, std::int64_t value);
    void present(std::string_view key, std::string_view value);
    void present(std::string_view key, float value);
    void present(std::string_view key, double value);
    /// Written even where it is empty: a message that is there.
    void object(std::string_view key, const object_writer& value);
    void objects(std::string_view key, std::span<const object_writer> values);

    bool empty() const { return members_.empty(); }
    /// Members in the order in which they were written, two blanks an indent, arrays of numbers and
    /// strings in one line.
    std::string dump() const;
    /// What differs first from an object of this program: "outputChannels is "12" in the file, "10"" where this one is
    /// in what is called "the file". Empty: nothing.
    std::string difference(const object_writer& other, std::string_view called) const;

private:
    void put(std::string_view key, std::string text);

    /// Names and the JSON text of the values, which begins in the first column.
    std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::object_writer;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <charconv>
#include <cmath>
#include <iterator>

namespace bespoke {
namespace detail {

inline double read_back(const char* begin, const char* end) {
#ifdef __cpp_lib_to_chars
    double value = 0;
    std::from_chars(begin, end, value);
    return value;
#else  // libc++ has none for double
    return *parse_number({begin, end});
#endif
}

/// The shortest text that reads back as the same number.
inline std::string spelled(double number) {
    if (std::isnan(number)) return "\"NaN\"";
    if (std::isinf(number)) return number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    if (number == 0 && std::signbit(number)) return "-0.0";  // readers take -0 for an integer, which loses the sign
    char digits[40];
    return std::string(digits, std::to_chars(std::begin(digits), std::end(digits), number).ptr);
}
inline std::string spelled(float number) {
    if (!std::isfinite(number) || number == 0) return spelled(static_cast<double>(number));
    char digits[40];
    char* const end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    // most readers make a double of it first, and round twice
    if (static_cast<float>(read_back(digits, end)) != number) return spelled(static_cast<double>(number));
    return std::string(std::begin(digits), end);
}
inline std::string spelled(std::string_view text) {
    try {
        return json(text).dump();
    } catch (const json::exception&) {
        throw error(errc::bad_value, "a text that is not UTF-8 cannot be written: " + in_quotes(text));
    }
}
/// Members or elements, each in lines of its own, between brackets.
inline std::string spelled_in_lines(std::string_view brackets, std::span<const std::string> parts) {
    if (parts.empty()) return std::string(brackets);
    std::string text(1, brackets[0]);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        text += i == 0 ? "\n  " : ",\n  ";
        for (char c : parts[i]) {
            text += c;
            if (c == '\n') text += "  ";  // in a string it would be escaped
        }
    }
    return text + "\n" + brackets[1];
}
/// Elements in one line.
template <class Values, class Spell>
std::string spelled_in_line(const Values& values, const Spell& spell) {
    std::string text = "[";
    for (const auto& value : values) {
        if (text.size() > 1) text += ", ";
        text += spell(value);
    }
    return text + "]";
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

void object_writer::put(std::string_view key, std::string text) { members_.emplace_back(key, std::move(text)); }

void object_writer::boolean(std::string_view key, bool value) {
    if (value) put(key, "true");
}
void object_writer::integer(std::string_view key, std::int64_t value) {
    if (value != 0) put(key, "\"" + std::to_string(value) + "\"");
}
void object_writer::small_integer(std::string_view key, std::int32_t value) {
    if (value != 0) present(key, value);
}
void object_writer::number(std::string_view key, double value) {
    if (value != 0 || std::signbit(value)) present(key, value);
}
void object_writer::real(std::string_view key, float value) {
    if (value != 0 || std::signbit(value)) present(key, value);
}
void object_writer::text(std::string_view key, std::string_view value) {
    if (!value.empty()) put(key, detail::spelled(value));
}
void object_writer::enumerator(std::string_view key, std::span<const std::string_view> names, std::size_t value) {
    if (value != 0) text(key, names[value]);
}
void object_writer::integers(std::string_view key, std::span<const std::int64_t> values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](auto v) { return "\"" + std::to_string(v) + "\""; }));
}
void object_writer::booleans(std::string_view key, const std::vector<bool>& values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](bool v) { return std::string(v ? "true" : "false"); }));
}
void object_writer::reals(std::string_view key, std::span<const float> values) {
    if (!values.empty()) put(key, detail::spelled_in_line(values, [](float v) { return detail::spelled(v); }));
}
void object_writer::texts(std::string_view key, std::span<const std::string> values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](std::string_view v) { return detail::spelled(v); }));
}
void object_writer::map_of_texts(std::string_view key, const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    object_writer map;
    for (const auto& [name, value] : values) map.put(name, detail::spelled(std::string_view(value)));
    object(key, map);
}
void object_writer::present(std::string_view key, bool value) { put(key, value ? "true" : "false"); }
void object_writer::present(std::string_view key, std::int32_t value) { put(key, std::to_string(value)); }
void object_writer::present(std::string_view key, std::int64_t value) { put(key, '"' + std::to_string(value) + '"'); }
void object_writer::present(std::string_view key, std::string_view value) { put(key, detail::spelled(value)); }
void object_writer::present(std::string_view key, float value) { put(key, detail::spelled(value)); }
void object_writer::present(std::string_view key, double value) { put(key, detail::spelled(value)); }
void object_writer::object(std::string_view key, const object_writer& value) { put(key, value.dump()); }
void object_writer::objects(std::string_view key, std::span<const object_writer> values) {
    if (values.empty()) return;
    std::vector<std::string> elements;
    for (const object_writer& value : values) elements.push_back(value.dump());
    put(key, detail::spelled_in_lines("[]", elements));
}
std::string object_writer::dump() const {
    std::vector<std::string> members;
    for (const auto& [key, value] : members_) members.push_back(detail::spelled(std::string_view(key)) + ": " + value);
    return detail::spelled_in_lines("{}", members);
}
std::string object_writer::difference(const object_writer& other, std::string_view called) const {
    const auto spell = [](const object_writer& object, const std::string& key) -> std::string {
        for (const auto& [name, value] : object.members_)
            if (name == key) return value;
        return "left out";
    };
    for (const auto* object : {this, &other})
        for (const auto& [key, value] : object->members_)
            if (spell(*this, key) != spell(other, key))
                return key + " is " + spell(*this, key) + " in " + std::string(called) + ", " + spell(other, key);
    return "";
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
