#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/network/network.hpp>

#include "torch_numbers.hpp"

FLOAT_IN_IMPLEMENTATION(batchnorm)
DOUBLE_IN_INSTANCES(batchnorm)

using namespace bespoke;
using layer_test::evaluate;
using layer_test::fault_of;
using layer_test::numbers;
using layer_test::require_gradients;

namespace {

constexpr batchnorm fixed{}, batch{.compute_mean_var = true},
    instance{.compute_mean_var = true, .instance_normalization = true};

/// The formula; mean and variance of whatever elements share a channel (and, of instances, an image).
template <class T>
std::vector<double> naive(const batchnorm& layer, const shape& s, const std::vector<T>& x,
                          const std::vector<std::vector<T>>& p) {
    const extent channels = s.from_end(3), inner = s.from_end(2) * s.from_end(1);
    const extent rows = static_cast<extent>(x.size()) / (channels * inner);
    const double epsilon = layer.epsilon == 0 ? 1e-5F : layer.epsilon;
    const auto at = [](const auto& v, extent i) {
        return static_cast<double>(v[static_cast<std::size_t>(i)]);
    };
    std::vector<double> y(x.size());
    for (extent row = 0; row < rows; ++row)
        for (extent c = 0; c < channels; ++c) {
            double mean = 0, variance = 0;
            if (layer.compute_mean_var) {
                const bool alone = layer.instance_normalization;
                const double count = static_cast<double>(alone ? inner : rows * inner);
                for (extent r = alone ? row : 0; r < (alone ? row + 1 : rows); ++r)
                    for (extent i = 0; i < inner; ++i) mean += at(x, (r * channels + c) * inner + i) / count;
                for (extent r = alone ? row : 0; r < (alone ? row + 1 : rows); ++r)
                    for (extent i = 0; i < inner; ++i) {
                        const double d = at(x, (r * channels + c) * inner + i) - mean;
                        variance += d * d / count;
                    }
            } else {
                mean = at(p[2], c);
                variance = at(p[3], c);
            }
            for (extent i = 0; i < inner; ++i) {
                const extent e = (row * channels + c) * inner + i;
                y[static_cast<std::size_t>(e)] =
                    at(p[0], c) * (at(x, e) - mean) / std::sqrt(variance + epsilon) + at(p[1], c);
            }
        }
    return y;
}

template <class T>
void compare(const batchnorm& layer, const shape& s, double tolerance) {
    const extent channels = s.from_end(3);
    std::vector<std::vector<T>> p{numbers<T>(channels, 2), numbers<T>(channels, 3), {}, {}};
    if (!layer.compute_mean_var) {
        p[2] = numbers<T>(channels, 4);
        p[3] = numbers<T>(channels, 5);
        for (T& v : p[3]) v = v * v + T(0.25);
    }
    for (extent examples : {extent{1}, extent{4}}) {
        const auto x = numbers<T>(examples * s.size());
        const auto r = evaluate<T>(layer, {{s, x}}, p);
        INFO(sentence(s).view() << ", " << examples << " examples");
        REQUIRE(r.dimensions() == s);
        REQUIRE(layer_test::distance(r.first(), naive(layer, s, x, p)) < tolerance);
    }
}

const std::vector<shape> shapes{{3, 4, 5}, {1, 2, 1}, {17, 1, 3}, {2, 3, 3, 3}, {2, 2, 5, 1, 7}};

}  // namespace

TEST_CASE("batchnorm: shapes at compile time") {
    static_assert(fixed.output_shape(shape{2, 3, 4, 5}).shapes()[0] == shape{2, 3, 4, 5});
    static_assert(fixed.parameter_shapes(shape{2, 3, 4, 5}).variance == shape{3});
    static_assert(batch.parameter_shapes(shape{2, 3, 4, 5}).variance == absent);
    static_assert(fixed.resolved(shape{2, 3, 4, 5}) == batchnorm{.channels = 3});
    SUCCEED();
}

TEST_CASE("batchnorm: training changes gamma and beta only") {
    for (const auto& f : batchnorm::parameter_fields<shape>)
        CHECK(f.learned == (f.name == "gamma" || f.name == "beta"));
}

TEST_CASE("batchnorm: the formula, written out") {
    for (const shape& s : shapes)
        for (float epsilon : {0.01F, 0.F}) {
            for (batchnorm layer : {fixed, batch, instance}) {
                layer.epsilon = epsilon;
                compare<double>(layer, s, 1e-11);
            }
            compare<float>({.epsilon = epsilon}, s, 1e-5);
        }
    for (const shape& s : shapes) {
        compare<float>({.compute_mean_var = true, .epsilon = 0.01F}, s, 1e-5);
        compare<float>({.compute_mean_var = true, .instance_normalization = true, .epsilon = 0.01F}, s, 1e-5);
    }
}

TEST_CASE("batchnorm: images of one pixel, whose channels lie side by side") {
    for (const batchnorm& layer : {fixed, batch}) {
        compare<double>(layer, {19, 1, 1}, 1e-9);
        compare<double>(layer, {3, 6, 1, 1}, 1e-9);
    }
    // nothing but beta is left of an instance of one pixel
    const auto r = evaluate<float>(instance, {{{2, 1, 1}, {5, 6, 7, 8}}}, {{2, 3}, {0.5F, 0.25F}, {}, {}});
    CHECK(r.first() == std::vector<float>{0.5F, 0.25F, 0.5F, 0.25F});
}

