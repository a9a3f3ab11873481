// BERT-base, composed, that predicts.
#include "../networks/bert.hpp"

int main() {
    using namespace bespoke;
    network<benchmarks::bert_base_128> net;
    const std::vector<float> tokens(128), mask(128);
    return net(tokens, tokens, tokens, mask).flat(0) > 0.5F;
}
