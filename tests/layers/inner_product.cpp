#include <bespoke/layers/inner_product.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(inner_product)
DOUBLE_IN_INSTANCES(inner_product)

using namespace bespoke;
using namespace layer_test;

namespace {

/// y[row, j] = bias[j] + sum over k of x[row, k] W[j, k]
template <class T>
std::vector<double> by_definition(const std::vector<T>& x, const std::vector<T>& weights,
                                  const std::vector<T>& bias, std::size_t channels) {
    const std::size_t inputs = weights.size() / channels;
    std::vector<double> y;
    for (std::size_t row = 0; row < x.size() / inputs; ++row)
        for (std::size_t j = 0; j < channels; ++j) {
            double sum = bias.empty() ? 0 : static_cast<double>(bias[j]);
            for (std::size_t k = 0; k < inputs; ++k)
                sum +=
                    static_cast<double>(x[row * inputs + k]) * static_cast<double>(weights[j * inputs + k]);
            y.push_back(sum);
        }
    return y;
}

template <class T>
void check_values(const shape& s, extent inputs, extent channels, extent examples, bool has_bias) {
    const inner_product layer{.input_channels = inputs, .output_channels = channels, .has_bias = has_bias};
    const auto x = numbers<T>(examples * s.size(), 1), weights = numbers<T>(channels * inputs, 2),
               bias = numbers<T>(has_bias ? channels : 0, 3);
    CAPTURE(s.rank(), s.size(), inputs, channels, examples, has_bias);
    REQUIRE(distance(evaluate<T>(layer, {{s, x}}, {weights, bias}).first(),
                     by_definition(x, weights, bias, static_cast<std::size_t>(channels))) <=
            static_cast<double>(inputs + 2) * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

}  // namespace

namespace {
inline constexpr auto column = compose(input{"x", {4, 1, 5}}, inner_product{.output_channels = 1});
}  // namespace

TEST_CASE("inner_product: by the definition") {
    for (extent inputs : {1, 3, 16, 17, 100})
        for (extent channels : {1, 2, 16, 33})
            for (extent examples : {1, 2, 7})
                for (bool has_bias : {false, true}) {
                    check_values<float>({inputs}, inputs, channels, examples, has_bias);
                    check_values<double>({inputs}, inputs, channels, examples, has_bias);
                }
    for (const shape& s :
         {shape{4, 6}, shape{2, 3, 6}, shape{6, 1, 1}, shape{2, 1, 2, 3}, shape{2, 2, 3, 1, 2}})
        check_values<double>(s, 6, 5, 3, true);
}

TEST_CASE("inner_product: special values") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    const inner_product layer{.output_channels = 1, .has_bias = false};
    REQUIRE(evaluate<float>(layer, {{{2}, {infinity, 1}}}, {{2, 3}, {}}).first()[0] == infinity);
    REQUIRE(std::isnan(evaluate<float>(layer, {{{2}, {infinity, 1}}}, {{0, 3}, {}}).first()[0]));
    REQUIRE(std::isnan(evaluate<float>(layer, {{{2}, {nan, 1}}}, {{1, 3}, {}}).first()[0]));
}

TEST_CASE("inner_product: gradients") {
    for (bool has_bias : {false, true})
        for (const shape& s :
             {shape{1}, shape{5}, shape{3, 4}, shape{2, 2, 3}, shape{6, 1, 1}, shape{2, 1, 2, 3}})
            for (extent channels : {1, 3, 18})
                require_gradients(inner_product{.output_channels = channels, .has_bias = has_bias}, {s},
                                  {.examples = 3});
}

TEST_CASE("inner_product: rows of one element") {
    const inner_product layer{.input_channels = 1, .output_channels = 2, .has_bias = false};
    const auto y = evaluate<float>(layer, {{{4, 1, 1}, {1, 2, 3, 4}}}, {{1, 10}, {}});
    CHECK(y.dimensions() == shape{4, 1, 2});
    CHECK(y.first() == std::vector<float>{1, 10, 2, 20, 3, 30, 4, 40});
    CHECK(layer.output_shape(shape{1, 1, 1}).shapes()[0] == shape{2, 1, 1});
    for (extent channels : {1, 4, 5})
        require_gradients(inner_product{.input_channels = 1, .output_channels = channels}, {{4, 1, 1}},
                          {.examples = 3});
}

TEST_CASE("inner_product: one channel of a column of rows") {
    for (extent examples : {1, 3}) check_values<float>({4, 1, 5}, 5, 1, examples, true);
    check_values<double>({1, 1, 5}, 5, 1, 2, false);
    check_values<double>({40, 1, 33}, 33, 1, 2, true);
    require_gradients(inner_product{.output_channels = 1}, {{4, 1, 5}}, {.examples = 3});
    network<column> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(20)));
}

