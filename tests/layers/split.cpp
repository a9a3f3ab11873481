#include <bespoke/layers/split.hpp>

#include <bespoke/layers/add.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(add)
FLOAT_IN_IMPLEMENTATION(split)
FLOAT_IN_IMPLEMENTATION(split_nd)
DOUBLE_IN_INSTANCES(add)

using namespace bespoke;
using namespace layer_test;

TEST_CASE("split_nd: by hand") {
    const std::vector<float> x{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
    const auto rows = evaluate<float>(split_nd{.num_splits = 2}, {{{2, 3}, x}});
    REQUIRE(rows.shapes == std::vector<shape>{{1, 3}, {1, 3}});
    REQUIRE(rows.values[0] == std::vector<float>{1, 2, 3, 11, 12, 13});
    REQUIRE(rows.values[1] == std::vector<float>{4, 5, 6, 14, 15, 16});
    const auto columns = evaluate<float>(split_nd{.axis = -1, .split_sizes = {2, 0, 1}}, {{{2, 3}, x}});
    REQUIRE(columns.shapes == std::vector<shape>{{2, 2}, {2, 0}, {2, 1}});
    REQUIRE(columns.values[0] == std::vector<float>{1, 2, 4, 5, 11, 12, 14, 15});
    REQUIRE(columns.values[1].empty());
    REQUIRE(columns.values[2] == std::vector<float>{3, 6, 13, 16});
    // the specification's example; num_splits means nothing here
    const auto three = evaluate<float>(split_nd{.axis = -3, .num_splits = 5, .split_sizes = {3, 2}},
                                       {{{5, 3, 4}, numbers<float>(60)}});
    REQUIRE(three.shapes == std::vector<shape>{{3, 3, 4}, {2, 3, 4}});
}

TEST_CASE("split_nd: pieces that cannot be equal") {
    // as numpy.array_split
    const auto got = evaluate<float>(split_nd{.num_splits = 3}, {{{5}, {1, 2, 3, 4, 5, 11, 12, 13, 14, 15}}});
    REQUIRE(got.shapes == std::vector<shape>{{2}, {2}, {1}});
    REQUIRE(got.values == std::vector<std::vector<float>>{{1, 2, 11, 12}, {3, 4, 13, 14}, {5, 15}});
    REQUIRE(evaluate<float>(split_nd{.axis = -2, .num_splits = 3}, {{{2, 1}, {1, 2}}}).shapes ==
            std::vector<shape>{{1, 1}, {1, 1}, {0, 1}});
}

TEST_CASE("split_nd: every element in its place, with threads") {
    const shape s{6, 50, 70};
    const auto x = numbers<double>(2 * s.size());
    const auto got = evaluate<double>(split_nd{.axis = 1, .split_sizes = {9, 30, 11}}, {{s, x}});
    for (std::size_t row = 0; row < 12; ++row)
        for (std::size_t j = 0; j < 50; ++j)
            for (std::size_t k = 0; k < 70; ++k) {
                const std::size_t piece = j < 9 ? 0 : j < 39 ? 1 : 2, first = piece == 0 ? 0 : piece == 1 ? 9 : 39;
                const auto size = static_cast<std::size_t>(got.shapes[piece][1]);
                if (got.values[piece][(row * size + j - first) * 70 + k] != x[(row * 50 + j) * 70 + k]) FAIL();
            }
}

TEST_CASE("split: channels") {
    const auto got = evaluate<float>(split{.n_outputs = 2}, {{{2, 1, 2}, {1, 2, 3, 4, 11, 12, 13, 14}}});
    REQUIRE(got.shapes == std::vector<shape>{{1, 1, 2}, {1, 1, 2}});
    REQUIRE(got.values[0] == std::vector<float>{1, 2, 11, 12});
    REQUIRE(got.values[1] == std::vector<float>{3, 4, 13, 14});
    REQUIRE(evaluate<float>(split{.n_outputs = 3}, {{{2, 6, 1, 2}, numbers<float>(24)}}).shapes[2] ==
            shape{2, 2, 1, 2});
}

TEST_CASE("split_nd, split: nothing to split") {
    REQUIRE(evaluate<float>(split_nd{.num_splits = 2}, {{{0, 3}, {}}}).shapes == std::vector<shape>{{0, 3}, {0, 3}});
    REQUIRE(evaluate<float>(split_nd{.axis = 1, .num_splits = 3}, {{{0, 3}, {}}}).shapes[2] == shape{0, 1});
}

TEST_CASE("split_nd, split: gradients") {
    require_gradients(split_nd{.num_splits = 2}, {{4}});
    require_gradients(split_nd{.axis = 1, .num_splits = 3}, {{2, 3, 2}});
    require_gradients(split_nd{.axis = 1, .num_splits = 3}, {{2, 5, 2}});
    require_gradients(split_nd{.axis = -1, .split_sizes = {1, 0, 3}}, {{2, 4}});
    require_gradients(split{.n_outputs = 2}, {{2, 4, 1, 3}});
}

TEST_CASE("split_nd: gradients without some of the pieces, of an input stored once, with threads") {
    const shape x{30, 80}, a{30, 30}, b{30, 50};
    const auto da = numbers<float>(20 * a.size(), 1), db = numbers<float>(20 * b.size(), 2);
    const split_nd layer{.axis = 1, .split_sizes = {30, 50}};
    const auto run = [&](std::size_t count, bool once, bool both) {
        thread_pool threads(count);
        std::vector<float> dx(static_cast<std::size_t>(once ? x.size() : 20 * x.size()), 0.5f);
        workspace<float> w{nullptr, nullptr, &threads};
        using in = dynamic_view<const float>;
        using out = dynamic_view<float>;
        const in dys[] = {{both ? da.data() : nullptr, a, 20, a.size()}, {db.data(), b, 20, b.size()}};
        const out dxs[] = {{dx.data(), x, 20, once ? 0 : x.size()}};
        const in xs[] = {{nullptr, x, 20, once ? 0 : x.size()}};
        layer.backward(std::span<const in>(xs), std::span<const in>(dys), std::span<const in>(dys),
                       std::span<const out>(dxs), no_parameters{}, no_parameters{}, w);
        return dx;
    };
    for (const bool once : {false, true})
        for (const bool both : {false, true}) {
            CAPTURE(once, both);
            const auto alone = run(1, once, both);
            std::vector<float> expected(alone.size(), 0.5f);
            for (std::size_t example = 0; example < 20; ++example)
                for (std::size_t i = 0; i < 30; ++i)
                    for (std::size_t j = 0; j < 80; ++j) {
                        const std::size_t row = example * 30 + i;
                        float& to = expected[(once ? i : row) * 80 + j];
                        if (j >= 30)
                            to += db[row * 50 + j - 30];
                        else if (both)
                            to += da[row * 30 + j];
                    }
            REQUIRE(same_bits(alone, expected));
            REQUIRE(same_bits(alone, run(2, once, both)));
            REQUIRE(same_bits(alone, run(5, once, both)));
        }
}

TEST_CASE("split_nd: an input stored once, outputs for each example") {
    const shape x{2, 3};
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    std::vector<float> a(6), b(12);
    workspace<float> w;
    using in = dynamic_view<const float>;
    using out = dynamic_view<float>;
    const in xs[] = {{values.data(), x, 3, 0}};
    const out ys[] = {{a.data(), {2, 1}, 3, 2}, {b.data(), {2, 2}, 3, 4}};
    split_nd{.axis = 1, .split_sizes = {1, 2}}.forward(std::span<const in>(xs), std::span<const out>(ys),
                                                        no_parameters{}, w);
    REQUIRE(a == std::vector<float>{1, 4, 1, 4, 1, 4});
    REQUIRE(b == std::vector<float>{2, 3, 5, 6, 2, 3, 5, 6, 2, 3, 5, 6});
}

TEST_CASE("split_nd: faults") {
    const std::string place = "layers/0 \"layer\" (splitND): ";
    REQUIRE(fault_of(split_nd{.axis = 2, .num_splits = 2}, {{2, 4}}) ==
            place + "an axis of its input wanted, 2 given for the shape [2, 4]");
    REQUIRE(fault_of(split_nd{.axis = -3, .num_splits = 2}, {{2, 4}}) ==
            place + "an axis of its input wanted, -3 given for the shape [2, 4]");
    REQUIRE(fault_of(split_nd{.num_splits = 1}, {{2, 4}}) == place + "numSplits from 2 to 128 wanted, 1 given");
    REQUIRE(fault_of(split_nd{.num_splits = 129}, {{258, 4}}) == place + "numSplits from 2 to 128 wanted, 129 given");
    const std::string sizes =
        place + "two or more splitSizes that make 4 wanted, the extent of axis 1 in the shape [2, 4]";
    for (const auto& wrong : {list<extent, most_splits>{4}, list<extent, most_splits>{1, 2},
                              list<extent, most_splits>{5, -1}, list<extent, most_splits>{3, 2},
                              list<extent, most_splits>{5, 0, 0}})
        REQUIRE(fault_of(split_nd{.axis = 1, .split_sizes = wrong}, {{2, 4}}) == sizes);
    REQUIRE(fault_of(split_nd{.axis = 1, .split_sizes = {-1, 5}}, {{2, 4}}) ==
            place + "splitSizes from 0 up wanted, -1 given");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) {
            ask_everything(split_nd{.axis = a, .num_splits = b});
            ask_everything(split_nd{.axis = 0, .split_sizes = {a, b}});
        }
}

