#include <bespoke/layers/clip.hpp>

#include "elementwise_test.hpp"

FLOAT_IN_IMPLEMENTATION(clamped_relu)
FLOAT_IN_IMPLEMENTATION(clip)

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("clip: values, special values and gradients", "", float, double) {
    using T = TestType;
    constexpr T most = std::numeric_limits<T>::infinity();
    const std::vector<T> x{-7, T(-1.5), T(-1.25), -1, 0, T(0.5), 2, T(2.25), 9, most, -most},
        y{T(-1.5), T(-1.5), T(-1.25), -1, 0, T(0.5), 2, 2, 2, 2, T(-1.5)};
    const clip layer{.min_val = -1.5F, .max_val = 2};
    CHECK(evaluate<T>(layer, {{{11}, x}}).first() == y);
    CHECK(std::isnan(evaluate<T>(layer, {{{1}, {std::numeric_limits<T>::quiet_NaN()}}}).first()[0]));
    CHECK(layer.derivative(T(-1.5), T(-1.5)) == 0);
    CHECK(layer.derivative(T(0), T(0)) == 1);
    CHECK(layer.derivative(T(2), T(2)) == 0);
}

TEST_CASE("clip: joins a map that has no bounds yet") {
    channel_map<float> map;
    CHECK(clip{-1, 6}.joins(map, finishing<float>{}));
    CHECK((map.scale == nullptr && map.low == -1 && map.high == 6));
    CHECK_FALSE(clip{0, 1}.joins(map, finishing<float>{}));
    CHECK((map.low == -1 && map.high == 6));
}

TEST_CASE("clip: gradients away from its ends, and both doors") {
    for (const shape& s : {shape{}, shape{9}, shape{2, 3, 5}}) {
        require_gradients(clip{.min_val = -20, .max_val = 20}, {s}, {.low = -6, .high = 6});
        require_gradients(clip{.min_val = 7, .max_val = 8}, {s}, {.low = -6, .high = 6});
    }
    ask_everything(clip{.min_val = -0.25F, .max_val = 0.5F});
}

TEST_CASE("clamped_relu: values, special values and gradients") {
    const auto with = [](float alpha, float beta) {
        const clamped_relu layer{.alpha = alpha, .beta = beta};
        const double a = static_cast<double>(alpha), b = static_cast<double>(beta);
        std::vector<double> kinks{0, b};
        if (a != 0) kinks.push_back(b / a);
        check_layer(layer, [&](double x) { return std::min(b, x >= 0 ? x : a * x); }, kinks);
    };
    with(0.25f, 2);
    with(-0.5f, 1.5f);
    with(2, -3);
    CHECK(clamped_relu{.alpha = 0.5f, .beta = 2}.derivative(0.0, 0.0) == 0.5);
    CHECK(clamped_relu{.alpha = 0.5f, .beta = 2}.derivative(2.0, 2.0) == 0);
}

TEST_CASE("clip: bounds in their order, of which either may be infinite") {
    constexpr float infinite = std::numeric_limits<float>::infinity();
    CHECK(evaluate<float>(clip{-infinite, 1}, {{{2}, {-9, 2}}}).first() == std::vector<float>{-9, 1});
    CHECK(evaluate<float>(clip{1, 1}, {{{2}, {-9, 2}}}).first() == std::vector<float>{1, 1});
    const std::string place = "layers/0 \"layer\" (clip): ";
    CHECK(fault_of(clip{5, 1}, {{2}}) == place + "a minVal up to maxVal wanted, 5 and 1 given");
    CHECK(fault_of(clip{std::numeric_limits<float>::quiet_NaN(), 1}, {{2}}) ==
          place + "a minVal up to maxVal wanted, NaN and 1 given");
}
