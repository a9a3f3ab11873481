#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace bespoke::benchmarks {
namespace {

std::string readable(double seconds) {
    const char* units[] = {"s", "ms", "us", "ns"};
    std::size_t unit = 0;
    while (unit < 3 && seconds < 1) {
        seconds *= 1000;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, seconds < 10 ? "%.2f %s" : seconds < 100 ? "%.1f %s" : "%.0f %s", seconds,
                  units[unit]);
    return text;
}

}  // namespace

void print_table(std::span<const line> lines) {
    std::printf("\n%-27s %7s  %-17s %10s %10s %13s %9s\n", "work", "threads", "who", "median", "minimum",
                "to best peer", "of limit");
    const line* before = nullptr;
    for (const line& l : lines) {
        std::optional<double> best;
        for (const line& other : lines)
            if (other.work == l.work && other.threads == l.threads && !other.ours)
                best = std::min(best.value_or(other.median), other.median);
        if (before && (before->work != l.work || before->threads != l.threads)) std::printf("\n");
        std::printf("%-27s %7d  %-17s %10s %10s ", l.work.c_str(), l.threads, l.who.c_str(),
                    readable(l.median).c_str(), readable(l.minimum).c_str());
        if (best)
            std::printf("%12.2fx", *best / l.median);
        else
            std::printf("%13s", "");
        std::printf(" %7.0f %%\n", 100 * l.limit_share);
        before = &l;
    }
    std::printf("\nto best peer: median of the fastest peer / median. of limit: the least time that this machine's\n"
                "multiply-adds and reads, measured in this run, allow / median.\n");
}

void print_ratios(std::span<const line> lines) {
    struct ratio {
        const line *ours, *other;
        double value;
    };
    std::vector<ratio> all;
    for (const line& ours : lines)
        for (const line& other : lines)
            if (ours.ours && !other.ours && ours.work == other.work)
                all.push_back({&ours, &other, other.minimum / ours.minimum});
    if (all.empty()) return;
    std::ranges::sort(all, {}, &ratio::value);
    std::printf("\n%-27s %12s %12s %9s\n", "work", all[0].ours->who.c_str(), all[0].other->who.c_str(), "faster");
    for (const ratio& r : all)
        std::printf("%-27s %12s %12s %8.2fx\n", r.ours->work.c_str(), readable(r.ours->minimum).c_str(),
                    readable(r.other->minimum).c_str(), r.value);
    const std::size_t n = all.size();
    std::printf("\n%zu works; the median is %.2fx, the least %.2fx\n", n,
                (all[n / 2].value + all[(n - 1) / 2].value) / 2, all[0].value);
}

bool write_json(const std::string& path, std::span<const line> lines) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (!file) return false;
    std::fputs("[", file);
    for (const line& l : lines)
        std::fprintf(file,
                     "%s\n{\"work\": \"%s\", \"threads\": %d, \"who\": \"%s\", \"seconds\": %.9g, \"minimum\": %.9g, "
                     "\"limit_share\": %.4f}",
                     &l == lines.data() ? "" : ",", l.work.c_str(), l.threads, l.who.c_str(), l.median, l.minimum,
                     l.limit_share);
    std::fputs("\n]\n", file);
    return std::fclose(file) == 0;
}

}  // namespace bespoke::benchmarks
