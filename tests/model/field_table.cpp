#include <bespoke/layers/convolution.hpp>
#include <bespoke/model/field_table.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;
using detail::field_kind;

namespace {

struct inside {
    extent n = 7;
    constexpr void fields(auto& field) { field("n", n); }
    friend bool operator==(const inside&, const inside&) = default;
};
struct outside {
    bool flag = true;
    list<extent, 4> numbers;
    inside message;
    std::array<inside, 2> messages;
    std::variant<valid_padding, same_padding> choice;

    constexpr void fields(auto& field) {
        field("flag", flag);
        field("numbers", numbers);
        field("message", message);
        field("messages", messages);
        field(choice);
    }
};
constexpr const detail::field_table& table = detail::table_of<outside>::value;

}  // namespace

TEST_CASE("a table says of each field its name, its kind and where it is") {
    REQUIRE(table.entries.size() == 5);
    const field_kind kinds[] = {field_kind::boolean, field_kind::integers, field_kind::message, field_kind::messages,
                                field_kind::choice};
    for (std::size_t i = 0; i < 5; ++i) CHECK(table.entries[i].kind == kinds[i]);
    CHECK(table.entries[1].key == "numbers");
    CHECK(table.entries[1].count == 4);
    CHECK(table.entries[3].count == 2);
    CHECK(table.entries[3].stride == sizeof(inside));
    CHECK(table.entries[2].messages[0]->entries[0].key == "n");
    outside one;
    void* members[detail::field_table::most];
    table.locate(&one, members);
    CHECK(members[0] == &one.flag);
    CHECK(members[4] == &one.choice);
    CHECK_FALSE(table.entries[2].is_default(&one.message));  // left out, it would be read as 0
    one.message.n = 0;
    CHECK(table.entries[2].is_default(&one.message));
}

TEST_CASE("a list and a oneof are reached through their table") {
    outside one;
    const detail::field_entry &numbers = table.entries[1], &choice = table.entries[4];
    const std::array<std::int64_t, 2> values{3, 4};
    numbers.assign(&one.numbers, values);
    CHECK(one.numbers == list<extent, 4>{3, 4});
    CHECK(numbers.elements(&one.numbers) == std::vector<std::int64_t>{3, 4});
    CHECK(choice.names[1] == "same");
    CHECK(choice.index(&one.choice) == 0);
    CHECK(choice.emplace(&one.choice, 1) == choice.alternative(&one.choice));
    CHECK(std::holds_alternative<same_padding>(one.choice));
}
