// expect: true or false wanted of what a layer says about itself
#include <bespoke.hpp>

using namespace bespoke;

// What a layer says about itself is never overlooked.
struct sign_of {
    static constexpr auto key = "signOf";
    constexpr void fields(auto&) {}
#ifndef FIXED
    static constexpr int differentiable = 0;
#else
    static constexpr bool differentiable = false;
#endif
    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const sign_of&, const sign_of&) = default;
};

int main() { return is_differentiable<sign_of> ? 1 : 0; }
