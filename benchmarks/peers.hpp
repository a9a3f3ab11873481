#pragma once

#include "numbers.hpp"
#include "works.hpp"

#include <climits>
#include <dlfcn.h>
#include <functional>
#include <malloc.h>
#include <span>

/// Those who are measured. No header of theirs is needed here: each is one source file or a few.
namespace bespoke::benchmarks {

/// One forward pass, or one training step. Gives all numbers of the output, or the loss [1] before the update; valid
/// until the next call.
using work_function = std::function<std::span<const float>()>;

/// Somebody who is ready for a work.
struct contestant {
    work_function run;
    /// The seconds of so many calls, where they are not to be timed here but elsewhere, in a process of its own.
    std::function<double(int)> seconds;

    contestant() = default;
    contestant(auto function) : run(std::move(function)) {}
    contestant(work_function function, std::function<double(int)> timed)
        : run(std::move(function)), seconds(std::move(timed)) {}
    explicit operator bool() const { return run != nullptr; }
};

struct peer {
    const char* name;
    /// Prepares `w`; empty if the peer cannot do it. `threads` may hold for the whole program, until the next `make`.
    contestant (*make)(const work& w, int threads);
    double rate = 1;       ///< how many of its multiply-adds the machine does in the time of one of float32
    double tolerance = 0;  ///< allowed in place of a smaller one of the work
};

/// Defined in the source file of each, so only what is linked may be named.
extern const peer torch_peer, dlib_peer, eigen_peer, openblas_peer, onednn_peer, onnxruntime_peer, loops_peer,
    vector_loops_peer, rtneural_eigen_peer, rtneural_xsimd_peer;

/// bespoke itself, through each of its doors, and in low precision.
extern const peer composed_peer, loaded_peer, bfloat16_peer, int8_peer;

/// Tells OpenBLAS, if some peer brought it along, to use that many threads.
inline void blas_threads(int threads) {
    const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
    if (set) set(threads);
}

/// Tells glibc to keep the memory that is freed. A peer that allocates its activations anew in every call
/// otherwise spends up to half of its time in page faults (libtorch, train_lenet_b64). Holds for the whole
/// program.
inline void keep_freed_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace bespoke::benchmarks
