#include <bespoke/layers/mvn.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("mvn: the formula, written out", "", float, double) {
    using T = TestType;
    for (const shape& s : {shape{3, 2, 5}, shape{2, 4, 1, 3}, shape{2, 2, 3, 20, 11}, shape{1, 1, 1}})
        for (int which = 0; which < 8; ++which) {
            const mvn layer{.across_channels = (which & 1) != 0,
                            .normalize_variance = (which & 2) != 0,
                            .epsilon = (which & 4) != 0 ? 0.5f : 0};
            const auto x = numbers<T>(2 * s.size());
            const extent n = s.product(s.rank() - (layer.across_channels ? 3 : 2), s.rank());
            std::vector<double> wanted;
            for (std::size_t at = 0; at < x.size(); at += static_cast<std::size_t>(n)) {
                double mean = 0, variance = 0;
                const auto value = [&](extent i) { return static_cast<double>(x[at + static_cast<std::size_t>(i)]); };
                for (extent i = 0; i < n; ++i) mean += value(i) / static_cast<double>(n);
                for (extent i = 0; i < n; ++i)
                    variance += (value(i) - mean) * (value(i) - mean) / static_cast<double>(n);
                const double by = layer.normalize_variance ? std::sqrt(variance + (which & 4 ? 0.5 : 1e-6)) : 1;
                for (extent i = 0; i < n; ++i) wanted.push_back((value(i) - mean) / by);
            }
            INFO(which << " " << sentence(s).view());
            const auto got = evaluate<T>(layer, {{s, x}});
            REQUIRE(got.dimensions() == s);
            REQUIRE(distance(got.first(), wanted) < (std::is_same_v<T, float> ? 2e-5 : 1e-10));
        }
}

TEST_CASE("mvn: gradients") {
    for (const shape& s : {shape{2, 3, 4}, shape{2, 1, 5, 1}, shape{2, 1, 2, 7, 5}})
        for (bool across : {false, true})
            for (bool variance : {false, true})
                require_gradients(
                    mvn{.across_channels = across, .normalize_variance = variance, .epsilon = 1e-3f}, {s});
}

TEST_CASE("mvn: a channel of equal elements, NaN and no elements") {
    CHECK(evaluate<double>(mvn{.normalize_variance = true}, {{{1, 1, 3}, {7, 7, 7}}}).first() ==
          std::vector<double>{0, 0, 0});
    const auto y = evaluate<double>(mvn{.normalize_variance = true}, {{{2, 1, 2}, {1, std::nan(""), 1, 3}}}).first();
    CHECK((std::isnan(y[0]) && std::isnan(y[1]) && !std::isnan(y[2])));
    for (bool variance : {false, true}) {
        CHECK(evaluate<double>(mvn{.normalize_variance = variance}, {{{2, 0, 3}, {}}}).dimensions() == shape{2, 0, 3});
        CHECK(evaluate<double>(mvn{.normalize_variance = variance}, {{{0, 2, 3}, {}}}).first().empty());
    }
}

namespace {
inline constexpr auto two = compose(input{"x", {2, 5, 7}}, mvn{.normalize_variance = true} | named("a"),
                                    mvn{.across_channels = true});
}

TEST_CASE("mvn: composed and run-time networks give the same bits") {
    network<two> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(70)));
}

TEST_CASE("mvn: faults") {
    const std::string place = "layers/0 \"layer\" (mvn): ";
    CHECK(fault_of(mvn{}, {{2, 3}}) == place + "an input [.., channels, height, width] wanted, its shape is [2, 3]");
    for (float wrong : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        CHECK(fault_of(mvn{.epsilon = wrong}, {{1, 2, 3}}) ==
              place + "a finite epsilon from 0 up wanted, " + std::string(sentence(wrong).view()) + " given");
    ask_everything(mvn{.across_channels = true, .normalize_variance = true});
    ask_everything(mvn{});
}
