#pragma once

#include "../core/error.hpp"

/// The only file that includes nlohmann_json, and only where BESPOKE_IMPLEMENTATION is defined.

#ifdef BESPOKE_IMPLEMENTATION

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke::detail {

using json = nlohmann::json;

/// How deep JSON objects and arrays may nest. A model with loops and branches nests a few dozen.
inline constexpr std::size_t max_json_depth = 64;

/// `text` for an error message: at most 60 characters of printable ASCII, what is left out shown as "...".
inline std::string excerpt(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string result(text.substr(0, longest));
    for (char& c : result)
        if (c < ' ' || c > '~') c = '?';
    return text.size() > longest ? result + "..." : result;
}

/// Builds a document from the events of nlohmann's parser, which cannot itself refuse a key that comes
/// twice or too many brackets.
class json_builder {
public:
    json_builder(std::string_view text, std::string_view name) : text_(text), name_(name) {}

    json document() && { return std::move(root_); }

    bool null() { return put(nullptr); }
    bool boolean(bool value) { return put(value); }
    bool number_integer(std::int64_t value) { return put(value); }
    bool number_unsigned(std::uint64_t value) { return put(value); }
    bool number_float(double value, const std::string&) { return put(value); }
    bool string(std::string& value) { return put(std::move(value)); }
    bool binary(json::binary_t&) { return false; }  // JSON text has none

    bool start_object(std::size_t) { return open(json::object()); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        auto& object = open_.back().value->get_ref<json::object_t&>();
        const auto [entry, added] = object.emplace(std::move(name), nullptr);
        open_.back().key = &entry->first;
        if (!added) throw error(errc::duplicate_name, name_ + ": " + place() + ": the key comes twice");
        return true;
    }

    template <class Problem>
    bool parse_error(std::size_t position, const std::string&, const Problem&) {
        if (position > text_.size())
            throw error(errc::malformed_file, name_ + ": not JSON: it ends after " +
                                                  std::to_string(text_.size()) +
                                                  " bytes, in the middle of a value");
        const std::size_t begin = position - std::min<std::size_t>(position, 20);
        throw error(errc::malformed_file, name_ + ": not JSON at byte " + std::to_string(position) +
                                              ", at the end of '" +
                                              excerpt(text_.substr(begin, position - begin)) + "'");
    }

private:
    struct level {
        json* value;
        const std::string* key = nullptr;  ///< of the member that is being read
    };

    /// Where the parser is, as a JSON pointer.
    std::string place() const {
        std::string result;
        for (const level& l : open_)
            result += "/" + (l.value->is_array() ? std::to_string(l.value->size() - 1) : excerpt(*l.key));
        return result;
    }
    json& append(json&& value) {
        if (open_.empty()) return root_ = std::move(value);
        const level& inner = open_.back();
        if (inner.value->is_array())
            return inner.value->get_ref<json::array_t&>().emplace_back(std::move(value));
        return inner.value->get_ref<json::object_t&>().at(*inner.key) = std::move(value);
    }
    bool put(json&& value) {
        append(std::move(value));
        return true;
    }
    bool open(json&& value) {
        json& placed = append(std::move(value));
        if (open_.size() == max_json_depth)
            throw error(errc::malformed_file, name_ + ": " + place() + ": brackets nest deeper than " +
                                                  std::to_string(max_json_depth));
        open_.push_back({&placed});
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::string_view text_;
    std::string name_;
    json root_;
    std::vector<level> open_;
};

/// The document that `text` spells. Throws bespoke::error, with `name` before the sentence, for anything
/// that is not exactly one JSON value, for a key that comes twice in one object, and for brackets that
/// nest deeper than `max_json_depth`. Memory: at most some 30 times the text (an array of empty arrays).
inline json parse_json(std::string_view text, std::string_view name) {
    json_builder builder(text, name);
    json::sax_parse(text.begin(), text.end(), &builder);
    return std::move(builder).document();
}

}  // namespace bespoke::detail

#endif
