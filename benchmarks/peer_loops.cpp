/// What a programmer writes by hand for one small network of fixed sizes: once as plain loops over std::tanh,
/// once with xsimd, weights laid out [input][output] and every sum in a register.
#include "peers.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <xsimd/xsimd.hpp>

namespace bespoke::benchmarks {
namespace {

template <std::size_t Inputs, std::size_t Outputs> struct plain_dense {
    std::array<std::array<float, Inputs>, Outputs> w;
    std::array<float, Outputs> b;

    explicit plain_dense(int layer) {
        const auto from = weights(layer, Outputs, Inputs);
        for (std::size_t o = 0; o < Outputs; ++o)
            for (std::size_t i = 0; i < Inputs; ++i) w[o][i] = from[o * Inputs + i];
        std::ranges::copy(biases(layer, Outputs), b.begin());
    }
    void operator()(const std::array<float, Inputs>& x, std::array<float, Outputs>& y) const {
        for (std::size_t o = 0; o < Outputs; ++o) {
            float sum = b[o];
            for (std::size_t i = 0; i < Inputs; ++i) sum += w[o][i] * x[i];
            y[o] = sum;
        }
    }
};

template <std::size_t Inputs, std::size_t Outputs> struct vector_dense {
    alignas(64) std::array<std::array<float, Outputs>, Inputs> w;
    alignas(64) std::array<float, Outputs> b;

    explicit vector_dense(int layer) {
        const auto from = weights(layer, Outputs, Inputs);
        for (std::size_t i = 0; i < Inputs; ++i)
            for (std::size_t o = 0; o < Outputs; ++o) w[i][o] = from[o * Inputs + i];
        std::ranges::copy(biases(layer, Outputs), b.begin());
    }
    void operator()(const std::array<float, Inputs>& x, std::array<float, Outputs>& y) const {
        constexpr std::size_t width = std::min(Outputs, xsimd::batch<float>::size);
        constexpr std::size_t columns = Outputs / width;
        constexpr std::size_t chains = columns < 8 ? 8 / columns : 1; // to hide the latency of an fma
        static_assert(Outputs % width == 0 && Inputs % chains == 0);
        using lanes = xsimd::make_sized_batch_t<float, width>;
        std::array<std::array<lanes, columns>, chains> sums;
        for (auto& chain : sums) chain.fill(lanes(0.0F));
        for (std::size_t i = 0; i < Inputs; i += chains)
#pragma GCC unroll 8
            for (std::size_t k = 0; k < chains; ++k)
#pragma GCC unroll 16
                for (std::size_t c = 0; c < columns; ++c)
                    sums[k][c] =
                        xsimd::fma(lanes(x[i + k]), lanes::load_aligned(&w[i + k][c * width]), sums[k][c]);
        for (std::size_t c = 0; c < columns; ++c) {
            auto sum = lanes::load_aligned(&b[c * width]);
            for (std::size_t k = 0; k < chains; ++k) sum += sums[k][c];
            sum.store_aligned(&y[c * width]);
        }
    }
};

void plain_tanh(std::array<float, 64>& x) {
    for (auto& v : x) v = std::tanh(v);
}

void vector_tanh(std::array<float, 64>& x) {
    using batch = xsimd::batch<float>;
    for (std::size_t i = 0; i < 64; i += batch::size)
        xsimd::tanh(batch::load_aligned(&x[i])).store_aligned(&x[i]);
}

template <template <std::size_t, std::size_t> class Dense, void (*Tanh)(std::array<float, 64>&)>
struct mlp32 {
    Dense<32, 64> layer1{0};
    Dense<64, 64> layer2{1};
    Dense<64, 8> layer3{2};
    alignas(64) std::array<float, 32> x;
    alignas(64) std::array<float, 64> y1, y2;
    alignas(64) std::array<float, 8> y3;

    mlp32() { std::ranges::copy(input(1, 32), x.begin()); }
    std::span<const float> operator()() {
        layer1(x, y1);
        Tanh(y1);
        layer2(y1, y2);
        Tanh(y2);
        layer3(y2, y3);
        return y3;
    }
};

template <class Network> contestant make(const work& w, int) {
    if (w.name != "mlp32_tanh") return {};
    return [net = std::make_shared<Network>()] { return (*net)(); };
}

} // namespace

const peer loops_peer{"loops", make<mlp32<plain_dense, plain_tanh>>};
const peer vector_loops_peer{"vector loops", make<mlp32<vector_dense, vector_tanh>>};

} // namespace bespoke::benchmarks