TEST_CASE("batchnorm: numbers of PyTorch") {
    using layer_test::steps;
    const std::vector<layer_test::blob<float>> x{{shape{4, 6, 5}, steps<float>(1, 240)}};
    const auto gamma = steps<float>(2, 4), beta = steps<float>(3, 4);
    auto variance = steps<float>(5, 4);
    for (float& v : variance) v = std::abs(v) + 0.5F;
    const float epsilon = 1e-3F;
    layer_test::require_summary(
        evaluate<float>(batchnorm{.epsilon = epsilon}, x, {gamma, beta, steps<float>(4, 4), variance})
            .first(),
        {240, -55.615128993, 95.333774994, {-0.324502767, -0.625, -0.925497233}, 0.122814373}, 2e-6);
    layer_test::require_summary(
        evaluate<float>(batchnorm{.compute_mean_var = true, .epsilon = epsilon}, x, {gamma, beta, {}, {}})
            .first(),
        {240, -15, 93.615069692, {0.405843864, -0.052308964, -0.510461793}, 0.219210182}, 2e-6);
    layer_test::require_summary(
        evaluate<float>(
            batchnorm{.compute_mean_var = true, .instance_normalization = true, .epsilon = epsilon}, x,
            {gamma, beta, {}, {}})
            .first(),
        {240, -15, 93.614895138, {0.378628543, -0.073004301, -0.524637146}, 0.229043324}, 2e-6);
}

TEST_CASE("batchnorm: gradients") {
    for (batchnorm layer : {fixed, batch, instance}) {
        layer.epsilon = 0.05F;
        for (const shape& s : shapes) {
            INFO(sentence(s).view() << (layer.compute_mean_var ? " computed" : "")
                                    << (layer.instance_normalization ? " of instances" : ""));
            require_gradients(layer, {s}, {.examples = 3});
        }
        require_gradients(layer, {{19, 1, 1}}, {.examples = 4});
        require_gradients(layer, {{2, 3, 1, 1}}, {.examples = 1});
    }
}

namespace {
constexpr auto small_batchnorm =
    compose(input{"x", {3, 4, 5}}, fixed | named("a"), instance | named("b"), batch | named("c"));
constexpr auto pixels = compose(input{"x", {2, 5, 1, 1}}, batch | named("a"), fixed | named("b"));
}  // namespace

TEST_CASE("batchnorm: joins a map that does nothing yet") {
    const shape y{2, 3, 4, 5};
    const float prepared[6] = {};
    finishing<float> with{&y};
    with.prepared = prepared;
    channel_map<float> map, bounded{nullptr, nullptr, 0};
    CHECK(batchnorm{}.joins(map, with));
    CHECK((map.scale == prepared && map.shift == prepared + 3 && !map.is_bounded()));
    CHECK_FALSE(batchnorm{}.joins(map, with));
    CHECK_FALSE(batchnorm{}.joins(bounded, with));
    CHECK(bounded.scale == nullptr);
    channel_map<float> sum;
    sum.added = prepared;
    CHECK_FALSE(batchnorm{}.joins(sum, with));
}

TEST_CASE("batchnorm: composed and run-time networks give the same bits") {
    network<small_batchnorm> net;
    REQUIRE(layer_test::same_bits_unrolled(net, numbers<float>(60)));
    network<pixels> other;
    REQUIRE(layer_test::same_bits_unrolled(other, numbers<float>(10)));
}

TEST_CASE("batchnorm: what does not fit is said") {
    CHECK(
        fault_of(fixed, {{8, 9}}) ==
        "layers/0 \"layer\" (batchnorm): an input [.., channels, height, width] wanted, its shape is [8, 9]");
    CHECK(fault_of(fixed, {{2, 0, 9}}) ==
          "layers/0 \"layer\" (batchnorm): an input that is not empty wanted, its shape is [2, 0, 9]");
    CHECK(fault_of(batchnorm{.channels = 4}, {{2, 3, 8, 9}}) ==
          "layers/0 \"layer\" (batchnorm): 4 channels declared, its input has 3 (shape [2, 3, 8, 9])");
    for (extent channels : {extent{0}, extent{-2}, extent{1} << 62})
        CHECK(fault_of(batchnorm{.channels = channels}, {{3, 8, 9}}) ==
              std::string(sentence("layers/0 \"layer\" (batchnorm): ", channels,
                                   " channels declared, its input has 3 (shape [3, 8, 9])")
                              .view()));
    for (float epsilon :
         {-1e-5F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        CHECK(fault_of(batchnorm{.epsilon = epsilon}, {{3, 8, 9}}) ==
              std::string(sentence("layers/0 \"layer\" (batchnorm): a finite epsilon from 0 up wanted, ", epsilon,
                                   " given")
                              .view()));
}

TEST_CASE("batchnorm: mean and variance that are computed may be there all the same") {
    batchnorm layer{.compute_mean_var = true, .instance_normalization = true};
    const std::vector<float> x{1, 3};
    const auto y = evaluate<float>(layer, {{{1, 1, 2}, x}}, {{1}, {5}, {}, {}}).first();
    const extent lengths[] = {1, 1, 1, 1};
    layer.set_lengths(lengths);
    CHECK(layer.parameter_shapes({1, 1, 2}).mean == shape{1});
    CHECK(evaluate<float>(layer, {{{1, 1, 2}, x}}, {{1}, {5}, {7}, {9}}).first() == y);
    require_gradients(layer, {{2, 3, 4}});
    batchnorm fixed_too;
    fixed_too.set_lengths(lengths);
    CHECK(fixed_too == batchnorm{});
}
