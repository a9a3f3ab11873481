#include <bespoke/core/arithmetic.hpp>

#include "../network/network_test.hpp"

using namespace network_test;

namespace {

inline constexpr auto deep =
    compose(input{"image", {16, 21, 18}}, convolution{.output_channels = 40, .padding = same} | named("c1"), relu{},
            convolution{.output_channels = 24} | named("c2"),
            convolution{.output_channels = 16, .stride = {2, 2}} | named("c3"));

}  // namespace

TEST_CASE("Winograd's convolutions are near the direct ones, and may be turned off") {
    network<deep> fast(3), direct(3, 2);
    direct.use({.winograd = false});
    const extent examples = 3;
    const auto x = network_test::numbers(examples * 16 * 21 * 18);
    const auto y = to_vector(fast.predict_batch(x)), z = to_vector(direct.predict_batch(x));
    CHECK_FALSE(same_bits(y, z));
    float most = 0, difference = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
        most = std::max(most, std::abs(z[i]));
        difference = std::max(difference, std::abs(z[i] - y[i]));
    }
    CHECK(difference <= 1e-4f * most);

    network<deep> copied = direct;
    CHECK(same_bits(to_vector(copied.predict_batch(x)), z));
    copied.use({});
    CHECK(same_bits(to_vector(copied.predict_batch(x)), y));
    const std::vector<float> first(x.begin(), x.begin() + 16 * 21 * 18);
    const auto alone = to_vector(fast(first));
    CHECK(same_bits(alone, {y.begin(), y.begin() + static_cast<std::ptrdiff_t>(alone.size())}));
}
