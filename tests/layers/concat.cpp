#include <bespoke/layers/concat.hpp>

#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/convolution.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(concat)
FLOAT_IN_IMPLEMENTATION(concat_nd)
FLOAT_IN_IMPLEMENTATION(stack)

using namespace bespoke;
using namespace layer_test;

namespace {
constexpr concat channels{}, sequences{.sequence_concat = true};
}

TEST_CASE("concat: by hand") {
    REQUIRE(
        evaluate<float>(channels, {{{1, 1, 2}, {1, 2, 11, 12}}, {{2, 1, 2}, {3, 4, 5, 6, 13, 14, 15, 16}}})
            .first() == std::vector<float>{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16});
    // an input that is stored once comes again in every example
    REQUIRE(evaluate<float>(channels, {{{1, 1, 2}, {1, 2, 11, 12}}, {{1, 1, 2}, {8, 9}, true}}).first() ==
            std::vector<float>{1, 2, 8, 9, 11, 12, 8, 9});
}

TEST_CASE("concat: every element in its place") {
    const shape a{2, 3, 4, 2}, b{2, 1, 4, 2}, c{2, 2, 4, 2};
    const auto x = numbers<double>(3 * a.size(), 1), y = numbers<double>(3 * b.size(), 2),
               z = numbers<double>(3 * c.size(), 3);
    const auto got = evaluate<double>(channels, {{a, x}, {b, y}, {c, z}});
    REQUIRE(got.dimensions() == shape{2, 6, 4, 2});
    for (std::size_t row = 0; row < 6; ++row)
        for (std::size_t channel = 0; channel < 6; ++channel)
            for (std::size_t i = 0; i < 8; ++i) {
                const double expected = channel < 3    ? x[row * 24 + channel * 8 + i]
                                        : channel == 3 ? y[row * 8 + i]
                                                       : z[row * 16 + (channel - 4) * 8 + i];
                REQUIRE(got.first()[(row * 6 + channel) * 8 + i] == expected);
            }
    const auto along =
        evaluate<double>(sequences, {{{2, 1, 3, 1, 1}, numbers<double>(6)}, {{1, 1, 3, 1, 1}, {7, 8, 9}}});
    REQUIRE(along.dimensions() == shape{3, 1, 3, 1, 1});
    REQUIRE(std::vector<double>(along.first().end() - 3, along.first().end()) ==
            std::vector<double>{7, 8, 9});
}

TEST_CASE("concat: gradients") {
    require_gradients(channels, {{2, 3, 4}, {1, 3, 4}});
    require_gradients(channels, {{5, 2, 3, 1}, {5, 1, 3, 1}, {5, 4, 3, 1}});
    require_gradients(sequences, {{2, 2, 1, 3, 4}, {1, 2, 1, 3, 4}});
    require_gradients(channels, {{2, 3, 4}, {1, 3, 4}}, {.arguments = {0, 1, 0, 0}});
}

TEST_CASE("concat: more inputs than fit into a short list") {
    std::vector<blob<float>> xs;
    for (extent i = 0; i < 11; ++i) xs.push_back({{1, 1, 1}, {static_cast<float>(i)}});
    REQUIRE(evaluate<float>(channels, xs).first() == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("concat: the same bits with threads where there is much to do") {
    evaluate<float>(channels, {{{7, 5, 4, 50, 50}, numbers<float>(2 * 350000)},
                               {{7, 5, 1, 50, 50}, numbers<float>(87500), true}});
}

TEST_CASE("concat: shapes and faults") {
    const std::string place = "layers/0 \"layer\" (concat): ";
    REQUIRE(fault_of(channels, {{3, 4, 4}}) == place + "2 or more inputs wanted, 1 named");
    REQUIRE(fault_of(channels, {{4, 4}, {4, 4}}) ==
            place + "inputs of rank 3 or more wanted, the first has the shape [4, 4]");
    REQUIRE(fault_of(sequences, {{2, 3, 4, 4}, {2, 3, 4, 4}}) ==
            place + "inputs of rank 5 or more wanted, the first has the shape [2, 3, 4, 4]");
    REQUIRE(fault_of(channels, {{1, 4, 4}, {2, 4, 4}, {2, 4, 5}}) ==
            place +
                "shapes wanted that differ in axis -3 only, the first is [1, 4, 4], input 2 has [2, 4, 5]");
    REQUIRE(
        fault_of(channels, {{1, 4, 4}, {1, 1, 4, 4}}) ==
        place +
            "shapes wanted that differ in axis -3 only, the first is [1, 4, 4], input 1 has [1, 1, 4, 4]");
    REQUIRE(fault_of(sequences, {{1, 2, 3, 4, 4}, {1, 2, 4, 4, 4}}) ==
            place +
                "shapes wanted that differ in axis -5 only, the first is [1, 2, 3, 4, 4], input 1 has [1, 2, "
                "4, 4, 4]");
    constexpr extent most = std::numeric_limits<extent>::max();
    const shape huge[] = {{most, 0, 0}, {1, 0, 0}};
    REQUIRE(std::string(channels.output_shape(huge).problem().what.view()) ==
            "its output would be too large");
    ask_everything(channels);
    ask_everything(sequences);
}

namespace {
inline constexpr auto small_concat =
    compose(input{"a", {1, 2, 2}}, input{"b", {2, 2, 2}}, concat{} | from("b", "a", "b"));
}

TEST_CASE("concat: the same bits composed and at run time") {
    network<small_concat> net;
    REQUIRE(net(numbers<float>(4), numbers<float>(8)).shape(0) == 5);
    REQUIRE(same_bits_unrolled(net, numbers<float>(4), numbers<float>(8)));
}

namespace {
inline constexpr auto rows_beside =
    compose(input{"x", {2, 3, 2, 2}}, input{"z", {2, 1, 2, 2}}, concat{} | from("x", "z", "x"));
inline constexpr auto sequences_together =
    compose(input{"x", {2, 1, 3, 1, 1}}, input{"z", {1, 1, 3, 1, 1}}, concat{.sequence_concat = true} | from("z", "x"));
}  // namespace

TEST_CASE("concat: extents in the type change no bit") {
    static_assert(unrolled<float, concat, fixed_step<composed_plan<rows_beside>, 0>>::fits());
    static_assert(unrolled<float, concat, fixed_step<composed_plan<sequences_together>, 0>>::fits());
    network<rows_beside> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(24), numbers<float>(8, 2)));
    network<sequences_together> other;
    REQUIRE(same_bits_unrolled(other, numbers<float>(6), numbers<float>(3, 2)));
}

