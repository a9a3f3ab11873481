#pragma once

#include <array>
#include <string_view>

namespace bespoke {

/// What the products of a prediction with the weights of a layer are computed in. Only who asks for it gets less than
/// the element type of the network.
enum class low_precision {
    none,
    bfloat16,  ///< factors rounded to 8 bits of precision, sums in float; kernels/gemm_bfloat16.hpp
    int8,      ///< factors quantised to 8 bits, as rows come and weights are prepared; kernels/gemm_int8.hpp
};
constexpr std::array<std::string_view, 3> enumerators(low_precision) { return {"none", "bfloat16", "int8"}; }

}  // namespace bespoke
