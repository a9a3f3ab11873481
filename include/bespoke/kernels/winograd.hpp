#pragma once

#include "convolution_narrow.hpp"
#include "gemm.hpp"
#include "transpose.hpp"
#include "winograd_transforms.hpp"

namespace bespoke::kernels {

// Convolutions with a 3 x 3 kernel by Winograd's minimal filtering F(4 x 4, 3 x 3): a tile of 4 x 4 outputs comes from
// 6 x 6 inputs with 36 multiplications a channel, where the sums over the taps take 144,
//     y = Aᵀ [(G w Gᵀ) ∘ (Bᵀ x B)] A,
// the products ∘ added up over the channels. Where the 36 transformed weights of each kernel would come from far, tiles
// of 4 x 2 outputs take 24 for 72, with 24 weights, or of 2 x 2 outputs 16 for 36. For the transformations see
// winograd_transforms.hpp.
//
// A kernel that is dilated by d makes each d-th output of each d-th input: d x d images in one, each with tiles of its
// own.
//
// What is not finite reaches all outputs of its tiles. Each output is computed alike wherever its tile is
// computed: neither threads nor examples beside it change a bit.
//
// How: rows of tiles are transformed, their channels side by side, into one matrix [tiles, channels] for each place of
// the window; for each panel of output channels these are multiplied with the transformed weights and transformed back
// while all that is near.

namespace detail {

/// The outputs of one tile.
struct winograd_form {
    extent rows, columns;

    constexpr extent window_rows() const { return rows + 2; }
    constexpr extent window_columns() const { return columns + 2; }
    constexpr extent positions() const { return window_rows() * window_columns(); }
};
inline constexpr winograd_form square_winograd{4, 4}, narrow_winograd{4, 2}, small_winograd{2, 2};

/// By the weights alone: they are transformed when nobody knows the image. The more kernels there are, the farther away
/// their weights stay, and a product of few tiles takes as long as it takes to read them.
constexpr winograd_form winograd_form_of(const convolution_geometry& g) noexcept {
    const extent kernels = g.channels * g.output_channels;
    return kernels < 1 << 16 ? square_winograd : kernels <= 1 << 17 ? narrow_winograd : small_winograd;
}
/// Calls body with an integral_constant of the form.
template <class Body>
void with_winograd_form(const winograd_form& form, const Body& body) noexcept {
    if (form.columns == 4)
        body(std::integral_constant<winograd_form, square_winograd>{});
    else if (form.rows == 4)
        body(std::integral_constant<winograd_form, narrow_winograd>{});
    else
        body(std::integral_constant<winograd_form, small_winograd>{});
}

/// The tiles along one axis: those of the outputs 0, dilation, 2 dilation, ..., then of 1, 1 + dilation, ... and so on.
struct winograd_tiles {
    extent outputs, dilation;
    extent size;    ///< outputs of a tile
    extent phases;  ///< as many as the dilation, of few outputs fewer
    extent each;    ///< tiles of a phase
    extent count;   ///< tiles of all

    constexpr winograd_tiles(extent outputs, extent dilation, extent size)
        : outputs(outputs), dilation(dilation), size(size), phases(std::min(outputs, dilation)),
          each(((outputs + dilation - 1) / dilation + size - 1) / size), count(phases * each) {}

    /// The first output of a tile.
    constexpr extent first(extent tile) const { return tile / each + tile % each * size * dilation; }
    /// Outputs of the tile whose first one is this.
    constexpr extent outputs_from(extent first) const {
        return std::clamp<extent>((outputs - first + dilation - 1) / dilation, 0, size);
    }
    /// Inputs that all tiles read, padding included.
    constexpr extent inputs() const { return phases + (each * size + 1) * dilation; }
};

/// How the tiles of images are laid out.
template <class T>
struct winograd_plan {
    winograd_form form;
    winograd_tiles down, across;  ///< of one image
    extent columns;      ///< of the image that a row of tiles reads, padding included
    extent channel_row;  ///< elements of one tile's channels: whole batches, not a power of two
    extent rows;         ///< most rows of tiles that are computed together
    extent position;     ///< elements between the matrices of transformed inputs
    extent product;      ///< and of the products

