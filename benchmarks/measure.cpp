#include "measure.hpp"

#include "limits.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>
#include <thread>

namespace bespoke::benchmarks {
namespace {

struct entrant {
    const peer* who;
    contestant it;
    int calls = 1;  ///< in a sample
    std::vector<double> seconds{};
};

double seconds_of(const contestant& c, int calls) {
    if (c.seconds) return c.seconds(calls);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) c.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The distance of two results, relative to the largest number of the first.
double difference(std::span<const float> wanted, std::span<const float> came) {
    if (wanted.size() != came.size()) return 1e30;
    double largest = 1e-30, furthest = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const double a = static_cast<double>(wanted[i]), b = static_cast<double>(came[i]);
        largest = std::max(largest, std::abs(a));
        furthest = std::max(furthest, std::abs(a - b) < 1e30 ? std::abs(a - b) : 1e30);  // NaN is far away
    }
    return furthest / largest;
}

/// Threads that wait for more work spin for a while; the next one shall have the cores for itself.
void let_threads_sleep(int threads) {
    if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(60));
}

/// Finds out how many calls make a sample, and how many samples are enough.
int prepare(std::vector<entrant>& all, int threads, const patience& how) {
    double longest = 0;
    for (entrant& e : all) {
        let_threads_sleep(threads);
        double once = seconds_of(e.it, 1);
        while (once * e.calls < how.sample_seconds / 2 && e.calls < (1 << 24)) {
            e.calls *= 2;
            once = seconds_of(e.it, e.calls) / e.calls;
        }
        e.calls = std::max(1, static_cast<int>(how.sample_seconds / once));
        longest = std::max(longest, once);
    }
    return std::clamp(static_cast<int>(100 * how.sample_seconds / longest), std::min(3, how.samples), how.samples);
}

}  // namespace

bool measure(const work& w, int threads, double multiply_add_rate, std::span<const peer* const> who,
             const patience& how, std::vector<line>& lines) {
    std::vector<entrant> all;
    std::vector<float> wanted;
    bool right = true;
    for (const peer* p : who) {
        entrant e{p, p->make(w, threads)};
        if (!e.it) continue;
        std::span<const float> came;
        for (int call = 0; call < w.call; ++call) came = e.it.run();
        if (wanted.empty()) wanted.assign(came.begin(), came.end());
        const double off = difference(wanted, came);
        const double allowed = std::max(w.tolerance, p->tolerance);
        if (!(off <= allowed)) {
            right = false;
            std::printf("%s, %d threads, %s: %zu numbers, %.2g away from the result of %s; %.2g is allowed\n",
                        std::string(w.key).c_str(), threads, p->name, came.size(), off, all.front().who->name,
                        allowed);
        }
        all.push_back(std::move(e));
    }
    const int samples = prepare(all, threads, how);
    std::minstd_rand dice(1);
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (int sample = 0; sample < samples; ++sample) {
        std::ranges::shuffle(order, dice);
        for (const std::size_t i : order) {
            let_threads_sleep(threads);
            if (all.size() > 1) seconds_of(all[i].it, 1 + all[i].calls / 10);  // its weights come back into the caches
            all[i].seconds.push_back(seconds_of(all[i].it, all[i].calls) / all[i].calls);
        }
    }
    const double reads = w.bytes > 0 ? w.bytes / read_rate(threads, w.bytes) : 0;
    const double limit = std::max(2 * w.multiply_adds / multiply_add_rate, reads);
    for (entrant& e : all) {
        std::ranges::sort(e.seconds);
        const std::size_t n = e.seconds.size();
        const double median = (e.seconds[n / 2] + e.seconds[(n - 1) / 2]) / 2;
        lines.push_back({std::string(w.key), e.who->name, threads, median, e.seconds.front(),
                         limit / e.who->rate / median, std::string_view(e.who->name).starts_with("bespoke")});
    }
    return right;
}

}  // namespace bespoke::benchmarks
