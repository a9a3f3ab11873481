/// Measures bespoke beside its peers. Google Benchmark takes the samples: those of one work at one number of
/// threads, ours and the peers', are taken in turn, in random order, within this one process.
#include "limits.hpp"
#include "peers.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace bespoke::benchmarks {
namespace {

constexpr int samples = 15;
constexpr double sample_seconds = 0.04, warm_up_seconds = 0.02;

struct work {
    std::string key;  ///< in --only, the table and the JSON
    std::string name; ///< in peers.hpp
    int batch;
    double multiply_adds;  ///< of the direct computation, in one call
    double bytes;          ///< read at least once: weights, and in training gradients and moments
    int call;              ///< after this many calls
    double first;          ///< the first number of the result is this
};

constexpr double lenet_convolution1 = 26 * 26 * 32 * 9, lenet_rest = 11 * 11 * 64 * 288 + 1600 * 128 + 128 * 10;
constexpr double lenet_bytes = 4.0 * (32 * 10 + 64 * 289 + 1601 * 128 + 129 * 10);
constexpr double mlp_weights = 784 * 256 + 256 * 128 + 128 * 10;
constexpr double mlp_train_first = 784 * 512, mlp_train_rest = 512 * 256 + 256 * 10;
constexpr double mlp32_weights = 32 * 64 + 64 * 64 + 64 * 8;

// A training step computes the layer, the gradient of its weights, and for all layers but the first that of
// its input: as many multiply-adds each.
const std::vector<work> works{
    {"lenet_b1", "lenet_forward", 1, lenet_convolution1 + lenet_rest, lenet_bytes, 1, 0.009380},
    {"lenet_b64", "lenet_forward", 64, 64 * (lenet_convolution1 + lenet_rest), lenet_bytes, 1, 0.009380},
    {"mlp784_b1", "mlp_forward", 1, mlp_weights, 4 * mlp_weights, 1, -1.907620},
    {"mlp784_b64", "mlp_forward", 64, 64 * mlp_weights, 4 * mlp_weights, 1, -1.907620},
    {"mlp32_tanh", "mlp32_tanh", 1, mlp32_weights, 4 * mlp32_weights, 1, 0.415136},
    {"train_lenet_b64", "lenet_train", 64, 64 * (2 * lenet_convolution1 + 3 * lenet_rest), 3 * lenet_bytes, 10,
     2.312917},
    {"train_mlp_b64", "mlp_train", 64, 64 * (2 * mlp_train_first + 3 * mlp_train_rest),
     16 * (mlp_train_first + mlp_train_rest), 10, 3.275522},
};

struct installed_peer {
    const char* name;
    const peer* it;  ///< null: not installed
};
const std::vector<installed_peer> peers{
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
#ifdef BESPOKE_BENCH_EIGEN
    {"Eigen", &eigen_peer},
#else
    {"Eigen", nullptr},
#endif
    {"loops", &loops_peer},
    {"vector loops", &vector_loops_peer},
};

struct line {
    std::string work, who;
    int threads;
    double median, minimum, limit_share;
    bool ours;
};

/// Whether the result is what everybody has to get. Prints what is not.
bool check(const work& w, const peer& who, int threads, const work_function& run) {
    double came = 0;
    for (int call = 0; call < w.call; ++call) came = static_cast<double>(run()[0]);
    if (std::abs(came - w.first) <= 2e-3 * std::abs(w.first)) return true;
    std::printf("%s, %d threads, %s: %.6f wanted, %.6f came\n", w.key.c_str(), threads, who.name, w.first, came);
    return false;
}

void warm_up(const work_function& run) {
    using clock = std::chrono::steady_clock;
    const auto end = clock::now() + std::chrono::duration<double>(warm_up_seconds);
    do benchmark::DoNotOptimize(run().data());
    while (clock::now() < end);
}

/// Collects the seconds of one call, a number for each sample.
class collector : public benchmark::BenchmarkReporter {
public:
    std::map<std::string, std::vector<double>> seconds;

    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs)
            if (run.run_type == Run::RT_Iteration)
                seconds[run.run_name.function_name].push_back(run.real_accumulated_time /
                                                              static_cast<double>(run.iterations));
    }
};

/// Appends a line for everybody who can do the work. Returns whether all results were right.
bool measure(const work& w, int threads, double multiply_add_rate, std::vector<line>& lines) {
    std::vector<const peer*> able;
    bool right = true;
    const auto add = [&](const peer& who) {
        const work_function run = who.make(w.name, w.batch, threads);
        if (!run) return;
        right &= check(w, who, threads, run);
        able.push_back(&who);
    };
    add(composed_peer);
    add(loaded_peer);
    for (const auto& p : peers)
        if (p.it) add(*p.it);

    benchmark::ClearRegisteredBenchmarks();
    for (const peer* who : able)
        benchmark::RegisterBenchmark(who->name, [&w, who, threads](benchmark::State& state) {
            const work_function run = who->make(w.name, w.batch, threads);
            warm_up(run);
            for (auto _ : state) benchmark::DoNotOptimize(run().data());
        })->Repetitions(samples)->MinTime(sample_seconds)->UseRealTime();
    collector results;
    benchmark::RunSpecifiedBenchmarks(&results, ".");

    const double limit =
        std::max(2 * w.multiply_adds / multiply_add_rate, w.bytes / read_rate(threads, w.bytes));
    for (const peer* who : able) {
        auto& all = results.seconds[who->name];
        if (all.empty()) continue;
        std::ranges::sort(all);
        const double median = (all[all.size() / 2] + all[(all.size() - 1) / 2]) / 2;
        lines.push_back({w.key, who->name, threads, median, all.front(), limit / median,
                         who == &composed_peer || who == &loaded_peer});
    }
    return right;
}

