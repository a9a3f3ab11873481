// expect: a loss has input, from_softmax, target_size[(]shape[)], check_target[(]shape, target[)] and operator[(][)]
#include <bespoke.hpp>

using namespace bespoke;

struct largest_error {
    std::string input{};
    static constexpr bool from_softmax = false;

    extent target_size(const shape& x) const { return x.size(); }
#ifdef FIXED
    sentence check_target(const shape&, const float*) const { return {}; }
#endif
    double operator()(dynamic_view<const float>, dynamic_view<const float>, const float*, dynamic_view<float>) const {
        return 0;
    }
};

inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);

int main() {
    network<d> net;
    trainer training(net, {largest_error{}}, adam{});
}
