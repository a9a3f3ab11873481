#include <bespoke/model/safetensors.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

using namespace bespoke;
using check::failure;

namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<std::byte> bytes_of(std::initializer_list<T> values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.begin(), bytes.size());
    return bytes;
}

std::string length_of(std::uint64_t n) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(n >> (8 * i) & 255);
    return bytes;
}

/// A file of this header and `data` zeros.
std::vector<std::byte> file(std::string_view header, std::size_t data = 0) {
    return bytes_of(length_of(header.size()) + std::string(header) + std::string(data, '\0'));
}

failure refused(std::vector<std::byte> bytes) {
    return failure([&] { safetensors::parse(std::move(bytes), "w"); });
}
failure refused(std::string_view header, std::size_t data = 0) { return refused(file(header, data)); }

/// What comes of {"a": {...}} before `data` bytes.
failure refused_entry(std::string_view entry, std::size_t data = 8) {
    return refused("{\"a\":" + std::string(entry) + "}", data);
}

}  // namespace

TEST_CASE("safetensors: a file written by hand") {
    const std::string header =
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},)"
        R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
        R"("scalar":{"shape":[],"data_offsets":[10,12],"dtype":"F16"}}  )";
    auto bytes = file(header);
    for (unsigned b : {7u, 9u, 0u, 0u, 0x80u, 0x3fu, 0u, 0u, 0u, 0xc0u, 0x00u, 0x3cu})
        bytes.push_back(static_cast<std::byte>(b));
    const auto copy = [&] {
        const safetensors parsed = safetensors::parse(bytes, "w");
        return safetensors(parsed);  // what it refers to outlives the first
    }();
    CHECK(copy.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
    REQUIRE(copy.entries().size() == 3);
    CHECK(copy.entries()[0].name == "a");
    CHECK(copy.entries()[0].dtype == "U8");
    CHECK(copy.entries()[0].dimensions == shape{2});
    CHECK(copy.entries()[0].bytes[1] == std::byte{9});
    CHECK(copy.find("a") == &copy.entries()[0]);
    REQUIRE(copy.find("b"));
    CHECK(copy.find("b")->dimensions == shape{2, 1});
    CHECK(to_floats(*copy.find("b")) == std::vector<float>{1, -2});
    CHECK(copy.find("scalar")->dimensions == shape{});
    CHECK(to_floats(*copy.find("scalar")) == std::vector<float>{1});
    CHECK(copy.find("c") == nullptr);
    CHECK(copy.find("") == nullptr);
}

TEST_CASE("safetensors: what is written is read, whatever the order") {
    const auto f = bytes_of({1.5f, -0.0f, std::numeric_limits<float>::infinity()});
    const auto i = bytes_of({std::int64_t{-1}, std::int64_t{1} << 60});
    const auto u = bytes_of("abc");
    const tensor_entry entries[] = {{"u \"\\\n\xc3\xa9", "U8", {3, 1}, u},
                                    {"f", "F32", {3}, f},
                                    {"empty", "F64", {0, 4}, {}},
                                    {"i", "I64", {1, 2}, i}};
    const tensor_entry other_order[] = {entries[3], entries[0], entries[1], entries[2]};
    const std::map<std::string, std::string> metadata{{"a", "1"}, {"b", "\t"}};
    const auto written = to_safetensors(entries, metadata);
    CHECK(written == to_safetensors(other_order, metadata));

    const safetensors read = safetensors::parse(written, "w");
    CHECK(read.metadata() == metadata);
    CHECK(read.entries().size() == 4);
    for (const tensor_entry& e : entries) {
        const tensor_entry* found = read.find(e.name);
        REQUIRE(found);
        CHECK(found->dtype == e.dtype);
        CHECK(found->dimensions == e.dimensions);
        CHECK(std::vector(found->bytes.begin(), found->bytes.end()) ==
              std::vector(e.bytes.begin(), e.bytes.end()));
        const auto aligned = static_cast<std::ptrdiff_t>(find_dtype(e.dtype)->size);
        CHECK((found->bytes.data() - read.find("empty")->bytes.data()) % aligned == 0);
    }
    CHECK(to_safetensors(read.entries(), read.metadata()) == written);
}

