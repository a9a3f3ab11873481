#include <bespoke/graph/name_index.hpp>

#include <catch2/catch.hpp>

#include <string>

using namespace bespoke;

namespace {

struct part {
    text_range name;
};

}  // namespace

TEST_CASE("an index finds what was added, and nothing else, also where hashes share a slot") {
    std::vector<part> list;
    std::vector<char> pool;
    name_index index;
    const auto name_of = [](std::size_t i) { return "layer." + std::to_string(i) + ".output"; };
    CHECK(index.find(list, pool, "layer.0.output") == blob_facts::npos);
    for (std::size_t i = 0; i < 2000; ++i) {
        const std::string name = name_of(i);
        list.push_back({{pool.size(), name.size(), hash_of(name)}});
        pool.insert(pool.end(), name.begin(), name.end());
        index.add(list.back().name.hash);
        REQUIRE(index.find(list, pool, name) == i);
    }
    for (std::size_t i = 0; i < 2000; ++i) REQUIRE(index.find(list, pool, name_of(i)) == i);
    CHECK(index.find(list, pool, "layer.2000.output") == blob_facts::npos);
    CHECK(index.find(list, pool, "layer.1.outpu") == blob_facts::npos);
    CHECK(index.find(list, pool, "") == blob_facts::npos);
    // the last one of a name that counts
    list.push_back(list[3]);
    index.add(list.back().name.hash);
    CHECK(index.find(list, pool, name_of(3)) == 2000);
    CHECK(index.find(list, pool, name_of(3), [](std::size_t i) { return i < 2000; }) == 3);
    CHECK(index.find(list, pool, name_of(3), [](std::size_t i) { return i < 3; }) == blob_facts::npos);
    // other texts with the hash of one that is there
    part twin{{0, 3, hash_of("layer.7.output")}};
    list.push_back(twin);
    index.add(twin.name.hash);
    CHECK(index.find(list, pool, "layer.7.output") == 7);
}
