#pragma once

namespace bespoke {

/// How a network computes where there is a choice. Both doors give the same bits for the same choice.
struct arithmetic {
    /// 3 x 3 convolutions of stride 1 in float by Winograd's minimal filtering, where that is faster: some 1e-6 of the
    /// largest output away from the direct sums, and what is not finite reaches the neighbours of its output.
    bool winograd = true;

    friend bool operator==(const arithmetic&, const arithmetic&) = default;
};

}  // namespace bespoke
