#pragma once

#include <span>
#include <string_view>

namespace bespoke::benchmarks {

/// What is measured. relu between layers where nothing else is said, the last layer is linear; the parameters are those
/// of `parameter_stream`, in the order in which the layers stand here, weights before biases. By name:
/// * sgemm: x [batch, inputs] Wᵀ; W [outputs, inputs] may be packed beforehand.
/// * bert_base: BERT of 12 layers, 768 channels, 12 heads, 3072 inner channels, see networks/bert.hpp; one example of
///   `batch` tokens -> [tokens, 768].
/// * bert_tiny: the same of 2 layers, 128 channels, 2 heads, 512 inner channels.
/// * resnet50: He et al., 2016, the stride in the 3x3 convolutions; image [3, 224, 224] -> 1000 logits. The convolution
///   of a shortcut stands before those beside it.
/// * mobilenetv2: Sandler et al., 2018, width 1; image [3, 224, 224] -> 1000 logits.
/// * lenet: image [1, 28, 28], convolution 32 3x3 valid, relu, max pooling 2, convolution 64 3x3 valid, relu, max
///   pooling 2, dense 128, relu, dense 10, softmax.
/// * mlp784: dense 784-256-128-10.
/// * mlp32_tanh: dense 32-64-64-8, tanh instead of relu.
/// * lstm20: one sample [1]: LSTM of 20 units, dense 1; the state stays for the next call.
/// * gru32: the same with a GRU of 32; all units have the reset gate of the first, so that both conventions
///   of it agree.
/// * conv1d_stack: one sample [1]: 4 causal convolutions to 16 channels, 3 taps (oldest first) 1, 2, 4, 8 samples
///   apart, tanh after each; the past stays for the next call.
/// * train_lenet: lenet, mean softmax cross-entropy, SGD 0.01 with momentum 0.9 (v = 0.9 v + g).
/// * train_mlp: dense 784-512-256-10, mean softmax cross-entropy, Adam 1e-3 (0.9, 0.999, 1e-8).
/// * train_bert_tiny: bert_tiny on `batch` examples of 128 tokens with a head (first token, dense 128, tanh, dense 10),
///   all layers, mean softmax cross-entropy, AdamW 1e-4, decay 0.01.
/// * train_bert_base_head: the same with bert_base, AdamW 1e-5, its last 2 layers and the head alone.
/// * train_bert_base_head_cached: the same in a later epoch: what the frozen layers give is known already.
/// * load_bert_base: a process starts, reads bert_base from a file, and gives its first result.
struct work {
    std::string_view key;  ///< in --only, the table and the JSON
    std::string_view name;
    int batch = 1;                ///< examples, rows, or tokens of the one example
    int inputs = 0, outputs = 0;  ///< of sgemm
    double multiply_adds = 0;     ///< of the direct computation, in one call
    double bytes = 0;             ///< read at least once: weights, and in training gradients and moments
    int call = 1;                 ///< after this many calls
    double tolerance = 1e-3;      ///< no number of the result is further away, relative to the largest
};

std::span<const work> works();

}  // namespace bespoke::benchmarks
