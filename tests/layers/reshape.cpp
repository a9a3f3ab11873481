#include <bespoke/layers/reshape.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;

/// The elements of [.., C, H, W] in the order [.., H, W, C], or with `back` the other way.
floats channel_last(const shape& s, const floats& v, bool back) {
    const extent c = s.from_end(3), h = s.from_end(2), w = s.from_end(1), size = c * h * w;
    floats to(v.size());
    for (extent n = 0; n < static_cast<extent>(v.size()) / size; ++n)
        for (extent i = 0; i < c; ++i)
            for (extent j = 0; j < h; ++j)
                for (extent k = 0; k < w; ++k) {
                    const auto first = static_cast<std::size_t>(n * size + (i * h + j) * w + k);
                    const auto last = static_cast<std::size_t>(n * size + (j * w + k) * c + i);
                    back ? to[first] = v[last] : to[last] = v[first];
                }
    return to;
}

struct pair_of_shapes {
    shape x, target, y;
};
const std::vector<pair_of_shapes> examples{
    {{2, 3, 4}, {4, 2, 3}, {4, 2, 3}},
    {{2, 3, 4}, {24, 1, 1}, {24, 1, 1}},
    {{2, 3, 4}, {1, 1, 1, 24}, {1, 1, 24}},
    {{2, 3, 4}, {4, 3, 1, 2}, {4, 3, 1, 2}},
    {{2, 2, 3, 4}, {3, 2, 4}, {2, 3, 2, 4}},
    {{2, 2, 3, 4}, {1, 6, 8, 1}, {1, 6, 8, 1}},
    {{3, 1, 2, 3, 2}, {4, 3, 1}, {3, 1, 4, 3, 1}},
    {{3, 2, 2, 3, 2}, {4, 3, 1}, {3, 2, 4, 3, 1}},
    {{3, 1, 2, 3, 2}, {6, 1, 2, 3}, {6, 1, 1, 2, 3}},
    {{1, 1, 40, 7, 9}, {63, 4, 10}, {1, 1, 63, 4, 10}},
};

}  // namespace

TEST_CASE("reshape: as the specification puts it") {
    // x [C 2, H 1, W 2]: in the order H, W, C it is 1, 3, 2, 4
    const floats x{1, 2, 3, 4};
    const auto last = evaluate<float>(reshape{{1, 2, 2}, reshape_order::channel_last}, {{{2, 1, 2}, x}});
    REQUIRE(last.first() == floats{1, 3, 2, 4});
    REQUIRE(evaluate<float>(reshape{{1, 2, 2}}, {{{2, 1, 2}, x}}).first() == x);
}

TEST_CASE("reshape: values") {
    for (const auto& e : examples) {
        const floats x = numbers<float>(3 * e.x.size());
        const auto first = evaluate<float>(reshape{e.target}, {{e.x, x}});
        REQUIRE(first.dimensions() == e.y);
        REQUIRE(first.first() == x);
        const auto last = evaluate<float>(reshape{e.target, reshape_order::channel_last}, {{e.x, x}});
        REQUIRE(last.dimensions() == e.y);
        REQUIRE(last.first() == channel_last(e.y, channel_last(e.x, x, false), true));
    }
    for (const auto mode : {reshape_order::channel_first, reshape_order::channel_last})
        REQUIRE(evaluate<float>(reshape{{4, 0, 7}, mode}, {{{0, 2, 3}, {}}}).dimensions() == shape{4, 0, 7});
}

TEST_CASE("reshape_like, rank_preserving_reshape: values") {
    const floats x = numbers<float>(24);
    const auto like = evaluate<float>(reshape_like{}, {{{2, 6}, x}, {{3, 1, 4}, floats(24, 9)}});
    REQUIRE(like.dimensions() == shape{3, 1, 4});
    REQUIRE(like.first() == x);
    // one of the two is stored once
    const floats one(x.begin(), x.begin() + 12);
    floats twice = one;
    twice.insert(twice.end(), one.begin(), one.end());
    REQUIRE(evaluate<float>(reshape_like{}, {{{2, 6}, one, true}, {{12}, floats(24, 9)}}).first() == twice);
    REQUIRE(evaluate<float>(reshape_like{}, {{{2, 6}, x}, {{12}, floats(12, 9), true}}).first() == x);

    for (const auto& e : std::vector<pair_of_shapes>{{{20, 10}, {5, -1}, {5, 40}},  // those of the specification
                                                     {{20, 10, 5}, {0, 2, 25}, {20, 2, 25}},
                                                     {{10, 3, 5}, {25, 0, -1}, {25, 3, 2}},
                                                     {{0, 3}, {0, 0}, {0, 3}},
                                                     {{}, {}, {}}}) {
        const floats values = numbers<float>(2 * e.x.size());
        const auto got = evaluate<float>(rank_preserving_reshape{e.target}, {{e.x, values}});
        REQUIRE(got.dimensions() == e.y);
        REQUIRE(got.first() == values);
    }
}

