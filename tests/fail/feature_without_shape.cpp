// expect: a multi-array has a shape, and floats, doubles or int32 in it
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
#define VALUE values
#else
#define VALUE xt::adapt(values, {2, 3})
#endif

int main() {
    const std::vector<float> values(6);
    const features inputs{{"x", VALUE}};
    return static_cast<int>(inputs.size());
}
