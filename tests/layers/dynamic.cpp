#include <bespoke/layers/dynamic.hpp>

#include <bespoke/layers/broadcastable.hpp>
#include <bespoke/layers/concat.hpp>
#include <bespoke/layers/slice.hpp>
#include <bespoke/layers/reshape_static.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;

/// The shape of the output of a network.
template <class Network>
shape output_of(const Network&) {
    const plan_view plan = Network::plan();
    return plan.blobs[plan.outputs[0]].dimensions;
}
template <class Network>
floats run(Network& net, const floats& x) {
    REQUIRE(same_bits_unrolled(net, x));
    const auto y = net(x);
    return {y.begin(), y.end()};
}

// x [2, 3, 4] -> [2, -1]: the first extent of x, and what remains
inline constexpr auto rows =
    compose(input{"x", {2, 3, 4}}, get_shape{} | named("s"),
            slice_static{.begin_ids = {0}, .end_ids = {1}} | named("first"), fill_static{-1, {1}} | named("rest"),
            concat_nd{} | from("first", "rest") | named("target"), reshape_dynamic{} | from("x", "target"));
// sums, differences and products, single numbers side by side, other shapes of the same values: [(3 - 1) 3, 4]
inline constexpr auto computed =
    compose(input{"x", {4, 6}}, range_static{.end_value = 4, .start_value = 3} | named("three"),
            fill_static{1, {}} | named("one"), subtract_broadcastable{} | from("three", "one") | named("two"),
            multiply_broadcastable{} | from("two", "three") | named("six"),
            reshape_static{{}} | named("single"), fill_like{4} | from("single") | named("four"),
            stack{} | from("single", "four") | named("target"), reshape_dynamic{} | from("x", "target"));
// x [2, 1, 3] -> [2, 1 + 4, 3], the extents turned around and back
inline constexpr auto repeated =
    compose(input{"x", {2, 1, 3}}, get_shape{} | named("s"),
            slice_static{.begin_ids = {2}, .end_ids = {-4}, .strides = {-1}} | named("turned"),
            slice_static{.begin_ids = {9}, .end_ids = {-9}, .strides = {-1}} | named("back"),
            fill_static{0, {1}} | named("zero"), fill_static{4, {1}} | named("four"),
            concat_nd{} | from("zero", "four", "zero") | named("more"),
            add_broadcastable{} | from("back", "more") | named("target"), broadcast_to_dynamic{} | from("x", "target"));
inline constexpr auto filled =
    compose(input{"x", {2, 3}}, get_shape{} | named("s"), fill_dynamic{7} | from("s") | named("sevens"),
            add_broadcastable{} | from("x", "sevens"));
inline constexpr auto ranged =
    compose(input{"x", {4}}, get_shape{} | named("n"), fill_static{1, {}} | named("one"),
            fill_static{0.5F, {1}} | named("half"),
            range_dynamic{.start_value = 0, .step_size_value = 1} | from("n") | named("plain"),
            range_dynamic{.start_value = 9} | from("n", "one") | named("later"),
            range_dynamic{.start_value = 9, .step_size_value = 9} | from("n", "one", "half") | named("halves"),
            concat_nd{} | from("plain", "later", "halves"));
inline constexpr auto drawn =
    compose(input{"x", {2, 3}}, get_shape{} | named("s"),
            random_normal_dynamic{.seed = 4, .mean = 1, .std_dev = 2} | named("n"),
            random_uniform_dynamic{.seed = 4, .min_val = 1, .max_val = 2} | from("s") | named("u"),
            random_bernoulli_dynamic{.seed = 4, .prob = 0.5F} | from("s") | named("b"),
            concat_nd{} | from("n", "u", "b"));
// what a fill_dynamic and a range_dynamic give is known too: [2] of threes, and 1, 2
inline constexpr auto chained =
    compose(input{"x", {3, 1}}, get_shape{} | named("s"), get_shape{} | named("rank"),
            fill_dynamic{3} | from("rank") | named("threes"), range_dynamic{} | from("rank") | named("zero_one"),
            add_broadcastable{} | from("threes", "zero_one") | named("target"),
            broadcast_to_dynamic{} | from("x", "target"));

}  // namespace

