#pragma once

#include "../core/error.hpp"

/// The only file that includes nlohmann_json, and only where BESPOKE_IMPLEMENTATION is defined.

#ifdef BESPOKE_IMPLEMENTATION

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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

/// A number for an error message.
inline std::string shown(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return json(number).dump();
}

/// "A, B or C".
inline std::string alternatives(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i)
        text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
    return text;
}

/// How many edits (insert, delete, replace) lead from a to b.
inline std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

/// ", did you mean "convolution"?", or nothing where no candidate is near.
inline std::string suggestion(std::string_view name, std::span<const std::string> candidates) {
    const auto plain = [](std::string_view text) {
        std::string result;
        for (char c : text.substr(0, 60))
            if (c != '_') result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        return result;
    };
    std::string_view best;
    std::size_t least = 1 + std::min<std::size_t>(name.size() / 3, 3);
    for (const auto& candidate : candidates) {
        const std::size_t distance = edits(plain(name), plain(candidate));
        if (distance >= least) continue;
        least = distance;
        best = candidate;
    }
    return best.empty() ? "" : ", did you mean \"" + excerpt(best) + "\"?";
}

/// A document. Its parts go one by one, from the innermost: the destructor of nlohmann's wants memory for a list of
/// them, and ends the program where there is none.
class json_document {
public:
    explicit json_document(json::value_t kind = json::value_t::null) : root_(kind) {}
    json_document(json_document&&) noexcept = default;
    json_document& operator=(json_document&&) = delete;
    ~json_document() { take_apart(root_); }

    json& operator*() { return root_; }
    const json& operator*() const { return root_; }

private:
    static void take_apart(json& value) noexcept {
        if (auto* const elements = value.get_ptr<json::array_t*>())
            for (; !elements->empty(); elements->pop_back()) take_apart(elements->back());
        else if (auto* const members = value.get_ptr<json::object_t*>())
            for (; !members->empty(); members->erase(members->begin())) take_apart(members->begin()->second);
    }

    json root_;
};

