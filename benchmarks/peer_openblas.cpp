/// OpenBLAS: matrix products. It packs the weights in every call.
#include "peers.hpp"

#include <cblas.h>

namespace bespoke::benchmarks {
namespace {

contestant make(const work& w, int threads) {
    if (w.name != "sgemm") return {};
    blas_threads(threads);
    return [rows = w.batch, k = w.inputs, n = w.outputs, x = input(w.batch, w.inputs),
            weights = weights(0, w.outputs, w.inputs),
            y = std::vector<float>(static_cast<std::size_t>(w.batch * w.outputs))]() mutable -> std::span<const float> {
        if (rows == 1)
            cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, weights.data(), k, x.data(), 1, 0, y.data(), 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, k, 1, x.data(), k, weights.data(), k, 0,
                        y.data(), n);
        return y;
    };
}

}  // namespace

const peer openblas_peer{"OpenBLAS", make};

}  // namespace bespoke::benchmarks
