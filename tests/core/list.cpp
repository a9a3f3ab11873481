#include <bespoke/core/list.hpp>

#include <catch2/catch.hpp>

#include <vector>

using bespoke::list;

TEST_CASE("a list holds its values in order") {
    constexpr list<int, 3> l{4, 5};
    static_assert(l.size() == 2 && !l.empty() && l[0] == 4 && l[1] == 5 && list<int, 3>::most == 3);
    CHECK(std::vector<int>(l.begin(), l.end()) == std::vector<int>{4, 5});
    CHECK(list<int, 3>{}.empty());
    CHECK(list<bool, 2>{true, false}[0]);
}

TEST_CASE("a list takes no more than it has room for") {
    list<int, 2> l{1, 2, 3};
    l.push_back(4);
    CHECK(l == list<int, 2>{1, 2});
}

TEST_CASE("lists are equal where they hold the same") {
    CHECK(list<int, 3>{1, 2} == list<int, 3>{1, 2});
    CHECK_FALSE(list<int, 3>{1, 2} == list<int, 3>{2, 1});
    CHECK_FALSE(list<int, 3>{1, 0} == list<int, 3>{1});
}