TEST_CASE("inner_product: the same bits with threads where there is much to do") {
    evaluate<float>(inner_product{.output_channels = 300}, {{{200}, numbers<float>(200 * 64)}},
                    {numbers<float>(60000), numbers<float>(300)});
    evaluate<float>(inner_product{.output_channels = 1000}, {{{200}, numbers<float>(200)}},
                    {numbers<float>(200000), numbers<float>(1000)});
}

TEST_CASE("inner_product: shapes and faults") {
    constexpr inner_product layer{.output_channels = 7};
    static_assert(layer.output_shape(shape{5}).shapes()[0] == shape{7});
    static_assert(layer.output_shape(shape{2, 5}).shapes()[0] == shape{2, 7});
    static_assert(layer.output_shape(shape{2, 3, 5}).shapes()[0] == shape{2, 3, 7});
    static_assert(layer.output_shape(shape{5, 1, 1}).shapes()[0] == shape{7, 1, 1});
    static_assert(layer.output_shape(shape{2, 3, 4, 5}).shapes()[0] == shape{2, 7, 1, 1});
    static_assert(layer.output_shape(shape{9, 2, 3, 4, 5}).shapes()[0] == shape{9, 2, 7, 1, 1});
    static_assert(layer.resolved({2, 3, 4, 5}).input_channels == 60);
    static_assert(layer.parameter_shapes({5, 1, 1}).weights == shape{7, 5});
    static_assert(inner_product{.output_channels = 7, .has_bias = false}.parameter_shapes({5}).bias ==
                  absent);
    const auto from = [&](const shape& x) {
        std::vector<std::size_t> axes;
        for (std::size_t back = 1; back <= x.rank(); ++back) axes.push_back(layer.entries_from({&x, 1}, back));
        return axes;
    };
    using axes = std::vector<std::size_t>;
    REQUIRE(from({2, 5}) == axes{0, 2});
    REQUIRE(from({1, 3, 5}) == axes{0, 2, 0});
    REQUIRE(from({4, 3, 1}) == axes{0, 0, 3});
    REQUIRE(from({2, 3, 4, 5}) == axes{0, 0, 0, 4});
    for (const shape& x : {shape{5}, shape{5, 1, 1}, shape{1, 5}, shape{1, 2, 3, 4}})
        REQUIRE(from(x) == axes(x.rank(), 0));
    const std::string place = "layers/0 \"layer\" (innerProduct): ";
    REQUIRE(fault_of(layer, {{}}) == place + "an input of rank 1 to 5 wanted, its shape is []");
    REQUIRE(fault_of(layer, {{1, 1, 1, 1, 1, 5}}) ==
            place + "an input of rank 1 to 5 wanted, its shape is [1, 1, 1, 1, 1, 5]");
    REQUIRE(fault_of(layer, {{0}}) == place + "an input that is not empty wanted, its shape is [0]");
    REQUIRE(fault_of(inner_product{}, {{3}}) == place + "outputChannels from 1 up wanted, -1 given");
    REQUIRE(fault_of(inner_product{.output_channels = 0}, {{3}}) ==
            place + "outputChannels from 1 up wanted, 0 given");
    REQUIRE(fault_of(inner_product{.input_channels = 512, .output_channels = 10}, {{784, 1, 1}}) ==
            place + "512 input channels declared, its input has 784 (shape [784, 1, 1])");
    REQUIRE(fault_of(inner_product{.output_channels = std::numeric_limits<extent>::max()}, {{3}}) ==
            place + "its weights would have the shape [9223372036854775807, 3]");
    for (extent first : hostile_extents())
        for (extent second : hostile_extents())
            ask_everything(inner_product{.input_channels = first, .output_channels = second});
}

namespace {
inline constexpr auto small_product = compose(input{"x", {13}}, inner_product{.output_channels = 20},
                                      inner_product{.output_channels = 3, .has_bias = false});
inline constexpr auto rows = compose(input{"x", {4, 13}}, inner_product{.output_channels = 20});
}  // namespace

TEST_CASE("inner_product: the same bits composed and at run time") {
    network<small_product> a;
    REQUIRE(same_bits_unrolled(a, numbers<float>(13)));
    network<rows> b;
    REQUIRE(same_bits_unrolled(b, numbers<float>(52)));
    network<small_product, double> c;
    REQUIRE(same_bits_unrolled(c, numbers<double>(13)));
}
