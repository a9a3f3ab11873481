// expect: layers wanted, or core_layers; static_assert[(]unary_layer<my_layer>[)], or elementwise_layer, shows what yours misses
#include <bespoke.hpp>

using namespace bespoke;

struct my_layer {
    static constexpr auto key = "custom", nested_key = "Mine";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
#ifdef FIXED
    template <class X, class Y, class P, class W>
    void forward(X, Y, const P&, W&) const noexcept {}
    static constexpr bool differentiable = false;
    friend bool operator==(const my_layer&, const my_layer&) = default;
#endif
};

int main() { load<core_layers, my_layer>("mine.json").save("again.json"); }
