#include <bespoke/model/base64.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("base64: the examples of RFC 4648, section 10") {
    const auto [plain, text] = GENERATE(table<std::string, std::string>({{"", ""},
                                                                         {"f", "Zg=="},
                                                                         {"fo", "Zm8="},
                                                                         {"foo", "Zm9v"},
                                                                         {"foob", "Zm9vYg=="},
                                                                         {"fooba", "Zm9vYmE="},
                                                                         {"foobar", "Zm9vYmFy"}}));
    CHECK(encode_base64(bytes_of(plain)) == text);
    CHECK(decode_base64(text) == bytes_of(plain));
    CHECK(decode_base64(text.substr(0, text.find('='))) == bytes_of(plain));
}

TEST_CASE("base64: both alphabets") {
    const std::vector<std::byte> bytes{std::byte{0xfb}, std::byte{0xef}, std::byte{0xff}};
    CHECK(encode_base64(bytes) == "++//");
    CHECK(decode_base64("++//") == bytes);
    CHECK(decode_base64("--__") == bytes);
}

TEST_CASE("base64: every byte at every place of a group comes back") {
    for (std::size_t before = 0; before < 3; ++before) {
        for (std::size_t after = 0; after < 3; ++after) {
            std::vector<std::byte> bytes(before + 256 + after, std::byte{0x5a});
            for (std::size_t i = 0; i < 256; ++i) bytes[before + i] = static_cast<std::byte>(i);
            const std::string text = encode_base64(bytes);
            CHECK(text.size() == (bytes.size() + 2) / 3 * 4);
            CHECK(decode_base64(text) == bytes);
        }
    }
}

TEST_CASE("base64: what is refused") {
    for (std::string_view text : {"A",
                                  "AAAAA",  // six bits are no byte
                                  "=",
                                  "==",
                                  "===",
                                  "====",
                                  "A===",
                                  "AA=",
                                  "AAA==",
                                  "AAAA=",
                                  "AA==AAAA",
                                  "AA=A",  // padding
                                  "AB==",
                                  "AAB=",
                                  "AB",
                                  "AAB",  // bits that belong to no byte
                                  "AA A",
                                  "AAAA\n",
                                  " AAAA",
                                  "AA*A",
                                  "AA\x80"
                                  "A",
                                  "AA,A"})
        CHECK_FALSE(decode_base64(text));
    CHECK_FALSE(decode_base64(std::string_view("AA\0A", 4)));
}
