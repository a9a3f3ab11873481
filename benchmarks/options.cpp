#include "options.hpp"

#include "report.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unistd.h>

namespace bespoke::benchmarks {
namespace {

/// The number that `value` spells; 0: none from 1 up.
int positive(const std::string& value) {
    int number = 0;
    const char* const end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, number);
    return read.ec == std::errc() && read.ptr == end ? std::max(0, number) : 0;
}

/// Said before hours of measuring.
bool can_write(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "ab");
    return file != nullptr && std::fclose(file) == 0;
}

/// `threaded`: whether the number of threads can be chosen.
void print_help(const char* program, std::span<const work> works, bool threaded) {
    std::printf("%s [--only KEY]...%s [--who NAME]... [--samples N] [--json FILE]\n\n"
                "  --only KEY    this work alone:",
                program, threaded ? " [--threads N]..." : "");
    std::size_t column = 80;
    for (const work& w : works) {
        if (column + w.key.size() > 75) column = static_cast<std::size_t>(std::printf("\n               ")) - 1;
        column += static_cast<std::size_t>(std::printf(" %s", std::string(w.key).c_str()));
    }
    std::printf("\n");
    if (threaded) std::printf("  --threads N   with N threads; not given: 1, and 2 where there are as many\n");
    std::printf("  --who NAME    only those whose names begin so (\"bespoke\")\n"
                "  --samples N   15 unless given\n"
                "  --json FILE   also write an array of\n"
                "                {\"work\", \"threads\", \"who\", \"seconds\" (median), \"minimum\", "
                "\"limit_share\"}\n");
}

/// Prints what is wrong and returns false, or fills `o`.
bool read(int argc, char** argv, std::span<const work> works, bool threaded, options& o) {
    for (int i = 1; i < argc; i += 2) {
        const std::string option = argv[i];
        if (option != "--only" && (option != "--threads" || !threaded) && option != "--who" && option != "--samples" &&
            option != "--json")
            return std::printf("%s: unknown; see --help\n", option.c_str()) < 0;
        if (i + 1 == argc) return std::printf("%s: a value is missing; see --help\n", option.c_str()) < 0;
        const std::string value = argv[i + 1];
        if ((option == "--threads" || option == "--samples") && positive(value) == 0)
            return std::printf("%s: a number from 1 up wanted, %s came\n", option.c_str(), value.c_str()) < 0;
        if (option == "--only" && std::ranges::none_of(works, [&](const work& w) { return w.key == value; }))
            return std::printf("--only %s: no such work; see --help\n", value.c_str()) < 0;
        if (option == "--json" && !can_write(value))
            return std::printf("--json %s: cannot be written\n", value.c_str()) < 0;
        if (option == "--only") o.only.push_back(value);
        if (option == "--who") o.who.push_back(value);
        if (option == "--threads") o.threads.push_back(positive(value));
        if (option == "--samples") o.how.samples = positive(value);
        if (option == "--json") o.json = value;
    }
    if (o.threads.empty())
        o.threads = threaded && std::thread::hardware_concurrency() > 1 ? std::vector{1, 2} : std::vector{1};
    return true;
}

}  // namespace

bool is_wanted(const work& w, const options& o) {
    return o.only.empty() || std::ranges::find(o.only, w.key) != o.only.end();
}

bool keep_wanted(std::vector<const peer*>& who, const options& o) {
    const std::vector<const peer*> all = who;
    std::erase_if(who, [&](const peer* p) {
        const auto begins = [&](const std::string& name) { return std::string_view(p->name).starts_with(name); };
        return !o.who.empty() && std::ranges::none_of(o.who, begins);
    });
    if (!who.empty()) return true;
    std::printf("--who %s: nobody's name begins so; there are:\n", o.who.back().c_str());
    for (const peer* p : all) std::printf("  %s\n", std::string(p->name).c_str());
    return false;
}

int finish(const options& o, std::span<const line> lines, bool right) {
    if (!o.json.empty() && !write_json(o.json, lines)) {
        std::printf("%s: cannot be written\n", o.json.c_str());
        return 1;
    }
    return right ? 0 : 1;
}

void start_with_settings(char** argv) {
    if (getenv("BESPOKE_BENCH_SETTINGS") != nullptr) return;
    setenv("BESPOKE_BENCH_SETTINGS", "1", 1);
    setenv("MALLOC_MMAP_THRESHOLD_", "1073741824", 0);
    setenv("MALLOC_TRIM_THRESHOLD_", "2147483647", 0);
    setenv("GOMP_SPINCOUNT", "2000000", 0);
    // The peers' instructions are those that this program was compiled for: libtorch takes the largest it is told
    // to, also on a CPU that lacks them; OpenBLAS takes SSE, 6 times slower, on a CPU younger than itself.
#if defined(__AVX512F__)
    setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#elif defined(__AVX2__)
    setenv("ATEN_CPU_CAPABILITY", "avx2", 0);
    setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
    execv("/proc/self/exe", argv);
}

int start(int argc, char** argv, const char* program, std::span<const work> works, bool threaded,
          int (*run)(const options& o)) {
    if (argc > 1 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h"))
        return print_help(program, works, threaded), 0;
    options o;
    return read(argc, argv, works, threaded, o) ? run(o) : 2;
}

}  // namespace bespoke::benchmarks
