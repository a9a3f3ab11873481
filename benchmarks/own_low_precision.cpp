#include "networks/bert.hpp"
#include "networks/small.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {
namespace {

template <const auto& Description>
contestant lowered(input_values x, int threads, low_precision precision) {
    auto net = std::make_shared<program>(chosen_at_run_time<Description>(threads));
    fill_parameters(*net);
    if (net->use_low_precision(precision) != precision) return {};
    return [net, x = std::move(x)] { return loaded_door::predict(*net, x, 1); };
}

}  // namespace

template <low_precision Precision>
contestant own_low_precision(const work& w, int threads) {
    const auto multiply = [&]<int Rows, int Inputs, int Outputs>() {
        return lowered<product<Rows, Inputs, Outputs>>({input(1, Rows * Inputs)}, threads, Precision);
    };
    const auto tokens = [&] { return to_values(bert_inputs(1, w.batch)); };
    if (w.key == "sgemm_128x768x768") return multiply.template operator()<128, 768, 768>();
    if (w.key == "sgemm_128x768x3072") return multiply.template operator()<128, 768, 3072>();
    if (w.key == "sgemm_128x3072x768") return multiply.template operator()<128, 3072, 768>();
    if (w.key == "sgemm_1024x1024x1024") return multiply.template operator()<1024, 1024, 1024>();
    if (w.key == "sgemm_1x768x3072") return multiply.template operator()<1, 768, 3072>();
    if (w.key == "bert_base_128") return lowered<bert_base_128>(tokens(), threads, Precision);
    if (w.key == "bert_base_384") return lowered<bert_base_384>(tokens(), threads, Precision);
    return {};
}

template contestant own_low_precision<low_precision::bfloat16>(const work& w, int threads);
template contestant own_low_precision<low_precision::int8>(const work& w, int threads);

}  // namespace bespoke::benchmarks
