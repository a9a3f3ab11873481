#pragma once

#include "convolution_narrow.hpp"
#include "gemm.hpp"
#include "transpose.hpp"

namespace bespoke::kernels {

// Convolutions with a 3 x 3 kernel by Winograd's minimal filtering F(4 x 4, 3 x 3): a tile of 4 x 4 outputs comes from
// 6 x 6 inputs with 36 multiplications a channel, where the sums over the taps take 144,
//     y = Aᵀ [(G w Gᵀ) ∘ (Bᵀ x B)] A,
// the products ∘ added up over the channels. A. Lavin, S. Gray: Fast algorithms for convolutional neural networks
// (2015). The points are 0, ±3/4, ±3/2 and infinity: with them the error is about one and a half times that of the
// direct sums, with 0, ±1, ±2 it is four times as large.
//
// What is not finite reaches all 16 outputs of its tiles. Each output is computed alike wherever its tile is
// computed: neither threads nor examples beside it change a bit.
//
// How: rows of tiles are transformed, their channels side by side, into 36 matrices [tiles, channels]; for each panel
// of output channels these are multiplied with the transformed weights and transformed back while all that is near.

namespace detail {

inline constexpr extent winograd_tile = 4, winograd_window = 6, winograd_positions = 36;

/// Bᵀ d.
template <class T>
[[gnu::always_inline]] inline void winograd_input(const batch<T> (&d)[6], batch<T> (&v)[6]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    v[0] = kernels::fma<T>(number(81. / 64), d[0], kernels::fma<T>(number(-45. / 16), d[2], d[4]));
    v[5] = kernels::fma<T>(number(81. / 64), d[1], kernels::fma<T>(number(-45. / 16), d[3], d[5]));
    const batch<T> inner_even = kernels::fma<T>(number(-9. / 4), d[2], d[4]),
                   inner_odd = kernels::fma<T>(number(-27. / 16), d[1], number(3. / 4) * d[3]),
                   outer_even = kernels::fma<T>(number(-9. / 16), d[2], d[4]),
                   outer_odd = kernels::fma<T>(number(-27. / 32), d[1], number(3. / 2) * d[3]);
    v[1] = inner_even + inner_odd;
    v[2] = inner_even - inner_odd;
    v[3] = outer_even + outer_odd;
    v[4] = outer_even - outer_odd;
}
/// Aᵀ m.
template <class T>
[[gnu::always_inline]] inline void winograd_output(const batch<T> (&m)[6], batch<T> (&y)[4]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    const batch<T> inner_even = m[1] + m[2], inner_odd = m[1] - m[2], outer_even = m[3] + m[4],
                   outer_odd = m[3] - m[4];
    y[0] = m[0] + (inner_even + outer_even);
    y[1] = kernels::fma<T>(number(3. / 2), outer_odd, number(3. / 4) * inner_odd);
    y[2] = kernels::fma<T>(number(9. / 4), outer_even, number(9. / 16) * inner_even);
    y[3] = kernels::fma<T>(number(27. / 8), outer_odd, kernels::fma<T>(number(27. / 64), inner_odd, m[5]));
}
/// G w.
template <class T>
[[gnu::always_inline]] inline void winograd_weights(const batch<T> (&w)[3], batch<T> (&u)[6]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    u[0] = number(64. / 81) * w[0];
    u[5] = w[2];
    // 1 / (2 a² (a² - b²)) of the points a, b.
    const batch<T> inner = number(-128. / 243), outer = number(32. / 243);
    const batch<T> inner_even = kernels::fma<T>(number(9. / 16), w[2], w[0]),
                   outer_even = kernels::fma<T>(number(9. / 4), w[2], w[0]);
    const batch<T> inner_odd = number(3. / 4) * w[1], outer_odd = number(3. / 2) * w[1];
    u[1] = inner * (inner_even + inner_odd);
    u[2] = inner * (inner_even - inner_odd);
    u[3] = outer * (outer_even + outer_odd);
    u[4] = outer * (outer_even - outer_odd);
}

/// How the tiles of images are laid out.
template <class T>
struct winograd_plan {
    extent tiles_y, tiles_x;  ///< of one image
    extent columns;           ///< of the image that a row of tiles reads, padding included
    extent channel_row;       ///< elements of one tile's channels: whole batches, not a power of two
    extent rows;              ///< most rows of tiles that are computed together
    extent position;          ///< elements between the matrices of transformed inputs
    extent product;           ///< and of the products