    constexpr explicit winograd_plan(const convolution_geometry& g)
        : form(winograd_form_of(g)), down(g.output_height, g.dilation_y, form.rows),
          across(g.output_width, g.dilation_x, form.columns), columns(across.inputs()),
          channel_row((g.channels + lanes<T> - 1) / lanes<T> * lanes<T> + lanes<T>), rows(0), position(0), product(0) {
        constexpr extent most_tiles = 28 / tall_tile_rows * tall_tile_rows,
                         most_elements = (3 << 18) / static_cast<extent>(sizeof(T));
        const extent tiles = std::min(most_tiles, most_elements / (form.positions() * channel_row));
        rows = std::max<extent>(tiles / std::max<extent>(across.count, 1), 1);
        const extent padded = (rows * across.count + small_tile_rows - 1) / small_tile_rows * small_tile_rows;
        position = padded * channel_row;
        product = (padded + 1) * panel_width<T>;
    }
    /// Elements for the transformed inputs.
    constexpr extent inputs() const { return form.positions() * position; }
    /// Elements that each thread needs besides: a strip of the image, or products and a strip of the result.
    constexpr extent part(const convolution_geometry& g) const {
        return std::max(form.window_rows() * columns * lanes<T>,
                        form.positions() * product + form.rows * g.output_width * panel_width<T>);
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
template <class T, winograd_form Form>
[[gnu::noinline]] void winograd_transform(const winograd_job<T>& job, extent row, extent group, T* strip,
                                          T* to) noexcept {
    constexpr extent window = Form.window_rows(), across = Form.window_columns();
    const convolution_geometry& g = job.g;
    const winograd_plan<T>& plan = job.plan;
    const extent channels = std::min(g.channels - group * lanes<T>, lanes<T>), line = plan.columns * lanes<T>;
    const extent begin = std::max<extent>(g.pad_left, 0), skipped = begin - g.pad_left,
                 inside = std::clamp<extent>(plan.columns - begin, 0, std::max<extent>(g.width - skipped, 0));
    const T* x = job.x + row / plan.down.count * job.x_stride + group * lanes<T> * g.plane() + skipped;
    const extent top = plan.down.first(row % plan.down.count) - g.pad_top;
    for (extent i = 0; i < window; ++i) {
        const extent y = top + i * g.dilation_y;
        T* at = strip + i * line;
        if (y < 0 || y >= g.height || channels < lanes<T>) std::fill_n(at, line, T(0));
        if (y < 0 || y >= g.height) continue;
        std::fill_n(at, begin * lanes<T>, T(0));
        transpose(x + y * g.width, g.plane(), channels, inside, at + begin * lanes<T>, lanes<T>);
        std::fill(at + (begin + inside) * lanes<T>, at + line, T(0));
    }
    batch<T> d[window], v[window], e[across], u[across];
    for (extent column = 0; column < line; column += lanes<T>) {
        unroll<window>([&](std::size_t i) __attribute__((always_inline)) {
            d[i] = load(strip + static_cast<extent>(i) * line + column);
        });
        winograd_axis<Form.rows>::template input<T>(d, v);
        unroll<window>([&](std::size_t i) __attribute__((always_inline)) {
            store<T>(strip + static_cast<extent>(i) * line + column, v[i]);
        });
    }
    const extent step = g.dilation_x * lanes<T>;
    for (extent tile = 0; tile < plan.across.count; ++tile, to += plan.channel_row)
        for (extent i = 0; i < window; ++i) {
            const T* from = strip + i * line + plan.across.first(tile) * lanes<T>;
            unroll<across>([&](std::size_t j) __attribute__((always_inline)) {
                e[j] = load(from + static_cast<extent>(j) * step);
            });
            winograd_axis<Form.columns>::template input<T>(e, u);
            unroll<across>([&](std::size_t j) __attribute__((always_inline)) {
                store<T>(to + (i * across + static_cast<extent>(j)) * plan.position, u[j]);
            });
        }
}

/// One tile and batch of output channels: from the products m to `to`, `rows` x `columns` pixels that lie `line` and
/// `step` elements apart.
template <class T, winograd_form Form>
[[gnu::noinline]] void winograd_back(const T* m, extent product, const batch<T>& bias, extent rows, extent columns,
                                     T* to, extent step, extent line) noexcept {
    constexpr extent window = Form.window_rows(), across = Form.window_columns();
    batch<T> half[Form.rows][across], y[Form.columns];
    unroll<across>([&](std::size_t j) __attribute__((always_inline)) {
        batch<T> column[window], part[Form.rows];
        unroll<window>([&](std::size_t i) __attribute__((always_inline)) {
            column[i] = load(m + static_cast<extent>(i * across + j) * product);
        });
        winograd_axis<Form.rows>::template output<T>(column, part);
        unroll<Form.rows>([&](std::size_t i) __attribute__((always_inline)) { half[i][j] = part[i]; });
    });
    unroll<Form.rows>([&](std::size_t i) __attribute__((always_inline)) {
        if (static_cast<extent>(i) >= rows) return;
        winograd_axis<Form.columns>::template output<T>(half[i], y);
        unroll<Form.columns>([&](std::size_t j) __attribute__((always_inline)) {
            if (static_cast<extent>(j) < columns)
                store<T>(to + static_cast<extent>(i) * line + static_cast<extent>(j) * step, y[j] + bias);
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
    const winograd_form form = plan.form;
    const extent columns = std::min(g.output_channels - panel * width, width),
                 tiles = (last - first) * plan.across.count,
                 strips = count_strips(tiles).strips, near = (width + strips - 1) / strips;
    T* strip = products + form.positions() * plan.product;
    alignas(64) T start[width] = {};
    const T* b = job.packed + panel * form.positions() * g.channels * width;
    for (extent position = 0; position < form.positions(); ++position, b += g.channels * width)
        for (extent i = 0, rows = 0, share = 0; i < tiles; i += rows, ++share) {
            rows = strip_rows(tiles - i);
            T* c = products + position * plan.product + i * width;
            multiply_strip<T>({g.channels, inputs + position * plan.position + i * plan.channel_row, plan.channel_row,
                               1, b, width, c, width, start, 0, b + g.channels * (width + share * near), near,
                               c + rows * width},
                              rows, columns);
        }
    if (job.bias != nullptr) std::copy_n(job.bias + panel * width, columns, start);
    const T* m = products;
    const extent line = g.output_width * width;
    for (extent row = first; row < last; ++row) {
        const extent top = plan.down.first(row % plan.down.count), lines = plan.down.outputs_from(top);
        for (extent tile = 0; tile < plan.across.count; ++tile, m += width) {
            const extent left = plan.across.first(tile), pixels = plan.across.outputs_from(left);
            for (extent j = 0; j < columns; j += lanes<T>)
                with_winograd_form(form, [&](auto constant) {
                    winograd_back<T, constant()>(m + j, plan.product, load(start + j), lines, pixels,
                                                 strip + left * width + j, g.dilation_x * width, line);
                });
        }
        T* y = job.y + row / plan.down.count * job.y_stride + panel * width * g.pixels() + top * g.output_width;
        const extent together = g.dilation_y == 1 ? lines : 1;  // lines that lie side by side
        for (extent i = 0; i < lines; i += together) {
            T* to = y + i * g.dilation_y * g.output_width;
            job.after.transposed(strip + i * line, width, {to, columns, together * g.output_width, g.pixels()},
                                 panel * width, job.accumulate);
        }
    }
}

}  // namespace detail

/// Whether `winograd_forward` is for this kernel and faster than the direct sums: not for few channels, whose
/// transformations cost more than they save, nor for so many that the transformed weights, nearly twice as large, would
/// take much memory, nor for taps so far apart that the images in one (see above) often fill no tile. Of the geometry
/// the channels, kernel sizes, strides, dilations and groups matter.
constexpr bool suits_winograd(const convolution_geometry& g) noexcept {
    return g.kernel_height == 3 && g.kernel_width == 3 && g.stride_y == 1 && g.stride_x == 1 && g.dilation_y <= 4 &&
           g.dilation_x <= 4 && g.groups == 1 && g.channels >= 16 && g.output_channels >= 16 &&
           g.channels * g.output_channels <= 1 << 20;
}

/// Elements that `winograd_pack` writes.
template <class T>
constexpr extent winograd_packed_size(const convolution_geometry& g) noexcept {
    return detail::winograd_form_of(g).positions() * packed_size<T>(g.channels, g.output_channels);
}

namespace detail {

/// The transformed weights of one panel of output channels.
template <class T, winograd_form Form>
[[gnu::noinline]] void winograd_pack_panel(const convolution_geometry& g, extent panel, const T* weights, bool turned,
                                           T* packed) noexcept {
    constexpr extent width = panel_width<T>, together = lanes<double>;
    constexpr extent window = Form.window_rows(), across = Form.window_columns();
    const extent output_step = 9 * (turned ? 1 : g.channels), channel_step = 9 * (turned ? g.output_channels : 1);
    for (extent c = 0; c < g.channels; ++c)
        for (extent o = 0; o < width; o += together) {
            const extent count = std::min(g.output_channels - panel * width - o, together);
            alignas(64) double w[9][lanes<double>] = {};
            for (extent i = 0; i < count; ++i) {
                const T* from = weights + (panel * width + o + i) * output_step + c * channel_step;
                unroll<9>([&](std::size_t tap) __attribute__((always_inline)) {
                    w[tap][i] = static_cast<double>(from[turned ? 8 - tap : tap]);
                });
            }
            T* to = packed + (panel * Form.positions() * g.channels + c) * width + o;
            batch<double> half[window][3], u[window], v[across];
            for (std::size_t j = 0; j < 3; ++j) {
                const batch<double> column[3] = {load(w[j]), load(w[3 + j]), load(w[6 + j])};
                winograd_axis<Form.rows>::template weights<double>(column, u);
                unroll<window>([&](std::size_t i) __attribute__((always_inline)) { half[i][j] = u[i]; });
            }
            for (std::size_t i = 0; i < window; ++i) {
                winograd_axis<Form.columns>::template weights<double>(half[i], v);
                unroll<across>([&](std::size_t j) __attribute__((always_inline)) {
                    alignas(64) double values[lanes<double>];
                    v[j].store_aligned(values);
                    T* row = to + (static_cast<extent>(i) * across + static_cast<extent>(j)) * g.channels * width;
                    for (extent k = 0; k < together; ++k) row[k] = static_cast<T>(values[k]);
                });
            }
        }
}

}  // namespace detail

/// The weights transformed, in the order in which `winograd_forward` reads them: [panel][position][channel][column].
/// Computed in double. `turned`: `weights` are [channels, output_channels, 3, 3] and their kernels are turned round.
template <class T>
[[gnu::noinline]] void winograd_pack(const convolution_geometry& g, const T* weights, T* packed,
                                     thread_pool* threads = nullptr, bool turned = false) noexcept {
    parallel_for(threads, (g.output_channels + panel_width<T> - 1) / panel_width<T>, 1, [&](extent first, extent last) {
        for (extent panel = first; panel < last; ++panel)
            detail::with_winograd_form(detail::winograd_form_of(g), [&](auto form) {
                detail::winograd_pack_panel<T, form()>(g, panel, weights, turned, packed);
            });
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
    const extent size = threads ? static_cast<extent>(threads->size()) : 1, rows = examples * plan.down.count;
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
                detail::with_winograd_form(plan.form, [&](auto form) {
                    detail::winograd_transform<T, form()>(
                        job, first + item / groups, item % groups, parts + (self + part) * plan.part(g),
                        inputs + item / groups * plan.across.count * plan.channel_row + item % groups * lanes<T>);
                });
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