TEST_CASE("concat_nd: the examples of the specification") {
    const std::vector<float> a{1, 2, 3, 4, 5, 6}, b{7, 8, 9, 10, 11, 12};
    const auto behind = evaluate<float>(concat_nd{}, {{{3, 2}, a}, {{3, 2}, b}});
    REQUIRE(behind.dimensions() == shape{6, 2});
    REQUIRE(behind.first() == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    const auto between = evaluate<float>(concat_nd{.interleave = true}, {{{3, 2}, a}, {{3, 2}, b}});
    REQUIRE(between.dimensions() == shape{6, 2});
    REQUIRE(between.first() == std::vector<float>{1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12});
    REQUIRE(evaluate<float>(concat_nd{.axis = -1, .interleave = true}, {{{3, 2}, a}, {{3, 2}, b}}).first() ==
            std::vector<float>{1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12});
    REQUIRE(evaluate<float>(concat_nd{.axis = -1}, {{{3, 2}, a}, {{3, 1}, {-1, -2, -3}, true}}).first() ==
            std::vector<float>{1, 2, -1, 3, 4, -2, 5, 6, -3});
    REQUIRE(evaluate<float>(concat_nd{.axis = 1}, {{{3, 0}, {}}, {{3, 0}, {}}, {{3, 0}, {}}}).dimensions() ==
            shape{3, 0});
}

TEST_CASE("stack: a new axis") {
    const std::vector<float> a{1, 2, 3, 4, 5, 6}, b{7, 8, 9, 10, 11, 12};
    const auto of = [&](extent axis) { return evaluate<float>(stack{axis}, {{{3, 2}, a}, {{3, 2}, b}}); };
    REQUIRE(of(0).dimensions() == shape{2, 3, 2});
    REQUIRE(of(0).first() == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    REQUIRE(of(1).dimensions() == shape{3, 2, 2});
    REQUIRE(of(1).first() == std::vector<float>{1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12});
    REQUIRE(of(2).dimensions() == shape{3, 2, 2});
    REQUIRE(of(2).first() == std::vector<float>{1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12});
    REQUIRE(same_bits(of(-1), of(2)));
    REQUIRE(same_bits(of(-3), of(0)));
    const auto scalars = evaluate<float>(stack{}, {{{}, {1}}, {{}, {2}}, {{}, {3}}});
    REQUIRE(scalars.dimensions() == shape{3});
    REQUIRE(scalars.first() == std::vector<float>{1, 2, 3});
    // shapes of the specification
    const std::vector<shape> five(5, shape{2, 4, 2});
    REQUIRE(stack{3}.output_shape(five).shapes()[0] == shape{2, 4, 2, 5});
    REQUIRE(stack{-2}.output_shape(five).shapes()[0] == shape{2, 4, 5, 2});
}

TEST_CASE("concat_nd, stack: gradients, and threads where there is much to do") {
    for (extent axis : {0, 1, -1}) {
        require_gradients(concat_nd{.axis = axis}, {{2, 3}, {2, 3}, {2, 3}});
        require_gradients(concat_nd{.axis = axis, .interleave = true}, {{2, 3}, {2, 3}, {2, 3}});
        require_gradients(stack{axis}, {{2, 3}, {2, 3}});
    }
    require_gradients(concat_nd{.axis = -2}, {{2, 1, 4}, {2, 3, 4}});
    require_gradients(concat_nd{}, {{5}}, {.arguments = {0, 0}});
    require_gradients(stack{-1}, {{17}}, {.arguments = {0, 0}});
    const shape s{20, 30, 40};
    const auto a = numbers<float>(3 * s.size()), b = numbers<float>(s.size(), 2);
    evaluate<float>(concat_nd{.axis = 1, .interleave = true}, {{s, a}, {s, b, true}});
    evaluate<float>(stack{-1}, {{s, a}, {s, b, true}});
}

TEST_CASE("concat_nd: scalars are vectors of one") {
    for (bool interleave : {false, true})
        for (extent axis : {0, -1}) {
            const auto came = evaluate<float>(concat_nd{axis, interleave}, {{{}, {1}}, {{1}, {2}}, {{}, {3}}});
            REQUIRE(came.dimensions() == shape{3});
            REQUIRE(came.first() == std::vector<float>{1, 2, 3});
        }
    require_gradients(concat_nd{}, {{}, {2}});
    REQUIRE(fault_of(concat_nd{.axis = 1}, {{}, {1}}) ==
            "layers/0 \"layer\" (concatND): an axis of its input wanted, 1 given for the shape [1]");
}

TEST_CASE("concat_nd, stack: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(concat_nd{.axis = 2}, {{2, 3}, {2, 3}}) ==
            place + "(concatND): an axis of its input wanted, 2 given for the shape [2, 3]");
    REQUIRE(fault_of(concat_nd{.axis = -1}, {{2, 3}, {3, 3}}) ==
            place + "(concatND): shapes wanted that differ in axis -1 only, the first is [2, 3], input 1 has [3, 3]");
    REQUIRE(fault_of(concat_nd{.axis = 0, .interleave = true}, {{2, 3}, {3, 3}}) ==
            place + "(concatND): inputs of one shape wanted to interleave, the first is [2, 3], input 1 has [3, 3]");
    REQUIRE(fault_of(stack{2}, {{2}, {2}}) ==
            place + "(stack): an axis from -2 to 1 wanted for the shape [2], 2 given");
    REQUIRE(fault_of(stack{}, {{2}, {3}}) ==
            place + "(stack): inputs of one shape wanted, the first is [2], input 1 has [3]");
    const shape most{1, 1, 1, 1, 1, 1, 1, 1};
    REQUIRE(fault_of(stack{}, {most, most}) ==
            place + "(stack): inputs of rank 7 or less wanted, the first is [1, 1, 1, 1, 1, 1, 1, 1]");
    for (extent e : hostile_extents()) {
        ask_everything(concat_nd{.axis = e});
        ask_everything(concat_nd{.axis = e, .interleave = true});
        ask_everything(stack{e});
    }
}

TEST_CASE("concat: one example has its channels written in place, with the bits that many have") {
    static constexpr auto dense = [] {
        const convolution three{.output_channels = 4, .kernel_size = {3, 3}, .padding = same};
        return compose(input{"x", {4, 8, 8}}, three | named("a"), relu{} | named("ra"),
                       concat{} | from("x", "ra") | named("xa"), three | named("b"), relu{} | named("rb"),
                       concat{} | from("rb", "xa") | named("all"), three | named("c"),
                       concat_nd{.axis = 0} | from("c", "rb") | named("last"), output{"last"}, output{"ra"});
    }();
    network<dense> net(3);
    for (const char* name : {"x", "ra", "xa", "rb"}) {
        const auto plan = net.plan();
        const auto& whole = plan.blobs[plan.find_blob("all")];
        const auto& part = plan.blobs[plan.find_blob(name)];
        CAPTURE(name);
        CHECK(part.single_offset >= whole.single_offset);
        CHECK(part.single_offset + part.dimensions.size() <= whole.single_offset + whole.dimensions.size());
    }
    const auto x = numbers<float>(std::size_t{3} * 256, 7);
    const auto copies = [](const auto& results) {
        return std::apply([](const auto&... y) { return std::array{std::vector<float>(y.begin(), y.end())...}; },
                          results);
    };
    const auto together = copies(net.predict_batch(x));
    for (std::size_t i = 0; i < 3; ++i) {
        const auto alone = copies(net(std::vector<float>(x.data() + i * 256, x.data() + (i + 1) * 256)));
        for (std::size_t o = 0; o < alone.size(); ++o)
            CHECK(std::equal(alone[o].begin(), alone[o].end(), together[o].data() + i * alone[o].size()));
    }
}
