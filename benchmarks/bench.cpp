/// Measures bespoke beside its peers: those of one work at one number of threads are taken in turn, in random order.
#include "limits.hpp"
#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>
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

void print_help() {
    std::printf("bespoke_bench [--only KEY]... [--threads N]... [--who NAME]... [--samples N] [--json FILE]\n\n"
                "  --only KEY    this work alone:");
    std::size_t column = 80;
    for (const work& w : works()) {
        if (column + w.key.size() > 75) column = static_cast<std::size_t>(std::printf("\n               ")) - 1;
        column += static_cast<std::size_t>(std::printf(" %s", std::string(w.key).c_str()));
    }
    std::printf("\n"
                "  --threads N   with N threads; not given: 1, and 2 where there are as many\n"
                "  --who NAME    only those whose names begin so (\"bespoke\")\n"
                "  --samples N   15 unless given\n"
                "  --json FILE   also write an array of\n"
                "                {\"work\", \"threads\", \"who\", \"seconds\" (median), \"minimum\", "
                "\"limit_share\"}\n");
}

struct options {
    std::vector<std::string> only, who;
    std::vector<int> threads;
    patience how;
    std::string json;
};

/// The number that `value` spells; 0: none from 1 up.
int positive(const std::string& value) { return std::max(0, std::atoi(value.c_str())); }

/// Prints what is wrong and returns false, or fills `o`.
bool read(int argc, char** argv, options& o) {
    for (int i = 1; i < argc; i += 2) {
        const std::string option = argv[i];
        if (option != "--only" && option != "--threads" && option != "--who" && option != "--samples" &&
            option != "--json")
            return std::printf("%s: unknown; see --help\n", option.c_str()) < 0;
        if (i + 1 == argc) return std::printf("%s: a value is missing; see --help\n", option.c_str()) < 0;
        const std::string value = argv[i + 1];
        if ((option == "--threads" || option == "--samples") && positive(value) == 0)
            return std::printf("%s: a number from 1 up wanted, %s came\n", option.c_str(), value.c_str()) < 0;
        if (option == "--only" && std::ranges::none_of(works(), [&](const work& w) { return w.key == value; }))
            return std::printf("--only %s: no such work; see --help\n", value.c_str()) < 0;
        if (option == "--only") o.only.push_back(value);
        if (option == "--who") o.who.push_back(value);
        if (option == "--threads") o.threads.push_back(positive(value));
        if (option == "--samples") o.how.samples = positive(value);
        if (option == "--json") o.json = value;
    }
    if (o.threads.empty()) o.threads = std::thread::hardware_concurrency() > 1 ? std::vector{1, 2} : std::vector{1};
    return true;
}

int run(const options& o) {
    keep_freed_memory();
    std::vector<const peer*> who{&composed_peer, &loaded_peer, &bfloat16_peer, &int8_peer};
    for (const installed_peer& p : peers)
        if (p.it) who.push_back(p.it);
    std::erase_if(who, [&](const peer* p) {
        const auto begins = [&](const std::string& name) { return std::string_view(p->name).starts_with(name); };
        return !o.who.empty() && std::ranges::none_of(o.who, begins);
    });

    std::map<int, double> rates;
    for (const int count : o.threads) {
        rates[count] = multiply_add_rate(count);
        std::printf("%d thread%s: %.0f GFLOP/s of multiply-adds\n", count, count == 1 ? "" : "s", rates[count] / 1e9);
    }
    bool right = true;
    std::vector<line> lines;
    for (const work& w : works()) {
        if (!o.only.empty() && std::ranges::find(o.only, w.key) == o.only.end()) continue;
        for (const int count : o.threads) {
            std::printf("%s, %d thread%s\n", std::string(w.key).c_str(), count, count == 1 ? "" : "s");
            std::fflush(stdout);
            right &= measure(w, count, rates[count], who, o.how, lines);
        }
    }
    print_table(lines);
    for (const installed_peer& p : peers)
        if (!p.it) std::printf("%s: not installed, skipped\n", p.name);
    if (!o.json.empty() && !write_json(o.json, lines)) {
        std::printf("%s: cannot be written\n", o.json.c_str());
        return 1;
    }
    return right ? 0 : 1;
}

/// What libraries read when the program starts, before `main`: then it starts again. libtorch chooses its kernels and
/// glibc keeps freed memory by it. OpenMP's threads spin long enough to be there at the next call of a sample, and are
/// asleep when the next contestant runs.
void start_with_settings(char** argv) {
    if (getenv("BESPOKE_BENCH_SETTINGS") != nullptr) return;
    setenv("BESPOKE_BENCH_SETTINGS", "1", 1);
    setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
    setenv("MALLOC_MMAP_THRESHOLD_", "1073741824", 0);
    setenv("MALLOC_TRIM_THRESHOLD_", "2147483647", 0);
    setenv("GOMP_SPINCOUNT", "2000000", 0);
    execv("/proc/self/exe", argv);
}

}  // namespace
}  // namespace bespoke::benchmarks

int main(int argc, char** argv) {
    using namespace bespoke::benchmarks;
    start_with_settings(argv);
    if (argc > 1 && std::string_view(argv[1]) == "--help") return print_help(), 0;
    options o;
    return read(argc, argv, o) ? run(o) : 2;
}
