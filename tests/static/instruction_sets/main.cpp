#include <bespoke/kernels/simd.hpp>

int other();
int main() { return other(); }
