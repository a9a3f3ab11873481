#pragma once

#include "../core/concepts.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <variant>

/// How windows (of a convolution, a deconvolution or a pooling) lie on an image that is padded.
/// Core ML specification, ValidPadding, SamePadding, BorderAmounts.
namespace bespoke {

/// Which edge takes the odd one of an odd number of padded rows or columns.
enum class same_padding_mode { bottom_right_heavy, top_left_heavy };
constexpr std::array<std::string_view, 2> enumerators(same_padding_mode) {
    return {"BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"};
}

/// Rows (columns) added above and below (to the left and to the right).
struct edge_sizes {
    extent start_edge_size = 0, end_edge_size = 0;

    constexpr void fields(auto& field) {
        field("startEdgeSize", start_edge_size);
        field("endEdgeSize", end_edge_size);
    }
    friend bool operator==(const edge_sizes&, const edge_sizes&) = default;
};

/// Edges in the order [H, W].
struct border_amounts {
    std::array<edge_sizes, 2> edges{};

    constexpr void fields(auto& field) { field("borderAmounts", edges); }
    friend bool operator==(const border_amounts&, const border_amounts&) = default;
};

/// Windows lie wholly inside the image that `padding_amounts` (none unless said) have made larger; a rest at
/// the end that takes no window is left out. A deconvolution crops its result by the same amounts.
struct valid_padding {
    border_amounts padding_amounts{};

    static constexpr auto key = "valid";
    constexpr void fields(auto& field) { field("paddingAmounts", padding_amounts); }
    friend bool operator==(const valid_padding&, const valid_padding&) = default;
};
inline constexpr valid_padding valid{};

/// `valid` after rows and columns were added: `.padding = padded(1, 1, 2, 2)`.
constexpr valid_padding padded(extent top, extent bottom, extent left, extent right) {
    valid_padding padding;
    padding.padding_amounts.edges = {edge_sizes{top, bottom}, edge_sizes{left, right}};
    return padding;
}

/// Windows: extent / stride, rounded up. A deconvolution gives extent times stride.
struct same_padding {
    same_padding_mode asymmetry_mode = same_padding_mode::bottom_right_heavy;

    static constexpr auto key = "same";
    constexpr void fields(auto& field) { field("asymmetryMode", asymmetry_mode); }
    friend bool operator==(const same_padding&, const same_padding&) = default;
};
inline constexpr same_padding same{};

/// The alternative A of `choice`, if it is that one. A copy, since g++'s UBSan takes no comparison of a pointer with
/// null for a constant expression.
template <class A, class... All>
constexpr std::optional<A> alternative(const std::variant<All...>& choice) {
    if (std::holds_alternative<A>(choice)) return std::get<A>(choice);
    return std::nullopt;
}

// --- arithmetic of windows ----------------------------------------------------------------------------

/// Kernels, strides, dilations and paddings go up to here: their products then fit an `extent`.
inline constexpr extent largest_window = (extent{1} << 31) - 1;
/// No image has more elements, padding included: a size gone wrong.
inline constexpr extent largest_image = extent{1} << 40;

namespace detail {

/// The fault of an input on which no window can lie: fewer axes than [.., channels, height, width], with a depth before
/// the height where `axes` is 3, or nothing in it.
constexpr std::optional<fault> check_windowed(const shape& x, std::size_t axes) {
    if (x.rank() <= axes)
        return shape_fault("an input [.., channels, ", axes == 3 ? "depth, " : "",
                           "height, width] wanted, its shape is ", x);
    if (checked_size(x, largest_image) < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
    return {};
}

}  // namespace detail

/// Windows along one axis: `outputs` of them, number i covering [0, kernel) + i * stride - before.
struct window_axis {
    extent outputs = 0, before = 0;
};

/// The fault of a pair [H, W] that is not in [least, largest_window].
constexpr std::optional<fault> check_window(std::string_view name, const std::array<extent, 2>& pair,
                                            extent least) {
    if (std::min(pair[0], pair[1]) >= least && std::max(pair[0], pair[1]) <= largest_window) return {};
    return value_fault(name, " from ", least, " to ", largest_window, " wanted, ", shape{pair[0], pair[1]},
                       " given");
}
constexpr std::optional<fault> check_edges(std::string_view name, const border_amounts& amounts) {
    for (const edge_sizes& e : amounts.edges)
        if (const auto wrong = check_window(name, {e.start_edge_size, e.end_edge_size}, 0)) return wrong;
    return {};
}
constexpr std::optional<fault> check_padding(const valid_padding& padding) {
    return check_edges("paddingAmounts", padding.padding_amounts);
}
constexpr std::optional<fault> check_padding(const same_padding&) { return {}; }

/// How much of `total` lies at the start.
constexpr extent padding_before(extent total, same_padding_mode mode) {
    return mode == same_padding_mode::top_left_heavy ? total - total / 2 : total / 2;
}

/// outputs = floor((size + start + end - kernel) / stride) + 1, or 0 where no window fits.
constexpr window_axis valid_windows(extent size, const edge_sizes& edges, extent kernel, extent stride) {
    const extent room = size + edges.start_edge_size + edges.end_edge_size - kernel;
    return {room < 0 ? 0 : room / stride + 1, edges.start_edge_size};
}

/// outputs = ceil(size / stride), over max(0, (outputs - 1) stride + kernel - size) padded elements.
constexpr window_axis same_windows(extent size, same_padding_mode mode, extent kernel, extent stride) {
    const extent outputs = size / stride + (size % stride != 0);
    return {outputs, padding_before(std::max<extent>(0, (outputs - 1) * stride + kernel - size), mode)};
}

}  // namespace bespoke
