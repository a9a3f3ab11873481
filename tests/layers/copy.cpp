#include <bespoke/layers/copy.hpp>

#include <bespoke/layers/activation.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(copy)
FLOAT_IN_IMPLEMENTATION(linear)
DOUBLE_IN_INSTANCES(copy)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("copy: gives what it takes, to the bit") {
    std::vector<float> x = numbers<float>(3 * 24);
    x[0] = -0.0f;
    x[1] = std::numeric_limits<float>::infinity();
    x[2] = std::numeric_limits<float>::quiet_NaN();
    const auto got = evaluate<float>(bespoke::copy{}, {{{2, 3, 4}, x}});
    REQUIRE(got.dimensions() == shape{2, 3, 4});
    REQUIRE(same_bits(got.first(), x));
}

TEST_CASE("copy: gradients") {
    for (const shape& s : {shape{}, shape{1}, shape{33}, shape{2, 3, 4}})
        require_gradients(bespoke::copy{}, {s});
}

TEST_CASE("copy: shapes") {
    static_assert(bespoke::copy{}.output_shape(shape{2, 0}).shapes()[0] == shape{2, 0});
    ask_everything(bespoke::copy{});
    REQUIRE(fault_of(bespoke::copy{}, {{2}, {2}}) == "layers/0 \"layer\" (copy): 1 input wanted, 2 named");
}

namespace {
// y = x, then the second copy writes 2 x where y stood
inline constexpr auto twice =
    compose(input{"x", {3}}, bespoke::copy{} | to("y"), linear{.alpha = 2} | from("y") | named("more"),
            bespoke::copy{} | from("more") | to("y"), output{"y"});
inline constexpr auto misfit =
    compose(input{"x", {3}}, input{"z", {2}}, bespoke::copy{} | from("x") | to("y"),
            bespoke::copy{} | from("z") | to("y"));
}  // namespace

TEST_CASE("copy: may write a blob which exists, of the same shape") {
    network<twice> net;
    const auto y = net(std::vector<float>{1, 2, 3});
    REQUIRE(std::vector<float>(y.begin(), y.end()) == std::vector<float>{2, 4, 6});
    REQUIRE(same_bits_unrolled(net, numbers<float>(3)));
    static_assert(!composed_plan<misfit>::fits);
    REQUIRE(std::string(composed_plan<misfit>::run().problem().what.view()) ==
            "layers/1 (copy): its output \"y\" has the shape [2], where it was written before it has [3]");
}
