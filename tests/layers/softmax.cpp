#include <bespoke/layers/softmax.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(softmax)
FLOAT_IN_IMPLEMENTATION(softmax_nd)
DOUBLE_IN_INSTANCES(softmax)
DOUBLE_IN_INSTANCES(softmax_nd)

using namespace bespoke;
using namespace layer_test;

namespace {

/// The formula in double, over axis `axis` of each example.
template <class T>
std::vector<double> formula(const shape& s, std::size_t axis, const std::vector<T>& x) {
    const auto n = static_cast<std::size_t>(s[axis]);
    const auto inner = static_cast<std::size_t>(s.product(axis + 1, s.rank()));
    std::vector<double> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t first = i / (n * inner) * n * inner + i % inner;
        double sum = 0;
        for (std::size_t k = 0; k < n; ++k) sum += std::exp(static_cast<double>(x[first + k * inner]));
        y[i] = std::exp(static_cast<double>(x[i])) / sum;
    }
    return y;
}
template <class T, class L>
void check_values(const L& layer, const shape& s, std::size_t axis) {
    const std::vector<T> x = numbers<T>(3 * s.size());
    CAPTURE(s.rank(), axis);
    REQUIRE(relative_distance(evaluate<T>(layer, {{s, x}}).first(), formula(s, axis, x)) <= 8);
}

}  // namespace

TEST_CASE("softmax: values and gradients") {
    for (const shape& s :
         {shape{10, 1, 1}, shape{37, 1, 1}, shape{3, 5, 7}, shape{2, 4, 1, 3}, shape{1, 2, 2, 3, 1}}) {
        check_values<float>(bespoke::softmax{}, s, s.rank() - 3);
        check_values<double>(bespoke::softmax{}, s, s.rank() - 3);
        require_gradients(bespoke::softmax{}, {s}, {.low = -3, .high = 3});
    }
}

TEST_CASE("softmax_nd: values and gradients along every axis") {
    for (const shape& s : {shape{6}, shape{3, 5}, shape{2, 3, 4}, shape{2, 1, 3, 2, 2}})
        for (std::size_t axis = 0; axis < s.rank(); ++axis)
            for (extent given :
                 {static_cast<extent>(axis), static_cast<extent>(axis) - static_cast<extent>(s.rank())}) {
                const softmax_nd layer{.axis = given};
                check_values<float>(layer, s, axis);
                check_values<double>(layer, s, axis);
                require_gradients(layer, {s}, {.low = -3, .high = 3});
            }
}

TEST_CASE("softmax: special values") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    const auto of = [](std::vector<float> x) {
        const auto n = static_cast<extent>(x.size());
        const auto across = evaluate<float>(bespoke::softmax{}, {{{n, 1, 1}, x}}).first();
        REQUIRE(distance(evaluate<float>(softmax_nd{.axis = 0}, {{{n}, x}}).first(),
                         std::vector<double>(across.begin(), across.end())) == 0);
        return across;
    };
    REQUIRE(of({1000, 1000, -1000}) == std::vector<float>{0.5f, 0.5f, 0});
    REQUIRE(of({-infinity, 0, 0.0f}) == std::vector<float>{0, 0.5f, 0.5f});
    REQUIRE(of({-0.0f, 0.0f}) == std::vector<float>{0.5f, 0.5f});
    REQUIRE(of({7}) == std::vector<float>{1});
    for (float y : of({1, nan, 2})) REQUIRE(std::isnan(y));
    for (float y : of({1, infinity, 2})) REQUIRE(std::isnan(y));
}

TEST_CASE("softmax: an empty axis and an empty batch give nothing") {
    REQUIRE(evaluate<float>(bespoke::softmax{}, {{{0, 2, 2}, {}}}).first().empty());
    REQUIRE(evaluate<float>(softmax_nd{}, {{{3, 0}, {}}}).first().empty());
}

TEST_CASE("softmax: the same bits with threads where there is much to do") {
    evaluate<float>(bespoke::softmax{}, {{{50, 20, 30}, numbers<float>(2 * 30000)}});
    evaluate<float>(softmax_nd{}, {{{300, 33}, numbers<float>(5 * 9900)}});
}

TEST_CASE("softmax: shapes and faults") {
    static_assert(!bespoke::softmax{}.output_shape(shape{10}));
    static_assert(softmax_nd{.axis = -2}.output_shape(shape{3, 4}).shapes()[0] == shape{3, 4});
    constexpr std::array matrix{shape{1, 3, 4}};
    constexpr softmax_nd last{.axis = -1}, middle{.axis = 1};
    static_assert(last.entries_from(matrix, 2) == 2 && last.entries_from(matrix, 1) == 0);
    static_assert(middle.entries_from(matrix, 2) == 0 && middle.entries_from(matrix, 1) == 1);
    REQUIRE(fault_of(bespoke::softmax{}, {{10}}) ==
            "layers/0 \"layer\" (softmax): an input of rank 3 or more wanted, "
            "its shape is [10]; softmax_nd takes any rank");
    REQUIRE(fault_of(softmax_nd{.axis = 2}, {{3, 4}}) ==
            "layers/0 \"layer\" (softmaxND): an axis of its input wanted, 2 given for the shape [3, 4]");
    REQUIRE(fault_of(softmax_nd{.axis = -3}, {{3, 4}}) ==
            "layers/0 \"layer\" (softmaxND): an axis of its input wanted, -3 given for the shape [3, 4]");
    REQUIRE(fault_of(softmax_nd{.axis = 0}, {{}}) ==
            "layers/0 \"layer\" (softmaxND): an axis of its input wanted, 0 given for the shape []");
    ask_everything(bespoke::softmax{});
    for (extent axis : hostile_extents()) ask_everything(softmax_nd{.axis = axis});
}

namespace {
inline constexpr auto across = compose(input{"x", {10, 1, 1}}, bespoke::softmax{});
inline constexpr auto along = compose(input{"x", {3, 5}}, softmax_nd{.axis = 0}, softmax_nd{});
}  // namespace

TEST_CASE("softmax: the same bits composed and at run time") {
    network<across> a;
    REQUIRE(same_bits_unrolled(a, numbers<float>(10)));
    network<along> b;
    REQUIRE(same_bits_unrolled(b, numbers<float>(15)));
    static_assert(network<across>::plan().steps[0].probabilities);
}