    constexpr explicit winograd_plan(const convolution_geometry& g)
        : tiles_y((g.output_height + winograd_tile - 1) / winograd_tile),
          tiles_x((g.output_width + winograd_tile - 1) / winograd_tile),
          columns(tiles_x * winograd_tile + winograd_window - winograd_tile),
          channel_row((g.channels + lanes<T> - 1) / lanes<T> * lanes<T> + lanes<T>), rows(0), position(0), product(0) {
        constexpr extent most_tiles = 4 * tile_rows, most_elements = (3 << 18) / static_cast<extent>(sizeof(T));
        const extent tiles = std::min(most_tiles, most_elements / (winograd_positions * channel_row));
        rows = std::max<extent>(tiles / std::max<extent>(tiles_x, 1), 1);
        const extent padded = (rows * tiles_x + small_tile_rows - 1) / small_tile_rows * small_tile_rows;
        position = padded * channel_row;
        product = (padded + 1) * panel_width<T>;
    }
    /// Elements for the transformed inputs.
    constexpr extent inputs() const { return winograd_positions * position; }
    /// Elements that each thread needs besides: a strip of the image, or products and a strip of the result.
    constexpr extent part(const convolution_geometry& g) const {
        return std::max(winograd_window * columns * lanes<T>,
                        winograd_positions * product + winograd_tile * g.output_width * panel_width<T>);
    }
};

template <class T>
struct winograd_job {
    const convolution_geometry& g;
    const winograd_plan<T>& plan;
    const T* x;
    extent x_stride;
    const T* packed;
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    channel_epilogue<T> after;
};

/// The inputs of one row of tiles (counted over the examples), one batch of channels, transformed to `to`, the place of
/// its first tile and channel.
template <class T>
[[gnu::noinline]] void winograd_transform(const winograd_job<T>& job, extent row, extent group, T* strip,
                                          T* to) noexcept {
    const convolution_geometry& g = job.g;
    const winograd_plan<T>& plan = job.plan;
    const extent channels = std::min(g.channels - group * lanes<T>, lanes<T>), line = plan.columns * lanes<T>;
    const extent begin = std::max<extent>(g.pad_left, 0), skipped = begin - g.pad_left,
                 inside = std::clamp<extent>(plan.columns - begin, 0, std::max<extent>(g.width - skipped, 0));
    const T* x = job.x + row / plan.tiles_y * job.x_stride + group * lanes<T> * g.plane() + skipped;
    for (extent i = 0; i < winograd_window; ++i) {
        const extent y = row % plan.tiles_y * winograd_tile - g.pad_top + i;
        T* at = strip + i * line;
        if (y < 0 || y >= g.height || channels < lanes<T>) std::fill_n(at, line, T(0));
        if (y < 0 || y >= g.height) continue;
        std::fill_n(at, begin * lanes<T>, T(0));
        transpose(x + y * g.width, g.plane(), channels, inside, at + begin * lanes<T>, lanes<T>);
        std::fill(at + (begin + inside) * lanes<T>, at + line, T(0));
    }
    batch<T> d[6], v[6];
    for (extent column = 0; column < line; column += lanes<T>) {
        unroll<6>([&](std::size_t i) __attribute__((always_inline)) {
            d[i] = load(strip + static_cast<extent>(i) * line + column);
        });
        winograd_input<T>(d, v);
        unroll<6>([&](std::size_t i) __attribute__((always_inline)) {
            store<T>(strip + static_cast<extent>(i) * line + column, v[i]);
        });
    }
    for (extent tile = 0; tile < plan.tiles_x; ++tile, to += plan.channel_row)
        for (extent i = 0; i < winograd_window; ++i) {
            const T* from = strip + i * line + tile * winograd_tile * lanes<T>;
            unroll<6>([&](std::size_t j) __attribute__((always_inline)) {
                d[j] = load(from + static_cast<extent>(j) * lanes<T>);
            });
            winograd_input<T>(d, v);
            unroll<6>([&](std::size_t j) __attribute__((always_inline)) {
                store<T>(to + (i * winograd_window + static_cast<extent>(j)) * plan.position, v[j]);
            });
        }
}

/// One tile and batch of output channels: from the products m to `to`, `rows` x `columns` pixels of whole panels.
template <class T>
[[gnu::noinline]] void winograd_back(const T* m, extent product, const batch<T>& bias, extent rows, extent columns,
                                     T* to, extent line) noexcept {
    batch<T> half[4][6], y[4];
    unroll<6>([&](std::size_t j) __attribute__((always_inline)) {
        batch<T> column[6];
        unroll<6>([&](std::size_t i) __attribute__((always_inline)) {
            column[i] = load(m + static_cast<extent>(i * 6 + j) * product);
        });
        winograd_output<T>(column, y);
        unroll<4>([&](std::size_t i) __attribute__((always_inline)) { half[i][j] = y[i]; });
    });
    unroll<4>([&](std::size_t i) __attribute__((always_inline)) {
        if (static_cast<extent>(i) >= rows) return;
        winograd_output<T>(half[i], y);
        unroll<4>([&](std::size_t j) __attribute__((always_inline)) {
            if (static_cast<extent>(j) < columns)
                store<T>(to + static_cast<extent>(i) * line + static_cast<extent>(j) * panel_width<T>, y[j] + bias);
        });
    });
}

/// The outputs of one panel of channels in the rows of tiles [first, last), whose inputs stand transformed.
template <class T>
[[gnu::noinline]] void winograd_panel(const winograd_job<T>& job, extent first, extent last, extent panel,
                                      const T* inputs, T* products) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const winograd_plan<T>& plan = job.plan;
    const extent columns = std::min(g.output_channels - panel * width, width), tiles = (last - first) * plan.tiles_x,
                 strips = (tiles + tile_rows - 1) / tile_rows, near = width / strips;
    T* strip = products + winograd_positions * plan.product;
    alignas(64) T start[width] = {};
    const T* b = job.packed + panel * winograd_positions * g.channels * width;
    for (extent position = 0; position < winograd_positions; ++position, b += g.channels * width)
        for (extent i = 0; i < tiles; i += tile_rows) {
            T* c = products + position * plan.product + i * width;
            multiply_strip<T>({g.channels, inputs + position * plan.position + i * plan.channel_row, plan.channel_row,
                               1, b, width, c, width, start, 0,
                               b + g.channels * (width + i / tile_rows * near), near, c + tile_rows * width},
                              std::min(tiles - i, tile_rows), columns);
        }
    if (job.bias != nullptr) std::copy_n(job.bias + panel * width, columns, start);
    const T* m = products;
    for (extent row = first; row < last; ++row) {
        const extent top = row % plan.tiles_y * winograd_tile, lines = std::min(winograd_tile, g.output_height - top);
        for (extent tile = 0; tile < plan.tiles_x; ++tile, m += width) {
            const extent left = tile * winograd_tile;
            for (extent j = 0; j < columns; j += lanes<T>)
                winograd_back<T>(m + j, plan.product, load(start + j), lines, g.output_width - left,
                                 strip + left * width + j, g.output_width * width);
        }
        T* y = job.y + row / plan.tiles_y * job.y_stride + panel * width * g.pixels() + top * g.output_width;
        job.after.transposed(strip, width, {y, columns, lines * g.output_width, g.pixels()}, panel * width,
                             job.accumulate);
    }
}

}  // namespace detail

