#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The base64 text of `bytes`, in the standard alphabet and padded. RFC 4648, section 4.
std::string encode_base64(std::span<const std::byte> bytes);

/// The bytes that `text` spells, or nothing where it is not base64. As protobuf's JSON mapping allows: the
/// standard or the URL-safe alphabet, padded or not. Refused, because no encoder writes it: white space, and
/// bits of the last character that belong to no byte.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::decode_base64;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::encode_base64;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <array>
#include <cstdint>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::string encode_base64(std::span<const std::byte> bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group = group << 8 | (i + j < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + j]) : 0);
        for (std::size_t j = 0; j < 4; ++j)
            text += j <= bytes.size() - i ? alphabet[group >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
    constexpr std::uint8_t none = 64;
    constexpr auto values = [none] {
        std::array<std::uint8_t, 256> table{};
        table.fill(none);
        constexpr std::string_view alphabets[] = {
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
        for (std::string_view alphabet : alphabets)
            for (std::size_t i = 0; i < 64; ++i)
                table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
        return table;
    }();
    if (text.size() % 4 == 0 && text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
    if (text.size() % 4 == 1) return std::nullopt;

    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t held = 0;
    int bits = 0;
    for (char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == none) return std::nullopt;
        held = held << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::byte>(held >> bits & 255));
            held &= (std::uint32_t{1} << bits) - 1;
        }
    }
    if (held != 0) return std::nullopt;
    return bytes;
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
