#include <bespoke/layers/transpose.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(permute)
FLOAT_IN_IMPLEMENTATION(transpose)

using namespace bespoke;
using namespace layer_test;

namespace {

/// Where the elements of one example of x go, index by index.
std::vector<double> moved(const shape& s, const shape& axes, const std::vector<double>& x) {
    shape y;
    for (extent axis : axes) y.push_back(s[static_cast<std::size_t>(axis)]);
    std::vector<double> result(x.size());
    const auto size = static_cast<std::size_t>(s.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        extent index[max_rank]{}, rest = static_cast<extent>(i % size), to = 0;
        for (std::size_t axis = s.rank(); axis-- > 0; rest /= s[axis]) index[axis] = rest % s[axis];
        for (std::size_t axis = 0; axis < y.rank(); ++axis)
            to = to * y[axis] + index[static_cast<std::size_t>(axes[axis])];
        result[i / size * size + static_cast<std::size_t>(to)] = x[i];
    }
    return result;
}

}  // namespace

TEST_CASE("transpose: as numpy does it") {
    // np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    const auto got = evaluate<float>(bespoke::transpose{{2, 0, 1}}, {{{2, 3, 4}, counted(24)}});
    REQUIRE(got.dimensions() == shape{4, 2, 3});
    REQUIRE(got.first() == std::vector<float>{0, 4, 8, 12, 16, 20, 1, 5, 9,  13, 17, 21,
                                              2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23});
    REQUIRE(evaluate<float>(bespoke::transpose{{3, 1, 2, 0}}, {{{6, 7, 8, 9}, counted(3024)}}).dimensions() ==
            shape{9, 7, 8, 6});
}

TEST_CASE("transpose: which axis of x an axis of y is, counted from the last one") {
    const bespoke::transpose layer{{2, 0, 1}};
    const shape x{1, 2, 3, 4};
    REQUIRE(layer.entries_from({&x, 1}, 1) == 2);
    REQUIRE(layer.entries_from({&x, 1}, 2) == 3);
    REQUIRE(layer.entries_from({&x, 1}, 3) == 1);
    REQUIRE(layer.entries_from({&x, 1}, 4) == 4);
}

