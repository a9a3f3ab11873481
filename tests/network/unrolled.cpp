#include <bespoke/network/unrolled.hpp>

#include "../control/control_test.hpp"

#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace control_test;

namespace {

constexpr auto light = compose(input{"x", {32}}, inner_product{.output_channels = 64}, bespoke::tanh{},
                               inner_product{.output_channels = 8}, softmax_nd{} | named("p"), add{} | from("p", "p"));
using light_plan = composed_plan<light>;
template <class L, std::size_t Step>
constexpr bool fits = unrolled<float, L, fixed_step<light_plan, Step>>::fits();

static_assert(fits<inner_product, 0> && fits<bespoke::tanh, 1> && fits<inner_product, 2> && fits<softmax_nd, 3>);
static_assert(!fits<add, 4>);  // of several inputs

constexpr auto heavy = compose(input{"x", {513}}, relu{}, inner_product{.output_channels = 30} | named("weights"),
                               inner_product{.output_channels = 546}, inner_product{.output_channels = 5});
using heavy_plan = composed_plan<heavy>;
template <class L, std::size_t Step>
constexpr bool heavy_fits = unrolled<float, L, fixed_step<heavy_plan, Step>>::fits();
static_assert(!heavy_fits<relu, 0> && !heavy_fits<inner_product, 1> && !heavy_fits<inner_product, 2> &&
              !heavy_fits<inner_product, 3>);

constexpr auto in_branch = compose(input{"n", {1}}, branch{compose(relu{} | to("y")), compose(sigmoid{} | to("y"))},
                                   output{"y"});
static_assert(!unrolled<float, relu, fixed_step<composed_plan<in_branch>, 1>>::fits());

}  // namespace

TEST_CASE("extents in the type change no bit") {
    network<light> net(3);
    philox random(4);
    for (int i = 0; i < 20; ++i) {
        std::vector<float> x(32);
        for (float& v : x) v = static_cast<float>(4 * random.uniform() - 2);
        const auto one = net(x);
        const std::vector<float> unrolled_values(one.begin(), one.end());
        const auto batch = net.predict_batch(x);
        REQUIRE(unrolled_values == std::vector<float>(batch.begin(), batch.end()));
    }
}
