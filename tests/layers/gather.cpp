#include <bespoke/layers/gather.hpp>

#include <bespoke/network/network.hpp>

#include "index_test.hpp"

using namespace bespoke;
using namespace index_test;

namespace {

template <class Body>
void with_layer(const trial& t, const Body& body) {
    if (t.how == way::axis)
        body(gather{t.axis});
    else if (t.how == way::point)
        body(gather_nd{});
    else
        body(gather_along_axis{t.axis});
}

template <class T>
void compare_with_elements() {
    for (const trial& t : trials())
        with_layer(t, [&](const auto& layer) {
            CAPTURE(t.axis);
            const extent examples = 3, size = t.whole.size(), some = t.indices.size();
            const std::vector<T> x = numbers<T>(size * examples), indices = some_indices<T>(t, examples);
            const auto got = evaluate<T>(layer, {{t.whole, x}, {t.indices, indices}});
            REQUIRE(got.dimensions() == t.part);
            const std::size_t axis = detail::axis_among(t.axis, t.whole.rank());
            std::vector<T> expected;
            for (extent e = 0; e < examples; ++e) {
                const std::vector<T> own(indices.begin() + e * some, indices.begin() + (e + 1) * some);
                for (extent i = 0; i < t.part.size(); ++i) {
                    const extent from = locate(t.how, axis, t.whole, t.indices, own, t.part, i);
                    expected.push_back(from < 0 ? T(0) : x[static_cast<std::size_t>(e * size + from)]);
                }
            }
            if (size > 0 && some > 0) REQUIRE(got.first() == expected);
        });
}

}  // namespace

TEST_CASE("gather: the specification's examples, as numpy does them") {
    // np.take(np.arange(12).reshape(3, 4), [[2, -3], [-1, 1]], axis=0)
    auto got = evaluate<float>(gather{}, {{{3, 4}, counted(12)}, {{2, 2}, {2, -3, -1, 1}}});
    REQUIRE(got.dimensions() == shape{2, 2, 4});
    REQUIRE(got.first() == std::vector<float>{8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7});
    // np.take(np.arange(12).reshape(3, 4), [3, 0], axis=1)
    got = evaluate<float>(gather{.axis = -1}, {{{3, 4}, counted(12)}, {{2}, {3, 0}}});
    REQUIRE(got.first() == std::vector<float>{3, 0, 7, 4, 11, 8});
    // np.arange(12).reshape(2, 3, 2)[[1, 0], [2, -1]]
    got = evaluate<float>(gather_nd{}, {{{2, 3, 2}, counted(12)}, {{2, 2}, {1, 2, 0, -1}}});
    REQUIRE(got.dimensions() == shape{2, 2});
    REQUIRE(got.first() == std::vector<float>{10, 11, 4, 5});
    // np.take_along_axis(np.arange(6).reshape(2, 3), np.array([[2, 0], [1, -1]]), axis=1)
    got = evaluate<float>(gather_along_axis{.axis = 1}, {{{2, 3}, counted(6)}, {{2, 2}, {2, 0, 1, -1}}});
    REQUIRE(got.first() == std::vector<float>{2, 0, 4, 5});
    // np.take_along_axis(np.arange(6).reshape(2, 3), np.array([[1, 0, -1]]), axis=0)
    got = evaluate<float>(gather_along_axis{}, {{{2, 3}, counted(6)}, {{1, 3}, {1, 0, -1}}});
    REQUIRE(got.first() == std::vector<float>{3, 1, 5});
}

TEST_CASE("gather: element by element") {
    compare_with_elements<float>();
    compare_with_elements<double>();
}

