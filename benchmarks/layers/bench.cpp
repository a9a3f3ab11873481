/// Measures each family of layers beside PyTorch's eager operators, one thread.
#include "../options.hpp"
#include "../report.hpp"
#include "layer_works.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>

namespace bespoke::benchmarks {
namespace {

const std::vector<layer_work>& all_works() {
    static const std::vector<layer_work> all = [] {
        layer_works works;
        for (const auto add : {add_functions, add_activations, add_broadcasts, add_reductions, add_normalizations,
                               add_pooling, add_products, add_recurrent, add_indexing, add_moves, add_images,
                               add_random})
            add(works);
        return works.all();
    }();
    return all;
}

const layer_work& work_of(const work& w) {
    return *std::ranges::find(all_works(), w.key, [](const layer_work& l) { return l.it.key; });
}
contestant make_own(const work& w, int) { return work_of(w).ours(); }
contestant make_torch(const work& w, int) { return work_of(w).theirs(); }

const peer own_peer{"bespoke", make_own}, torch_operators{"PyTorch", make_torch};

int run(const options& o) {
    keep_freed_memory();
    at::set_num_threads(1);
    std::vector<const peer*> who{&torch_operators, &own_peer};
    if (!keep_wanted(who, o)) return 2;
    bool right = true;
    std::vector<line> lines;
    for (const layer_work& w : all_works()) {
        if (!is_wanted(w.it, o)) continue;
        std::printf("%s\n", std::string(w.it.key).c_str());
        std::fflush(stdout);
        right &= measure(w.it, 1, 1, who, o.how, lines);
    }
    print_ratios(lines);
    return finish(o, lines, right);
}

}  // namespace
}  // namespace bespoke::benchmarks

int main(int argc, char** argv) {
    using namespace bespoke::benchmarks;
    start_with_settings(argv);
    std::vector<work> works;
    for (const layer_work& w : all_works()) works.push_back(w.it);
    return start(argc, argv, "bespoke_bench_layers", works, false, run);
}
