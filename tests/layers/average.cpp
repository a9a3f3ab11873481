#include <bespoke/layers/average.hpp>

#include <bespoke/network/network.hpp>

#include "arithmetic_test.hpp"

FLOAT_IN_IMPLEMENTATION(average)
FLOAT_IN_IMPLEMENTATION(max)
FLOAT_IN_IMPLEMENTATION(min)

using namespace bespoke;
using namespace arithmetic_test;

namespace {

using floats = std::vector<float>;

template <class L>
floats of(const std::vector<floats>& xs) {
    std::vector<blob<float>> blobs;
    for (const floats& x : xs) blobs.push_back({{static_cast<extent>(x.size())}, x});
    return evaluate<float>(L{}, blobs).first();
}

/// dx of each input for dy = 1, 10, 100, ...; the sums begin at 0.
template <class L>
std::vector<std::vector<double>> gradients(const std::vector<std::vector<double>>& xs) {
    const auto n = static_cast<extent>(xs[0].size());
    std::vector<double> dy(xs[0].size(), 1), scratch(xs[0].size() * xs.size());
    for (std::size_t i = 1; i < dy.size(); ++i) dy[i] = 10 * dy[i - 1];
    std::vector<std::vector<double>> sums(xs.size(), std::vector<double>(dy.size()));
    std::vector<dynamic_view<const double>> inputs;
    std::vector<dynamic_view<double>> to;
    for (std::size_t k = 0; k < xs.size(); ++k) {
        inputs.push_back({xs[k].data(), {n}, 1, n});
        to.push_back({sums[k].data(), {n}, 1, n});
    }
    const std::vector<dynamic_view<const double>> dys{{dy.data(), {n}, 1, n}};
    workspace<double> w;
    w.scratch = scratch.data();
    using in = std::span<const dynamic_view<const double>>;
    L{}.equivalent({}).backward(in(inputs), in(dys), in(dys), std::span<const dynamic_view<double>>(to),
                                no_parameters{}, no_parameters{}, w);
    return sums;
}
using table = std::vector<std::vector<double>>;

}  // namespace

TEST_CASE("average, max, min: values with every way of broadcasting") {
    const auto larger = [](double a, double b) { return a > b ? a : b; };
    const auto smaller = [](double a, double b) { return a < b ? a : b; };
    check_arithmetic<float>(bespoke::max{}, larger);
    check_arithmetic<double>(bespoke::max{}, larger);
    check_arithmetic<float>(bespoke::min{}, smaller);
    check_arithmetic<double>(bespoke::min{}, smaller);
    for (const auto& shapes : combinations) {
        std::vector<blob<double>> xs;
        for (std::size_t k = 0; k < shapes.size(); ++k)
            xs.push_back({shapes[k], numbers<double>(3 * shapes[k].size(), k + 1)});
        const auto got = evaluate<double>(average{}, xs);
        auto expected = by_element(xs, got.dimensions(), 3, [](double a, double b) { return a + b; });
        for (double& v : expected) v /= static_cast<double>(shapes.size());
        REQUIRE(distance(got.first(), expected) <= 1e-15);
    }
}

TEST_CASE("average, max, min: by hand") {
    REQUIRE(of<average>({{1, -2}}) == floats{1, -2});
    REQUIRE(of<average>({{1, -2}, {3, 4}}) == floats{2, 1});
    REQUIRE(of<average>({{1, -2}, {3, 4}, {5, 1}}) == floats{3, 1});
    REQUIRE(of<bespoke::max>({{1, 4}}) == floats{1, 4});
    REQUIRE(of<bespoke::max>({{1, 4}, {3, 2}, {2, 5}}) == floats{3, 5});
    REQUIRE(of<bespoke::min>({{1, 4}, {3, 2}, {2, 5}}) == floats{1, 2});
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const floats& v : {of<bespoke::max>({{nan}, {1}, {2}}), of<bespoke::max>({{1}, {nan}, {2}}),
                            of<bespoke::min>({{nan}, {1}, {2}}), of<bespoke::min>({{1}, {2}, {nan}}),
                            of<average>({{1}, {nan}})})
        REQUIRE(std::isnan(v[0]));
}

TEST_CASE("average, max, min: gradients") {
    check_gradients_of(average{});
    for (const auto& shapes : combinations) {
        require_gradients(bespoke::max{}, shapes);
        require_gradients(bespoke::min{}, shapes);
    }
    for (std::size_t n : {1U, 3U, 5U}) {
        require_gradients(bespoke::max{}, std::vector<shape>(n, shape{6}));
        require_gradients(average{}, std::vector<shape>(n, shape{6}));
    }
    require_gradients(bespoke::max{}, {{2, 3, 4}, {2, 1, 1}}, {.arguments = {0, 1, 0}});
}

TEST_CASE("max, min: of equal inputs the first has the gradient") {
    REQUIRE(gradients<bespoke::max>({{1, 2, 0}, {1, 3, 0}}) == table{{1, 0, 100}, {0, 10, 0}});
    REQUIRE(gradients<bespoke::min>({{1, 2, 0}, {1, 3, 0}}) == table{{1, 10, 100}, {0, 0, 0}});
    REQUIRE(gradients<bespoke::max>({{1, 2, 0, 5}, {1, 3, 2, 5}, {1, 3, 2, 5}, {0, 1, 3, 5}}) ==
            table{{1, 0, 0, 1000}, {0, 10, 0, 0}, {0, 0, 0, 0}, {0, 0, 100, 0}});
    const double nan = std::numeric_limits<double>::quiet_NaN();
    REQUIRE(gradients<bespoke::max>({{1}, {nan}, {3}}) == table{{0}, {1}, {0}});
}

TEST_CASE("average, max, min: the same bits with threads where there is much to do") {
    const shape s{8, 40, 60};
    const std::vector<blob<float>> xs{{s, numbers<float>(3 * s.size())},
                                      {{8, 1, 1}, numbers<float>(8, 2), true},
                                      {s, numbers<float>(3 * s.size(), 3)}};
    evaluate<float>(average{}, xs);
    evaluate<float>(bespoke::max{}, xs);
}

TEST_CASE("average, max, min: shapes and faults") {
    REQUIRE(
        fault_of(average{}, {{2, 3}, {2}}) ==
        "layers/0 \"layer\" (average): inputs wanted whose extents from the last axis on are equal or 1, input 1 has "
        "the shape [2], those before it have [2, 3]");
    REQUIRE(
        fault_of(bespoke::max{}, {{2}, {3}}) ==
        "layers/0 \"layer\" (max): inputs wanted whose extents from the last axis on are equal or 1, input 1 has the "
        "shape [3], those before it have [2]");
    ask_everything(average{});
    ask_everything(bespoke::max{});
    ask_everything(bespoke::min{});
}

namespace {
inline constexpr auto middle =
    compose(input{"x", {2, 3}}, average{} | from("x", "x", "x") | named("m"),
            bespoke::max{} | from("m", "x") | named("u"), bespoke::min{} | from("u", "x"));
}

TEST_CASE("average, max, min: composed") {
    network<middle> net;
    const auto y = net(std::vector<float>{1, 2, 3, 4, 5, 6});
    REQUIRE(std::vector<float>(y.begin(), y.end()) == std::vector<float>{1, 2, 3, 4, 5, 6});
    REQUIRE(same_bits_unrolled(net, numbers<float>(6)));
}