TEST_CASE("safetensors: the bytes of a file") {
    const auto a = bytes_of({1.0f});
    const auto b = bytes_of("z");
    const tensor_entry entries[] = {{"b", "I8", {1, 1}, b}, {"a", "F32", {}, a}};
    const std::string header =
        R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
        R"("b":{"dtype":"I8","shape":[1,1],"data_offsets":[4,5]}})";
    REQUIRE(header.size() == 132);
    auto wanted = bytes_of(length_of(136) + header + "    ");
    wanted.insert(wanted.end(), a.begin(), a.end());
    wanted.insert(wanted.end(), b.begin(), b.end());
    CHECK(to_safetensors(entries, {{"k", "v"}}) == wanted);
    CHECK(to_safetensors({}) == bytes_of(length_of(8) + "{}      "));
    CHECK(safetensors::parse(to_safetensors({}), "w").entries().empty());
}

TEST_CASE("safetensors: elements as floats") {
    const auto floats = [](std::string_view dtype, std::vector<std::byte> bytes) {
        // Moved by one byte: nothing in the format aligns the data.
        bytes.insert(bytes.begin(), std::byte{});
        const std::size_t size = (bytes.size() - 1) / find_dtype(dtype)->size;
        return to_floats({"x", dtype, {static_cast<extent>(size)}, std::span(bytes).subspan(1)});
    };
    CHECK(floats("F32", bytes_of({1.0f, -0.1f})) == std::vector<float>{1.0f, -0.1f});
    CHECK(floats("F64", bytes_of({1.0, -0.1})) == std::vector<float>{1.0f, -0.1f});
    CHECK(floats("F64", bytes_of({1e300})) == std::vector<float>{std::numeric_limits<float>::infinity()});
    CHECK(floats("F16", bytes_of({std::uint16_t{0x3c00}, std::uint16_t{0xc000}})) ==
          std::vector<float>{1, -2});
    CHECK(floats("BF16", bytes_of({std::uint16_t{0x3f80}, std::uint16_t{0xc000}})) ==
          std::vector<float>{1, -2});
    CHECK(floats("F32", {}).empty());
    CHECK(std::isnan(floats("F32", bytes_of({std::numeric_limits<float>::quiet_NaN()}))[0]));
    const failure integers([&] { floats("I64", bytes_of({std::int64_t{1}})); });
    CHECK(integers.is(errc::bad_value));
    CHECK(integers.text == "tensor \"x\": F32, F64, F16 or BF16 wanted, but the dtype is I64");
}

TEST_CASE("safetensors: floats are read where they lie, if they can be") {
    alignas(8) const float numbers[] = {1, 2, 3};
    const auto bytes = std::as_bytes(std::span(numbers));
    CHECK(floats_in({"x", "F32", {3}, bytes}) == numbers);
    CHECK(floats_in({"x", "F32", {2}, bytes.subspan(4)}) == numbers + 1);
    CHECK(floats_in({"x", "F32", {2}, bytes.subspan(1, 8)}) == nullptr);
    CHECK(floats_in({"x", "F64", {1}, bytes.first(8)}) == nullptr);
    CHECK(floats_in({"x", "F16", {6}, bytes}) == nullptr);

    std::weak_ptr<const void> watch;
    {
        const tensor_entry entry{"x", "F32", {3}, bytes};
        const auto file = safetensors::parse(to_safetensors(std::span(&entry, 1)), "w");
        watch = file.owner();
        CHECK_FALSE(watch.expired());
    }
    CHECK(watch.expired());
}

