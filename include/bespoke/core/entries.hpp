#pragma once

#include "concepts.hpp"

namespace bespoke {

// A blob is a list of entries: what lies at each index of its first axis that is longer than 1 (the tokens of [tokens,
// channels], or of [1, tokens, channels]). Where only the first of them are read, the others need not be computed: see
// graph/live_entries.hpp.

/// The axis along which the entries lie: the first whose extent is not 1; the rank where there is none.
constexpr std::size_t entry_axis(const shape& s) {
    std::size_t axis = 0;
    while (axis < s.rank() && s[axis] == 1) ++axis;
    return axis;
}

/// What a layer says of entries.
struct entry_answers {
    bool each = false;   ///< it computes each by itself
    bool alike = false;  ///< it computes those that its input has
    extent read = 0;     ///< it reads so many of its one input; 0: all
};

/// `bool entrywise(std::span<const shape> xs) const`: whether each entry of y is made of the same entry of the inputs,
/// by the same forward and backward for any number of entries from 1 up. An input that has not the entries of y, at the
/// same axis counted from the last, has 1 there or no such axis, and goes with each of them. Layers that are
/// element-wise or keep the elements need not say so.
///
/// `extent entries_read(const shape& x) const`: of how many entries, from the first on, y is made, if the layer makes
/// the same y of an x without the others.
template <class L>
constexpr entry_answers entries_of([[maybe_unused]] const L& layer, [[maybe_unused]] std::span<const shape> inputs) {
    entry_answers answers;
    if constexpr (elementwise_layer<L> || same_elements_layer<L>)
        answers.each = answers.alike = true;
    else if constexpr (requires { performer(layer, first_of(inputs)).entrywise(inputs); })
        answers.each = performer(layer, first_of(inputs)).entrywise(inputs);
    else if constexpr (requires { performer(layer, inputs[0]).entries_read(inputs[0]); })
        answers.read = performer(layer, inputs[0]).entries_read(inputs[0]);
    return answers;
}

}  // namespace bespoke