TEST_CASE("split: faults") {
    const std::string place = "layers/0 \"layer\" (split): ";
    REQUIRE(fault_of(split{2}, {{2, 4}}) == place + "an input of rank 3 or more wanted, its shape is [2, 4]");
    REQUIRE(fault_of(split{}, {{2, 4, 1}}) == place + "nOutputs from 2 to 128 wanted, 0 given");
    REQUIRE(fault_of(split{3}, {{2, 4, 1}}) ==
            place + "channels wanted that 3 divides, the shape of its input is [2, 4, 1]");
    for (extent n : hostile_extents()) ask_everything(split{n});
}

namespace {
inline constexpr auto crossed =
    compose(input{"x", {4, 6}}, split_nd{.axis = 1, .num_splits = 2} | to("left", "right"),
            split_nd{.split_sizes = {1, 3}} | from("right") | to("top", "bottom"), add{} | from("left", "top"));
}

TEST_CASE("split_nd: the same bits composed and at run time") {
    network<crossed> net;
    const auto x = numbers<float>(24);
    const auto y = net(x);
    REQUIRE(y.shape(1) == 3);
    REQUIRE(y(2, 1) == x[2 * 6 + 1] + x[3 + 1]);
    REQUIRE(same_bits_unrolled(net, x));
}
