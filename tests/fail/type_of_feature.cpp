// expect: no feature holds a value of this type: an alternative of feature_value
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
using number = int;
#else
using number = std::int64_t;
#endif

int main() {
    const features result{{"digit", 7}};
    return static_cast<int>(result.get<number>("digit"));
}
