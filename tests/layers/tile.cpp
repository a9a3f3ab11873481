#include <bespoke/layers/tile.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(broadcast_to_like)
FLOAT_IN_IMPLEMENTATION(broadcast_to_static)
FLOAT_IN_IMPLEMENTATION(sequence_repeat)
FLOAT_IN_IMPLEMENTATION(tile)

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;

/// numpy.tile for a number of examples, element by element.
floats tiled(const shape& x, const shape& y, const floats& values, extent examples) {
    floats all;
    for (extent e = 0; e < examples; ++e)
        for (extent i = 0; i < y.size(); ++i) {
            extent at = 0, step = 1, rest = i;
            for (std::size_t back = 1; back <= y.rank(); ++back) {
                at += rest % y.from_end(back) % x.from_end(back) * step;
                rest /= y.from_end(back);
                step *= x.from_end(back);
            }
            all.push_back(values[static_cast<std::size_t>(e * x.size() + at)]);
        }
    return all;
}

struct repetition {
    shape x, reps, y;
};
const std::vector<repetition> repetitions{
    {{3}, {2}, {6}},
    {{2, 4, 2}, {1, 2, 6}, {2, 8, 12}},  // the examples of the specification
    {{2, 4, 2}, {6}, {2, 4, 12}},
    {{2, 3}, {2, 1}, {4, 3}},
    {{1, 3}, {5, 1}, {5, 3}},
    {{3, 1}, {1, 40}, {3, 40}},
    {{1}, {1}, {1}},
    {{2, 3}, {1, 1}, {2, 3}},
    {{2, 3, 2, 2, 3}, {2, 3, 2, 3, 2}, {4, 9, 4, 6, 6}},
    {{2, 1, 2, 1, 2, 1, 2, 1}, {2, 2, 2, 2, 2, 2, 2, 2}, {4, 2, 4, 2, 4, 2, 4, 2}},
};

}  // namespace

TEST_CASE("tile: values") {
    REQUIRE(evaluate<float>(tile{{2}}, {{{2}, {1, 2, 3, 4}}}).first() == floats{1, 2, 1, 2, 3, 4, 3, 4});
    REQUIRE(evaluate<float>(tile{{2, 2}}, {{{2, 1}, {1, 2}}}).first() == floats{1, 1, 2, 2, 1, 1, 2, 2});
    for (const auto& r : repetitions) {
        const floats x = numbers<float>(3 * r.x.size());
        const auto got = evaluate<float>(tile{r.reps}, {{r.x, x}});
        REQUIRE(got.dimensions() == r.y);
        REQUIRE(got.first() == tiled(r.x, r.y, x, 3));
    }
    REQUIRE(evaluate<float>(tile{{3, 2}}, {{{0, 2}, {}}}).dimensions() == shape{0, 4});
}

TEST_CASE("tile: gradients") {
    for (std::size_t i = 0; i + 1 < repetitions.size(); ++i)
        if (repetitions[i].y.size() < 500) require_gradients(tile{repetitions[i].reps}, {repetitions[i].x});
    require_gradients(sequence_repeat{.n_repetitions = 3}, {{2, 1, 2, 1, 2}});
}

TEST_CASE("sequence_repeat: values") {
    const floats x{1, 2, 3, 4};
    const auto got = evaluate<float>(sequence_repeat{.n_repetitions = 3}, {{{2, 1, 2, 1, 1}, x}});
    REQUIRE(got.dimensions() == shape{6, 1, 2, 1, 1});
    REQUIRE(got.first() == floats{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4});
    REQUIRE(evaluate<float>(sequence_repeat{}, {{{2, 1, 2, 1, 1}, x}}).first() == x);
}

TEST_CASE("broadcast_to_static, broadcast_to_like: values") {
    const auto got = evaluate<float>(broadcast_to_static{{2, 3}}, {{{2, 1}, {1, 2, 3, 4}}});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == floats{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4});
    REQUIRE(evaluate<float>(broadcast_to_static{{2, 1, 2}}, {{{2}, {1, 2}}}).first() == floats{1, 2, 1, 2});
    REQUIRE(evaluate<float>(broadcast_to_static{{}}, {{{}, {7}}}).first() == floats{7});
    REQUIRE(evaluate<float>(broadcast_to_static{{0, 2}}, {{{2}, {1, 2}}}).first().empty());
    // the second input has the examples, the first is stored once
    const auto like = evaluate<float>(broadcast_to_like{}, {{{3}, {1, 2, 3}, true}, {{2, 3}, floats(12, 9)}});
    REQUIRE(like.dimensions() == shape{2, 3});
    REQUIRE(like.first() == floats{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3});
    const shape large{8, 40, 60};
    evaluate<float>(broadcast_to_static{large}, {{{8, 1, 60}, numbers<float>(3 * 480)}});
}

