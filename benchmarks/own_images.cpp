#include "networks/images.hpp"
#include "own.hpp"

namespace bespoke::benchmarks {

contestant own_images(const work& w, int threads, bool composed) {
    if (w.name == "resnet50") return prediction<resnet50>(w.batch, threads, composed);
    if (w.name == "mobilenetv2") return prediction<mobilenetv2>(w.batch, threads, composed);
    return {};
}

}  // namespace bespoke::benchmarks
