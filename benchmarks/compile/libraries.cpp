// What core/tensor.hpp and kernels/simd.hpp include of other libraries.
#include <xsimd/xsimd.hpp>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfunction.hpp>
#include <xtensor/xtensor.hpp>
