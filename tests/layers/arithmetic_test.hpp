#pragma once

#include "layer_test.hpp"

/// What the tests of element-wise layers of several inputs share: all ways in which these meet.
namespace arithmetic_test {

using namespace layer_test;

/// The element of x, repeated where its extent is 1, that meets element `index` of an array of shape y.
inline std::size_t meeting(const shape& x, const shape& y, extent index) {
    extent at = 0, step = 1;
    for (std::size_t back = 1; back <= x.rank(); ++back) {
        if (x.from_end(back) != 1) at += index % y.from_end(back) * step;
        index /= y.from_end(back);
        step *= x.from_end(back);
    }
    return static_cast<std::size_t>(at);
}

/// The formula, element by element in double.
template <class T, class F>
std::vector<double> by_element(const std::vector<blob<T>>& xs, const shape& y, extent examples, const F& f) {
    std::vector<double> values;
    for (extent e = 0; e < examples; ++e)
        for (extent i = 0; i < y.size(); ++i)
            for (std::size_t k = 0; k < xs.size(); ++k) {
                const auto first = static_cast<std::size_t>(xs[k].once ? 0 : e * xs[k].dimensions.size());
                const double v = static_cast<double>(xs[k].values[first + meeting(xs[k].dimensions, y, i)]);
                if (k == 0)
                    values.push_back(v);
                else
                    values.back() = f(values.back(), v);
            }
    return values;
}

inline const std::vector<std::vector<shape>> combinations{
    {{}, {}},
    {{5}, {5}},
    {{40}, {1}},
    {{1}, {33}},
    {{2, 3, 4}, {2, 3, 4}},
    {{3, 4, 5}, {3, 1, 1}},
    {{3, 4, 5}, {1, 4, 5}},
    {{1, 1, 1}, {3, 4, 5}},
    {{3, 1, 5}, {1, 4, 1}},
    {{2, 3, 4, 5}, {2, 1, 4, 5}, {2, 3, 1, 1}},
    {{2, 3}, {2, 3}, {2, 3}, {2, 3}},
    {{2, 1}, {2, 1}, {1, 19}},
    {{1, 2, 3, 4, 5}, {1, 1, 3, 1, 5}},
    {{3, 1}, {1}},
    {{7}, {1, 2, 1, 7}},
    {{1, 1, 1, 2, 19}, {3, 2, 19}},
    {{2}, {}, {3, 2}, {2, 1, 1}},
};

/// Of two inputs whose ranks differ.
inline const std::vector<std::vector<shape>> aligned_combinations{
    {{}, {}},           {{3}, {}},           {{2, 3}, {3}},    {{19}, {2, 1}},          {{2, 3, 5}, {3, 1}},
    {{5, 1, 2}, {3, 1}}, {{2, 2, 17}, {17}}, {{4}, {2, 3, 1}}, {{2, 3, 4}, {2, 3, 4}}, {{1, 2, 3, 4, 5}, {4, 1}},
};

template <class T, class L, class F>
void check_arithmetic(const L& layer, const F& f, const std::vector<std::vector<shape>>& sets = combinations) {
    constexpr extent examples = 3;
    for (const auto& shapes : sets)
        for (std::size_t once = 0; once <= shapes.size(); ++once) {  // the last: none
            std::vector<blob<T>> xs;
            for (std::size_t k = 0; k < shapes.size(); ++k)
                xs.push_back(
                    {shapes[k], numbers<T>(shapes[k].size() * (k == once ? 1 : examples), k + 1), k == once});
            const auto got = evaluate<T>(layer, xs);
            CAPTURE(shapes.size(), got.dimensions().rank(), got.dimensions().size(), once);
            REQUIRE(distance(got.first(), by_element(xs, got.dimensions(), examples, f)) <=
                    4 * static_cast<double>(std::numeric_limits<T>::epsilon()));
        }
}

template <class L>
void check_gradients_of(const L& layer) {
    require_gradients(layer, {{7}});
    for (const auto& shapes : combinations) require_gradients(layer, shapes);
    require_gradients(layer, {{2, 3}}, {.arguments = {0, 0}});
    require_gradients(layer, {{2, 3, 4}, {2, 1, 1}}, {.arguments = {0, 1, 0}});
    require_gradients(layer, {{2, 3}, {2, 1}}, {.arguments = {1, 1, 0, 1}});
}

}  // namespace arithmetic_test
