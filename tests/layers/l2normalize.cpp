#include <bespoke/layers/l2normalize.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("l2normalize: the formula, written out", "", float, double) {
    using T = TestType;
    for (const shape& s : {shape{3, 2, 5}, shape{2, 4, 1, 3}, shape{2, 2, 3, 20, 11}, shape{1, 1, 1}})
        for (float epsilon : {0.0f, 0.25f}) {
            const auto x = numbers<T>(2 * s.size());
            const auto n = static_cast<std::size_t>(s.product(s.rank() - 3, s.rank()));
            std::vector<double> wanted;
            for (std::size_t at = 0; at < x.size(); at += n) {
                double squares = epsilon == 0 ? 1e-6 : 0.25;
                for (std::size_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x[at + i]), 2);
                for (std::size_t i = 0; i < n; ++i)
                    wanted.push_back(static_cast<double>(x[at + i]) / std::sqrt(squares));
            }
            const auto got = evaluate<T>(l2normalize{.epsilon = epsilon}, {{s, x}});
            REQUIRE(got.dimensions() == s);
            REQUIRE(distance(got.first(), wanted) < (std::is_same_v<T, float> ? 1e-6 : 1e-13));
        }
}

TEST_CASE("l2normalize: gradients") {
    for (const shape& s : {shape{2, 3, 4}, shape{2, 1, 5, 1}, shape{2, 1, 2, 7, 5}})
        for (float epsilon : {0.0f, 0.5f}) require_gradients(l2normalize{.epsilon = epsilon}, {s});
}

TEST_CASE("l2normalize: zeros, NaN and no elements") {
    CHECK(evaluate<double>(l2normalize{}, {{{1, 1, 2}, {0, 0}}}).first() == std::vector<double>{0, 0});
    const auto y = evaluate<double>(l2normalize{}, {{{1, 1, 2}, {1, std::nan("")}}}).first();
    CHECK((std::isnan(y[0]) && std::isnan(y[1])));
    CHECK(evaluate<double>(l2normalize{}, {{{2, 0, 3}, {}}}).dimensions() == shape{2, 0, 3});
}

namespace {
inline constexpr auto one = compose(input{"x", {2, 5, 7}}, l2normalize{});
}

TEST_CASE("l2normalize: composed and run-time networks give the same bits") {
    network<one> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(70)));
}

TEST_CASE("l2normalize: faults") {
    const std::string place = "layers/0 \"layer\" (l2normalize): ";
    CHECK(fault_of(l2normalize{}, {{2, 3}}) ==
          place + "an input [.., channels, height, width] wanted, its shape is [2, 3]");
    for (float wrong : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        CHECK(fault_of(l2normalize{.epsilon = wrong}, {{1, 2, 3}}) ==
              place + "a finite epsilon from 0 up wanted, " + std::string(sentence(wrong).view()) + " given");
    ask_everything(l2normalize{});
}
