#include <bespoke/graph/plan_draft.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

struct drafted_names : plan_draft {
    constexpr void blob(std::string_view name, const shape& s) {
        append(blob_facts{.name = keep(name), .dimensions = s});
    }
    constexpr void step(std::string_view name, std::size_t parent = npos) {
        step_facts s;
        s.name = keep(name);
        s.parent = parent;
        append(s);
    }
    using plan_draft::find_step;
    using plan_draft::name_of;
    using plan_draft::prefix;
};

}  // namespace

TEST_CASE("blobs are looked for inside of the prefix first, then further out") {
    drafted_names n;
    n.blob("x", {1});
    n.blob("a.x", {2});
    n.blob("a.b.x", {3});
    n.blob("a.y", {4});
    CHECK(n.dimensions(n.find("x")) == shape{1});
    CHECK(n.find("y") == drafted_names::npos);
    n.prefixed(sentence("a"), [&] {
        CHECK(n.dimensions(n.find("x")) == shape{2});
        n.prefixed(sentence("b"), [&] {
            CHECK(n.prefix().view() == "a.b.");
            CHECK(n.dimensions(n.find("x")) == shape{3});
            CHECK(n.name_of(n.find("y")) == "a.y");
        });
        n.prefixed(sentence("c"), [&] { CHECK(n.dimensions(n.find("x")) == shape{2}); });
    });
    CHECK(n.prefix().view().empty());
    CHECK(n.find(std::string(drafted_names::longest_name + 1, 'x')) == drafted_names::npos);
    n.step("first");
    n.step("second");
    n.step("second", 0);  // in a network inside of the first
    CHECK(n.find_step("second", 0) == 1);
    CHECK(n.find_step("second", 2) == drafted_names::npos);
    CHECK(n.find_step("x", 0) == drafted_names::npos);
}
