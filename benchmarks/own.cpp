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

}  // namespace bespoke::benchmarks
