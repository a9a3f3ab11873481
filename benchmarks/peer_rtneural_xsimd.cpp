#define RTNEURAL_USE_XSIMD 1
#define RTNEURAL_DEFAULT_ALIGNMENT 64
#define RTNEURAL_NAMESPACE RTNeural_xsimd
#include <xsimd/xsimd.hpp>

// RTNeural speaks to xsimd 9, where this has another name than in xsimd 8.
#if XSIMD_VERSION_MAJOR < 9
namespace xsimd {
template <class Batch>
auto reduce_add(const Batch& x) noexcept {
    return hadd(x);
}
}  // namespace xsimd
#endif

#include "peer_rtneural.hpp"

namespace bespoke::benchmarks {

const peer rtneural_xsimd_peer{"RTNeural (xsimd)", make};

}  // namespace bespoke::benchmarks
