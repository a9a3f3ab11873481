#include <bespoke/layers/slice_dynamic.hpp>

#include <bespoke/layers/fill.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(slice_dynamic)

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;

blob<float> vector(const floats& values) { return {{static_cast<extent>(values.size())}, values}; }

/// What slice_static gives for the same bounds, strides and masks, is given by slice_dynamic for them as inputs.
void compare(const shape& x, const slice_static& fields) {
    const auto numbers_of = [](const auto& list) {
        floats v;
        for (auto e : list) v.push_back(static_cast<float>(e));
        return v;
    };
    const blob<float> in{x, counted(x.size())};
    const auto expected = evaluate<float>(fields, {in});
    const auto came = evaluate<float>(slice_dynamic{.squeeze_masks = fields.squeeze_masks},
                                      {in, vector(numbers_of(fields.begin_ids)), vector(numbers_of(fields.end_ids)),
                                       vector(numbers_of(fields.strides)), vector(numbers_of(fields.begin_masks)),
                                       vector(numbers_of(fields.end_masks))});
    REQUIRE(same_bits(expected, came));
    const auto some = evaluate<float>(slice_dynamic{.begin_masks = fields.begin_masks,
                                                    .end_ids = fields.end_ids,
                                                    .end_masks = fields.end_masks,
                                                    .strides = fields.strides,
                                                    .squeeze_masks = fields.squeeze_masks},
                                      {in, vector(numbers_of(fields.begin_ids))});
    REQUIRE(same_bits(expected, some));
}

inline constexpr auto known = compose(input{"x", {2, 3}}, get_shape{} | named("s"), fill_static{1, {2}} | named("ones"),
                                      slice_dynamic{} | from("x", "ones", "s"));
// the first as many elements of x as n says
inline constexpr auto first_n = compose(input{"n", {1}}, input{"x", {5}}, fill_static{0, {1}} | named("zero"),
                                        slice_dynamic{} | from("x", "zero", "n"));

}  // namespace

TEST_CASE("slice_dynamic: as slice_static") {
    using flags = slice_static::flags;
    // the specification's examples
    compare({5, 5, 5}, {{1, 2, 3}, flags{true, false, true}, {3, -3, 2}, flags{false, true, true}, {2, 2, 2},
                        flags{false, false, false}});
    compare({5, 5, 5}, {{1, 2, 3}, flags{true, false, true}, {3, -3, 2}, flags{false, true, true}, {2, 2, 2},
                        flags{false, true, false}});
    for (extent begin : {-9, -2, 0, 1, 3, 9})
        for (extent end : {-9, -1, 0, 2, 4, 9})
            for (extent stride : {-2, -1, 1, 3})
                compare({4, 2}, {{begin, 0}, flags{false, true}, {end, 2}, flags{false, false}, {stride, 1},
                                 flags{false, false}});
}

TEST_CASE("slice_dynamic: what is known of the shape before the run") {
    const std::array<shape, 3> xs{shape{4, 5, 6}, shape{3}, shape{3}};
    const auto planned = [&](const slice_dynamic& layer, std::vector<double> begin, std::vector<double> end) {
        std::array<known_values, 3> values;
        if (!begin.empty()) values[1] = std::span<const double>(begin);
        if (!end.empty()) values[2] = std::span<const double>(end);
        return layer.planned_shape(xs, values).shapes()[0];
    };
    const slice_dynamic masked{.begin_masks = {true, false, true}, .end_masks = {true, true, false}};
    CHECK(planned({}, {}, {}) == shape{unset, unset, unset});
    CHECK(planned(masked, {}, {}) == shape{4, unset, unset});
    CHECK(planned(masked, {1, 1, 1}, {}) == shape{4, 4, unset});
    CHECK(planned(masked, {}, {2, 2, 2}) == shape{4, unset, 2});
    CHECK(planned({.squeeze_masks = {true, false, false}}, {1, 1, 1}, {2, 2, 2}) == shape{1, 1});
    CHECK(planned({.squeeze_masks = {false, true, false}}, {}, {}) == shape{unset, unset});
    network<known> net;
    REQUIRE(net(counted(6)).size() == 2);
    REQUIRE(same_bits_unrolled(net, counted(6)));
    network<first_n> open;
    for (float n : {3.0F, 0.0F, 5.0F, -1.0F}) {
        const auto y = open(std::vector<float>{n}, counted(5));
        REQUIRE(floats(y.begin(), y.end()) == counted(n < 0 ? 4 : static_cast<extent>(n)));
    }
}

