#include <bespoke.hpp>

#include <cstdio>
#include <vector>

inline constexpr auto description =
    bespoke::compose(bespoke::input{"x", {2}}, bespoke::inner_product{.output_channels = 1} | bespoke::named("y"));

// What a project does that found the package and wants no files: it needs no implementation.
int main() {
    bespoke::network<description> net(1);
    const std::vector<float> one{1, 2}, two{3, 4, 1, 2};
    const float alone = net(one)[0];
    const float second = net.predict_batch(two)(1, 0);
    std::printf("bespoke %d.%d.%d\n", bespoke::version_major, bespoke::version_minor, bespoke::version_patch);
    return alone == second && alone != 0 ? 0 : 1;
}