TEST_CASE("safetensors: every dtype has its size") {
    for (const known_dtype& dtype : known_dtypes) {
        const std::vector<std::byte> bytes(3 * dtype.size);
        const tensor_entry entries[] = {{"x", dtype.name, {3}, bytes}};
        CHECK(safetensors::parse(to_safetensors(entries), "w").find("x")->dtype == dtype.name);
    }
    CHECK(find_dtype("F32")->size == 4);
    CHECK(find_dtype("BOOL")->size == 1);
    CHECK(find_dtype("C64")->size == 8);
    CHECK(find_dtype("f32") == nullptr);
}

TEST_CASE("safetensors: files that are no safetensors file") {
    CHECK(refused(bytes_of("")).text == "w: a safetensors file has at least 8 bytes, but this one has 0");
    CHECK(refused(bytes_of("1234567")).text ==
          "w: a safetensors file has at least 8 bytes, but this one has 7");
    CHECK(refused(bytes_of(length_of(std::uint64_t{1} << 60) + "{}")).text ==
          "w: the header should have 1152921504606846976 bytes, but only 2 follow");
    CHECK(refused(bytes_of(length_of(~std::uint64_t{0}) + "{}")).text ==
          "w: the header should have 18446744073709551615 bytes, but only 2 follow");
    CHECK(refused(bytes_of(length_of(3) + "{}")).text ==
          "w: the header should have 3 bytes, but only 2 follow");
    CHECK(refused("").text == "w: the header should begin with '{', but it begins with ''");
    CHECK(refused(" {}").text == "w: the header should begin with '{', but it begins with ' '");
    CHECK(refused("[]").text == "w: the header should begin with '{', but it begins with '['");
    CHECK(refused("{").text == "w: not JSON: it ends after 1 bytes, in the middle of a value");
    CHECK(refused("{}x").text == "w: not JSON at byte 3, at the end of '{}x'");
    CHECK(refused("{\"a\xff\"}").text == "w: not JSON at byte 4, at the end of '{\"a?'");
    for (const failure& f : {refused(bytes_of("")), refused(""), refused("{"), refused("{}x")})
        CHECK(f.is(errc::malformed_file));
}

TEST_CASE("safetensors: names that come twice") {
    const std::string_view entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    const failure tensor = refused("{\"a\":" + std::string(entry) + ",\"a\":" + std::string(entry) + "}");
    CHECK(tensor.is(errc::duplicate_name));
    CHECK(tensor.text == "w: /a: the key comes twice");
    CHECK(refused_entry(R"({"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]})").text ==
          "w: /a/dtype: the key comes twice");
    CHECK(refused(R"({"__metadata__":{"a":"1","\u0061":"2"}})").text ==
          "w: /__metadata__/a: the key comes twice");
}

