#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

/// The numbers that everybody starts from. Number i of stream s depends on (s, i) alone, by 32-bit arithmetic that any
/// language has; peer_onnxruntime.mjs says the same in its own.
namespace bespoke::benchmarks {

/// The last step of MurmurHash3: every bit of h moves every bit of the result.
constexpr std::uint32_t mixed(std::uint32_t h) {
    h = (h ^ (h >> 16U)) * 0x85EBCA6BU;
    h = (h ^ (h >> 13U)) * 0xC2B2AE35U;
    return h ^ (h >> 16U);
}

/// `count` numbers, uniform in [center - radius, center + radius).
inline std::vector<float> numbers(std::uint32_t stream, std::size_t count, double radius, double center = 0) {
    std::vector<float> values(count);
    const std::uint32_t start = mixed(stream * 0x9E3779B9U + 1);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t bits = mixed(static_cast<std::uint32_t>(i) + start) >> 8U;
        values[i] = static_cast<float>((static_cast<double>(bits) * 0x1p-23 - 1) * radius + center);
    }
    return values;
}

/// The parameters of a network, array after array in the order of its layers: array k is stream k.
class parameter_stream {
public:
    /// [outputs, inputs (, height, width)], uniform in +-sqrt(6 / fan_in), where fan_in = inputs * height * width.
    std::vector<float> weights(std::size_t outputs, std::size_t fan_in) {
        return numbers(next_++, outputs * fan_in, std::sqrt(6.0 / static_cast<double>(fan_in)));
    }
    /// What is added: biases, beta, running means.
    std::vector<float> biases(std::size_t count) { return numbers(next_++, count, 0.1); }
    /// What is multiplied: gamma, running variances.
    std::vector<float> scales(std::size_t count) { return numbers(next_++, count, 0.5, 1); }
    /// An embedding, [columns, rows]: one column of the array for each index.
    std::vector<float> table(std::size_t columns, std::size_t rows) { return numbers(next_++, columns * rows, 0.5); }

private:
    std::uint32_t next_ = 0;
};

/// Arrays of a network in which every layer has weights and then biases: those of the layer-th layer, from 0.
inline std::vector<float> weights(int layer, int outputs, int fan_in) {
    return numbers(static_cast<std::uint32_t>(2 * layer),
                   static_cast<std::size_t>(outputs) * static_cast<std::size_t>(fan_in), std::sqrt(6.0 / fan_in));
}
inline std::vector<float> biases(int layer, int outputs) {
    return numbers(static_cast<std::uint32_t>(2 * layer + 1), static_cast<std::size_t>(outputs), 0.1);
}

/// An input, [batch, size], uniform in [-1, 1).
inline std::vector<float> input(int batch, int size) {
    return numbers(1U << 20U, static_cast<std::size_t>(batch) * static_cast<std::size_t>(size), 1);
}

/// Class of example i at training step `step`, both from 0. It changes every step, so that the loss never nears 0,
/// where gradients are denormal numbers and times say nothing.
inline int label(int i, int step) { return (i + step) % 10; }

/// The inputs of BERT, [batch, tokens]: token and type of every position, and what is added to the scores of its key:
/// the last eighth of the tokens is hidden.
struct bert_inputs {
    static constexpr int vocabulary = 30522, positions = 512, types = 2;
    std::vector<float> ids, types_of, positions_of, mask;

    bert_inputs(int batch, int tokens) {
        for (int i = 0; i < batch * tokens; ++i) {
            const int at = i % tokens;
            const auto hash = mixed(static_cast<std::uint32_t>(i) + 1);
            ids.push_back(static_cast<float>(hash % static_cast<std::uint32_t>(vocabulary)));
            types_of.push_back(at < tokens / 2 ? 0.0F : 1.0F);
            positions_of.push_back(static_cast<float>(at));
            mask.push_back(at < tokens - tokens / 8 ? 0.0F : -10000.0F);
        }
    }
};

}  // namespace bespoke::benchmarks
