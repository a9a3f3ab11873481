// A layer of one's own, y = scale x sigmoid(beta x) with a learned beta: composed, trained, written and loaded.
#include <bespoke.hpp>

#include <cmath>
#include <cstdio>
using namespace bespoke;

struct swish {
    float scale = 1;
    static constexpr auto key = "custom", nested_key = "Swish";  // in files: custom, with the className "Swish"
    constexpr void fields(auto& field) { field("scale", scale); }
    template <class T> struct parameters { T beta; };
    template <class T> static constexpr std::array parameter_fields{parameter_field{"beta", &parameters<T>::beta}};
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr parameters<shape> parameter_shapes(const shape&) const { return {{1}}; }
    template <class X, class Y, class P, class W> void forward(X x, Y y, const P& p, W&) const noexcept {
        for (extent i = 0; i < y.size(); ++i) y.data[i] = scale * x.data[i] / (1 + std::exp(-*p.beta.data * x.data[i]));
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W&) const noexcept {
        for (extent i = 0; i < x.size(); ++i) {
            const auto s = 1 / (1 + std::exp(-*p.beta.data * x.data[i])), slope = scale * x.data[i] * s * (1 - s);
            if (dx) dx.data[i] += dy.data[i] * (scale * s + *p.beta.data * slope);
            if (dp.beta) *dp.beta.data += dy.data[i] * x.data[i] * slope;
        }
    }
    friend bool operator==(const swish&, const swish&) = default;
};
inline constexpr auto description = compose(input{"x", {1}}, swish{.scale = 2} | named("y") | updatable);
int main() {
    const std::vector<float> x{-1, 1, 2, 3}, y{-0.238406F, 1.761594F, 3.928055F, 5.985164F};  // of beta 2
    const training_setup<float> setup{.examples = 4, .inputs = {x}, .losses = {mean_squared_error{.input = "y"}},
                                      .targets = {y}, .with = adam{.learning_rate = 0.1}};
    const network<description> net = update(network<description>(), setup, {.epochs = 1000, .mini_batch_size = 4});
    net.save("swish.json");
    model loaded = load<core_layers, swish>("swish.json");
    const float at = loaded.predict({{"x", tensor<float>{2}}}).get<tensor<float>>("y")(0);
    std::printf("beta %.2f, y(2) = %.2f\n", loaded.parameter("y", "beta")[0], at);
}
