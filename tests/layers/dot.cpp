#include <bespoke/layers/dot.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(dot)

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;
constexpr dot cosine{.cosine_similarity = true};

}  // namespace

TEST_CASE("dot: by hand") {
    REQUIRE(evaluate<float>(dot{}, {{{3, 1, 1}, {1, 2, 3}}, {{3, 1, 1}, {4, 5, -6}}}).first() == floats{-4});
    const auto rows = evaluate<float>(dot{}, {{{2, 2, 1, 1}, {1, 2, 3, 4}}, {{2, 2, 1, 1}, {1, 1, 10, 1}}});
    REQUIRE(rows.dimensions() == shape{2, 1, 1, 1});
    REQUIRE(rows.first() == floats{3, 34});
    // 3 4 and 4 3: 24 / 25
    const auto angle = evaluate<float>(cosine, {{{2, 1, 1}, {3, 4, 0, 0, 2, 0}}, {{2, 1, 1}, {4, 3}, true}});
    REQUIRE(distance(angle.first(), {0.96, 0, 0.8}) <= 1e-6);
    REQUIRE(evaluate<float>(dot{}, {{{0, 1, 1}, {}}, {{0, 1, 1}, {}}}).first() == floats{0});
    const float nan = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(std::isnan(evaluate<float>(cosine, {{{1, 1, 1}, {nan}}, {{1, 1, 1}, {1}}}).first()[0]));
}

TEST_CASE("dot: against the formula, with threads") {
    const extent rows = 40, n = 300;
    const auto a = numbers<double>(3 * rows * n, 1), b = numbers<double>(3 * rows * n, 2);
    std::vector<double> products, similarities;
    for (extent r = 0; r < 3 * rows; ++r) {
        double ab = 0, aa = 0, bb = 0;
        for (extent i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(r * n + i);
            ab += a[at] * b[at];
            aa += a[at] * a[at];
            bb += b[at] * b[at];
        }
        products.push_back(ab);
        similarities.push_back(ab / std::sqrt(aa * bb));
    }
    const shape s{rows, n, 1, 1};
    REQUIRE(distance(evaluate<double>(dot{}, {{s, a}, {s, b}}).first(), products) <= 1e-13);
    REQUIRE(distance(evaluate<double>(cosine, {{s, a}, {s, b}}).first(), similarities) <= 1e-13);
}

TEST_CASE("dot: gradients") {
    for (const dot& layer : {dot{}, cosine})
        for (const shape& s : {shape{5, 1, 1}, shape{2, 3, 1, 1}, shape{1, 2, 19, 1, 1}}) {
            require_gradients(layer, {s, s});
            require_gradients(layer, {s}, {.arguments = {0, 0}});
        }
}

TEST_CASE("dot: faults") {
    const std::string place = "layers/0 \"layer\" (dot): ";
    for (const shape& s : {shape{3}, shape{3, 1}, shape{3, 2, 1}, shape{3, 1, 2}})
        REQUIRE(fault_of(dot{}, {s, s}) == place + "inputs [.., C, 1, 1] wanted, the first has the shape " +
                                               std::string(sentence(s).view()));
    REQUIRE(fault_of(dot{}, {{3, 1, 1}, {2, 1, 1}}) ==
            place + "inputs of one shape wanted, their shapes are [3, 1, 1] and [2, 1, 1]");
    ask_everything(dot{});
}

namespace {
inline constexpr auto likeness =
    compose(input{"x", {4, 1, 1}}, input{"z", {4, 1, 1}}, cosine | from("x", "z"));
}

TEST_CASE("dot: composed") {
    network<likeness> net;
    const auto y = net(floats{1, 0, 0, 1}, floats{2, 0, 0, 2});
    REQUIRE(std::abs(*y.begin() - 1) < 1e-6f);
    REQUIRE(same_bits_unrolled(net, numbers<float>(4), numbers<float>(4, 2)));
}
