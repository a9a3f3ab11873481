/// What load_bert_base starts: bespoke_bench_load FILE TOKENS THREADS composed|loaded. Prints the number of results and
/// the results in binary.
#include "own_load.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: bespoke_bench_load FILE TOKENS THREADS composed|loaded\n");
        return 2;
    }
    const auto result = bespoke::benchmarks::load_and_predict(argv[1], std::atoi(argv[2]), std::atoi(argv[3]),
                                                              std::string_view(argv[4]) == "composed");
    std::printf("%zu\n", result.size());
    return std::fwrite(result.data(), sizeof(float), result.size(), stdout) == result.size() ? 0 : 1;
}
