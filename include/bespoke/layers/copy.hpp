#pragma once

#include "../core/concepts.hpp"

namespace bespoke {

/// y = x. The only layer that may write a blob which exists already; so loops carry values on.
/// Core ML specification, CopyLayerParams.
struct copy {
    static constexpr auto key = "copy";
    constexpr void fields(auto&) {}
    static constexpr bool same_elements = true;
    static constexpr bool overwrites = true;

    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const copy&, const copy&) = default;
};

}  // namespace bespoke
