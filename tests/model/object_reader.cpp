#include "failure.hpp"

#include <bespoke/model/object_reader.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

using bespoke::errc;
using bespoke::object_reader;
using nlohmann::json;

namespace {

/// An object, and a reader at the place "/a".
struct reading {
    json root;
    object_reader in;
    explicit reading(const char* text) : root(json::parse(text)), in(&root, "/a") {}
};

}  // namespace

TEST_CASE("an absent or null member is the default") {
    reading r(R"({"n": null})");
    CHECK_FALSE(r.in.has("n"));
    CHECK(r.in.integer("n") == 0);
    CHECK(r.in.integer("i") == 0);
    CHECK(r.in.real("f") == 0);
    CHECK(r.in.number("d") == 0);
    CHECK_FALSE(r.in.boolean("b"));
    CHECK(r.in.text("t").empty());
    CHECK(r.in.integers("is").empty());
    CHECK(r.in.objects("os").empty());
    object_reader inner = r.in.object("o");
    CHECK(inner.integer("deep") == 0);
    CHECK_NOTHROW(inner.finish());
    CHECK_NOTHROW(r.in.finish());
}

TEST_CASE("of a complete object every member that is read must be there, and of those inside it") {
    const json root = json::parse(R"({"n": 3, "none": null, "o": {"t": "x"}, "list": [{"b": true}]})");
    object_reader in(&root, "/a", true);
    const auto text_of = [](const auto& read) { return check::failure(read).text; };
    CHECK(in.natural("n", 3) == 3);
    CHECK(text_of([&] { in.natural("n", 2); }) == "/a/n: an integer from 0 to 2 wanted, 3 came");
    CHECK(text_of([&] { in.integer("m"); }) == "/a/m: it is missing");
    CHECK(text_of([&] { in.text("none"); }) == "/a/none: it is missing");
    object_reader inner = in.object("o");
    CHECK(inner.text("t") == "x");
    CHECK(text_of([&] { inner.text("u"); }) == "/a/o/u: it is missing");
    std::vector<object_reader> list = in.objects("list");
    CHECK(list.at(0).boolean("b"));
    CHECK(text_of([&] { list.at(0).boolean("c"); }) == "/a/list/0/c: it is missing");
    CHECK(text_of([&] { in.object("p"); }) == "/a/p: it is missing");
}

TEST_CASE("naturals are spelled as such") {
    reading r(R"({"n": 18446744073709551615, "minus": -1, "text": "1", "real": 1.0})");
    CHECK(r.in.natural("n", std::numeric_limits<std::uint64_t>::max()) == 18446744073709551615U);
    CHECK(r.in.natural("absent", 1) == 0);
    for (const auto& [key, came] : {std::pair{"minus", "-1"}, {"text", "\"1\""}, {"real", "1.0"}})
        CHECK(check::failure([&, k = key] { r.in.natural(k, 7); }).text ==
              std::string("/a/") + key + ": an integer from 0 to 7 wanted, " + came + " came");
}

TEST_CASE("integers are numbers or strings") {
    reading r(R"({"a": 12, "b": "12", "c": -9223372036854775808, "d": "9223372036854775807", "e": 3.0, "f": 1e3})");
    CHECK(r.in.integer("a") == 12);
    CHECK(r.in.integer("b") == 12);
    CHECK(r.in.integer("c") == std::numeric_limits<std::int64_t>::min());
    CHECK(r.in.integer("d") == std::numeric_limits<std::int64_t>::max());
    CHECK(r.in.integer("e") == 3);
    CHECK(r.in.integer("f") == 1000);
    for (const char* wrong : {"18446744073709551615", "\"18446744073709551615\"", "1.5", "\"1.5\"", "\"\"", "\"12 \"",
                              "true", "[]", "{}", "1e300"}) {
        const std::string text = std::string("{\"a\": ") + wrong + "}";
        reading bad(text.c_str());
        CHECK(check::failure([&] { bad.in.integer("a"); }).is(errc::bad_value));
    }
    reading bad(R"({"a": "x"})");
    CHECK(check::failure([&] { bad.in.integer("a"); }).text == R"(/a/a: an integer of 64 bits wanted, "x" came)");
}

TEST_CASE("elements of arrays have places") {
    reading r(R"({"kernelSize": [3, "x"], "n": 3, "flags": [true, false], "odd": [true, 1]})");
    CHECK(r.in.booleans("flags") == std::vector<bool>{true, false});
    CHECK(r.in.booleans("none").empty());
    CHECK(check::failure([&] { r.in.booleans("odd"); }).text == "/a/odd/1: true or false wanted, 1 came");
    CHECK(check::failure([&] { r.in.integers("kernelSize"); }).text ==
          R"(/a/kernelSize/1: an integer of 64 bits wanted, "x" came)");
    CHECK(check::failure([&] { r.in.integers("n"); }).text == "/a/n: an array wanted, 3 came");
    CHECK(check::failure([&] { r.in.texts("kernelSize"); }).text == "/a/kernelSize/0: a string wanted, 3 came");
    CHECK(r.in.length("kernelSize") == 2);
    CHECK(r.in.length("none") == 0);
    CHECK(check::failure([&] { r.in.length("n"); }).text == "/a/n: an array wanted, 3 came");
}

