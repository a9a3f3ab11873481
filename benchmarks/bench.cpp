/// Measures bespoke beside its peers: those of one work at one number of threads are taken in turn, in random order.
#include "limits.hpp"
#include "options.hpp"
#include "report.hpp"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace bespoke::benchmarks {
namespace {

struct installed_peer {
    const char* name;
    const peer* it;  ///< null: not installed
};
const std::vector<installed_peer> peers{
#ifdef BESPOKE_BENCH_ONEDNN
    {"oneDNN", &onednn_peer},
#else
    {"oneDNN", nullptr},
#endif
#ifdef BESPOKE_BENCH_ONNXRUNTIME
    {"ONNX Runtime", &onnxruntime_peer},
#else
    {"ONNX Runtime", nullptr},
#endif
#ifdef BESPOKE_BENCH_TORCH
    {"libtorch", &torch_peer},
#else
    {"libtorch", nullptr},
#endif
#ifdef BESPOKE_BENCH_DLIB
    {"dlib", &dlib_peer},
#else
    {"dlib", nullptr},
#endif
#ifdef BESPOKE_BENCH_OPENBLAS
    {"OpenBLAS", &openblas_peer},
#else
    {"OpenBLAS", nullptr},
#endif
#ifdef BESPOKE_BENCH_EIGEN
    {"Eigen", &eigen_peer},
#else
    {"Eigen", nullptr},
#endif
#ifdef BESPOKE_BENCH_RTNEURAL_EIGEN
    {"RTNeural (Eigen)", &rtneural_eigen_peer},
#else
    {"RTNeural (Eigen)", nullptr},
#endif
#ifdef BESPOKE_BENCH_RTNEURAL_XSIMD
    {"RTNeural (xsimd)", &rtneural_xsimd_peer},
#else
    {"RTNeural (xsimd)", nullptr},
#endif
    {"loops", &loops_peer},
    {"vector loops", &vector_loops_peer},
};

int run(const options& o) {
    keep_freed_memory();
    std::vector<const peer*> who{&composed_peer, &loaded_peer, &bfloat16_peer, &int8_peer};
    for (const installed_peer& p : peers)
        if (p.it) who.push_back(p.it);
    if (!keep_wanted(who, o)) return 2;

    std::map<int, double> rates;
    for (const int count : o.threads) {
        rates[count] = multiply_add_rate(count);
        std::printf("%d thread%s: %.0f GFLOP/s of multiply-adds", count, count == 1 ? "" : "s", rates[count] / 1e9);
        if (count > 1) std::printf(", an empty loop %.2f us", empty_loop(count) * 1e6);
        std::printf("\n");
    }
    bool right = true;
    std::vector<line> lines;
    for (const work& w : works()) {
        if (!is_wanted(w, o)) continue;
        for (const int count : o.threads) {
            std::printf("%s, %d thread%s\n", std::string(w.key).c_str(), count, count == 1 ? "" : "s");
            std::fflush(stdout);
            right &= measure(w, count, rates[count], who, o.how, lines);
        }
    }
    print_table(lines);
    for (const installed_peer& p : peers)
        if (!p.it) std::printf("%s: not installed, skipped\n", p.name);
    return finish(o, lines, right);
}

}  // namespace
}  // namespace bespoke::benchmarks

int main(int argc, char** argv) {
    using namespace bespoke::benchmarks;
    start_with_settings(argv);
    return start(argc, argv, "bespoke_bench", works(), true, run);
}
