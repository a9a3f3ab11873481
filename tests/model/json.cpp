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

TEST_CASE("a file of another kind is called what it looks like") {
    const auto text = [](const std::string& bytes) { return parsing(bytes).text; };
    const std::string wanted = "model: a model as JSON or a .mlmodel wanted, this is ";
    using namespace std::string_literals;
    CHECK(text("\x08\x07\x12\x07pytorch"s) ==
          wanted + "protobuf: Core ML if its name ends in .mlmodel, or ONNX, which is not read");
    CHECK(text("PK\x03\x04\0\0\0\0"s) == wanted + "a zip archive (PyTorch, Keras, NumPy)");
    CHECK(text("\x89HDF\r\n\x1a\n"s) == wanted + "HDF5 (Keras)");
    CHECK(text("\x1c\0\0\0TFL3"s) == wanted + "TensorFlow Lite");
    CHECK(text("@\0\0\0\0\0\0\0{\"__metadata__\":{}}"s) ==
          wanted + "a safetensors file: weights, which the JSON document beside it names");
    CHECK(text("version https://git-lfs.github.com/spec/v1\n") ==
          wanted + "a pointer of Git LFS, which `git lfs pull` replaces by the file");
    for (const char* binary : {"\x01", "\x7f" "ELF", "\xff\xd8\xff"}) CHECK(text(binary) == wanted + "a binary file");
    CHECK(parsing("\x01").is(errc::malformed_file));
    CHECK(text("GIF89a").find("not JSON at byte 1") != std::string::npos);
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

TEST_CASE("numbers are whole where they are spelled so, and finite") {
    const auto came = [](const std::string& number) { return parsing(number).text; };
    CHECK(came("-9223372036854775808") == "/: an object wanted, -9223372036854775808 came");
    CHECK(came("18446744073709551615") == "/: an object wanted, 18446744073709551615 came");
    CHECK(came("18446744073709551616") == "/: an object wanted, 1.8446744073709552e+19 came");
    CHECK(came("-0") == "/: an object wanted, 0 came");
    CHECK(came("12.5e-1") == "/: an object wanted, 1.25 came");
    CHECK(came("1e-999") == "/: an object wanted, 0.0 came");
    CHECK(came("-1e-99999999999999999999") == "/: an object wanted, -0.0 came");
    CHECK(came("0." + std::string(400, '0') + "1") == "/: an object wanted, 0.0 came");
    CHECK(came("[1, 1e999, 1]") == "model: /1: the number is too large for a double");
    CHECK(came("{\"a\": [[1e99999999999999999999]]}") == "model: /a/0/0: the number is too large for a double");
    CHECK(came(std::string(400, '1')) == "model: the number is too large for a double");
    for (const char* wrong : {"01", "1.", ".5", "+1", "-", "1e", "1e+", "0x1", "NaN", "-Infinity"})
        CHECK(parsing(wrong).is(errc::malformed_file));
}

TEST_CASE("strings are UTF-8, spelled out or escaped") {
    // As many bytes as '?' are shown.
    const auto came = [](const std::string& text) { return parsing("\"" + text + "\"").text; };
    CHECK(came(R"(a\"\\\/\b\f\n\r\t\u0041)") == R"(/: an object wanted, "a"\/?????A" came)");
    CHECK(came(R"(\u00e9 \u20AC \ud83d\uDE00)") == R"(/: an object wanted, "?? ??? ????" came)");
    CHECK(came("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x7f") == R"(/: an object wanted, "?? ??? ???? ?" came)");
    CHECK(came("\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf") == R"(/: an object wanted, "??????????" came)");
    for (const char* wrong : {"\n", "\x1f", R"(\x)", R"(\u12g4)", R"(\ud800)", R"(\udc00)", R"(\ud800\u0041)",
                              "\x80", "\xc0\x80", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                              "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"})
        CHECK(came(wrong).find("not JSON at byte") != std::string::npos);
    CHECK(parsing("\"a").text == "model: not JSON: it ends after 2 bytes, in the middle of a value");
    CHECK(parsing(std::string("1\0", 2)).text == "model: not JSON at byte 2, at the end of '1?'");
}

TEST_CASE("what stands between values is looked at") {
    CHECK(parsing("\xef\xbb\xbf \t\r\n[ ] ").text == "/: an object wanted, an array came");
    for (const char* wrong : {"[1,]", "[1 2]", "[,]", "{\"a\" 1}", "{\"a\":1,}", "{1:2}", "[}", "[1}", "nul", "trux"})
        CHECK(parsing(wrong).is(errc::malformed_file));
    CHECK(parsing("[[], {}, {\"a\": {\"b\": null}}, true, false]").text == "/: an object wanted, an array came");
}
