/// Matrix products, and networks of a few layers.
#include "networks/small.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {

contestant own_layers(const work& w, int threads, bool composed) {
    const auto is_product = [&](int rows, int inputs, int outputs) {
        return w.name == "sgemm" && w.batch == rows && w.inputs == inputs && w.outputs == outputs;
    };
    const auto one = [&]<const auto& Description>() { return prediction<Description>(1, threads, composed); };
    if (is_product(128, 768, 768)) return one.operator()<product<128, 768, 768>>();
    if (is_product(128, 768, 3072)) return one.operator()<product<128, 768, 3072>>();
    if (is_product(128, 3072, 768)) return one.operator()<product<128, 3072, 768>>();
    if (is_product(1024, 1024, 1024)) return one.operator()<product<1024, 1024, 1024>>();
    if (is_product(1, 768, 3072)) return one.operator()<product<1, 768, 3072>>();
    if (w.name == "lenet") return prediction<lenet>(w.batch, threads, composed);
    if (w.name == "mlp784") return prediction<mlp784>(w.batch, threads, composed);
    if (w.name == "mlp32_tanh") return prediction<mlp32>(w.batch, threads, composed);
    return {};
}

}  // namespace bespoke::benchmarks