TEST_CASE("reshape_dynamic: the shape follows from that of x") {
    network<rows> net;
    REQUIRE(output_of(net) == shape{2, 12});
    REQUIRE(run(net, counted(24)) == counted(24));
    const auto many = net.predict_batch(counted(48));
    REQUIRE(floats(many.begin(), many.end()) == counted(48));
    network<computed> other;
    REQUIRE(output_of(other) == shape{6, 4});
    REQUIRE(run(other, counted(24)) == counted(24));
}

TEST_CASE("broadcast_to_dynamic, fill_dynamic, range_dynamic: values") {
    network<repeated> wide;
    REQUIRE(output_of(wide) == shape{2, 5, 3});
    floats expected;
    for (float row : {0.0F, 3.0F})
        for (int i = 0; i < 5; ++i)
            for (float j : {0.0F, 1.0F, 2.0F}) expected.push_back(row + j);
    REQUIRE(run(wide, counted(6)) == expected);

    network<filled> sevens;
    REQUIRE(run(sevens, counted(6)) == floats{7, 8, 9, 10, 11, 12});
    network<ranged> ranges;
    REQUIRE(run(ranges, counted(4)) == floats{0, 1, 2, 3, 1, 2, 3, 1, 1.5F, 2, 2.5F, 3, 3.5F});
    network<chained> known;
    REQUIRE(output_of(known) == shape{3, 4});
    REQUIRE(run(known, {1, 2, 3}) == floats{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
}

TEST_CASE("random_*_dynamic: as those of a static shape") {
    network<drawn> net;
    REQUIRE(output_of(net) == shape{6, 3});
    floats expected;
    for (const floats& part : {evaluate<float>(random_normal_static{4, 1, 2, {6}}, {}).first(),
                               evaluate<float>(random_uniform_static{4, 1, 2, {6}}, {}).first(),
                               evaluate<float>(random_bernoulli_static{4, 0.5F, {6}}, {}).first()})
        expected.insert(expected.end(), part.begin(), part.end());
    REQUIRE(run(net, counted(6)) == expected);
}

TEST_CASE("reshape_dynamic, broadcast_to_dynamic: gradients are those of the layers that perform them") {
    static_assert(std::is_same_v<performer_t<reshape_dynamic>, reshape_like>);
    static_assert(std::is_same_v<performer_t<broadcast_to_dynamic>, broadcast_to_like>);
    static_assert(is_differentiable<reshape_dynamic> && !is_differentiable<fill_dynamic>);
    static_assert(!is_differentiable<range_dynamic> && !is_differentiable<random_normal_dynamic>);
}

namespace {

/// The fault of a layer for shapes of which the values are known.
template <class L>
std::string fault_with(const L& layer, const std::vector<shape>& shapes,
                       const std::vector<std::vector<double>>& values) {
    std::vector<known_values> known;
    for (const auto& v : values) known.emplace_back(std::span<const double>(v));
    const outcome o = layer.planned_shape(std::span<const shape>(shapes), std::span<const known_values>(known));
    return o ? "none" : std::string(o.problem().what.view());
}

}  // namespace

TEST_CASE("layers of dynamic shapes: values that are known only in the run") {
    static_assert(reshape_dynamic{}.output_shape(std::array<shape, 2>{shape{6}, shape{2}}).shapes()[0] ==
                  shape{unset, unset});
    static_assert(range_dynamic{}.output_shape(std::array<shape, 1>{shape{1}}).shapes()[0] == shape{unset});
    const auto came = evaluate<float>(reshape_dynamic{}, {{{2, 3}, counted(6)}, {{2}, {3, -1}}});
    REQUIRE(came.dimensions() == shape{3, 2});
    REQUIRE(came.first() == counted(6));
    const auto wide = evaluate<float>(broadcast_to_dynamic{}, {{{2, 1}, {1, 2}}, {{3}, {2, 2, 2}}});
    REQUIRE(wide.dimensions() == shape{2, 2, 2});
    REQUIRE(wide.first() == floats{1, 1, 2, 2, 1, 1, 2, 2});
    REQUIRE(evaluate<float>(fill_dynamic{7}, {{{2}, {2, 1}}}).first() == floats{7, 7});
    REQUIRE(evaluate<float>(fill_dynamic{7}, {{{}, {3}}}).dimensions() == shape{3});
    REQUIRE(evaluate<float>(fill_dynamic{7}, {{{2}, {3, 0}}}).dimensions() == shape{3, 0});
    REQUIRE(evaluate<float>(fill_dynamic{7}, {{{0}, {}}}).first() == floats{7});
    REQUIRE(evaluate<float>(range_dynamic{}, {{{1}, {7}}, {{}, {1}}, {{1}, {2.5F}}}).first() == floats{1, 3.5F, 6});
    REQUIRE(evaluate<float>(random_normal_dynamic{4, 1, 2}, {{{1}, {6}}}).first() ==
            evaluate<float>(random_normal_static{4, 1, 2, {6}}, {}).first());
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(failure([] { evaluate<float>(fill_dynamic{}, {{{2}, {1, -1}}}); }) ==
            place + "(fillDynamic): a shape from 0 up wanted, [1, -1] given");
    REQUIRE(failure([] { evaluate<float>(fill_dynamic{}, {{{3}, {1e9F, 1e9F, 1e9F}}}); }) ==
            place + "(fillDynamic): its output would have the shape [1000000000, 1000000000, 1000000000]");
    REQUIRE(failure([] { evaluate<float>(fill_dynamic{}, {{{1}, {0.5F}}}); }) ==
            place + "(fillDynamic): a shape of whole numbers wanted");
    REQUIRE(failure([] { evaluate<float>(range_dynamic{}, {{{1}, {std::numeric_limits<float>::infinity()}}}); }) ==
            place + "(rangeDynamic): a finite startValue and a finite endValue wanted, 0 and Infinity given");
    REQUIRE(failure([] { evaluate<float>(fill_dynamic{}, {{{1}, {1, 2}}}); }) ==
            "one example at a time wanted, as shapes are decided in the run, 2 came");
}

TEST_CASE("layers of dynamic shapes: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(random_bernoulli_dynamic{.prob = 2}, {{2}}) ==
            place + "(randomBernoulliDynamic): a prob from 0 to 1 wanted");
    REQUIRE(fault_of(range_dynamic{}, {{2}}) ==
            place + "(rangeDynamic): inputs of one number wanted, input 0 has the shape [2]");
    REQUIRE(fault_of(reshape_dynamic{}, {{6}, {2, 1}}) ==
            place + "(reshapeDynamic): a shape as a vector of up to 8 numbers wanted, its own shape is [2, 1]");
    REQUIRE(fault_of(fill_dynamic{}, {{9}}) ==
            place + "(fillDynamic): a shape as a vector of up to 8 numbers wanted, its own shape is [9]");

    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (double wrong : {0.5, nan, 1e300})
        REQUIRE(fault_with(fill_dynamic{}, {{2}}, {{1, wrong}}) == "a shape of whole numbers wanted");
    REQUIRE(fault_with(fill_dynamic{}, {{2}}, {{1, -1}}) == "a shape from 0 up wanted, [1, -1] given");
    REQUIRE(fault_with(reshape_dynamic{}, {{6}, {2}}, {{}, {4, -1}}) ==
            "targetShape [4, -1] does not fit its input of shape [6], which has 6 elements");
    REQUIRE(fault_with(broadcast_to_dynamic{}, {{6}, {2}}, {{}, {6, 2}}) ==
            "an input wanted that can be repeated to the shape [6, 2], its shape is [6]");
    REQUIRE(fault_with(random_bernoulli_dynamic{.prob = 2}, {{1}}, {{3}}) == "a prob from 0 to 1 wanted");
    REQUIRE(fault_with(random_uniform_dynamic{.min_val = 2}, {{1}}, {{3}}) ==
            "a finite minVal, a finite maxVal from there up and a finite distance wanted, 2 and 1 given");
    REQUIRE(fault_with(range_dynamic{.step_size_value = 0}, {{1}}, {{3}}) ==
            "a finite stepSizeValue other than 0 wanted, 0 given");
    REQUIRE(fault_with(range_dynamic{}, {{1}, {}}, {{3}, {1}}) == "none");
    ask_everything(reshape_dynamic{});
    ask_everything(broadcast_to_dynamic{});
    ask_everything(fill_dynamic{});
    ask_everything(range_dynamic{});
    ask_everything(random_uniform_dynamic{});
}
