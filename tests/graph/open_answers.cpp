#include <bespoke/graph/open_answers.hpp>

#include "graph_test.hpp"

using namespace bespoke;
using graph_test::weighted;

namespace {

layer_answers giving(const std::vector<shape>& outputs, const std::vector<shape>& parameters = {}) {
    layer_answers a{outputs};
    a.parameters = parameters;
    return a;
}
const layer_answers refused{shape_fault("less wanted")};

}  // namespace

TEST_CASE("extents that a layer does not know are open") {
    const layer_facts by_second{.key = "shaped", .nested_key = "", .shaped_by_values = true, .values_from = 1};
    const std::vector<double> values{4};
    const std::vector<known_values> unknown{std::span<const double>(values), {}},
        known{{}, std::span<const double>(values)};
    layer_answers a = giving({{2, unset}, {3}});
    open_unset(a, by_second, 2, unknown);
    REQUIRE(a.open.size() == 2);
    CHECK(a.open[0] == open_shape{true, false, 2});
    CHECK(a.open[1] == open_shape{true, false, 0});  // beside one that is open
    CHECK(a.outputs.shapes()[0] == shape{2, 1});
    layer_answers b = giving({{2, 3}});
    open_unset(b, by_second, 2, known);
    CHECK(b.open.empty());
    open_unset(b, by_second, 1, {});  // there is no such input
    CHECK(b.open.empty());
    // the shape is known, the values may be wrong all the same
    open_unset(b, by_second, 2, unknown);
    REQUIRE(b.open.size() == 1);
    CHECK(b.open[0] == open_shape{true, false, 0});
    layer_answers c = refused;
    open_unset(c, by_second, 2, {});
    CHECK_FALSE(c.outputs);
    layer_answers d = giving({{2, 3}});
    open_unset(d, {.key = "plain", .nested_key = ""}, 2, {});
    CHECK(d.open.empty());
}

TEST_CASE("what is common to the answers for several extents is known") {
    const layer_facts plain{.key = "plain", .nested_key = ""};
    const std::vector<layer_answers> given{refused, giving({{1, 7}, {2}}), giving({{5, 7}, {2}})};
    const layer_answers common = common_answer(plain, given, 9);
    REQUIRE(common.open.size() == 2);
    CHECK(common.open[0] == open_shape{true, false, 1});
    CHECK(common.open[1] == open_shape{true, false, 0});
    CHECK(common.outputs.shapes()[0][1] == 7);
    const std::vector<layer_answers> ranks{giving({{1}}), giving({{1, 1}})};
    CHECK(common_answer(plain, ranks, 1).open[0] == open_shape::all());
    // no answer at all
    for (const auto& none : {std::vector<layer_answers>{}, {refused, refused}}) {
        const layer_answers unknown = common_answer(plain, none, 2);
        REQUIRE(unknown.outputs.shapes().size() == 2);
        CHECK(unknown.open == std::vector<open_shape>(2, open_shape::all()));
    }
}

TEST_CASE("the shape of a parameter has to be common to all answers") {
    constexpr const layer_facts& facts = facts_of<weighted>;
    const std::vector<layer_answers> same{giving({{1}}, {{3, 4}, {3}}), giving({{2}}, {{3, 4}, {3}})};
    CHECK(common_answer(facts, same, 1).parameters == std::vector<shape>{{3, 4}, {3}});
    const std::vector<layer_answers> other{giving({{1}}, {{3, 1}, {3}}), giving({{2}}, {{3, 2}, {3}})};
    const std::string open =
        "the shape of its weights follows from that of an input, which is decided in the run: it has "
        "to be known before";
    CHECK(common_answer(facts, other, 1).outputs.problem().what.view() == open);
    CHECK(common_answer(facts, {}, 1).outputs.problem().what.view() == open);
    const std::vector<layer_answers> none{refused};
    CHECK(common_answer(facts, none, 1).outputs.problem().what.view() == "less wanted");
}