TEST_CASE("broadcast_to_static, broadcast_to_like: gradients") {
    require_gradients(broadcast_to_static{{2, 3, 4}}, {{3, 1}});
    require_gradients(broadcast_to_static{{5}}, {{}});
    require_gradients(broadcast_to_static{{2, 3}}, {{2, 3}});
    require_gradients(broadcast_to_like{}, {{3, 1}, {2, 3, 4}});
    require_gradients(broadcast_to_like{}, {{19}, {3, 19}});
}

TEST_CASE("tile: reps from a second input") {
    const auto run = [](const std::vector<float>& reps) {
        return evaluate<float>(tile{{7}}, {{{2, 2}, {1, 2, 3, 4}}, {{static_cast<extent>(reps.size())}, reps}});
    };
    REQUIRE(run({2}).dimensions() == shape{2, 4});
    REQUIRE(run({2}).first() == std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4});
    REQUIRE(run({2, 1}).dimensions() == shape{4, 2});
    REQUIRE(run({2, 1}).first() == std::vector<float>{1, 2, 3, 4, 1, 2, 3, 4});
    for (const std::vector<double>& reps : {std::vector<double>{3, 2}, {2}})
        require_gradients(tile{}, {{2, 3}, {static_cast<extent>(reps.size())}}, {.known = {{}, reps}});
    const std::string place = "layers/0 \"layer\" (tile): ";
    REQUIRE(failure([&] { run({0, 1}); }) == place + "reps from 1 up wanted, [0, 1] given");
    REQUIRE(failure([&] { run({1.5F}); }) == place + "reps of whole numbers wanted");
    REQUIRE(failure([&] { run({1 << 20, 1 << 20}); }) == place + "its output would have the shape [2097152, 2097152]");
}

TEST_CASE("tile and the others: faults") {
    const std::string place = "layers/0 \"layer\" ";
    REQUIRE(fault_of(tile{}, {{2, 3}}) == place + "(tile): 1 to 2 reps wanted for the shape [2, 3], 0 given");
    REQUIRE(fault_of(tile{{1, 1, 1}}, {{2, 3}}) ==
            place + "(tile): 1 to 2 reps wanted for the shape [2, 3], 3 given");
    REQUIRE(fault_of(tile{{0, 1}}, {{2, 3}}) == place + "(tile): reps from 1 up wanted, [0, 1] given");
    REQUIRE(fault_of(tile{{2}}, {{2, 3}, {3}}) ==
            place + "(tile): an input of 1 to 2 numbers wanted for reps, its shape is [3]");
    REQUIRE(fault_of(tile{{extent{1} << 40}}, {{extent{1} << 40}}) ==
            place + "(tile): its output would be too large");
    REQUIRE(fault_of(sequence_repeat{}, {{2, 3, 4, 5}}) ==
            place + "(sequenceRepeat): an input of rank 5 or more wanted, its shape is [2, 3, 4, 5]");
    REQUIRE(fault_of(sequence_repeat{-1}, {{1, 1, 1, 1, 1}}) ==
            place + "(sequenceRepeat): nRepetitions from 0 up wanted, -1 given");
    REQUIRE(fault_of(broadcast_to_static{{2, -1}}, {{2, 1}}) ==
            place + "(broadcastToStatic): a targetShape from 0 up wanted, [2, -1] given");
    REQUIRE(fault_of(broadcast_to_static{{2, 3}}, {{2}}) ==
            place +
                "(broadcastToStatic): an input wanted that can be repeated to the shape [2, 3], its shape is "
                "[2]");
    REQUIRE(
        fault_of(broadcast_to_like{}, {{2, 3}, {3}}) ==
        place +
            "(broadcastToLike): an input wanted that can be repeated to the shape [3], its shape is [2, 3]");
    for (extent e : hostile_extents()) {
        ask_everything(tile{{e}});
        ask_everything(tile{{e, e}});
        ask_everything(sequence_repeat{e});
        ask_everything(broadcast_to_static{{e, 3}});
    }
    ask_everything(broadcast_to_like{});
}

namespace {
inline constexpr auto repeated = compose(input{"x", {2, 1}}, broadcast_to_static{{2, 3}} | named("b"),
                                         tile{{2}} | named("t"), broadcast_to_like{} | from("x", "t"));
}

TEST_CASE("tile and the others: composed") {
    network<repeated> net;
    const auto y = net(floats{1, 2});
    REQUIRE(floats(y.begin(), y.end()) == floats{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2});
    REQUIRE(same_bits_unrolled(net, floats{3, 4}));
}
