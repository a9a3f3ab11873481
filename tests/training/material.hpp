#pragma once

#include <bespoke/core/random.hpp>

#include <cstddef>
#include <cstring>
#include <vector>

/// What tests of trainings share.
namespace training_test {

constexpr std::size_t examples = 22;

/// Inputs of five numbers, labels of three classes.
struct material {
    std::vector<float> x = std::vector<float>(examples * 5), labels = std::vector<float>(examples);

    material() {
        bespoke::philox random(5);
        for (std::size_t i = 0; i < examples; ++i) {
            labels[i] = static_cast<float>(i % 3);
            for (std::size_t j = 0; j < 5; ++j)
                x[i * 5 + j] = static_cast<float>(random.uniform() + (j == i % 3 ? 1 : 0));
        }
    }
};

template <class Network>
std::vector<float> all_weights(const Network& net) {
    const auto& block = net.core().parameters().block();
    return {block.begin(), block.end()};
}
template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace training_test
