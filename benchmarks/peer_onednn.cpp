/// oneDNN: matrix products with weights in the layout that it likes best. It takes OpenMP's number of threads.
#include "peers.hpp"

#include <algorithm>
#include <memory>
#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

namespace bespoke::benchmarks {
namespace {

struct product {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    dnnl::matmul primitive;
    std::unordered_map<int, dnnl::memory> arguments;
    std::vector<float> x, y;

    explicit product(const work& w) : x(input(w.batch, w.inputs)), y(static_cast<std::size_t>(w.batch * w.outputs)) {
        using memory = dnnl::memory;
        const auto type = memory::data_type::f32;
        const memory::desc x_form({w.batch, w.inputs}, type, memory::format_tag::ab);
        const memory::desc plain({w.inputs, w.outputs}, type, memory::format_tag::ba);  // W transposed
        const memory::desc packed({w.inputs, w.outputs}, type, memory::format_tag::any);
        const memory::desc y_form({w.batch, w.outputs}, type, memory::format_tag::ab);
        const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(x_form, packed, y_form), engine);
        primitive = dnnl::matmul(chosen);
        auto from = weights(0, w.outputs, w.inputs);
        memory given(plain, engine, from.data()), weights_memory(chosen.weights_desc(), engine);
        dnnl::reorder(given, weights_memory).execute(stream, given, weights_memory);
        stream.wait();
        arguments = {{DNNL_ARG_SRC, memory(x_form, engine, x.data())},
                     {DNNL_ARG_WEIGHTS, weights_memory},
                     {DNNL_ARG_DST, memory(y_form, engine, y.data())}};
    }
    std::span<const float> operator()() {
        primitive.execute(stream, arguments);
        stream.wait();
        return y;
    }
};

contestant make(const work& w, int threads) {
    if (w.name != "sgemm") return {};
    omp_set_num_threads(threads);
    return [p = std::make_shared<product>(w)] { return (*p)(); };
}

}  // namespace

const peer onednn_peer{"oneDNN", make};

}  // namespace bespoke::benchmarks
