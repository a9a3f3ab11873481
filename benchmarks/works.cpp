#include "works.hpp"

#include <vector>

namespace bespoke::benchmarks {
namespace {

constexpr double megabyte = 1e6;

constexpr double lenet_convolution1 = 26 * 26 * 32 * 9, lenet_rest = 11 * 11 * 64 * 288 + 1600 * 128 + 128 * 10;
constexpr double lenet_bytes = 4.0 * (32 * 10 + 64 * 289 + 1601 * 128 + 129 * 10);
constexpr double mlp_weights = 784 * 256 + 256 * 128 + 128 * 10;
constexpr double mlp_train_first = 784 * 512, mlp_train_rest = 512 * 256 + 256 * 10;
constexpr double mlp32_weights = 32 * 64 + 64 * 64 + 64 * 8;
constexpr double lstm20_weights = 4 * 20 * (1 + 20) + 20, gru32_weights = 3 * 32 * (1 + 32) + 32;
constexpr double conv1d_weights = 16 * 3 * (1 + 3 * 16);

/// BERT without its embeddings, whose look-ups are no multiply-adds.
struct bert {
    double layers, hidden, inner;

    constexpr double weights() const { return layers * (4 * hidden * hidden + 2 * hidden * inner); }
    constexpr double attention(double tokens) const { return layers * 2 * tokens * tokens * hidden; }
    constexpr double multiply_adds(double tokens) const { return tokens * weights() + attention(tokens); }
    /// Where only the first token of the last layer is looked at: the others end with its attention.
    constexpr double classifying(double tokens) const {
        return multiply_adds(tokens) - (tokens - 1) * (hidden * hidden + 2 * hidden * inner);
    }
    constexpr double bytes() const { return 4 * weights(); }
};
constexpr bert base{12, 768, 3072}, base_frozen{10, 768, 3072}, base_learning{2, 768, 3072}, tiny{2, 128, 512};

constexpr work sgemm(std::string_view key, int rows, int inputs, int outputs) {
    const double weights = static_cast<double>(inputs) * outputs;
    return {.key = key, .name = "sgemm", .batch = rows, .inputs = inputs, .outputs = outputs,
            .multiply_adds = rows * weights, .bytes = 4 * weights, .tolerance = 1e-5};
}

// A training step computes the layer, the gradient of its weights, and for all layers but the first that of
// its input: as many multiply-adds each. Weights, gradients and both moments of Adam are read.
const std::vector<work> all{
    sgemm("sgemm_128x768x768", 128, 768, 768),
    sgemm("sgemm_128x768x3072", 128, 768, 3072),
    sgemm("sgemm_128x3072x768", 128, 3072, 768),
    sgemm("sgemm_1024x1024x1024", 1024, 1024, 1024),
    sgemm("sgemm_1x768x3072", 1, 768, 3072),
    {.key = "bert_base_128", .name = "bert_base", .batch = 128, .multiply_adds = base.multiply_adds(128),
     .bytes = base.bytes()},
    {.key = "bert_base_384", .name = "bert_base", .batch = 384, .multiply_adds = base.multiply_adds(384),
     .bytes = base.bytes()},
    {.key = "bert_tiny_128", .name = "bert_tiny", .batch = 128, .multiply_adds = tiny.multiply_adds(128),
     .bytes = tiny.bytes()},
    {.key = "resnet50", .name = "resnet50", .multiply_adds = 4.089e9, .bytes = 102 * megabyte},
    {.key = "mobilenetv2", .name = "mobilenetv2", .multiply_adds = 0.3008e9, .bytes = 14 * megabyte},
    {.key = "lenet_b1", .name = "lenet", .multiply_adds = lenet_convolution1 + lenet_rest, .bytes = lenet_bytes},
    {.key = "lenet_b64", .name = "lenet", .batch = 64, .multiply_adds = 64 * (lenet_convolution1 + lenet_rest),
     .bytes = lenet_bytes},
    {.key = "mlp784_b1", .name = "mlp784", .multiply_adds = mlp_weights, .bytes = 4 * mlp_weights},
    {.key = "mlp784_b64", .name = "mlp784", .batch = 64, .multiply_adds = 64 * mlp_weights, .bytes = 4 * mlp_weights},
    {.key = "mlp32_tanh", .name = "mlp32_tanh", .multiply_adds = mlp32_weights, .bytes = 4 * mlp32_weights},
    {.key = "lstm20", .name = "lstm20", .multiply_adds = lstm20_weights, .bytes = 4 * lstm20_weights, .call = 10},
    {.key = "gru32", .name = "gru32", .multiply_adds = gru32_weights, .bytes = 4 * gru32_weights, .call = 10},
    {.key = "conv1d_stack", .name = "conv1d_stack", .multiply_adds = conv1d_weights, .bytes = 4 * conv1d_weights,
     .call = 40},
    {.key = "train_lenet_b64", .name = "train_lenet", .batch = 64,
     .multiply_adds = 64 * (2 * lenet_convolution1 + 3 * lenet_rest), .bytes = 3 * lenet_bytes, .call = 10},
    {.key = "train_mlp_b64", .name = "train_mlp", .batch = 64,
     .multiply_adds = 64 * (2 * mlp_train_first + 3 * mlp_train_rest), .bytes = 16 * (mlp_train_first + mlp_train_rest),
     .call = 10},
    {.key = "train_bert_tiny", .name = "train_bert_tiny", .batch = 8, .multiply_adds = 8 * 3 * tiny.classifying(128),
     .bytes = 4 * tiny.bytes(), .call = 5},
    {.key = "train_bert_base_head", .name = "train_bert_base_head", .batch = 8,
     .multiply_adds = 8 * (base_frozen.multiply_adds(128) + 3 * base_learning.classifying(128)),
     .bytes = base_frozen.bytes() + 4 * base_learning.bytes()},
    {.key = "train_bert_base_head_cached", .name = "train_bert_base_head_cached", .batch = 8,
     .multiply_adds = 8 * 3 * base_learning.classifying(128), .bytes = 4 * base_learning.bytes()},
    {.key = "load_bert_base", .name = "load_bert_base", .batch = 128, .multiply_adds = base.multiply_adds(128),
     .bytes = base.bytes()},
};

}  // namespace

std::span<const work> works() { return all; }

}  // namespace bespoke::benchmarks
