#pragma once

#include "../sanitized.hpp"

#include <bespoke/core/threads.hpp>
#include <bespoke/kernels/simd.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace check {

using bespoke::extent;
using bespoke::kernels::lanes;

template <class T>
inline constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T nan = std::numeric_limits<T>::quiet_NaN();
template <class T>
inline constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

/// Sizes at which loops over batches go wrong, and one real one.
template <class T>
std::vector<extent> sizes() {
    const extent w = lanes<T>;
    return {0, 1, w - 1, w, w + 1, 2 * w, 4 * w + 3, 131};
}

/// Between -1 and 1, the same for the same seed.
class numbers {
public:
    explicit numbers(std::uint64_t seed) : state_(seed * 2 + 1) {}
    double operator()() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<double>(state_ >> 11) * 0x1p-52 - 1;
    }

private:
    std::uint64_t state_;
};

/// An array that starts at any element boundary (`offset` elements after a 64-byte one), between guards.
template <class T>
class array {
public:
    array(extent n, std::uint64_t seed, extent offset = 0)
        : size_(n), begin_(guard + offset),
          data_(static_cast<std::size_t>(n + 2 * guard + offset), guard_value) {
        numbers next(seed);
        for (extent i = 0; i < n; ++i) (*this)[i] = static_cast<T>(next());
    }
    T* data() { return data_.data() + begin_; }
    const T* data() const { return data_.data() + begin_; }
    T& operator[](extent i) { return data_[static_cast<std::size_t>(begin_ + i)]; }
    T operator[](extent i) const { return data_[static_cast<std::size_t>(begin_ + i)]; }
    extent size() const { return size_; }

    /// Whether nothing was written before or behind.
    bool intact() const {
        for (extent i = 0; i < static_cast<extent>(data_.size()); ++i)
            if ((i < begin_ || i >= begin_ + size_) && data_[static_cast<std::size_t>(i)] != guard_value)
                return false;
        return true;
    }

private:
    static constexpr extent guard = 64;
    static constexpr T guard_value = T(-12345);
    extent size_, begin_;
    std::vector<T> data_;
};

template <class T>
bool same_bits(const T* a, const T* b, extent n) {
    return n <= 0 || std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(T)) == 0;
}
template <class T>
bool same_bits(const array<T>& a, const array<T>& b) {
    return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

/// |a - b| in units in the last place of T at `expected`; 0 where both are NaN or the same infinity.
template <class T>
double ulp(T got, double expected) {
    if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got) ? 0 : 1e30;
    const T rounded = static_cast<T>(expected);
    if (std::isinf(rounded) || std::isinf(got)) return rounded == got ? 0 : 1e30;
    int exponent;
    std::frexp(rounded, &exponent);
    exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
    return std::abs(static_cast<double>(got) - expected) /
           std::ldexp(1.0, exponent - std::numeric_limits<T>::digits);
}

template <class T>
double real(T v) {
    return static_cast<double>(v);
}
/// The derivative of f, which is given in double, with respect to x[i], by central differences.
template <class F>
double slope(const F& f, std::vector<double> x, std::size_t i) {
    const double h = 1e-5, at = x[i];
    x[i] = at + h;
    const double up = f(x);
    x[i] = at - h;
    return (up - f(x)) / (2 * h);
}

}  // namespace check
