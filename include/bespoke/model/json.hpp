#pragma once

#include "../core/error.hpp"

/// The only file that includes nlohmann_json, and only where BESPOKE_IMPLEMENTATION is defined.

#ifdef BESPOKE_IMPLEMENTATION

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

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

/// Reads a document (RFC 8259). nlohmann's parser cannot itself refuse a key that comes twice or too many brackets, and
/// its public way in compiles the readers of four binary formats too.
class json_text {
public:
    json_text(std::string_view text, std::string_view name) : text_(text), name_(name) {}

    json document() {
        if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // a byte order mark
        json root = value(nullptr, 0);
        space();
        if (at_ < text_.size()) refuse(at_ + 1);
        return root;
    }

private:
    /// An object or array that is being read.
    struct level {
        const level* outer;
        const std::string* key = nullptr;  ///< of the member; null: in an array
        std::size_t index = 0;
    };

    /// As a JSON pointer.
    static std::string place(const level* inner) {
        if (inner == nullptr) return "";
        return place(inner->outer).append("/").append(inner->key != nullptr ? excerpt(*inner->key)
                                                                            : std::to_string(inner->index));
    }
    [[noreturn]] void fail(errc code, const level* inner, std::string_view problem) const {
        throw error(code, std::string(name_).append(": ").append(place(inner)).append(problem));
    }
    /// What was read up to the byte `end` is the beginning of no document.
    [[noreturn]] void refuse(std::size_t end) const {
        const std::size_t begin = end - std::min<std::size_t>(end, 20);
        if (end > text_.size())
            fail(errc::malformed_file, nullptr,
                 "not JSON: it ends after " + std::to_string(text_.size()) + " bytes, in the middle of a value");
        fail(errc::malformed_file, nullptr,
             "not JSON at byte " + std::to_string(end) + ", at the end of '" +
                 excerpt(text_.substr(begin, end - begin)) + "'");
    }

