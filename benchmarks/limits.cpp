#include "limits.hpp"

#include <bespoke/core/buffer.hpp>
#include <bespoke/core/threads.hpp>
#include <bespoke/kernels/simd.hpp>

#include <algorithm>
#include <chrono>

namespace bespoke::benchmarks {
namespace {

using batch = kernels::batch<float>;

/// Tells the compiler that somebody reads and writes `value`.
template <class V>
void keep(V& value) {
    asm volatile("" : "+m"(value) : : "memory");
}

/// Enough chains to hide the latency of two units, few enough to stay in the registers.
constexpr std::size_t chains = kernels::vector_registers == 32 ? 24 : 10;

void multiply_add(extent rounds) {
    batch sum[chains];
    for (std::size_t i = 0; i < chains; ++i) sum[i] = batch(static_cast<float>(i));
    batch x(0.5F), y(0.25F);
    keep(x);
    keep(y);
    for (extent round = 0; round < rounds; ++round)
        kernels::unroll<chains>([&](auto i) { sum[i] = kernels::fma<float>(x, sum[i], y); });
    for (auto& s : sum) keep(s);
}

void read(const float* p, extent count) {
    constexpr std::size_t streams = 8;
    batch most[streams];
    for (auto& m : most) m = batch(0.0F);
    extent i = 0;
    for (; i + static_cast<extent>(streams) * kernels::lanes<float> <= count; i += streams * kernels::lanes<float>)
        kernels::unroll<streams>([&](auto j) {
            most[j] = most[j] + kernels::load(p + i + static_cast<extent>(j()) * kernels::lanes<float>);
        });
    for (auto& m : most) keep(m);
}

/// The shortest of many times (up to 100, a second at most, but not of fewer than 5) of body(thread), which all threads
/// run at once, in seconds.
template <class Body>
double shortest(int threads, const Body& body) {
    thread_pool pool(static_cast<std::size_t>(threads));
    double best = 1e9, sum = 0;
    for (int sample = 0; sample < 5 || (sample < 100 && sum < 1); ++sample) {
        const auto begin = std::chrono::steady_clock::now();
        parallel_for(threads > 1 ? &pool : nullptr, threads, 1, [&](extent first, extent last) {
            for (extent thread = first; thread < last; ++thread) body(thread);
        });
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        best = std::min(best, took.count());
        sum += took.count();
    }
    return best;
}

}  // namespace

double multiply_add_rate(int threads) {
    constexpr extent rounds = 2000000;  // about 7 ms: for a part of one the clock of some machines is a tenth faster
    const double seconds = shortest(threads, [](extent) { multiply_add(rounds); });
    return 2.0 * static_cast<double>(rounds) * static_cast<double>(chains) *
           static_cast<double>(kernels::lanes<float>) * threads / seconds;
}

double empty_loop(int threads) {
    return shortest(threads, [](extent) {});
}

double read_rate(int threads, double bytes) {
    const auto count = static_cast<extent>(bytes / sizeof(float)) / threads;
    const buffer<float> data(count * threads);
    const extent passes = std::max<extent>(1, (1 << 24) / static_cast<extent>(sizeof(float)) / (count * threads));
    const double seconds = shortest(threads, [&](extent thread) {
        for (extent pass = 0; pass < passes; ++pass) {
            read(data.data() + thread * count, count);
            asm volatile("" : : : "memory");
        }
    });
    return static_cast<double>(count * threads * passes) * sizeof(float) / seconds;
}

}  // namespace bespoke::benchmarks
