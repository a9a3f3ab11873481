#include <bespoke/kernels/simd.hpp>

int other() { return 0; }