    /// The next byte; 0 at the end, which no rule takes.
    unsigned char next() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : 0; }
    bool is_next(unsigned char least, unsigned char most) const { return next() >= least && next() <= most; }
    void take(unsigned char least, unsigned char most) {
        if (!is_next(least, most)) refuse(at_ + 1);
        ++at_;
    }
    void take(std::string_view word) {
        for (const char c : word) take(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
    }
    bool took(unsigned char c) {
        const bool there = is_next(c, c);
        at_ += there;
        return there;
    }
    void space() {
        while (next() == ' ' || is_next('\t', '\n') || next() == '\r') ++at_;
    }

    json value(const level* outer, std::size_t depth) {
        space();
        const unsigned char first = next();
        if (first == '"') return string();
        if (first == '{' || first == '[') {
            if (depth == max_json_depth)
                fail(errc::malformed_file, outer,
                     ": brackets nest deeper than " + std::to_string(max_json_depth));
            ++at_;
            return first == '{' ? object({outer}, depth + 1) : array({outer}, depth + 1);
        }
        if (first == 't') return take("true"), true;
        if (first == 'f') return take("false"), false;
        if (first == 'n') return take("null"), nullptr;
        return number();
    }
    json array(level here, std::size_t depth) {
        json::array_t elements;
        space();
        if (took(']')) return elements;
        do {
            elements.push_back(value(&here, depth));
            ++here.index;
            space();
        } while (took(','));
        take("]");
        return elements;
    }
    json object(level here, std::size_t depth) {
        json::object_t members;
        space();
        if (took('}')) return members;
        do {
            space();
            if (next() != '"') refuse(at_ + 1);
            const auto [entry, added] = members.emplace(string(), nullptr);
            here.key = &entry->first;
            if (!added) fail(errc::duplicate_name, &here, ": the key comes twice");
            space();
            take(":");
            entry->second = value(&here, depth);
            space();
        } while (took(','));
        take("}");
        return members;
    }

    void digits() {
        take('0', '9');
        while (is_next('0', '9')) ++at_;
    }
    json number() {
        const std::size_t begin = at_;
        const bool negative = took('-');
        if (!took('0')) digits();
        bool whole = true;
        if (took('.')) {
            digits();
            whole = false;
        }
        if (next() == 'e' || next() == 'E') {
            ++at_;
            if (!took('+')) took('-');
            digits();
            whole = false;
        }
        const std::string_view spelled = text_.substr(begin, at_ - begin);
        const char *const first = spelled.data(), *const last = first + spelled.size();
        std::int64_t integer = 0;
        std::uint64_t natural = 0;
        if (whole && negative && std::from_chars(first, last, integer).ec == std::errc{}) return integer;
        if (whole && !negative && std::from_chars(first, last, natural).ec == std::errc{}) return natural;
        double real = 0;
        if (std::from_chars(first, last, real).ec == std::errc{}) return real;
        if (is_large(spelled)) refuse(at_);
        return negative ? -0.0 : 0.0;
    }
    /// Of a number that no double holds: whether it is too large, and not too small.
    static bool is_large(std::string_view spelled) {
        std::int64_t power = 0, exponent = 0;  // it is 0.d... times ten to their sum
        bool point = false, begun = false;
        const std::size_t end = std::min(spelled.find_first_of("eE"), spelled.size());
        for (const char c : spelled.substr(0, end)) {
            point = point || c == '.';
            begun = begun || (c >= '1' && c <= '9');
            if (c >= '0' && c <= '9' && begun != point) power += begun ? 1 : -1;
        }
        if (end < spelled.size()) {
            const bool negative = spelled[end + 1] == '-';
            const std::size_t begin = end + (negative || spelled[end + 1] == '+' ? 2 : 1);
            if (std::from_chars(spelled.data() + begin, spelled.data() + spelled.size(), exponent).ec != std::errc{})
                return !negative;
            if (negative) exponent = -exponent;
        }
        return power + exponent > 0;
    }

    std::string string() {
        std::string result;
        for (++at_; !took('"');) {
            const std::size_t begin = at_;
            if (took('\\')) {
                escape(result);
                continue;
            }
            if (is_next(' ', 0x7f)) ++at_;
            else if (is_next(0x80, 0xff)) sequence();
            else refuse(at_ + 1);
            result.append(text_, begin, at_ - begin);
        }
        return result;
    }
    /// A character of more than one byte (RFC 3629).
    void sequence() {
        const unsigned char first = next();
        take(0xc2, 0xf4);
        if (first == 0xe0 || first == 0xf0) take(first == 0xe0 ? 0xa0 : 0x90, 0xbf);
        else if (first == 0xed || first == 0xf4) take(0x80, first == 0xed ? 0x9f : 0x8f);
        else if (first >= 0xe0) take(0x80, 0xbf);
        if (first >= 0xf0) take(0x80, 0xbf);
        take(0x80, 0xbf);
    }
    void escape(std::string& result) {
        static constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
        if (const std::size_t i = letters.find(static_cast<char>(next())); i < letters.size()) {
            result += meant[i];
            ++at_;
            return;
        }
        std::uint32_t code = code_unit();
        if (code >= 0xd800 && code <= 0xdbff) {
            take("\\");
            const std::uint32_t low = code_unit();
            if (low < 0xdc00 || low > 0xdfff) refuse(at_);
            code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
        } else if (code >= 0xdc00 && code <= 0xdfff) {
            refuse(at_);
        }
        const auto put = [&](std::uint32_t byte) { result += static_cast<char>(byte); };
        if (code < 0x80) return put(code);
        if (code < 0x800) {
            put(0xc0 | code >> 6);
        } else {
            if (code < 0x10000) put(0xe0 | code >> 12);
            else put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f));
            put(0x80 | (code >> 6 & 0x3f));
        }
        put(0x80 | (code & 0x3f));
    }
    /// u and four hexadecimal digits.
    std::uint32_t code_unit() {
        take("u");
        std::uint32_t code = 0;
        for (int i = 0; i < 4; ++i) {
            const unsigned char c = next();
            const unsigned letter = c | 0x20u;
            if (c >= '0' && c <= '9') code = code << 4 | (c - '0' + 0u);
            else if (letter >= 'a' && letter <= 'f') code = code << 4 | (letter - 'a' + 10);
            else refuse(at_ + 1);
            ++at_;
        }
        return code;
    }

    std::string_view text_, name_;
    std::size_t at_ = 0;  ///< bytes that were read
};

/// The document that `text` spells. Throws bespoke::error, with `name` before the sentence, for anything
/// that is not exactly one JSON value, for a key that comes twice in one object, and for brackets that
/// nest deeper than `max_json_depth`. Memory: at most some 30 times the text (an array of empty arrays).
inline json parse_json(std::string_view text, std::string_view name) { return json_text(text, name).document(); }

}  // namespace bespoke::detail

#endif
