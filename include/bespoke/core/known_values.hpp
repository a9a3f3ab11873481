#pragma once

#include <cstddef>
#include <optional>
#include <span>

/// What a layer may be told of the values of its inputs before the network runs.
///
/// A layer whose output has a shape that depends on them says `planned_shape(xs, known)`: its shape rule, with the
/// values as far as they are known; its `output_shape(xs)` is the same without them. An extent that follows from values
/// which are not known is `unset`: it is decided in the run, when all values are told. `values_from` is the number of
/// the first input that it looks at so, 0 where it does not say. What is known begins with layers
/// that say `known_output(xs, known)`: the values of their one output, empty where they do not know, for inputs that
/// passed the shape rule. Of a layer with `same_elements` they are those of its input.
namespace bespoke {

/// The values of an input, where they are known.
using known_values = std::optional<std::span<const double>>;

/// Those of input `number`, out of a list that may be too short.
constexpr known_values known_input(std::span<const known_values> known, std::size_t number) {
    return number < known.size() ? known[number] : known_values{};
}

}  // namespace bespoke