TEST_CASE("slice_dynamic: of fields that are longer than x has axes the first values count") {
    const slice_dynamic longer{.begin_masks = {false, false, true},
                               .end_ids = {4, 2, 9},
                               .end_masks = {false, true, true, true},
                               .strides = {2, 1, 7},
                               .squeeze_masks = {false, false, true}};
    const slice_static fields{{1, 1}, {false, false}, {4, 2}, {false, true}, {2, 1}, {false, false}};
    REQUIRE(same_bits(evaluate<float>(longer, {{{4, 3}, counted(12)}, vector({1, 1})}),
                      evaluate<float>(fields, {{{4, 3}, counted(12)}})));
}

TEST_CASE("slice_dynamic: gradients") {
    const gradient_options options{.known = {{}, {1, -1}, {3, 0}, {1, -2}}};
    require_gradients(slice_dynamic{.end_masks = {false, true}}, {{4, 5}, {2}, {2}, {2}}, options);
    require_gradients(slice_dynamic{.end_ids = {0}, .squeeze_masks = {true}}, {{4}, {1}}, {.known = {{}, {-2}}});
}

TEST_CASE("slice_dynamic: faults") {
    const std::string place = "layers/0 \"layer\" (sliceDynamic): ";
    REQUIRE(fault_of(slice_dynamic{}, {{2, 3}, {3}, {2}}) ==
            place + "an input of 2 numbers wanted for beginIds, its shape is [3]");
    REQUIRE(fault_of(slice_dynamic{}, {{2, 3}, {2}, {2, 1}}) ==
            place + "an input of 2 numbers wanted for endIds, its shape is [2, 1]");
    REQUIRE(fault_of(slice_dynamic{}, {{2, 3}, {2}}) ==
            place + "a value of endIds for each axis wanted, 0 given for the shape [2, 3]");
    REQUIRE(fault_of(slice_dynamic{}, {{2}, {1}, {1}, {1}, {1}, {1}, {1}}) ==
            place + "squeezeMasks wanted that are known before the network runs");
    REQUIRE(fault_of(slice_dynamic{}, {{2}}) == place + "2 to 7 inputs wanted, 1 named");
    const auto run = [](const floats& begin, const floats& stride, bool squeeze) {
        slice_dynamic layer;
        layer.squeeze_masks.push_back(squeeze);
        evaluate<float>(layer, {{{4}, counted(4)}, vector(begin), vector({4}), vector(stride)});
    };
    REQUIRE(failure([&] { run({0}, {0}, false); }) == place + "strides other than 0 wanted, [0] given");
    REQUIRE(failure([&] { run({4}, {1}, true); }) ==
            place + "an element of axis 0 wanted, beginIds [4] given for the shape [4]");
    const slice_dynamic row{.begin_masks = {false, true}, .end_ids = {0, 0}, .end_masks = {false, true},
                            .squeeze_masks = {true, false}};
    REQUIRE(evaluate<float>(row, {{{4, 3}, counted(12)}, vector({3, 0})}).first() == floats{9, 10, 11});
    REQUIRE(failure([&] { evaluate<float>(row, {{{4, 3}, counted(12)}, vector({4, 0})}); }) ==
            place + "an element of axis 0 wanted, beginIds [4, 0] given for the shape [4, 3]");
    REQUIRE(failure([&] { run({std::numeric_limits<float>::quiet_NaN()}, {1}, false); }) ==
            place + "beginIds of whole numbers wanted");
    ask_everything(slice_dynamic{});
    ask_everything(slice_dynamic{.end_ids = {1, 1}, .squeeze_masks = {true, false}});
}
