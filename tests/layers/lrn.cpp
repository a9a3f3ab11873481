#include <bespoke/layers/lrn.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("lrn: the formula, written out", "", float, double) {
    using T = TestType;
    for (const shape& s : {shape{1, 2, 3}, shape{7, 1, 1}, shape{40, 1, 1}, shape{9, 3, 5}, shape{2, 6, 10, 7},
                           shape{64, 20, 20}})
        for (const lrn& layer :
             {lrn{}, lrn{.alpha = 2, .beta = 0.5f, .local_size = 4, .k = 3},
              lrn{.alpha = 0.5f, .beta = 2, .local_size = 1},
              lrn{.alpha = 1, .beta = -1, .local_size = 2, .k = 0.5f}, lrn{.alpha = 1, .beta = 1, .local_size = 99}}) {
            const auto x = numbers<T>(2 * s.size());
            const extent channels = s.from_end(3), inner = s.from_end(2) * s.from_end(1), n = layer.local_size;
            std::vector<double> wanted;
            for (extent i = 0; i < static_cast<extent>(x.size()); ++i) {
                const extent c = i / inner % channels;
                double squares = 0;
                for (extent j = c - n / 2; j <= c + (n - 1) / 2; ++j)
                    if (j >= 0 && j < channels)
                        squares += std::pow(static_cast<double>(x[static_cast<std::size_t>(i + (j - c) * inner)]), 2);
                const double sum = (layer.k == 0 ? 1 : static_cast<double>(layer.k)) +
                                   static_cast<double>(layer.alpha) / static_cast<double>(n) * squares;
                wanted.push_back(static_cast<double>(x[static_cast<std::size_t>(i)]) /
                                 std::pow(sum, static_cast<double>(layer.beta)));
            }
            INFO(sentence(s, " ", n).view());
            const auto got = evaluate<T>(layer, {{s, x}});
            REQUIRE(got.dimensions() == s);
            REQUIRE(distance(got.first(), wanted) < (std::is_same_v<T, float> ? 2e-6 : 1e-7));  // alpha / n is a float
        }
}

TEST_CASE("lrn: gradients") {
    for (const shape& s : {shape{7, 1, 2}, shape{2, 5, 3, 1}, shape{12, 1, 1}})
        for (extent n : {1, 2, 3, 4, 5, 40})
            require_gradients(lrn{.alpha = 1.5f, .beta = 0.75f, .local_size = n, .k = 0.5f}, {s});
    require_gradients(lrn{.alpha = 1.5f, .beta = -1.25f, .local_size = 3}, {{6, 2, 2}});
    require_gradients(lrn{.alpha = 0, .beta = 2, .local_size = 3, .k = 2}, {{6, 2, 2}});
}

TEST_CASE("lrn: NaN, infinities and no elements") {
    const double infinity = std::numeric_limits<double>::infinity();
    const auto y = evaluate<double>(lrn{.local_size = 3}, {{{5, 1, 1}, {std::nan(""), 1, 1, infinity, 0}}}).first();
    CHECK((std::isnan(y[0]) && std::isnan(y[1]) && y[2] == 0 && std::isnan(y[3]) && y[4] == 0));
    CHECK(evaluate<double>(lrn{}, {{{0, 2, 3}, {}}}).dimensions() == shape{0, 2, 3});
    CHECK(evaluate<double>(lrn{}, {{{3, 0, 3}, {}}}).first().empty());
}

namespace {
inline constexpr auto responses = compose(input{"x", {6, 5, 7}}, lrn{.local_size = 3});
}

TEST_CASE("lrn: composed and run-time networks give the same bits") {
    network<responses> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(210)));
}

TEST_CASE("lrn: faults") {
    const std::string place = "layers/0 \"layer\" (lrn): ";
    CHECK(fault_of(lrn{}, {{2, 3}}) == place + "an input [.., channels, height, width] wanted, its shape is [2, 3]");
    CHECK(fault_of(lrn{.local_size = 0}, {{1, 2, 3}}) == place + "localSize from 1 up wanted, 0 given");
    for (float wrong : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        const std::string given = ", " + std::string(sentence(wrong).view()) + " given";
        CHECK(fault_of(lrn{.k = wrong}, {{1, 2, 3}}) == place + "a finite k from 0 up wanted" + given);
        CHECK(fault_of(lrn{.alpha = wrong}, {{1, 2, 3}}) == place + "a finite alpha from 0 up wanted" + given);
        if (!(wrong < 0)) CHECK(fault_of(lrn{.beta = wrong}, {{1, 2, 3}}) == place + "a finite beta wanted" + given);
    }
    for (extent n : hostile_extents()) ask_everything(lrn{.local_size = n});
    CHECK(evaluate<double>(lrn{.local_size = std::numeric_limits<extent>::max()}, {{{1, 1, 1}, {0}}}).first()[0] == 0);
}