TEST_CASE("reshape, reshape_like, rank_preserving_reshape: gradients") {
    for (const auto& e : examples)
        if (e.x.size() < 100)
            for (const auto mode : {reshape_order::channel_first, reshape_order::channel_last})
                require_gradients(reshape{e.target, mode}, {e.x});
    require_gradients(reshape_like{}, {{2, 6}, {3, 4}});
    require_gradients(reshape_like{}, {{1}, {}});
    require_gradients(rank_preserving_reshape{{0, -1, 2}}, {{2, 3, 4}});
}

TEST_CASE("reshape, reshape_like, rank_preserving_reshape: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(reshape{{2, 3}}, {{1, 2, 3}}) ==
            place + "(reshape): a targetShape [channels, height, width], or with a sequence before them, wanted, "
                    "[2, 3] given");
    REQUIRE(fault_of(reshape{{2, -1, 3}}, {{1, 2, 3}}) ==
            place + "(reshape): a targetShape from 0 up wanted, [2, -1, 3] given");
    REQUIRE(fault_of(reshape{{1, 2, 3}}, {{2, 3}}) ==
            place + "(reshape): an input of rank 3 or more wanted, its shape is [2, 3]");
    for (const shape& x : {shape{2, 3}, shape{2, 2, 1, 1, 1}, shape{1, 1, 1, 1, 1, 6}})
        REQUIRE(fault_of(reshape{{1, 1, 2, 3}}, {x}) ==
                place + "(reshape): an input [sequence, 1, channels, height, width] wanted, its shape is " +
                    std::string(sentence(x).view()));
    REQUIRE(fault_of(reshape{{2, 2, 2}}, {{5, 2, 2, 3}}) ==
            place + "(reshape): targetShape [2, 2, 2] does not fit its input of shape [5, 2, 2, 3]");
    REQUIRE(fault_of(reshape{{2, 1, 2, 3}}, {{2, 2, 2, 3}}) ==
            place + "(reshape): targetShape [2, 1, 2, 3] does not fit its input of shape [2, 2, 2, 3]");
    REQUIRE(fault_of(reshape_like{}, {{2, 3}, {2, 2}}) ==
            place + "(reshapeLike): an input of as many elements as the shape [2, 2] wanted, its shape is [2, 3]");
    REQUIRE(fault_of(rank_preserving_reshape{{6}}, {{2, 3}}) ==
            place + "(rankPreservingReshape): a targetShape of rank 2 wanted for the shape [2, 3], [6] given");
    REQUIRE(fault_of(rank_preserving_reshape{{0, 4}}, {{2, 3}}) ==
            place + "(rankPreservingReshape): targetShape [2, 4] does not fit its input of shape [2, 3], which has 6 "
                    "elements");
    REQUIRE(fault_of(rank_preserving_reshape{{-1, -1}}, {{2, 3}}) ==
            place + "(rankPreservingReshape): a targetShape of extents from 0 up and one -1 at most wanted, [-1, -1] "
                    "given");
    ask_everything(reshape_like{});
    for (extent e : hostile_extents()) {
        ask_everything(reshape{{e, 1, 1}, reshape_order::channel_last});
        ask_everything(reshape{{e, e, 1, 1}});
        ask_everything(rank_preserving_reshape{{e, 0}});
        ask_everything(rank_preserving_reshape{{e, -1, 1}});
    }
}

namespace {
inline constexpr auto reshaped =
    compose(input{"x", {2, 3, 4}}, reshape{{4, 3, 2}, reshape_order::channel_last} | named("r"),
            rank_preserving_reshape{{0, -1, 1}} | named("p"), reshape_like{} | from("p", "x"));
}

TEST_CASE("reshape, reshape_like, rank_preserving_reshape: composed") {
    network<reshaped> net;
    const floats x = counted(24);
    const auto y = net(x);
    REQUIRE(floats(y.begin(), y.end()) == channel_last({4, 3, 2}, channel_last({2, 3, 4}, x, false), true));
    REQUIRE(same_bits_unrolled(net, x));
}
