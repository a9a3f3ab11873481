#include "own.hpp"

namespace bespoke::benchmarks {
namespace {

template <bool Composed>
contestant make(const work& w, int threads) {
    for (const auto group :
         {own_layers, own_bert, own_bert_sizes, own_bert_training, own_images, own_streams, own_training})
        if (contestant c = group(w, threads, Composed)) return c;
    return {};
}

}  // namespace

const peer composed_peer{"bespoke composed", make<true>};
const peer loaded_peer{"bespoke loaded", make<false>};
const peer bfloat16_peer{"bespoke bf16", own_low_precision<low_precision::bfloat16>, 2, 0.05};
const peer int8_peer{"bespoke int8", own_low_precision<low_precision::int8>, 4, 0.1};

}  // namespace bespoke::benchmarks
