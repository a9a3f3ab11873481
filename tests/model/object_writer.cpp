#include "failure.hpp"

#include <bespoke/model/object_writer.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

using bespoke::errc;
using bespoke::object_reader;
using bespoke::object_writer;
using nlohmann::json;

TEST_CASE("what is written leaves out defaults") {
    object_writer out;
    out.boolean("b", false);
    out.integer("i", 0);
    out.real("f", 0);
    out.text("t", "");
    out.integers("is", {});
    out.booleans("bs", {});
    out.objects("os", {});
    CHECK(out.empty());
    CHECK(out.dump() == "{}");
    out.boolean("b", true);
    out.integer("i", -12);
    out.small_integer("v", 4);
    out.text("t", "a\"b\n");
    out.integers("is", std::vector<std::int64_t>{1, 8});
    out.booleans("bs", {true, false});
    object_writer inner;
    inner.present("z", 0);
    out.objects("os", std::vector{inner, object_writer()});
    CHECK(out.dump() == R"({
  "b": true,
  "i": "-12",
  "v": 4,
  "t": "a\"b\n",
  "is": ["1", "8"],
  "bs": [true, false],
  "os": [
    {
      "z": 0
    },
    {}
  ]
})");
    CHECK_NOTHROW(json::parse(out.dump()));
    CHECK(check::failure([&] { out.text("u", "\xff"); }).is(errc::bad_value));
}

TEST_CASE("floats are written as short as they read back") {
    const auto written = [](auto value) {
        object_writer out;
        out.present("x", value);
        return out.dump().substr(9, out.dump().size() - 11);
    };
    CHECK(written(0.1f) == "0.1");
    CHECK(written(0.1) == "0.1");
    CHECK(written(3.0f) == "3");
    CHECK(written(3.0) == "3");
    CHECK(written(1.0 / 3) == "0.3333333333333333");
    CHECK(written(0.0f) == "0");
    CHECK(written(-0.0f) == "-0.0");  // -0 would be read as an integer
    CHECK(written(1.0f / 3) == "0.33333334");
    CHECK(written(std::numeric_limits<float>::infinity()) == "\"Infinity\"");
    CHECK(written(std::nanf("")) == "\"NaN\"");
    CHECK(written(-std::numeric_limits<double>::infinity()) == "\"-Infinity\"");
    CHECK(written(std::nan("")) == "\"NaN\"");
    CHECK(written(-0.0) == "-0.0");
    std::uint32_t state = 0x80000000u;  // -0, and then any number
    for (int i = 0; i < 100'000; ++i, state = state * 1664525u + 1013904223u) {
        const float value = std::bit_cast<float>(state);
        if (!std::isfinite(value)) continue;
        const json root = json::parse("{\"x\": " + written(value) + "}");
        object_reader in(&root, "");
        CHECK(std::bit_cast<std::uint32_t>(in.real("x")) == state);
        const double wide = value * (1 + 0x1p-40);
        const json same = json::parse("{\"x\": " + written(wide) + "}");
        CHECK(std::bit_cast<std::uint64_t>(same["x"].get<double>()) == std::bit_cast<std::uint64_t>(wide));
    }
}

TEST_CASE("the first difference of two objects") {
    object_writer file, mine;
    file.integer("a", 1);
    mine.integer("a", 1);
    CHECK(file.difference(mine, "the file").empty());
    mine.integer("b", 2);
    CHECK(file.difference(mine, "the file") == R"(b is left out in the file, "2")");
}
