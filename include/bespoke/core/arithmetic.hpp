#pragma once

#include "low_precision.hpp"

#include <concepts>

namespace bespoke {

/// How a network computes where there is a choice. Both doors give the same bits for the same choice.
struct arithmetic {
    /// 3 x 3 convolutions of stride 1 in float, and the gradients of their inputs, by Winograd's minimal filtering
    /// where that is faster: some 1e-6 of the largest number away from the direct sums, and what is not finite reaches
    /// the neighbours of its output.
    bool winograd = true;
    /// In what predictions multiply with large matrices of weights, where the program is compiled for a machine that
    /// can: kernels/weighted_gemm.hpp. `precision_in_force` of a network says what came of it, `precision_note` why.
    low_precision allow_low_precision_accumulation = low_precision::none;

    friend bool operator==(const arithmetic&, const arithmetic&) = default;
};

/// A layer whose products may be computed in low precision: `precision<T>(x, how)` says in which one they are, for the
/// input shape (or span of shapes) x.
template <class L, class T, class X>
concept lowers_precision = requires(const L& layer, const X& x, const arithmetic& how) {
    { layer.template precision<T>(x, how) } -> std::same_as<low_precision>;
};

}  // namespace bespoke