TEST_CASE("floats are numbers or strings and must fit") {
    reading r(R"({"a": 0.1, "b": "0.1", "n": "NaN", "i": "Infinity", "m": "-Infinity", "h": 1e39, "s": 1e-60,
                  "l": 3.4028234663852886e38, "x": [1, 0.5, "NaN"]})");
    CHECK(r.in.real("a") == 0.1f);
    CHECK(r.in.real("b") == 0.1f);
    CHECK(r.in.number("a") == 0.1);
    CHECK(std::isnan(r.in.real("n")));
    CHECK(r.in.real("i") == std::numeric_limits<float>::infinity());
    CHECK(r.in.real("m") == -std::numeric_limits<float>::infinity());
    CHECK(r.in.real("s") == 0.0f);
    CHECK(r.in.real("l") == std::numeric_limits<float>::max());
    CHECK(check::failure([&] { r.in.real("h"); }).text == "/a/h: a number of 32 bits wanted, 1e+39 came");
    CHECK(r.in.number("h") == 1e39);
    const auto list = r.in.reals("x");
    REQUIRE(list.size() == 3);
    CHECK(list[1] == 0.5f);
    CHECK(std::isnan(list[2]));
    reading bad(R"({"a": "1x", "b": [1, true]})");
    CHECK(check::failure([&] { bad.in.number("a"); }).text == R"(/a/a: a number wanted, "1x" came)");
    CHECK(check::failure([&] { bad.in.reals("b"); }).text == "/a/b/1: a number wanted, true came");
}

TEST_CASE("enumerators are names or numbers") {
    static constexpr std::string_view names[] = {"MAX", "AVERAGE"};
    static constexpr std::int64_t numbers[] = {0, 65568};
    reading r(R"({"a": "AVERAGE", "b": 1, "c": 65568, "d": "MEAN", "e": 2})");
    CHECK(r.in.enumerator("a", names) == 1);
    CHECK(r.in.enumerator("b", names) == 1);
    CHECK(r.in.enumerator("c", names, numbers) == 1);
    CHECK(r.in.enumerator("absent", names) == 0);
    CHECK(check::failure([&] { r.in.enumerator("d", names); }).text == R"(/a/d: MAX or AVERAGE wanted, "MEAN" came)");
    CHECK(check::failure([&] { r.in.enumerator("e", names); }).text == "/a/e: MAX or AVERAGE wanted, 2 came");
}

TEST_CASE("what nobody reads is an error that names what is like it") {
    reading r(R"({"output_channels": 3})");
    r.in.integer("inputChannels");
    r.in.integer("outputChannels");
    const check::failure failed([&] { r.in.finish(); });
    CHECK(failed.is(errc::unknown_name));
    CHECK(failed.text == R"(/a: unknown field "output_channels", did you mean "outputChannels"?)");
    reading other(R"({"zzz": 3})");
    other.in.integer("inputChannels");
    CHECK(check::failure([&] { other.in.finish(); }).text == R"(/a: unknown field "zzz")");
}

TEST_CASE("members of a oneof exclude each other") {
    static constexpr std::string_view keys[] = {"valid", "same"};
    reading r(R"({"valid": {}, "same": {}})");
    CHECK(check::failure([&] { r.in.one_of(keys); }).text == R"(/a: "valid" and "same" exclude each other)");
    reading one(R"({"valid": null, "same": {}})");
    CHECK(one.in.one_of(keys) == "same");
    CHECK(reading("{}").in.one_of(keys).empty());
}

TEST_CASE("text in errors is cut and printable") {
    CHECK(bespoke::in_quotes("a\nb") == "\"a?b\"");
    CHECK(bespoke::in_quotes(std::string(100, 'x')) == "\"" + std::string(60, 'x') + "...\"");
    reading r(R"({"a/b~c": 1})");
    CHECK(check::failure([&] { r.in.text("a/b~c"); }).text == "/a/a~1b~0c: a string wanted, 1 came");
}

TEST_CASE("binary values") {
    reading r(R"({"text": "AQL/", "wrong": "A", "number": 1})");
    const auto bytes = [](std::initializer_list<int> list) {
        std::vector<std::byte> result;
        for (int b : list) result.push_back(static_cast<std::byte>(b));
        return result;
    };
    CHECK(r.in.bytes("text") == bytes({1, 2, 255}));
    CHECK(r.in.bytes("absent").empty());
    CHECK(check::failure([&] { r.in.bytes("wrong"); }).text == "/a/wrong: base64 wanted");
    CHECK(check::failure([&] { r.in.bytes("number"); }).text == "/a/number: a string wanted, 1 came");

    json root;
    root["bytes"] = json::binary({1, 2, 255});
    root["floats"] = json::binary({0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0});
    root["nothing"] = json::binary({});
    object_reader in(&root, "/a");
    CHECK(in.is_binary("bytes"));
    CHECK_FALSE(in.is_binary("absent"));
    CHECK_FALSE(r.in.is_binary("text"));
    CHECK(in.bytes("bytes") == bytes({1, 2, 255}));
    CHECK(in.length("floats") == 2);
    CHECK(in.reals("floats") == std::vector<float>{1, -2});
    CHECK(in.reals("nothing").empty());
    CHECK(check::failure([&] { in.text("bytes"); }).text == "/a/bytes: a string wanted, 3 bytes came");
    CHECK(check::failure([&] { in.integers("floats"); }).text == "/a/floats: an array wanted, 8 bytes came");
    CHECK_NOTHROW(in.finish());
}
