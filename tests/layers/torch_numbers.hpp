#pragma once

#include "layer_test.hpp"

/// For the numbers that torch_numbers.py prints.
namespace layer_test {

/// Element i is ((37 i + seed) mod 17 - 8) / 8, which float holds exactly.
template <class T>
std::vector<T> steps(extent seed, extent n) {
    std::vector<T> v;
    for (extent i = 0; i < n; ++i) v.push_back(static_cast<T>((37 * i + seed) % 17 - 8) / 8);
    return v;
}

/// What is printed of an array.
struct summary {
    std::size_t size;
    double sum, squares;
    std::array<double, 3> first;
    double last;
};

template <class T>
void require_summary(const std::vector<T>& y, const summary& expected, double tolerance) {
    REQUIRE(y.size() == expected.size);
    double sum = 0, squares = 0;
    for (T v : y) {
        sum += static_cast<double>(v);
        squares += static_cast<double>(v) * static_cast<double>(v);
    }
    CHECK(sum == Approx(expected.sum).margin(tolerance * static_cast<double>(y.size())));
    CHECK(squares == Approx(expected.squares).margin(tolerance * static_cast<double>(y.size())));
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(static_cast<double>(y[i]) == Approx(expected.first[i]).margin(tolerance));
    CHECK(static_cast<double>(y.back()) == Approx(expected.last).margin(tolerance));
}

}  // namespace layer_test