TEST_CASE("safetensors: brackets without end") {
    const failure deep = refused("{\"a\":" + std::string(100'000, '['));
    CHECK(deep.is(errc::malformed_file));
    std::string place = "w: /a";
    for (int i = 0; i < 63; ++i) place += "/0";
    CHECK(deep.text == place + ": brackets nest deeper than 64");
    // One level less is not too deep: it fails for what it is.
    CHECK(refused("{\"a\":" + std::string(63, '[') + std::string(63, ']') + "}").text ==
          "w: tensor \"a\": an object wanted, but it is of type array");
}

TEST_CASE("safetensors: entries that do not say what they should") {
    using row = std::tuple<std::string, errc, std::string>;
    const auto [entry, code, text] = GENERATE(values<row>({
        {"1", errc::malformed_file, "an object wanted, but it is the number 1"},
        {"{}", errc::malformed_file, "no dtype"},
        {R"({"dtype":"U8"})", errc::malformed_file, "no shape"},
        {R"({"dtype":"U8","shape":[8]})", errc::malformed_file, "no data_offsets"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":1})", errc::malformed_file,
         R"(dtype, shape and data_offsets wanted, but "x" came)"},
        {R"({"dtype":8,"shape":[8],"data_offsets":[0,8]})", errc::malformed_file,
         "dtype: a string wanted, but it is the number 8"},
        {R"({"dtype":"U9","shape":[8],"data_offsets":[0,8]})", errc::unsupported,
         R"(dtype: no type is called "U9")"},
        {R"({"dtype":"U8","shape":8,"data_offsets":[0,8]})", errc::malformed_file,
         "shape: an array wanted, but it is the number 8"},
        {R"({"dtype":"U8","shape":[8,-1],"data_offsets":[0,8]})", errc::malformed_file,
         "shape/1: an integer from 0 to 2^63 - 1 wanted, but it is the number -1"},
        {R"({"dtype":"U8","shape":[8.0],"data_offsets":[0,8]})", errc::malformed_file,
         "shape/0: an integer from 0 to 2^63 - 1 wanted, but it is the number 8.0"},
        {R"({"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,8]})", errc::malformed_file,
         "shape/0: an integer from 0 to 2^63 - 1 wanted, but it is the number 9223372036854775808"},
        {R"({"dtype":"U8","shape":["8"],"data_offsets":[0,8]})", errc::malformed_file,
         "shape/0: an integer from 0 to 2^63 - 1 wanted, but it is of type string"},
        {R"({"dtype":"U8","shape":[8,1,1,1,1,1,1,1,1],"data_offsets":[0,8]})", errc::unsupported,
         "shape: at most 8 axes wanted, but there are 9"},
        {R"({"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,8]})", errc::malformed_file,
         "shape: [1152921504606846976] has more than 2^59 elements"},
        {R"({"dtype":"F32","shape":[4294967296,4294967298],"data_offsets":[0,8]})", errc::malformed_file,
         "shape: [4294967296, 4294967298] has more than 2^59 elements"},
        {R"({"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})", errc::malformed_file,
         "shape: [0, 4294967296, 4294967296] has more than 2^59 elements"},
        {R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", errc::malformed_file,
         "F32 [3] takes 12 bytes, but data_offsets span 8"},
        {R"({"dtype":"F32","shape":[],"data_offsets":[0,8]})", errc::malformed_file,
         "F32 [] takes 4 bytes, but data_offsets span 8"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":8})", errc::malformed_file,
         "data_offsets: an array wanted, but it is the number 8"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":[0]})", errc::malformed_file,
         "data_offsets: 2 numbers wanted, but there are 1"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":[null,8]})", errc::malformed_file,
         "data_offsets/0: an integer from 0 to 2^63 - 1 wanted, but it is of type null"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":[8,0]})", errc::malformed_file,
         "data_offsets: a part of the 8 bytes of data wanted, but it is 8 to 0"},
        {R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})", errc::malformed_file,
         "data_offsets: a part of the 8 bytes of data wanted, but it is 0 to 9"},
        {R"({"dtype":"U8","shape":[8],"data_offsets":[9223372036854775799,9223372036854775807]})",
         errc::malformed_file,
         "data_offsets: a part of the 8 bytes of data wanted, but it is 9223372036854775799 to "
         "9223372036854775807"},
    }));
    const failure f = refused_entry(entry);
    CHECK(f.text == "w: tensor \"a\": " + text);
    CHECK(f.is(code));
}

