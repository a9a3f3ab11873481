#include "failure.hpp"

#include <bespoke/layers/convolution.hpp>
#include <bespoke/model/layer_fields.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using nlohmann::json;

namespace {

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place;

enum class colour { red, green };
constexpr std::array<std::string_view, 2> enumerators(colour) { return {"RED", "GREEN"}; }

struct inner {
    extent n = 7;
    constexpr void fields(auto& field) { field("n", n); }
    friend bool operator==(const inner&, const inner&) = default;
};

/// A field of each kind.
struct all_kinds {
    bool flag = false;
    extent wide = 0;
    std::int32_t narrow = 0;
    float real = 0;
    float limit = 0;
    double number = 0;
    std::string_view text;
    colour hue = colour::red;
    shape extents{3};
    std::array<extent, 2> pair{5, 6};
    std::array<float, 2> reals{};
    list<extent, 10> numbers;
    list<bool, 3> flags;
    inner message;
    std::array<inner, 2> messages;
    std::variant<valid_padding, same_padding> choice;

    constexpr void fields(auto& field) {
        field("flag", flag);
        field("wide", wide);
        field("narrow", narrow);
        field("real", real);
        field("limit", limit, field_floats::any);
        field("number", number);
        field("text", text);
        field("hue", hue);
        field("extents", extents);
        field("pair", pair);
        field("reals", reals);
        field("numbers", numbers);
        field("flags", flags);
        field("message", message);
        field("messages", messages);
        field(choice);
    }
};

struct result {
    all_kinds values;
    implied_fields implied;
    text_pool texts;
};
result read(const std::string& text) {
    result r;
    const json root = json::parse(text);
    object_reader in(&root, "/a");
    read_fields(detail::table_of<all_kinds>::value, &r.values, in, r.implied, r.texts);
    in.finish();
    return r;
}
json written(const all_kinds& values, const implied_fields* implied) {
    object_writer out;
    written_place place{implied, "/a"};
    write_fields(detail::table_of<all_kinds>::value, &values, out, place);
    CHECK(place.text == "/a");
    return json::parse(out.dump());
}

}  // namespace

TEST_CASE("fields: every kind goes there and back") {
    const std::string text = R"({"flag": true, "wide": "12", "narrow": -3, "real": 0.5, "number": 0.25, "text": "t",
        "hue": "GREEN", "extents": ["1", "2"], "pair": ["8", "9"], "reals": [0, 1.5],
        "numbers": ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "flags": [false, true], "message": {"n": "1"},
        "messages": [{"n": "2"}, {"n": "3"}], "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}})";
    const result r = read(text);
    CHECK(r.values.flag);
    CHECK(r.values.wide == 12);
    CHECK(r.values.narrow == -3);
    CHECK(r.values.real == 0.5f);
    CHECK(r.values.number == 0.25);
    CHECK(r.values.text == "t");
    CHECK(r.values.hue == colour::green);
    CHECK(r.values.extents == shape{1, 2});
    CHECK(r.values.pair == std::array<extent, 2>{8, 9});
    CHECK(r.values.reals == std::array<float, 2>{0, 1.5f});
    CHECK(r.values.numbers == list<extent, 10>{1, 2, 3, 4, 5, 6, 7, 8, 9});
    CHECK(r.values.flags == list<bool, 3>{false, true});
    CHECK(r.values.message.n == 1);
    CHECK(r.values.messages[1].n == 3);
    REQUIRE(std::holds_alternative<same_padding>(r.values.choice));
    CHECK(std::get<same_padding>(r.values.choice).asymmetry_mode == same_padding_mode::top_left_heavy);
    CHECK(r.implied.empty());
    CHECK(written(r.values, &r.implied) == json::parse(text));
    CHECK(written(r.values, nullptr) == json::parse(text));
}

TEST_CASE("fields: what is left out keeps its default and is left out again") {
    const result r = read(R"({"same": {}})");  // which has no default
    CHECK(r.values.extents == shape{3});
    CHECK(r.values.pair == std::array<extent, 2>{5, 6});
    CHECK(r.values.reals == std::array<float, 2>{0, 0});
    CHECK(r.values.message.n == 0);  // an absent message is one that is empty
    CHECK(r.implied == implied_fields{"/a/extents", "/a/flags", "/a/message", "/a/messages", "/a/numbers", "/a/pair"});
    CHECK(written(r.values, &r.implied) == json::parse(R"({"same": {}})"));
    CHECK(read(R"({"message": {}, "same": {}})").values.message.n == 0);
    // composed in code: messages are left out where they are as one that is absent, arrays and oneofs are not
    json whole = json::parse(R"({"extents": ["3"], "pair": ["5", "6"], "message": {"n": "7"},
                                 "messages": [{"n": "7"}, {"n": "7"}], "valid": {}})");
    CHECK(written(all_kinds{}, nullptr) == whole);
    CHECK(read(whole.dump()).values.message.n == 7);
    all_kinds other;
    other.message.n = 0;
    whole.erase("message");
    CHECK(written(other, nullptr) == whole);
}

TEST_CASE("fields: what does not fit says where") {
    const auto problem = [](const std::string& text) { return check::failure([&] { read(text); }).text; };
    CHECK(problem(R"({"narrow": 3000000000})") == "/a/narrow: an integer of 32 bits wanted, 3000000000 came");
    CHECK(problem(R"({"narrow": -3e9})") == "/a/narrow: an integer of 32 bits wanted, -3000000000 came");
    CHECK(problem(R"({"real": "NaN"})") == "/a/real: a finite number wanted, NaN came");
    CHECK(problem(R"({"number": "-Infinity"})") == "/a/number: a finite number wanted, -Infinity came");
    CHECK(problem(R"({"reals": [1, "Infinity"]})") == "/a/reals: a finite number wanted, Infinity came");
    CHECK(read(R"({"limit": "-Infinity", "valid": {}})").values.limit == -std::numeric_limits<float>::infinity());
    CHECK(problem(R"({"extents": [1, 2, 3, 4, 5, 6, 7, 8, 9]})") == "/a/extents: at most 8 numbers wanted, 9 came");
    CHECK(problem(R"({"flags": [true, true, false, true]})") == "/a/flags: at most 3 elements wanted, 4 came");
    CHECK(problem(R"({"numbers": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]})") ==
          "/a/numbers: at most 10 elements wanted, 11 came");
    CHECK(problem(R"({"flags": [true, 0]})") == "/a/flags/1: true or false wanted, 0 came");
    CHECK(problem(R"({"pair": [1]})") == "/a/pair: 2 elements wanted, 1 came");
    CHECK(problem(R"({"reals": [1, 2, 3]})") == "/a/reals: 2 elements wanted, 3 came");
    CHECK(problem(R"({"reals": [1, "x"]})") == R"(/a/reals/1: a number wanted, "x" came)");
    CHECK(problem(R"({"messages": [{}]})") == "/a/messages: 2 elements wanted, 1 came");
    CHECK(problem(R"({"message": {"m": 1}})").find("/a/message: unknown field \"m\"") == 0);
    CHECK(problem(R"({"messages": [{}, {"n": "x"}]})") == R"(/a/messages/1/n: an integer of 64 bits wanted, "x" came)");
    CHECK(problem("{}") == R"(/a: "valid" or "same" wanted, none came)");
    CHECK(problem(R"({"Same": {}})") == R"(/a: unknown field "Same", did you mean "same"?)");
    CHECK(problem(R"({"valid": {}, "same": {}})") == R"(/a: "valid" and "same" exclude each other)");
}