/// Whether `winograd_forward` is for this kernel and faster than the direct sums: not for few channels, whose
/// transformations cost more than they save, nor for so many that the transformed weights, four times as large, do not
/// stay near. Of the geometry the channels, kernel sizes, strides, dilations and groups matter.
constexpr bool suits_winograd(const convolution_geometry& g) noexcept {
    return g.kernel_height == 3 && g.kernel_width == 3 && g.stride_y == 1 && g.stride_x == 1 && g.dilation_y == 1 &&
           g.dilation_x == 1 && g.groups == 1 && g.channels >= 16 && g.output_channels >= 16 &&
           g.channels * g.output_channels <= 1 << 17;
}

/// Elements that `winograd_pack` writes.
template <class T>
constexpr extent winograd_packed_size(const convolution_geometry& g) noexcept {
    return detail::winograd_positions * packed_size<T>(g.channels, g.output_channels);
}

/// The weights transformed, in the order in which `winograd_forward` reads them: [panel][position][channel][column].
/// Computed in double. `turned`: `weights` are [channels, output_channels, 3, 3] and their kernels are turned round.
template <class T>
[[gnu::noinline]] void winograd_pack(const convolution_geometry& g, const T* weights, T* packed,
                                     thread_pool* threads = nullptr, bool turned = false) noexcept {
    constexpr extent width = panel_width<T>, together = lanes<double>;
    const extent output_step = 9 * (turned ? 1 : g.channels), channel_step = 9 * (turned ? g.output_channels : 1);
    parallel_for(threads, (g.output_channels + width - 1) / width, 1, [&](extent first, extent last) {
        for (extent panel = first; panel < last; ++panel)
            for (extent c = 0; c < g.channels; ++c)
                for (extent o = 0; o < width; o += together) {
                    const extent count = std::min(g.output_channels - panel * width - o, together);
                    alignas(64) double w[9][lanes<double>] = {};
                    for (extent i = 0; i < count; ++i) {
                        const T* from = weights + (panel * width + o + i) * output_step + c * channel_step;
                        unroll<9>([&](std::size_t tap) __attribute__((always_inline)) {
                            w[tap][i] = from[turned ? 8 - tap : tap];
                        });
                    }
                    T* to = packed + (panel * detail::winograd_positions * g.channels + c) * width + o;
                    batch<double> half[6][3], u[6];
                    for (std::size_t j = 0; j < 3; ++j) {
                        const batch<double> column[3] = {load(w[j]), load(w[3 + j]), load(w[6 + j])};
                        detail::winograd_weights<double>(column, u);
                        unroll<6>([&](std::size_t i) __attribute__((always_inline)) { half[i][j] = u[i]; });
                    }
                    for (std::size_t i = 0; i < 6; ++i) {
                        detail::winograd_weights<double>(half[i], u);
                        unroll<6>([&](std::size_t j) __attribute__((always_inline)) {
                            alignas(64) double values[lanes<double>];
                            u[j].store_aligned(values);
                            T* row = to + static_cast<extent>(6 * i + j) * g.channels * width;
                            for (extent k = 0; k < together; ++k) row[k] = static_cast<T>(values[k]);
                        });
                    }
                }
    });
}