TEST_CASE("transpose: every order, one example and more") {
    const shape s{3, 2, 17, 4};
    const auto x = numbers<double>(3 * s.size());
    std::vector<extent> order{0, 1, 2, 3};
    do {
        const shape axes{std::span<const extent>(order)};
        const auto got = evaluate<double>(bespoke::transpose{axes}, {{s, x}});
        REQUIRE(got.first() == moved(s, axes, x));
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("transpose: with threads where there is much to do") {
    for (const auto& [s, axes] : std::vector<std::pair<shape, shape>>{
             {{130, 150}, {1, 0}}, {{4, 30, 12, 16}, {0, 2, 1, 3}}, {{4, 30, 12, 16}, {3, 1, 2, 0}}}) {
        const auto x = numbers<double>(2 * s.size());
        REQUIRE(evaluate<double>(bespoke::transpose{axes}, {{s, x}}).first() == moved(s, axes, x));
    }
}

TEST_CASE("transpose: nothing to move") {
    REQUIRE(evaluate<float>(bespoke::transpose{{}}, {{{}, {3}}}).first() == std::vector<float>{3});
    const auto none = evaluate<float>(bespoke::transpose{{2, 0, 1}}, {{{0, 3, 2}, {}}});
    REQUIRE(none.dimensions() == shape{2, 0, 3});
    REQUIRE(none.first().empty());
}

TEST_CASE("transpose: axes of extent 1 before those that are counted stay") {
    const auto x = numbers<double>(2 * 24);
    const auto got = evaluate<double>(bespoke::transpose{{1, 2, 0}}, {{{1, 2, 3, 4}, x}});
    REQUIRE(got.dimensions() == shape{1, 3, 4, 2});
    REQUIRE(got.first() == moved({2, 3, 4}, {1, 2, 0}, x));
    REQUIRE(evaluate<double>(bespoke::transpose{{1, 0}}, {{{1, 1, 4, 6}, x}}).first() == moved({4, 6}, {1, 0}, x));
    REQUIRE(bespoke::transpose{{1, 0}}.output_shape(shape{1, 1, 1, 3}).shapes()[0] == shape{1, 1, 3, 1});
    REQUIRE_FALSE(bespoke::transpose{{1, 0}}.output_shape(shape{1, 2, 4, 3}));
    REQUIRE_FALSE(bespoke::transpose{{}}.output_shape(shape{1, 1}));
    require_gradients(bespoke::transpose{{2, 0, 1}}, {{1, 2, 3, 2}});
}

TEST_CASE("transpose: gradients") {
    require_gradients(bespoke::transpose{{1, 0}}, {{5, 3}});
    require_gradients(bespoke::transpose{{2, 0, 1}}, {{2, 3, 4}});
    require_gradients(bespoke::transpose{{0, 2, 1, 3}}, {{2, 2, 3, 2}});
    require_gradients(bespoke::transpose{{0, 1}}, {{2, 3}});
}

TEST_CASE("transpose: gradients are the same bits for any number of threads") {
    const shape x{150, 130}, y{130, 150};
    const auto dy = numbers<float>(2 * x.size());
    const auto run = [&](std::size_t count) {
        thread_pool threads(count);
        std::vector<float> dx(dy.size(), 0.25f);
        workspace<float> w{nullptr, nullptr, &threads};
        const dynamic_view<const float> g{dy.data(), y, 2, y.size()};
        bespoke::transpose{{1, 0}}.backward(g, g, g, dynamic_view<float>{dx.data(), x, 2, x.size()}, no_parameters{},
                                            no_parameters{}, w);
        return dx;
    };
    const auto alone = run(1);
    for (std::size_t i = 0; i < alone.size(); ++i) {
        const std::size_t at = i % 19500;
        REQUIRE(alone[i] == 0.25f + dy[i / 19500 * 19500 + at % 130 * 150 + at / 130]);
    }
    REQUIRE(same_bits(alone, run(2)));
    REQUIRE(same_bits(alone, run(5)));
}

TEST_CASE("transpose: shapes and faults") {
    static_assert(bespoke::transpose{{1, 0}}.output_shape(shape{2, 3}).shapes()[0] == shape{3, 2});
    const std::string place = "layers/0 \"layer\" (transpose): ";
    for (const shape& axes : {shape{}, shape{0}, shape{0, 0}, shape{1, 2}, shape{-1, 0}, shape{0, 1, 2}})
        REQUIRE(fault_of(bespoke::transpose{axes}, {{2, 3}}) ==
                place + "a permutation of the axes of its input wanted, axes " +
                    std::string(sentence(axes).view()) + " given for the shape [2, 3]");
    for (extent a : hostile_extents()) {
        ask_everything(bespoke::transpose{{a}});
        for (extent b : hostile_extents()) ask_everything(bespoke::transpose{{a, b}});
    }
    ask_everything(bespoke::transpose{{7, 6, 5, 4, 3, 2, 1, 0}});
}

TEST_CASE("permute: the batch axis stays") {
    const shape s{2, 3, 2, 4, 5};
    const auto x = numbers<double>(2 * s.size());
    for (const auto& [axis, axes] :
         std::vector<std::pair<shape, shape>>{{{0, 3, 1, 2}, {0, 1, 4, 2, 3}},
                                              {{3, 1, 2, 0}, {4, 1, 2, 3, 0}},
                                              {{0, 3, 2, 1}, {0, 1, 4, 3, 2}},
                                              {{1, 0, 2, 3}, {2, 1, 0, 3, 4}},
                                              {{}, {0, 1, 2, 3, 4}}}) {
        const auto got = evaluate<double>(permute{axis}, {{s, x}});
        REQUIRE(got.first() == moved(s, axes, x));
        REQUIRE(got.dimensions() == bespoke::transpose{axes}.output_shape(s).shapes()[0]);
    }
    // np.arange(16).reshape(2, 1, 2, 2, 2).transpose(4, 1, 2, 3, 0)
    REQUIRE(evaluate<float>(permute{{3, 1, 2, 0}}, {{{2, 1, 2, 2, 2}, counted(16)}}).first() ==
            std::vector<float>{0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15});
}

TEST_CASE("permute: without a batch axis, without a sequence") {
    const auto x = numbers<double>(2 * 3 * 4 * 5);
    REQUIRE(evaluate<double>(permute{{3, 1, 0, 2}}, {{{2, 3, 4, 5}, x}}).first() ==
            moved({2, 3, 4, 5}, {3, 1, 0, 2}, x));
    REQUIRE(evaluate<double>(permute{{0, 3, 1, 2}}, {{{2, 3, 4}, x}}).first() == moved({2, 3, 4}, {2, 0, 1}, x));
    REQUIRE(evaluate<double>(permute{}, {{{2, 3, 4}, x}}).first() == x);
    require_gradients(permute{{0, 3, 1, 2}}, {{2, 3, 2}});
    require_gradients(permute{{3, 1, 2, 0}}, {{2, 2, 1, 2, 3}});
}

TEST_CASE("permute: faults") {
    const std::string place = "layers/0 \"layer\" (permute): ";
    REQUIRE(fault_of(permute{}, {{2, 3}}) ==
            place + "an input [sequence, batch, channels, height, width] wanted, its shape is [2, 3]");
    REQUIRE(fault_of(permute{{0, 1, 2}}, {{1, 1, 2, 2, 2}}) ==
            place + "a permutation of 0 to 3 wanted, axis [0, 1, 2] given");
    REQUIRE(fault_of(permute{{1, 0, 2, 3}}, {{2, 2, 2}}) ==
            place + "an axis that begins with 0 wanted for an input without a sequence, [1, 0, 2, 3] given for the "
                    "shape [2, 2, 2]");
    for (extent a : hostile_extents()) ask_everything(permute{{a, 1, 2, 3}});
    ask_everything(permute{});
}

namespace {
inline constexpr auto heads = compose(input{"x", {3, 4, 5}}, bespoke::transpose{{1, 2, 0}}, permute{{0, 2, 1, 3}});
}

TEST_CASE("transpose, permute: the same bits composed and at run time") {
    network<heads> net;
    const auto x = numbers<float>(60);
    const auto y = net(x);
    REQUIRE(y.shape(0) == 5);
    REQUIRE(y.shape(1) == 4);
    REQUIRE(same_bits_unrolled(net, x));
}
