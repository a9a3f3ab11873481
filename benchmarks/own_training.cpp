/// Training of networks of a few layers.
#include "networks/small.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {

contestant own_training(const work& w, int threads, bool composed) {
    const input_values x{input(w.batch, 784)};
    if (w.name == "train_lenet")
        return training<lenet>(sgd{.learning_rate = 0.01, .momentum = 0.9}, x, w.batch, threads, composed);
    if (w.name == "train_mlp") return training<mlp784_512>(adam{}, x, w.batch, threads, composed);
    return {};
}

}  // namespace bespoke::benchmarks