/// Elements of scratch that `winograd_forward` needs, for a pool of `threads` threads (1 for none).
template <class T>
constexpr extent winograd_scratch(const convolution_geometry& g, extent threads) noexcept {
    const detail::winograd_plan<T> plan(g);
    return threads * (plan.inputs() + plan.part(g));
}

/// As `convolution_forward`, for what `suits_winograd`; `packed` is what `winograd_pack` made of the weights, `scratch`
/// holds winograd_scratch<T>(g, threads of the pool) elements.
template <class T>
[[gnu::noinline]] void winograd_forward(const convolution_geometry& g, extent examples, const T* x, extent x_stride,
                                        const T* packed, const T* bias, T* y, extent y_stride, bool accumulate,
                                        T* scratch, thread_pool* threads = nullptr,
                                        const epilogue<T>* after = nullptr) noexcept {
    if (examples <= 0 || g.pixels() <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const detail::winograd_plan<T> plan(g);
    const detail::winograd_job<T> job{g,    plan, x,        x_stride,   packed,
                                      bias, y,    y_stride, accumulate, detail::channel_epilogue<T>(after)};
    const extent size = threads ? static_cast<extent>(threads->size()) : 1, rows = examples * plan.tiles_y;
    const extent groups = (g.channels + lanes<T> - 1) / lanes<T>,
                 panels = (g.output_channels + panel_width<T> - 1) / panel_width<T>;
    extent blocks = (rows + plan.rows - 1) / plan.rows;
    // Many blocks: each thread has its own. Few: the threads share the work in each.
    const bool apart = blocks >= size;
    if (apart) blocks = std::min((blocks + size - 1) / size * size, rows);
    T* parts = scratch + size * plan.inputs();
    const auto compute = [&](extent block, extent self, thread_pool* together) {
        const extent first = rows * block / blocks, last = rows * (block + 1) / blocks;
        T* inputs = scratch + self * plan.inputs();
        detail::split(together, (last - first) * groups, [&](extent part, extent begin, extent end) {
            for (extent item = begin; item < end; ++item)
                detail::winograd_transform(
                    job, first + item / groups, item % groups, parts + (self + part) * plan.part(g),
                    inputs + item / groups * plan.tiles_x * plan.channel_row + item % groups * lanes<T>);
        });
        detail::split(together, panels, [&](extent part, extent begin, extent end) {
            for (extent panel = begin; panel < end; ++panel)
                detail::winograd_panel(job, first, last, panel, inputs, parts + (self + part) * plan.part(g));
        });
    };
    detail::split(apart ? threads : nullptr, apart ? size : 1, [&](extent, extent begin, extent end) {
        for (extent self = begin; self < end; ++self)
            for (extent block = blocks * self / size; apart && block < blocks * (self + 1) / size; ++block)
                compute(block, self, nullptr);
        for (extent block = 0; !apart && block < blocks; ++block) compute(block, extent{0}, threads);
    });
}

}  // namespace bespoke::kernels
