#pragma once

#include "../core/error.hpp"

/// The only file that includes nlohmann_json, and only where BESPOKE_IMPLEMENTATION is defined.

#ifdef BESPOKE_IMPLEMENTATION

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
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
/// What there is to say of a number that an int32 cannot hold.
inline std::string not_of_32_bits(std::int64_t number) {
    return "an integer of 32 bits wanted, " + std::to_string(number) + " came";
}

/// "A, B or C".
inline std::string alternatives(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i)
        text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
    return text;
}

/// Watches nlohmann's parser, which cannot itself refuse a key that comes twice or too many brackets. (It goes through
/// json::parse, not json::sax_parse, which compiles the readers of four binary formats too.)
class json_watch {
public:
    explicit json_watch(std::string_view name) : name_(name) {}

    bool operator()(int, json::parse_event_t event, json& value) {
        using happened = json::parse_event_t;
        switch (event) {
            case happened::object_start:
            case happened::array_start:
                if (open_.size() == max_json_depth)
                    fail(errc::malformed_file, "brackets nest deeper than " + std::to_string(max_json_depth));
                open_.emplace_back();
                if (event == happened::object_start) keys_.emplace_back();
                break;
            case happened::key: {
                const auto [key, added] = keys_.back().insert(value.get_ref<const std::string&>());
                open_.back().key = &*key;
                if (!added) fail(errc::duplicate_name, "the key comes twice");
                break;
            }
            case happened::object_end:
                keys_.pop_back();
                [[fallthrough]];
            case happened::array_end:
                open_.pop_back();
                [[fallthrough]];
            case happened::value:
                if (!open_.empty()) ++open_.back().elements;
        }
        return true;
    }

    /// Throws, with where the parser is as a JSON pointer.
    [[noreturn]] void fail(errc code, const std::string& problem) const {
        std::string place;
        for (const level& l : open_) place += "/" + (l.key == nullptr ? std::to_string(l.elements) : excerpt(*l.key));
        throw error(code, name_ + ": " + (place.empty() ? problem : place + ": " + problem));
    }

private:
    struct level {
        const std::string* key = nullptr;  ///< of the member that is being read; null: in an array
        std::size_t elements = 0;
    };

    std::string name_;
    std::vector<level> open_;
    std::vector<std::set<std::string>> keys_;  // of each object that is open
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
inline json parse_json(std::string_view text, std::string_view name) {
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
    json_watch watch(name);
    json document;
    try {
        document = json::parse(text.begin(), text.end(), std::ref(watch));
    } catch (const json::parse_error& problem) {
        refuse(problem.byte);
    } catch (const json::out_of_range&) {
        watch.fail(errc::malformed_file, "the number is too large for a double");
    }
    if (const auto zero = text.find('\0'); zero != text.npos) refuse(zero + 1);  // the parser takes it for the end
    return document;
}

}  // namespace bespoke::detail

#endif