/// Makes a document of what nlohmann's parser finds. That one's own maker does not refuse a key that comes twice or too
/// many brackets, and for each object in an array goes through the array.
class json_builder {
public:
    json_builder(std::string_view name, json& root) : name_(name), root_(root) {}

    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(json::number_integer_t value) { return add(value); }
    bool number_unsigned(json::number_unsigned_t value) { return add(value); }
    bool number_float(json::number_float_t value, const std::string&) { return add(value); }
    bool string(const std::string& value) { return add(value); }
    bool binary(json::binary_t&) { return false; }  // no text has it
    bool start_object(std::size_t) { return open(json::value_t::object); }
    bool start_array(std::size_t) { return open(json::value_t::array); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(const std::string& key) {
        level& l = open_.back();
        const auto [member, added] = l.value->get_ref<json::object_t&>().emplace(key, nullptr);
        l.key = &member->first;
        l.member = &member->second;
        if (!added) fail(errc::duplicate_name, "the key comes twice");
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const json::exception& problem) {
        if (problem.id == 406) fail(errc::malformed_file, "the number is too large for a double");
        wrong_at_ = position;
        return false;
    }
    /// The byte at which the text is not JSON.
    std::size_t wrong_at() const { return wrong_at_; }

private:
    struct level {
        json* value;
        const std::string* key = nullptr;  ///< of the member that is being read; null: in an array
        json* member = nullptr;
        std::size_t elements = 0;
    };

    /// Throws, with where the parser is as a JSON pointer.
    [[noreturn]] void fail(errc code, const std::string& problem) const {
        std::string place;
        for (const level& l : open_) place += "/" + (l.key == nullptr ? std::to_string(l.elements) : excerpt(*l.key));
        throw error(code, name_ + ": " + (place.empty() ? problem : place + ": " + problem));
    }
    json& next() {
        if (open_.empty()) return root_;
        level& l = open_.back();
        return l.key != nullptr ? *l.member : l.value->get_ref<json::array_t&>().emplace_back();
    }
    template <class T>
    bool add(const T& value) {
        next() = value;
        return ended();
    }
    bool open(json::value_t kind) {
        if (open_.size() == max_json_depth)
            fail(errc::malformed_file, "brackets nest deeper than " + std::to_string(max_json_depth));
        json& value = next();
        value = kind;
        open_.push_back({&value});
        return true;
    }
    bool close() {
        open_.pop_back();
        return ended();
    }
    bool ended() {
        if (!open_.empty()) ++open_.back().elements;
        return true;
    }

    std::string name_;
    json& root_;
    std::vector<level> open_;
    std::size_t wrong_at_ = 0;
};

/// What a file that is not what was wanted looks like by its first bytes; empty: like nothing that is known.
inline std::string kind_of_file(std::string_view bytes) {
    struct signature {
        std::size_t at;
        std::string_view bytes;
        const char* kind;
    };
    using namespace std::string_view_literals;
    static constexpr signature signatures[] = {
        {4, "\0\0\0\0{"sv, "a safetensors file: weights, which the JSON document beside it names"},
        {0, "version https://git-lfs"sv, "a pointer of Git LFS, which `git lfs pull` replaces by the file"},
        {0, "PK\3\4"sv, "a zip archive (PyTorch, Keras, NumPy)"},
        {0, "\x89HDF"sv, "HDF5 (Keras)"},
        {4, "TFL3"sv, "TensorFlow Lite"},
        {0, "\x93NUMPY"sv, "NumPy"},
        {0, "GGUF"sv, "GGUF"},
        {0, "\x80\x02"sv, "a Python pickle (PyTorch)"},
        {0, "\x08"sv, "protobuf: Core ML if its name ends in .mlmodel, or ONNX, which is not read"}};
    for (const signature& s : signatures)
        if (bytes.substr(std::min(s.at, bytes.size())).starts_with(s.bytes)) return s.kind;
    return "";
}
inline bool begins_as_text(std::string_view bytes) {
    const char first = bytes.empty() ? ' ' : bytes[0];
    return (first >= ' ' && first <= '~') || first == '\t' || first == '\n' || first == '\r' ||
           bytes.starts_with("\xef\xbb\xbf");
}

/// The document that `text` spells. Throws bespoke::error, with `name` before the sentence, for anything
/// that is not exactly one JSON value, for a key that comes twice in one object, and for brackets that
/// nest deeper than `max_json_depth`. Memory: at most some 30 times the text (an array of empty arrays).
inline json_document parse_json(std::string_view text, std::string_view name) {
    const auto refuse = [&](std::size_t position) {
        if (const std::string kind = kind_of_file(text); !kind.empty() || !begins_as_text(text))
            throw error(errc::malformed_file, std::string(name) + ": a model as JSON or a .mlmodel wanted, this is " +
                                                  (kind.empty() ? "a binary file" : kind));
        if (position > text.size())
            throw error(errc::malformed_file, std::string(name) + ": not JSON: it ends after " +
                                                  std::to_string(text.size()) + " bytes, in the middle of a value");
        const std::size_t begin = position - std::min<std::size_t>(position, 20);
        const std::string last = excerpt(text.substr(begin, position - begin));
        throw error(errc::malformed_file, std::string(name) + ": not JSON at byte " + std::to_string(position) +
                                              ", at the end of '" + last + "'");
    };
    json_document document;
    json_builder builder(name, *document);
    // not json::sax_parse, which compiles the readers of four binary formats too
    auto input = nlohmann::detail::input_adapter(text.begin(), text.end());
    nlohmann::detail::parser<json, decltype(input)> parser(std::move(input));
    if (!parser.sax_parse(&builder)) refuse(builder.wrong_at());
    if (const auto zero = text.find('\0'); zero != text.npos) refuse(zero + 1);  // the parser takes it for the end
    return document;
}

/// The number that `text` is in JSON, if it is one and nothing else. (json::parse compiles two parsers more.)
inline std::optional<double> parse_number(std::string_view text) {
    if (text.find_first_not_of("+-.0123456789Ee") != text.npos) return {};
    auto input = nlohmann::detail::input_adapter(text.begin(), text.end());
    nlohmann::detail::lexer<json, decltype(input)> lexer(std::move(input));
    using token = decltype(lexer.scan());
    const token kind = lexer.scan();
    double number = 0;
    if (kind == token::value_unsigned) number = static_cast<double>(lexer.get_number_unsigned());
    else if (kind == token::value_integer) number = static_cast<double>(lexer.get_number_integer());
    else if (kind == token::value_float) number = lexer.get_number_float();
    else return {};
    return std::isfinite(number) && lexer.scan() == token::end_of_input ? std::optional(number) : std::nullopt;
}

}  // namespace bespoke::detail

#endif
