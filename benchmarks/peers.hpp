#pragma once

#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dlfcn.h>
#include <functional>
#include <malloc.h>
#include <span>
#include <string_view>
#include <vector>

/// The libraries that bespoke is measured beside. No header of theirs is needed here: each peer is one source
/// file.
///
/// The works; relu between layers where nothing else is said, the last layer is linear:
/// * lenet_forward: image 1x28x28, convolution 32 3x3 valid, relu, max pooling 2, convolution 64 3x3 valid,
///   relu, max pooling 2, dense 128, relu, dense 10, softmax.
/// * lenet_train: the same network, mean softmax cross-entropy, SGD 0.01 with momentum 0.9 (v = 0.9 v + g).
/// * mlp_forward: dense 784-256-128-10.
/// * mlp_train: dense 784-512-256-10, mean softmax cross-entropy, Adam 1e-3 (0.9, 0.999, 1e-8).
/// * mlp32_tanh: dense 32-64-64-8, tanh instead of relu; batch 1.
namespace bespoke::benchmarks {

/// One forward pass or one training step. Gives the output [batch, channels], or the loss [1] before the
/// update; valid until the next call.
using work_function = std::function<std::span<const float>()>;

struct peer {
    const char* name;
    /// Prepares `work`; empty if the peer cannot do it. `threads` holds until the next `make`, of any peer.
    work_function (*make)(std::string_view work, int batch, int threads);
};

/// Defined in the source file of each, so only what is linked may be named.
extern const peer torch_peer, dlib_peer, eigen_peer, loops_peer, vector_loops_peer;

/// bespoke itself, through each of its doors.
extern const peer composed_peer, loaded_peer;

/// `count` reproducible numbers, uniform in [-limit, limit).
inline std::vector<float> numbers(std::uint64_t stream, std::size_t count, double limit) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t z = (stream << 40U) + i + 1;
        z = (z * 0x9E3779B97F4A7C15U) ^ (z >> 31U);
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
        z ^= z >> 31U;
        values[i] = static_cast<float>((static_cast<double>(z >> 40U) * 0x1p-23 - 1) * limit);
    }
    return values;
}

/// The input of every work, [batch, size], uniform in [-1, 1).
inline std::vector<float> input(int batch, int size) {
    return numbers(99, static_cast<std::size_t>(batch) * static_cast<std::size_t>(size), 1);
}

/// Initial weights of the layer-th layer that has any, counted from 0: [outputs, inputs (, height, width)],
/// uniform in +-sqrt(6 / fan_in), where fan_in = inputs * height * width.
inline std::vector<float> weights(int layer, int outputs, int fan_in) {
    const auto count = static_cast<std::size_t>(outputs) * static_cast<std::size_t>(fan_in);
    return numbers(static_cast<std::uint64_t>(layer), count, std::sqrt(6.0 / fan_in));
}

/// Initial biases of that layer: [outputs], uniform in +-0.1.
inline std::vector<float> biases(int layer, int outputs) {
    return numbers(static_cast<std::uint64_t>(layer) + 50, static_cast<std::size_t>(outputs), 0.1);
}

/// Class of example i at training step `step`, both from 0. It changes every step, so that the loss never
/// nears 0, where gradients are denormal numbers and times say nothing.
inline int label(int i, int step) { return (i + step) % 10; }

/// Tells OpenBLAS, if some peer brought it along, to use that many threads.
inline void blas_threads(int threads) {
    const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
    if (set) set(threads);
}

/// Tells glibc to keep the memory that is freed. A peer that allocates its activations anew in every call
/// otherwise spends up to half of its time in page faults (libtorch, lenet_train). Holds for the whole
/// program.
inline void keep_freed_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

} // namespace bespoke::benchmarks