TEST_CASE("safetensors: names from the file are cut and made printable") {
    CHECK(refused("{\"" + std::string(1000, 'x') + "\\n\":1}").text ==
          "w: tensor \"" + std::string(60, 'x') + "...\": an object wanted, but it is the number 1");
    CHECK(refused(R"({"\u001b[2J":1})").text ==
          "w: tensor \"?[2J\": an object wanted, but it is the number 1");
}

TEST_CASE("safetensors: metadata is text") {
    CHECK(refused(R"({"__metadata__":[]})").text ==
          "w: __metadata__: an object wanted, but it is of type array");
    CHECK(refused(R"({"__metadata__":{"k":1}})").text ==
          "w: __metadata__: \"k\": a string wanted, but it is the number 1");
}

TEST_CASE("safetensors: each byte belongs to one tensor") {
    const auto two = [](std::string_view a, std::string_view b) {
        const auto entry = [](std::string_view offsets) {
            const int begin = offsets[0] - '0', end = offsets[2] - '0';
            return R"({"dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
                   std::string(offsets) + "]}";
        };
        return refused("{\"a\":" + entry(a) + ",\"b\":" + entry(b) + "}", 8).text;
    };
    CHECK(two("0,4", "4,8") == "nothing is thrown");
    CHECK(two("4,8", "0,4") == "nothing is thrown");
    CHECK(two("0,8", "8,8") == "nothing is thrown");
    CHECK(two("0,8", "0,0") == "nothing is thrown");
    CHECK(two("0,4", "3,8") ==
          "w: tensor \"b\": its data begins at byte 3, inside the data of another tensor");
    CHECK(two("0,8", "0,8") ==
          "w: tensor \"b\": its data begins at byte 0, inside the data of another tensor");
    CHECK(two("0,8", "4,4") ==
          "w: tensor \"b\": its data begins at byte 4, inside the data of another tensor");
    CHECK(two("0,4", "5,8") == "w: data: bytes 4 to 5 belong to no tensor");
    CHECK(two("1,4", "4,8") == "w: data: bytes 0 to 1 belong to no tensor");
    CHECK(two("0,4", "4,7") == "w: data: bytes 7 to 8 belong to no tensor");
    CHECK(refused("{}", 1).text == "w: data: bytes 0 to 1 belong to no tensor");
}

TEST_CASE("safetensors: what is not written") {
    const auto data = bytes_of("1234");
    const auto refused_write = [](std::vector<tensor_entry> entries,
                                  std::map<std::string, std::string> metadata = {}) {
        return failure([&] { to_safetensors(entries, metadata); });
    };
    const failure size = refused_write({{"a", "F32", {2}, data}});
    CHECK(size.is(errc::bad_argument));
    CHECK(size.text == "tensor \"a\": F32 [2] wanted, but 4 bytes came");
    CHECK(refused_write({{"a", "F32", {-1}, data}}).text ==
          "tensor \"a\": F32 [-1] wanted, but 4 bytes came");
    CHECK(refused_write({{"a", "F33", {1}, data}}).text == "tensor \"a\": no type is called \"F33\"");
    const failure twice = refused_write({{"a", "F32", {1}, data}, {"a", "F32", {1}, data}});
    CHECK(twice.is(errc::duplicate_name));
    CHECK(twice.text == "tensor \"a\": the name is taken");
    CHECK(refused_write({{"__metadata__", "F32", {1}, data}}).text ==
          "tensor \"__metadata__\": the name is taken");
    const failure text = refused_write({{"a\xff", "F32", {1}, data}});
    CHECK(text.is(errc::bad_argument));
    CHECK(text.text == "\"a?\" is not UTF-8");
    CHECK(refused_write({}, {{"k", "\xff"}}).text == "\"?\" is not UTF-8");
}

TEST_CASE("safetensors: files on disk") {
    const failure missing([] { safetensors::load("no/such/file.safetensors"); });
    CHECK(missing.is(errc::io));
    CHECK(missing.text == "no/such/file.safetensors: cannot read: No such file or directory");

    // Written by another program.
    const safetensors images =
        safetensors::load(BESPOKE_SOURCE_DIR "/examples/data/digits_images.safetensors");
    REQUIRE(images.find("images"));
    CHECK(images.find("images")->dtype == "U8");
    CHECK(images.find("images")->dimensions == shape{1797, 8, 8});
    CHECK(to_safetensors(images.entries()) ==
          read_file(BESPOKE_SOURCE_DIR "/examples/data/digits_images.safetensors"));
}
