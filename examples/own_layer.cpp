// A layer of one's own, y = scale x sigmoid(beta x) with a learned beta: composed, trained, written and loaded. What a
// layer may say beside this stands in core/concepts.hpp.
#include <bespoke.hpp>

#include <cmath>
#include <cstdio>
namespace bs = bespoke;

struct swish {
    float scale = 1;
    static constexpr auto key = "custom", nested_key = "Swish";  // in files: custom, with the className "Swish"
    constexpr void fields(auto& field) { field("scale", scale); }
    template <class T> struct parameters { T beta; };
    template <class T> static constexpr std::array parameter_fields{bs::parameter_field{"beta", &parameters<T>::beta}};
    constexpr bs::outcome output_shape(const bs::shape& x) const { return x; }
    constexpr parameters<bs::shape> parameter_shapes(const bs::shape&) const { return {{1}}; }
    // x.data[i] is element i of the input, p.beta.data[0] the parameter; w has scratch memory for who asks for it.
    template <class X, class Y, class P, class W> void forward(X x, Y y, const P& p, W&) const noexcept {
        for (bs::extent i = 0; i < y.size(); ++i)
            y.data[i] = scale * x.data[i] / (1 + std::exp(-*p.beta.data * x.data[i]));
    }
    // Gradients are ADDED to what is there. dx is null where nobody wants it, dp.beta where beta does not learn.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W&) const noexcept {
        for (bs::extent i = 0; i < x.size(); ++i) {
            const auto s = 1 / (1 + std::exp(-*p.beta.data * x.data[i])), slope = scale * x.data[i] * s * (1 - s);
            if (dx) dx.data[i] += dy.data[i] * (scale * s + *p.beta.data * slope);
            if (dp.beta) *dp.beta.data += dy.data[i] * x.data[i] * slope;
        }
    }
    friend bool operator==(const swish&, const swish&) = default;
};
inline constexpr auto description =
    bs::compose(bs::input{"x", {1}}, swish{.scale = 2} | bs::named("y") | bs::updatable);

int main() {
    const std::vector<float> x{-1, 1, 2, 3}, y{-0.238406F, 1.761594F, 3.928055F, 5.985164F};  // of beta 2
    const bs::training_setup<float> setup{.examples = 4,
                                          .inputs = {x},
                                          .losses = {bs::mean_squared_error{.input = "y"}},
                                          .targets = {y},
                                          .with = bs::adam{.learning_rate = 0.1}};
    using network = bs::network<description>;
    const network net = bs::update(network(), setup, {.epochs = 1000, .mini_batch_size = 4});
    net.save("swish.json");
    bs::model loaded = bs::load<bs::core_layers, swish>("swish.json");  // the library's layers, and this one
    const float at = loaded.predict({{"x", bs::tensor<float>{2}}}).get<bs::tensor<float>>("y")(0);
    std::printf("beta %.2f, y(2) = %.2f\n", loaded.parameter("y", "beta")[0], at);
}
