#define RTNEURAL_USE_EIGEN 1
#define RTNEURAL_DEFAULT_ALIGNMENT 32
#define RTNEURAL_NAMESPACE RTNeural_eigen
#include "peer_rtneural.hpp"

namespace bespoke::benchmarks {

const peer rtneural_eigen_peer{"RTNeural (Eigen)", make};

}  // namespace bespoke::benchmarks
