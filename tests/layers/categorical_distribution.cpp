#include <bespoke/layers/categorical_distribution.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;

/// The index in which a number falls that is uniform from 0 to the sum of the weights.
std::vector<double> sampled(const std::vector<double>& weights, extent samples, philox& numbers) {
    double total = 0;
    for (double w : weights) total += w;
    std::vector<double> indices;
    for (extent s = 0; s < samples; ++s) {
        double left = numbers() * 0x1p-32 * total;
        std::size_t i = 0;
        while (left >= weights[i]) left -= weights[i++];
        indices.push_back(static_cast<double>(i));
    }
    return indices;
}
philox numbers_of(std::uint64_t seed) { return philox(seed, ~std::uint64_t{0}); }

/// How often each of n indices came.
std::vector<double> shares(const floats& y, std::size_t n) {
    std::vector<double> share(n);
    for (float v : y) share.at(static_cast<std::size_t>(v)) += 1.0 / static_cast<double>(y.size());
    return share;
}

constexpr extent many = 20000;

}  // namespace

TEST_CASE("categorical_distribution: row by row, the same for each example") {
    const floats x = numbers<float>(2 * 3 * 5);  // two examples of three rows
    const categorical_distribution layer{.seed = 3, .num_samples = 4, .is_logits = true, .temperature = 0.5F};
    const auto got = evaluate<float>(layer, {{{3, 5}, x}});
    REQUIRE(got.dimensions() == shape{3, 4});
    std::vector<double> expected;
    for (std::size_t example = 0; example < 2; ++example) {
        philox random = numbers_of(3);
        for (std::size_t row = 0; row < 3; ++row) {
            std::vector<double> weights;
            for (std::size_t i = 0; i < 5; ++i)
                weights.push_back(std::exp(static_cast<double>(x[(example * 3 + row) * 5 + i]) / 0.5));
            for (double i : sampled(weights, 4, random)) expected.push_back(i);
        }
    }
    REQUIRE(distance(got.first(), expected) == 0);
    REQUIRE(distance(evaluate<double>(layer, {{{3, 5}, {x.begin(), x.end()}}}).first(), expected) == 0);
}

TEST_CASE("categorical_distribution: indices come as often as they should") {
    const std::vector<double> p{0.1, 0.2, 0.0, 0.3, 0.4};
    const auto near = [&](const floats& y, const std::vector<double>& wanted) {
        const std::vector<double> share = shares(y, wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i)
            REQUIRE(std::abs(share[i] - wanted[i]) <= 4 * std::sqrt(wanted[i] * (1 - wanted[i]) / many) + 1e-12);
    };
    const floats given{0.1F, 0.2F, 0, 0.3F, 0.4F};
    near(evaluate<float>(categorical_distribution{.seed = 1, .num_samples = many}, {{{5}, given}}).first(), p);
    // as a document gives it that leaves out eps and temperature
    near(evaluate<float>(categorical_distribution{.seed = 2, .num_samples = many, .eps = 0, .temperature = 0},
                         {{{5}, given}})
             .first(),
         p);
    // p^2 / sum of p^2
    near(evaluate<float>(categorical_distribution{.seed = 3, .num_samples = many, .temperature = 0.5F}, {{{5}, given}})
             .first(),
         {1 / 30.0, 4 / 30.0, 0, 9 / 30.0, 16 / 30.0});
    // an eps of 0.1 makes 0.2, 0.3, 0.1, 0.4, 0.5 of it
    near(evaluate<float>(categorical_distribution{.seed = 4, .num_samples = many, .eps = 0.1F}, {{{5}, given}}).first(),
         {2 / 15.0, 3 / 15.0, 1 / 15.0, 4 / 15.0, 5 / 15.0});
    floats logits;
    for (double v : p) logits.push_back(static_cast<float>(std::log(v) + 100));
    near(evaluate<float>(categorical_distribution{.seed = 5, .num_samples = many, .is_logits = true}, {{{5}, logits}})
             .first(),
         p);
}

TEST_CASE("categorical_distribution: NaN, infinities and single categories") {
    const auto draw = [](const floats& x, bool logits) {
        return shares(evaluate<float>(categorical_distribution{.seed = 1, .num_samples = 1000, .is_logits = logits},
                                      {{{static_cast<extent>(x.size())}, x}})
                          .first(),
                      x.size());
    };
    REQUIRE(draw({5}, true)[0] > 0.999);
    REQUIRE(draw({1, infinity, 2}, true)[1] > 0.999);
    REQUIRE(draw({1, infinity, 2}, false)[1] > 0.999);
    REQUIRE(draw({no_number, 3, no_number}, true)[1] > 0.999);
    REQUIRE(draw({-1, 3, no_number}, false)[1] > 0.999);
    REQUIRE(draw({no_number, no_number}, true)[0] > 0.999);
    REQUIRE(draw({-infinity, 1}, true)[1] > 0.999);
    for (const floats& alike : {floats{-infinity, -infinity}, floats{infinity, infinity}, floats{0, 0}})
        REQUIRE(std::abs(draw(alike, true)[0] - 0.5) < 0.07);
    REQUIRE(std::abs(draw({0, 0}, false)[0] - 0.5) < 0.07);
}

TEST_CASE("categorical_distribution: faults") {
    const std::string place = "layers/0 \"layer\" (categoricalDistribution): ";
    for (const shape& x : {shape{}, shape{2, 0}})
        REQUIRE(fault_of(categorical_distribution{}, {x}) ==
                place + "an input of one category or more along its last axis wanted, its shape is " +
                    std::string(sentence(x).view()));
    REQUIRE(fault_of(categorical_distribution{.num_samples = 0}, {{2}}) ==
            place + "numSamples from 1 up wanted, 0 given");
    for (float v : {-1.0F, no_number, infinity}) {
        const std::string given = ", " + std::string(sentence(v).view()) + " given";
        REQUIRE(fault_of(categorical_distribution{.eps = v}, {{2}}) == place + "a finite eps from 0 up wanted" + given);
        REQUIRE(fault_of(categorical_distribution{.temperature = v}, {{2}}) ==
                place + "a finite temperature from 0 up wanted" + given);
    }
    for (extent e : hostile_extents()) ask_everything(categorical_distribution{.num_samples = e});
    REQUIRE(check_gradients(categorical_distribution{}, {{2}}).what ==
            "no gradient passes this layer: differentiable = false");
}

namespace {
inline constexpr auto distribution = compose(input{"x", {2, 3}}, categorical_distribution{.num_samples = 2});
}

TEST_CASE("categorical_distribution: composed") {
    network<distribution> net;
    const floats x{0.2F, 0.3F, 0.5F, 1, 0, 0};
    const auto y = net(x);
    REQUIRE(y.size() == 4);
    REQUIRE(same_bits_unrolled(net, x));
}