std::string readable(double seconds) {
    const char* units[] = {"s", "ms", "us", "ns"};
    std::size_t unit = 0;
    while (unit < 3 && seconds < 1) {
        seconds *= 1000;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, seconds < 10 ? "%.2f %s" : seconds < 100 ? "%.1f %s" : "%.0f %s", seconds,
                  units[unit]);
    return text;
}

void print_table(const std::vector<line>& lines) {
    std::printf("\n%-16s %7s  %-17s %10s %10s %13s %9s\n", "work", "threads", "who", "median", "minimum",
                "to best peer", "of limit");
    const line* before = nullptr;
    for (const line& l : lines) {
        std::optional<double> best;
        for (const line& other : lines)
            if (other.work == l.work && other.threads == l.threads && !other.ours)
                best = std::min(best.value_or(other.median), other.median);
        if (before && (before->work != l.work || before->threads != l.threads)) std::printf("\n");
        std::printf("%-16s %7d  %-17s %10s %10s ", l.work.c_str(), l.threads, l.who.c_str(),
                    readable(l.median).c_str(), readable(l.minimum).c_str());
        if (best)
            std::printf("%12.2fx", *best / l.median);
        else
            std::printf("%13s", "");
        std::printf(" %7.0f %%\n", 100 * l.limit_share);
        before = &l;
    }
    std::printf("\nto best peer: median of the fastest peer / median. of limit: the least time that this machine's\n"
                "multiply-adds and reads, measured in this run, allow / median.\n");
    for (const auto& p : peers)
        if (!p.it) std::printf("%s: not installed, skipped\n", p.name);
}

bool write_json(const std::string& path, const std::vector<line>& lines) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (!file) return false;
    std::fputs("[", file);
    for (const line& l : lines)
        std::fprintf(file,
                     "%s\n{\"work\": \"%s\", \"threads\": %d, \"who\": \"%s\", \"seconds\": %.9g, \"minimum\": %.9g, "
                     "\"limit_share\": %.4f}",
                     &l == lines.data() ? "" : ",", l.work.c_str(), l.threads, l.who.c_str(), l.median, l.minimum,
                     l.limit_share);
    std::fputs("\n]\n", file);
    return std::fclose(file) == 0;
}

void print_help() {
    std::printf("bespoke_bench [--only KEY]... [--threads N]... [--json FILE] [--benchmark_...]\n\n"
                "  --only KEY    this work alone: ");
    for (const work& w : works) std::printf("%s%s", &w == works.data() ? "" : ", ", w.key.c_str());
    std::printf("\n"
                "  --threads N   with N threads; not given: 1, and 2 where there are as many\n"
                "  --json FILE   also write an array of\n"
                "                {\"work\", \"threads\", \"who\", \"seconds\" (median), \"minimum\", \"limit_share\"}\n"
                "  --benchmark_repetitions=N and the other flags of Google Benchmark\n");
}

int run(int argc, char** argv) {
    std::vector<std::string> only;
    std::vector<int> threads;
    std::string json;
    for (int i = 1; i < argc; ++i) {
        const std::string option = argv[i];
        const bool known = option == "--only" || option == "--threads" || option == "--json";
        if (!known || i + 1 == argc) {
            std::printf("%s: %s; see --help\n", option.c_str(), known ? "a value is missing" : "unknown");
            return 2;
        }
        const std::string value = argv[++i];
        if (option == "--only") {
            if (std::ranges::none_of(works, [&](const work& w) { return w.key == value; })) {
                std::printf("--only %s: no such work; see --help\n", value.c_str());
                return 2;
            }
            only.push_back(value);
        } else if (option == "--threads") {
            threads.push_back(std::atoi(value.c_str()));
            if (threads.back() < 1) {
                std::printf("--threads: a number from 1 up wanted, %s came\n", value.c_str());
                return 2;
            }
        } else {
            json = value;
        }
    }
    if (threads.empty()) threads = std::thread::hardware_concurrency() > 1 ? std::vector{1, 2} : std::vector{1};

    keep_freed_memory();
    bool right = true;
    std::vector<line> lines;
    std::map<int, double> rates;
    for (const int count : threads) {
        rates[count] = multiply_add_rate(count);
        std::printf("%d thread%s: %.0f GFLOP/s of multiply-adds\n", count, count == 1 ? "" : "s", rates[count] / 1e9);
    }
    for (const work& w : works) {
        if (!only.empty() && std::ranges::find(only, w.key) == only.end()) continue;
        for (const int count : threads) {
            std::printf("%s, %d thread%s\n", w.key.c_str(), count, count == 1 ? "" : "s");
            std::fflush(stdout);
            right &= measure(w, count, rates[count], lines);
        }
    }
    print_table(lines);
    if (!json.empty() && !write_json(json, lines)) {
        std::printf("%s: cannot be written\n", json.c_str());
        return 1;
    }
    return right ? 0 : 1;
}

}  // namespace
}  // namespace bespoke::benchmarks

int main(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    char interleave[] = "--benchmark_enable_random_interleaving=true";
    arguments.insert(arguments.begin() + 1, interleave);
    int count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    benchmark::Initialize(&count, arguments.data(), bespoke::benchmarks::print_help);  // takes out its own flags
    return bespoke::benchmarks::run(count, arguments.data());
}
