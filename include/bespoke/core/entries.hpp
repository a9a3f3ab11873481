#pragma once

#include "concepts.hpp"

#include <array>
#include <cstdint>
#include <type_traits>

namespace bespoke {

// A blob is a list of entries along each of its axes: what lies at each index (the tokens of [tokens, channels], or of
// [heads, tokens, channels]). Where only the first of them are read, the others need not be computed: see
// graph/live_entries.hpp. Axes are counted from the last one, which is 1.

/// The first axis whose extent is not 1, counted from the first one; the rank where there is none. An example that has
/// only some of its entries along this axis is a part of the whole one.
constexpr std::size_t entry_axis(const shape& s) {
    std::size_t axis = 0;
    while (axis < s.rank() && s[axis] == 1) ++axis;
    return axis;
}

/// What a layer says of entries.
struct entry_answers {
    /// For each axis of y the axis of the first input of whose entries those of y are made, each by itself; 0: of more.
    std::array<std::uint8_t, max_rank + 1> from{};
    bool alike = false;  ///< it computes those that its first input has, and reads the others whole
    extent read = 0;     ///< it reads so many of its one input, along its `entry_axis`; 0: all
};

/// The axis of x where its elements, in the same order, have the entries of y along the axis `back`; 0: there is none.
constexpr std::size_t same_entries(const shape& x, const shape& y, std::size_t back) {
    const extent behind = y.product(y.rank() - back + 1, y.rank());
    extent size = 1;
    for (std::size_t own = 1; own <= x.rank(); size *= x.from_end(own++))
        if (size == behind && x.from_end(own) == y.from_end(back)) return own;
    return 0;
}

/// Of a layer that keeps each element where it is, or, given the shape of x, in the order of x. Compiled once, not once
/// a layer type.
[[gnu::noinline]] constexpr entry_answers entries_kept(const shape& y, const shape* x = nullptr) {
    entry_answers answers;
    answers.alike = true;
    for (std::size_t back = 1; back <= y.rank(); ++back)
        answers.from[back] = static_cast<std::uint8_t>(x == nullptr ? back : same_entries(*x, y, back));
    return answers;
}

/// `std::size_t entries_from(std::span<const shape> xs, std::size_t back) const`: the axis of the first input of which
/// each entry makes the same entry of y along its axis `back`, by the same forward and backward for any number of
/// entries from 1 up; 0: y is made of more. Another input has the entries of y at `back` as well; or it has 1 there or
/// no such axis, and goes with each of them. With `static constexpr bool entries_of_first = true` any other input goes
/// with each. Layers that are element-wise or keep the elements need not say so.
///
/// `extent entries_read(const shape& x) const`: of how many entries along the `entry_axis` of x, from the first on, y
/// is made, if the layer makes the same y of an x without the others.
template <class L>
constexpr entry_answers entries_of([[maybe_unused]] const L& layer, std::span<const shape> inputs, const shape& y) {
    entry_answers answers;
    if constexpr (elementwise_layer<L>) {
        return entries_kept(y);
    } else if constexpr (same_elements_layer<L>) {
        return entries_kept(y, &inputs[0]);
    } else if constexpr (requires { performer(layer, first_of(inputs)).entries_from(inputs, std::size_t{1}); }) {
        const auto& runs = performer(layer, first_of(inputs));
        if constexpr (!std::is_same_v<performer_t<L>, L>)
            if (!(output_shapes(runs, inputs).shapes()[0] == y)) return answers;  // it speaks of other axes
        if constexpr (requires { runs.entries_of_first; }) answers.alike = inputs.size() > 1;
        for (std::size_t back = 1; back <= y.rank(); ++back)
            answers.from[back] = static_cast<std::uint8_t>(runs.entries_from(inputs, back));
    } else if constexpr (requires { performer(layer, inputs[0]).entries_read(inputs[0]); }) {
        answers.read = performer(layer, inputs[0]).entries_read(inputs[0]);
    }
    return answers;
}

}  // namespace bespoke
