#include <bespoke/layers/fill.hpp>

#include <bespoke/layers/broadcastable.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {
using floats = std::vector<float>;
}  // namespace

TEST_CASE("fill_static, fill_like: values") {
    const auto got = evaluate<float>(fill_static{1.5F, {2, 3}}, {});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == floats(6, 1.5F));
    REQUIRE(evaluate<float>(fill_static{2, {}}, {}).first() == floats{2});
    REQUIRE(evaluate<float>(fill_static{2, {3, 0}}, {}).first().empty());
    REQUIRE(same_bits(evaluate<double>(fill_static{-0.0F, {70000}}, {}).first(), std::vector<double>(70000, -0.0)));

    // one for all examples, whatever the numbers of x
    const auto like = evaluate<float>(fill_like{-infinity}, {{{2, 2}, {1, no_number, infinity, 4, 5, 6, 7, 8}}});
    REQUIRE(like.dimensions() == shape{2, 2});
    REQUIRE(like.first() == floats(4, -infinity));
    REQUIRE(std::isnan(evaluate<float>(fill_like{no_number}, {{{1}, {1}}}).first()[0]));
}

TEST_CASE("range_static: numpy.arange") {
    const auto range = [](float start, float end, float step) {
        const range_static layer{.end_value = end, .start_value = start, .step_size_value = step};
        return evaluate<float>(layer, {}).first();
    };
    REQUIRE(range(0, 4, 1) == floats{0, 1, 2, 3});
    REQUIRE(range(2, 9, 3) == floats{2, 5, 8});
    REQUIRE(range(2, 8, 3) == floats{2, 5});
    REQUIRE(range(3, -1, -1.5F) == floats{3, 1.5F, 0});
    REQUIRE(range(5, 5, 1).empty());
    REQUIRE(range(5, 4, 1).empty());
    REQUIRE(range(0, 1, 0.1F).size() == 10);
    REQUIRE(range(0, 1, 0.1F)[7] == 0.7F);
    REQUIRE(range(-1e30F, 1e30F, 1e30F) == floats{-1e30F, 0});
}

TEST_CASE("get_shape: values") {
    const auto got = evaluate<float>(get_shape{}, {{{2, 1, 3}, numbers<float>(12)}});
    REQUIRE(got.dimensions() == shape{3});
    REQUIRE(got.first() == floats{2, 1, 3});
    REQUIRE(evaluate<float>(get_shape{}, {{{4}, floats(4, no_number)}}).first() == floats{4});
    REQUIRE(evaluate<double>(get_shape{}, {{{3, 0}, {}}}).first() == std::vector<double>{3, 0});
    REQUIRE(evaluate<float>(get_shape{}, {{{}, {1}}}).dimensions() == shape{0});
}

TEST_CASE("layers of known output: stored once, without a gradient") {
    REQUIRE_FALSE(plan_of(fill_static{1, {2}}, {}).result().blobs[0].per_example);
    REQUIRE_FALSE(plan_of(range_static{2}, {}).result().blobs[0].per_example);
    REQUIRE_FALSE(plan_of(fill_like{1}, {{2}}).result().blobs[1].per_example);
    REQUIRE_FALSE(plan_of(get_shape{}, {{2}}).result().blobs[1].per_example);
    REQUIRE(check_gradients(get_shape{}, {{2}}).what == "no gradient passes this layer: differentiable = false");
    REQUIRE(check_gradients(fill_like{}, {{2}}).what == "no gradient passes this layer: differentiable = false");
    static_assert(!is_differentiable<fill_static> && !is_differentiable<range_static>);
}

TEST_CASE("layers of known output: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(fill_static{1, {2, -1}}, {}) ==
            place + "(fillStatic): a targetShape from 0 up wanted, [2, -1] given");
    REQUIRE(fault_of(fill_static{1, {2}}, {{2}}) == place + "(fillStatic): 0 inputs wanted, 1 named");
    REQUIRE(fault_of(range_static{.end_value = no_number}, {}) ==
            place + "(rangeStatic): a finite startValue and a finite endValue wanted, 0 and NaN given");
    REQUIRE(fault_of(range_static{.end_value = 1, .start_value = -infinity}, {}) ==
            place + "(rangeStatic): a finite startValue and a finite endValue wanted, -Infinity and 1 given");
    for (float step : {0.0F, no_number, infinity})
        REQUIRE(fault_of(range_static{.end_value = 1, .step_size_value = step}, {}) ==
                place + "(rangeStatic): a finite stepSizeValue other than 0 wanted, " +
                    std::string(sentence(step).view()) + " given");
    REQUIRE(fault_of(range_static{.end_value = 3e38F, .step_size_value = 1e-30F}, {}) ==
            place + "(rangeStatic): its output would be too large");
    REQUIRE(fault_of(range_static{.end_value = 0x1p61F}, {}) ==
            place + "(rangeStatic): its output would have the shape [2305843009213693952]");
    ask_everything(fill_like{});
    ask_everything(get_shape{});
    for (extent e : hostile_extents()) {
        plan_of(fill_static{1, {e, 0}}, {});
        plan_of(fill_static{1, {e, e}}, {});
    }
}

namespace {
inline constexpr auto known = compose(
    input{"x", {2, 2}}, fill_like{3} | named("three"), fill_static{2, {2}} | named("two"),
    range_static{2} | named("range"), get_shape{} | from("x") | named("shape"),
    add_broadcastable{} | from("x", "three") | named("a"), add_broadcastable{} | from("a", "two") | named("b"),
    add_broadcastable{} | from("b", "range") | named("c"), multiply_broadcastable{} | from("c", "shape"));
}

TEST_CASE("layers of known output: composed, beside what is stored for each example") {
    network<known> net;
    const auto y = net(floats{1, 2, 3, 4});
    REQUIRE(floats(y.begin(), y.end()) == floats{12, 16, 16, 20});
    REQUIRE(same_bits_unrolled(net, floats{1, 2, 3, 4}));
    const auto many = net.predict_batch(floats{1, 2, 3, 4, 5, 6, 7, 8});
    REQUIRE(floats(many.begin(), many.end()) == floats{12, 16, 16, 20, 20, 24, 24, 28});
}
