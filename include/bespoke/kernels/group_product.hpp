#pragma once

#include "gemm.hpp"
#include "transpose.hpp"

#include <limits>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

namespace bespoke::kernels::detail {

// Products of numbers of few bits. As many of them as fill 32 bits, a group, follow each other in k and are multiplied
// by one instruction, so that a matrix of them is one of `float` for all that moves it: panels, strips and tiles are
// those of gemm.hpp, with groups in place of elements. What a group holds only its `Format` knows.

inline constexpr extent group_lanes = 16;

/// The columns of a matrix as groups: to[g * step + i] = convert(i, g), for rows i in [0, rows), at most 16, and groups
/// g in [0, groups). `convert(i, g)` gives 16 groups of row i, from g on. Of each step 16 groups are written, zero for
/// rows that are not there; a smaller step has the next one mend that.
template <class Convert>
[[gnu::always_inline]] inline void pack_groups(extent rows, extent groups, float* to, extent step,
                                               const Convert& convert) noexcept {
    for (extent g = 0; g < groups; g += group_lanes) {
        batch<float> block[static_cast<std::size_t>(group_lanes)];
        unroll<static_cast<std::size_t>(group_lanes)>([&](std::size_t i) __attribute__((always_inline)) {
            block[i] = batch<float>(0.0f);
            if (static_cast<extent>(i) < rows) block[i] = convert(static_cast<extent>(i), g);
        });
        transpose<float>(block);
        unroll<static_cast<std::size_t>(group_lanes)>([&](std::size_t i) __attribute__((always_inline)) {
            if (g + static_cast<extent>(i) < groups)
                store<float>(to + static_cast<extent>(i) * step, block[i]);
        });
        to += group_lanes * step;
    }
}

/// The 16 elements from p on of which `rest` are there; the others are zero.
[[gnu::always_inline]] inline __m512 load_rest(const float* p, extent rest) noexcept {
    if (rest >= group_lanes) return _mm512_loadu_ps(p);
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << std::max<extent>(rest, 0)) - 1u), p);
}

struct group_product {
    extent m, n, k;
    const float* a;
    extent a_row;
    const float* packed;
    float* c;
    extent c_row;
    const float* bias;
    const epilogue<float>* after;
};

/// C in the rows [0, p.m) and the panels [first, last). The `Format`, made for the product, says
///
///     group               how many elements make a group
///     start(j)            the panel_width sums with which the columns from j on begin; its panel is finished next
///     most_rows           how many rows of A it takes note of at a time
///     look(top, bottom)   that these rows come now
///     convert(i, g)       16 groups of row i of A, from g on
///     step::run(a, b, c)  c + a b, for groups of a and b
///     finishes            whether sums are not yet elements of C, but become them by
///     finish(...)
template <class Format>
[[gnu::noinline]] void multiply_groups(const group_product& p, extent first, extent last) noexcept {
    constexpr extent width = panel_width<float>, size = left_size<float>, most = left_steps<float>;
    alignas(64) float left[size + lanes<float>], edge[tile_rows * width];
    Format format(p);
    const extent groups = (p.k + Format::group - 1) / Format::group,
                 strips = (p.m + tile_rows - 1) / tile_rows;
    const extent k_parts = std::max<extent>((groups + most - 1) / most, 1);
    const extent in_part = std::max<extent>((groups + k_parts - 1) / k_parts, 1);
    const extent together = std::min(size / (tile_rows * in_part), Format::most_rows / tile_rows);
    const extent blocks = (strips + together - 1) / together;
    for (extent part = 0; part < blocks * k_parts; ++part) {
        const extent block = part / k_parts, k_part = part % k_parts, at = groups * k_part / k_parts;
        const extent steps = groups * (k_part + 1) / k_parts - at, top = strips * block / blocks * tile_rows;
        const extent bottom = std::min(strips * (block + 1) / blocks * tile_rows, p.m);
        const extent in_block = (bottom - top + tile_rows - 1) / tile_rows;
        const bool goes_on = k_part > 0, ends = k_part + 1 == k_parts;
        if (!goes_on) format.look(top, bottom);
        for (extent i = top; i < bottom; i += tile_rows)
            pack_groups(
                std::min(bottom - i, tile_rows), steps, left + (i - top) * steps,
                tile_rows, [&](extent row, extent g) __attribute__((always_inline)) {
                    return format.convert(i + row, at + g);
                });
        for (extent panel = first; panel < last; ++panel) {
            const extent column = panel * width, columns = std::min(p.n - column, width);
            const bool whole = columns % lanes<float> == 0;
            const finished_blocks<float> finished(ends ? p.after : nullptr, whole && !Format::finishes);
            const float* start = format.start(column);
            for (extent i = top; i < bottom; i += tile_rows) {
                const extent rows = std::min(bottom - i, tile_rows);
                float* c = p.c + i * p.c_row + column;
                float* to = whole ? c : edge;
                const extent to_row = whole ? p.c_row : width;
                if (!whole && goes_on) copy_rows(rows, columns, c, p.c_row, edge, width);
                const float* b = p.packed + column * groups + at * width;
                const extent coming_step = width / in_block;
                const float* coming = b + width * groups + (i - top) / tile_rows * steps * coming_step;
                multiply_strip<float, typename Format::step>(
                    {steps, left + (i - top) * steps, 1, tile_rows, b, width, to, to_row,
                     goes_on ? to : start, goes_on ? to_row : 0, coming, coming_step, to + tile_rows * to_row,
                     finished.map},
                    rows, columns);
                if constexpr (Format::finishes)
                    if (ends) format.finish(i, column, rows, columns, to, to_row);
                if (!whole) copy_rows(rows, columns, edge, width, c, p.c_row);
                finished({c, rows, columns, p.c_row}, i - top, i + rows == bottom);
            }
        }
    }
}

