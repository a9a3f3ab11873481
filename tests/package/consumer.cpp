#include <bespoke.hpp>

#include <array>
#include <cstdio>

inline constexpr auto description =
    bespoke::compose(bespoke::input{"x", {2}}, bespoke::inner_product{.output_channels = 1} | bespoke::named("y"));

// What a project does that found the package: compose, write a model, read it again.
int main() {
    bespoke::network<description> net(1);
    const float composed = net(std::array{1.0f, 2.0f})[0];
    bespoke::model read = bespoke::parse(bespoke::to_model(net).write("").json);
    const bespoke::tensor<float> x{1.0f, 2.0f};
    const float loaded = read.predict({{"x", x}}).get<bespoke::tensor<float>>("y")(0);
    std::printf("bespoke %d.%d.%d\n", bespoke::version_major, bespoke::version_minor, bespoke::version_patch);
    return composed == loaded ? 0 : 1;
}
