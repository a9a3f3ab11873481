// expect: layers/0 "y" [(]custom.Double[)]: an elementwise layer has functions of a float, a double and a SIMD batch alike
#include <bespoke.hpp>

using namespace bespoke;

struct twice {
    static constexpr auto key = "custom", nested_key = "Double";
    constexpr void fields(auto&) {}
#ifdef FIXED
    template <class V>
    V operator()(const V& x) const {
        return x + x;
    }
    template <class V>
    V derivative(const V&, const V&) const {
        return V(2);
    }
#else
    float operator()(float x) const { return x + x; }
    float derivative(float, float) const { return 2; }
#endif
    friend bool operator==(const twice&, const twice&) = default;
};

inline constexpr auto d = compose(input{"x", {4}}, twice{} | named("y"));

int main() {
    network<d> net;
    net(std::array<float, 4>{});
}
