#pragma once

#include "layer_test.hpp"

#include <vector>

/// What tests of element-wise layers share.
namespace layer_test {

constexpr double double_infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class T>
std::vector<T> points() {
    std::vector<T> x;
    for (double v : {0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.5, 2.0, 2.7, 3.0, 5.0, 10.0, 20.0, 100.0,
                     1e10, double_infinity})
        for (double sign : {1.0, -1.0}) x.push_back(static_cast<T>(sign * v));
    x.push_back(static_cast<T>(nan));
    return x;
}

/// Compares a layer with a formula in double at ordinary and at special values.
template <class T, class L, class F>
void check_values(const L& layer, const F& formula) {
    INFO(bespoke::key_of<L>().view() << ", " << 8 * sizeof(T) << " bits");
    const std::vector<T> x = points<T>();
    std::vector<double> y;
    for (T v : x) y.push_back(std::isnan(v) ? nan : formula(static_cast<double>(v)));
    const auto got = evaluate<T>(layer, {{{static_cast<extent>(x.size())}, x}});
    for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i], got.first()[i], y[i]);
        REQUIRE(relative_distance<T>({got.first()[i]}, {static_cast<double>(static_cast<T>(y[i]))}) <= 8);
    }
}

/// Values in float and double, and gradients for inputs from `low` to `high`.
template <class L, class F>
void check_layer(const L& layer, const F& formula, std::vector<double> kinks = {}, double low = -4,
                 double high = 4) {
    check_values<float>(layer, formula);
    check_values<double>(layer, formula);
    for (const shape& s : {shape{}, shape{1}, shape{17}, shape{2, 3, 5}, shape{3, 0}})
        require_gradients(layer, {s}, {.low = low, .high = high, .kinks = kinks});
    ask_everything(layer);
}

}  // namespace layer_test
