#include "networks/bert.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {

contestant own_bert_sizes(const work& w, int threads, bool composed) {
    const auto run = [&]<const auto& Description>() {
        return prediction<Description>(to_values(bert_inputs(1, w.batch)), 1, threads, composed);
    };
    if (w.key == "bert_base_384") return run.operator()<bert_base_384>();
    if (w.key == "bert_tiny_128") return run.operator()<bert_tiny_128>();
    return {};
}

}  // namespace bespoke::benchmarks
