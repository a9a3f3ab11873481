#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>

#include <string>

// The guards of the parser, seen through `parse`: safetensors.cpp tests the same ones on headers.
namespace {

using bespoke::errc;

check::failure parsing(const std::string& text) {
    return check::failure([&] { bespoke::parse(text); });
}

}  // namespace

TEST_CASE("what is not JSON is refused with the place") {
    const auto cut = parsing(R"({"specificationVersion": 4, "descr)");
    CHECK(cut.is(errc::malformed_file));
    CHECK(cut.text == "model: not JSON: it ends after 34 bytes, in the middle of a value");
    CHECK(parsing("").is(errc::malformed_file));
    const auto wrong = parsing(R"({"specificationVersion": 4,, "description": {}})");
    CHECK(wrong.is(errc::malformed_file));
    CHECK(wrong.text == R"(model: not JSON at byte 28, at the end of 'icationVersion": 4,,')");
    CHECK(parsing("{} {}").is(errc::malformed_file));
    CHECK(parsing("\"\xff\"").is(errc::malformed_file));
    CHECK(parsing(R"({"specificationVersion": 1e999})").is(errc::malformed_file));
}

TEST_CASE("a document is an object") {
    CHECK(parsing("[]").text == "/: an object wanted, an array came");
    CHECK(parsing("3").text == "/: an object wanted, 3 came");
}

TEST_CASE("keys that come twice are refused") {
    const auto twice = parsing(R"({"description": {"input": [], "input": []}})");
    CHECK(twice.is(errc::duplicate_name));
    CHECK(twice.text == "model: /description/input: the key comes twice");
}

TEST_CASE("brackets that nest too deep are refused") {
    const auto deep = parsing(std::string(100'000, '['));
    CHECK(deep.is(errc::malformed_file));
    CHECK(deep.text.find("brackets nest deeper than 64") != std::string::npos);
    CHECK(parsing(std::string(64, '[') + std::string(64, ']')).text == "/: an object wanted, an array came");
}
