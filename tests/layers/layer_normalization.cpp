#include <bespoke/layers/layer_normalization.hpp>
#include <bespoke/network/network.hpp>

#include "torch_numbers.hpp"

FLOAT_IN_IMPLEMENTATION(layer_normalization)

using namespace bespoke;
using layer_test::evaluate;
using layer_test::fault_of;
using layer_test::numbers;
using layer_test::require_gradients;

namespace {

/// The formula, row after row.
template <class T>
std::vector<double> naive(const layer_normalization& layer, const std::vector<T>& x,
                          const std::vector<T>& gamma, const std::vector<T>& beta) {
    const std::size_t n = gamma.size();
    std::vector<double> y;
    for (std::size_t row = 0; row < x.size(); row += n) {
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x[row + i]) / static_cast<double>(n);
        for (std::size_t i = 0; i < n; ++i) {
            const double d = static_cast<double>(x[row + i]) - mean;
            variance += d * d / static_cast<double>(n);
        }
        for (std::size_t i = 0; i < n; ++i)
            y.push_back(static_cast<double>(gamma[i]) * (static_cast<double>(x[row + i]) - mean) /
                            std::sqrt(variance + static_cast<double>(layer.eps)) +
                        static_cast<double>(beta[i]));
    }
    return y;
}

template <class T>
void compare(const layer_normalization& layer, const shape& s, double tolerance) {
    const extent n = layer.normalized_shape.size();
    const auto gamma = numbers<T>(n, 2), beta = numbers<T>(n, 3);
    for (extent examples : {extent{1}, extent{4}}) {
        const auto x = numbers<T>(examples * s.size());
        const auto r = evaluate<T>(layer, {{s, x}}, {gamma, beta});
        INFO(sentence(s, " by ", layer.normalized_shape).view() << ", " << examples << " examples");
        REQUIRE(r.dimensions() == s);
        REQUIRE(layer_test::distance(r.first(), naive(layer, x, gamma, beta)) < tolerance);
    }
}

struct test_case {
    shape x, normalized;
};
const std::vector<test_case> cases{{{2}, {2}},
                                   {{5, 4}, {4}},
                                   {{5, 4}, {5, 4}},
                                   {{3, 5, 2, 2}, {2, 2}},
                                   {{3, 1, 2, 17}, {17}},
                                   {{2, 2, 2, 3, 3}, {2, 2, 3, 3}},
                                   {{1, 33}, {33}}};

}  // namespace

TEST_CASE("layer_normalization: shapes at compile time") {
    constexpr layer_normalization layer{.normalized_shape = {5, 6}};
    static_assert(layer.output_shape(shape{2, 3, 5, 6}).shapes()[0] == shape{2, 3, 5, 6});
    static_assert(layer.parameter_shapes(shape{2, 3, 5, 6}).gamma == shape{5, 6});
    constexpr std::array many{shape{1, 3, 5, 6}};
    static_assert(layer.entries_from(many, 3) == 3 && layer.entries_from(many, 2) == 0);
    SUCCEED();
}

TEST_CASE("layer_normalization: the formula, written out") {
    for (const auto& [x, normalized] : cases)
        for (float eps : {0.01F, 1e-5F}) {
            compare<double>({.normalized_shape = normalized, .eps = eps}, x, 1e-11);
            compare<float>({.normalized_shape = normalized, .eps = eps}, x, 1e-4);
        }
}

TEST_CASE("layer_normalization: a row of one element leaves beta") {
    const auto r =
        evaluate<float>(layer_normalization{.normalized_shape = {1}}, {{{3, 1}, {1, -2, 7}}}, {{5}, {0.5F}});
    CHECK(r.first() == std::vector<float>{0.5F, 0.5F, 0.5F});
}

TEST_CASE("layer_normalization: numbers of PyTorch") {
    using layer_test::steps;
    layer_test::require_summary(
        evaluate<float>(layer_normalization{.normalized_shape = {6, 5}, .eps = 1e-3F},
                        {{shape{4, 6, 5}, steps<float>(1, 240)}}, {steps<float>(2, 30), steps<float>(3, 30)})
            .first(),
        {240, 15.177615064, 184.542932988, {0.378628543, 0.025997849, 0.125}, -0.013724432}, 2e-6);
}

TEST_CASE("layer_normalization: gradients") {
    for (const auto& [x, normalized] : cases) {
        INFO(sentence(x, " by ", normalized).view());
        require_gradients(layer_normalization{.normalized_shape = normalized, .eps = 0.05F}, {x},
                          {.examples = 3});
    }
}

namespace {
constexpr auto normalized =
    compose(input{"x", {3, 4, 5}}, layer_normalization{.normalized_shape = {5}} | named("a"),
            layer_normalization{.normalized_shape = {3, 4, 5}} | named("b"));
}

TEST_CASE("layer_normalization: composed and run-time networks give the same bits") {
    network<normalized> net;
    REQUIRE(layer_test::same_bits_unrolled(net, numbers<float>(60)));
}

TEST_CASE("layer_normalization: what does not fit is said") {
    const auto fault = [](const shape& normalized, const shape& x, float eps = 1e-5F) {
        return fault_of(layer_normalization{.normalized_shape = normalized, .eps = eps}, {x});
    };
    CHECK(fault({}, {4, 5}) ==
          "layers/0 \"layer\" (layerNormalization): normalizedShape of one extent or more wanted, [] given");
    CHECK(fault({4}, {4, 5}) ==
          "layers/0 \"layer\" (layerNormalization): an input whose last extents are [4] wanted, its shape is "
          "[4, 5]");
    CHECK(fault({3, 4, 5}, {4, 5}) ==
          "layers/0 \"layer\" (layerNormalization): an input whose last extents are [3, 4, 5] wanted, its "
          "shape is [4, 5]");
    CHECK(fault({-5}, {4, 5}) ==
          "layers/0 \"layer\" (layerNormalization): an input whose last extents are [-5] wanted, its shape "
          "is [4, 5]");
    CHECK(fault({extent{1} << 62, extent{1} << 62}, {4, 5}) ==
          "layers/0 \"layer\" (layerNormalization): an input whose last extents are [4611686018427387904, "
          "4611686018427387904] wanted, its shape is [4, 5]");
    CHECK(fault({5}, {0, 5}) ==
          "layers/0 \"layer\" (layerNormalization): an input that is not empty wanted, its shape is [0, 5]");
    for (float eps :
         {-1e-5F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        CHECK(fault({5}, {4, 5}, eps) ==
              std::string(sentence("layers/0 \"layer\" (layerNormalization): a finite eps from 0 up wanted, ", eps,
                                   " given")
                              .view()));
}
