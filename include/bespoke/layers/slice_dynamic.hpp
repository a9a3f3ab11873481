#pragma once

#include "number_input.hpp"
#include "slice.hpp"

#include <array>

namespace bespoke {

/// `slice_static` with bounds that are inputs: x, then its begin_ids, and, as far as there are so many, end_ids,
/// strides, begin_masks, end_masks and squeeze_masks, each a vector of one whole number for each axis of x, and of a
/// mask not 0 where it is set. What is no input is a field, of which the first values count where it is longer than x
/// has axes.
/// squeeze_masks as an input must be known before the network runs, as they decide the rank of y.
///
/// Gradients pass to x alone. Core ML specification, SliceDynamicLayerParams.
struct slice_dynamic {
    using flags = slice_static::flags;

    flags begin_masks{};
    shape end_ids{};
    flags end_masks{};
    shape strides{};
    flags squeeze_masks{};

    static constexpr auto key = "sliceDynamic";
    constexpr void fields(auto& field) {
        field("beginMasks", begin_masks);
        field("endIds", end_ids);
        field("endMasks", end_masks);
        field("strides", strides);
        field("squeezeMasks", squeeze_masks);
    }
    static constexpr input_count inputs{2, 7};
    static constexpr std::size_t values_from = 1;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        constexpr std::array<std::string_view, 6> names{"beginIds",   "endIds",   "strides",
                                                        "beginMasks", "endMasks", "squeezeMasks"};
        const shape& x = xs[0];
        for (std::size_t i = 1; i < xs.size(); ++i)
            if (const auto wrong =
                    detail::check_numbers(names[i - 1], xs[i], x.rank(), x.rank(), known_input(known, i)))
                return *wrong;
        if (xs.size() > 6 && !known_input(known, 6))
            return fault{errc::unsupported, sentence("squeezeMasks wanted that are known before the network runs")};
        // What is not known is 0, or 1 for strides: that is as good as any for what follows from the rest.
        given_numbers given;
        for (std::size_t i = 1; i < xs.size(); ++i) {
            if (const known_values values = known_input(known, i))
                given[i] = detail::numbers_of(*values);
            else
                for (std::size_t axis = 0; axis < x.rank(); ++axis) given[i].push_back(i == 3 ? 1 : 0);
        }
        const slice_static meant = with(xs.size(), given);
        const outcome sure = meant.output_shape(x);
        if (!sure) return sure;
        const auto is_known = [&](std::size_t i) { return i >= xs.size() || known_input(known, i); };
        shape y = sure.shapes()[0];
        for (std::size_t axis = 0, made = 0; axis < x.rank(); ++axis) {
            if (is(meant.squeeze_masks, axis)) continue;
            const bool begins = is_known(4) && (is_known(1) || is(meant.begin_masks, axis));
            const bool ends = is_known(5) && (is_known(2) || is(meant.end_masks, axis));
            if (!begins || !ends || !is_known(3)) y[made] = unset;
            ++made;
        }
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    /// Of a vector.
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        given_numbers given;
        for (std::size_t i = 0; i < xs.size(); ++i) {
            if (!known_input(known, i)) return {};
            if (i > 0) given[i] = detail::numbers_of(*known[i]);
        }
        return with(xs.size(), given).known_output(xs, known);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P& p, W& w) const noexcept {
        of(xs).forward(xs[0], ys[0], p, w);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys ys, Dys dys, Dxs dxs, const P& p, const Dp& dp, W& w) const noexcept {
        of(xs).backward(xs[0], ys[0], dys[0], dxs[0], p, dp, w);
    }
    friend bool operator==(const slice_dynamic&, const slice_dynamic&) = default;

private:
    using given_numbers = std::array<detail::number_list, 7>;  ///< of each input; of the first none

    static constexpr bool is(const flags& masks, std::size_t axis) { return !masks.empty() && masks[axis]; }
    static constexpr flags flags_of(const detail::number_list& numbers) {
        flags masks;
        for (extent n : numbers) masks.push_back(n != 0);
        return masks;
    }
    template <class List>
    static constexpr void cut(List& values, std::size_t count) {
        List some;
        for (const auto& v : values) {
            if (count == 0) break;
            some.push_back(v);
            --count;
        }
        values = some;
    }
    /// The slice that is meant, where `given[i]` are the numbers of input i.
    constexpr slice_static with(std::size_t inputs, const given_numbers& given) const {
        slice_static s{detail::as_shape(given[1]), begin_masks, end_ids, end_masks, strides, squeeze_masks};
        const std::size_t axes = s.begin_ids.rank();
        for (flags* masks : {&s.begin_masks, &s.end_masks, &s.squeeze_masks}) cut(*masks, axes);
        for (shape* numbers : {&s.end_ids, &s.strides}) cut(*numbers, axes);
        if (inputs > 2) s.end_ids = detail::as_shape(given[2]);
        if (inputs > 3) s.strides = detail::as_shape(given[3]);
        if (inputs > 4) s.begin_masks = flags_of(given[4]);
        if (inputs > 5) s.end_masks = flags_of(given[5]);
        if (inputs > 6) s.squeeze_masks = flags_of(given[6]);
        return s;
    }
    template <class Xs>
    slice_static of(const Xs& xs) const noexcept {
        given_numbers given;
        for (std::size_t i = 1; i < xs.size(); ++i) given[i] = detail::numbers_of(xs[i]);
        return with(xs.size(), given);
    }
};

}  // namespace bespoke