TEST_CASE("gather: an index that names nothing gives 0, the nearest integer counts") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> indices{3, -4, 1e30f, -1e30f, infinity, -infinity, nan, 1.6f, -0.4f, -1.6f};
    const std::vector<float> expected{0, 0, 0, 0, 0, 0, 0, 12, 10, 11};
    const shape many{10};
    REQUIRE(evaluate<float>(gather{}, {{{3}, {10, 11, 12}}, {many, indices}}).first() == expected);
    REQUIRE(evaluate<float>(gather_along_axis{}, {{{3}, {10, 11, 12}}, {many, indices}}).first() == expected);
    REQUIRE(evaluate<float>(gather_nd{}, {{{3}, {10, 11, 12}}, {{10, 1}, indices}}).first() == expected);
    REQUIRE(evaluate<float>(gather_nd{}, {{{1, 2}, {nan, 2}}, {{3, 2}, {0, 0, 1, 0, 0, 2}}}).first()[1] == 0);
    REQUIRE(std::isnan(evaluate<float>(gather{}, {{{2}, {nan, 2}}, {{1}, {0}}}).first()[0]));
}

TEST_CASE("gather: large, on several threads") {
    const trial t{way::axis, 1, {3, 50, 70}, {200}, {3, 200, 70}};
    const auto x = numbers<float>(t.whole.size()), indices = some_indices<float>(t, 1);
    const auto got = evaluate<float>(gather{1}, {{t.whole, x}, {t.indices, indices}});
    for (extent i = 0; i < t.part.size(); i += 37) {
        const extent from = locate(t.how, 1, t.whole, t.indices, indices, t.part, i);
        REQUIRE(got.first()[static_cast<std::size_t>(i)] ==
                (from < 0 ? 0 : x[static_cast<std::size_t>(from)]));
    }
}

TEST_CASE("gather: gradients") {
    for (const trial& t : trials())
        with_layer(t, [&](const auto& layer) {
            if (t.whole.size() == 0 || t.part.size() == 0) return;
            const gradient_report report =
                check_gradients(layer, {t.whole, t.indices}, {}, [&](std::size_t input, philox& random) {
                    return input == 0 ? random.uniform() : std::floor(random.uniform() * 11) - 5;
                });
            INFO(report.what);
            REQUIRE(report.ok);
        });
}

TEST_CASE("gather: faults") {
    REQUIRE(fault_of(gather{.axis = 2}, {{3, 4}, {2}}) ==
            "layers/0 \"layer\" (gather): an axis of its input wanted, 2 given for the shape [3, 4]");
    REQUIRE(fault_of(gather{}, {{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}}) ==
            "layers/0 \"layer\" (gather): shapes wanted that give at most 8 axes, [1, 1, 1, 1, 1] and the "
            "indices' "
            "[1, 1, 1, 1, 1] would give 9");
    REQUIRE(fault_of(gather_nd{}, {{3, 4}, {2, 3}}) ==
            "layers/0 \"layer\" (gatherND): indices [.., k] wanted, k at most 2 for the shape [3, 4], theirs "
            "is [2, 3]");
    REQUIRE(fault_of(gather_nd{}, {{3, 4}, {}}) ==
            "layers/0 \"layer\" (gatherND): indices [.., k] wanted, k at most 2 for the shape [3, 4], theirs "
            "is []");
    REQUIRE(
        fault_of(gather_along_axis{.axis = -3}, {{3, 4}, {3, 4}}) ==
        "layers/0 \"layer\" (gatherAlongAxis): an axis of its input wanted, -3 given for the shape [3, 4]");
    for (const shape& wrong : {shape{3}, shape{2, 4}, shape{3, 4, 1}})
        REQUIRE(fault_of(gather_along_axis{.axis = 1}, {{3, 4}, wrong}) ==
                "layers/0 \"layer\" (gatherAlongAxis): indices wanted whose shape differs from [3, 4] along "
                "axis 1 "
                "only, theirs is " +
                    std::string(sentence(wrong).view()));
    for (extent axis : hostile_extents()) {
        ask_everything(gather{axis});
        ask_everything(gather_along_axis{axis});
    }
    ask_everything(gather_nd{});
}

namespace {
inline constexpr auto looked_up = compose(input{"x", {4, 3}}, input{"i", {2}}, gather{} | from("x", "i"));
}  // namespace

TEST_CASE("gather: composed") {
    network<looked_up> net;
    const auto y = net(counted(12), std::vector<float>{-1, 1});
    REQUIRE(y(0, 2) == 11);
    REQUIRE(y(1, 0) == 3);
}