/// C of a single row in `Panels` panels from `column` on: enough sums to hide the latency of a step.
template <class Format, std::size_t Panels>
[[gnu::noinline]] void multiply_row_panels(const group_product& p, Format& format, const float* left,
                                           extent groups, extent column) noexcept {
    constexpr extent width = panel_width<float>;
    batch<float> sum[2 * Panels];
    const float* b[Panels];
    unroll<Panels>([&](std::size_t j) __attribute__((always_inline)) {
        const extent at = column + static_cast<extent>(j) * width;
        const float* start = format.start(at);
        b[j] = p.packed + at * groups;
        sum[2 * j] = load(start);
        sum[2 * j + 1] = load(start + group_lanes);
    });
    for (extent g = 0; g < groups; ++g) {
        const batch<float> a(left[g]);
        unroll<Panels>([&](std::size_t j) __attribute__((always_inline)) {
            sum[2 * j] = Format::step::run(a, load(b[j] + g * width), sum[2 * j]);
            sum[2 * j + 1] = Format::step::run(a, load(b[j] + g * width + group_lanes), sum[2 * j + 1]);
        });
    }
    alignas(64) float edge[width];
    unroll<Panels>([&](std::size_t j) __attribute__((always_inline)) {
        const extent at = column + static_cast<extent>(j) * width, columns = std::min(p.n - at, width);
        store<float>(edge, sum[2 * j]);
        store<float>(edge + group_lanes, sum[2 * j + 1]);
        format.start(at);  // finishes the panel that began last
        if constexpr (Format::finishes) format.finish(0, at, 1, columns, edge, width);
        std::copy_n(edge, columns, p.c + at);
        if (p.after != nullptr) (*p.after)({p.c + at, 1, columns, columns});
    });
}

/// C of a single row, of up to left_size groups, in the panels [first, last).
template <class Format>
[[gnu::noinline]] void multiply_row_groups(const group_product& p, extent first, extent last) noexcept {
    alignas(64) float left[left_size<float> + lanes<float>];
    Format format(p);
    const extent groups = (p.k + Format::group - 1) / Format::group;
    format.look(0, 1);
    for (extent g = 0; g < groups; g += group_lanes) store<float>(left + g, format.convert(0, g));
    for (; last - first >= 4; first += 4)
        multiply_row_panels<Format, 4>(p, format, left, groups, first * panel_width<float>);
    for (; first < last; ++first)
        multiply_row_panels<Format, 1>(p, format, left, groups, first * panel_width<float>);
}

template <class Format>
[[gnu::noinline]] void multiply_low_precision(const group_product& p, thread_pool* threads) noexcept {
    if (p.m <= 0 || p.n <= 0) return;
    if (p.m * p.n * p.k < (p.m == 1 ? 1 : 2) * threaded_work) threads = nullptr;
    const extent panels = (p.n + panel_width<float> - 1) / panel_width<float>;
    if (p.m == 1 && p.k <= Format::group * left_size<float>)
        return parallel_for(threads, panels, 1,
                            [&](extent first, extent last) { multiply_row_groups<Format>(p, first, last); });
    const extent size = threads ? static_cast<extent>(threads->size()) : 1;
    const bool by_panels = panels >= 2 * size || panels >= p.m / tile_rows;
    parallel_for(threads, by_panels ? panels : p.m, by_panels ? 1 : tile_rows,
                 [&](extent first, extent last) {
                     if (by_panels) return multiply_groups<Format>(p, first, last);
                     group_product part = p;
                     part.m = last - first;
                     part.a += first * p.a_row;
                     part.c += first * p.c_row;
                     multiply_groups<Format>(part, 0, panels);
                 });
}

/// Panels of the k x n matrix B whose column j `convert(j, g)` gives as groups, from g on.
template <class Convert>
void pack_group_panels(extent groups, extent n, float* packed, thread_pool* threads,
                       const Convert& convert) noexcept {
    constexpr extent width = panel_width<float>;
    parallel_for(groups * n < threaded_elements ? nullptr : threads, (n + width - 1) / width, 1,
                 [&](extent first, extent last) {
                     for (extent j = first * width; j < last * width; j += group_lanes)
                         pack_groups(
                             std::clamp<extent>(n - j, 0, group_lanes), groups,
                             packed + j / width * width * groups + j % width,
                             width, [&](extent column, extent g) __attribute__((always_inline)) {
                                 return convert(j + column, g);
                             });
                 });
}

}  // namespace bespoke::kernels::detail

#endif
