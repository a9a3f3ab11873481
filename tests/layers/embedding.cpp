#include <bespoke/layers/embedding.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(embedding)
FLOAT_IN_IMPLEMENTATION(embedding_nd)

using namespace bespoke;
using namespace layer_test;

namespace {

constexpr embedding old{.input_dim = 3, .output_channels = 2, .has_bias = true};
constexpr embedding_nd table{.vocab_size = 3, .embedding_size = 2, .has_bias = true};

/// Numbers that name rows of a table, some more than once.
std::vector<float> indices(extent n, extent rows, std::uint64_t seed = 1) {
    philox random(seed);
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& e : v) e = static_cast<float>(std::floor(random.uniform() * static_cast<double>(rows)));
    return v;
}

template <class L>
void require_lookup_gradients(const L& layer, const shape& s, double rows) {
    const gradient_report report = check_gradients(layer, {s}, {.examples = 3}, [&](std::size_t, philox& random) {
        return std::floor(random.uniform() * rows);
    });
    INFO(report.what);
    REQUIRE(report.ok);
}

}  // namespace

TEST_CASE("embedding: as torch does it") {
    // W = np.arange(6).reshape(2, 3)
    // torch.nn.functional.embedding(torch.tensor([2, 0, 1, 2]), torch.tensor(W.T.copy())) + torch.tensor([100, 200])
    const std::vector<std::vector<float>> p{{0, 1, 2, 3, 4, 5}, {100, 200}};
    const std::vector<float> expected{102, 205, 100, 203, 101, 204, 102, 205};
    for (const auto& [s, wanted] : std::vector<std::pair<shape, shape>>{{{4, 1, 1, 1}, {4, 2, 1, 1}},
                                                                       {{2, 1, 1, 1}, {2, 2, 1, 1}},
                                                                       {{2, 2, 1, 1, 1}, {2, 2, 2, 1, 1}},
                                                                       {{1, 1, 1}, {2, 1, 1}}}) {
        const auto got = evaluate<float>(old, {{s, {2, 0, 1, 2}}}, p);
        REQUIRE(got.dimensions() == wanted);
        REQUIRE(got.first() == expected);
    }
    for (const auto& [s, wanted] : std::vector<std::pair<shape, shape>>{
             {{4, 1}, {4, 2}}, {{1}, {2}}, {{2, 2, 1}, {2, 2, 2}}, {{1, 2, 1, 2, 1}, {1, 2, 1, 2, 2}}}) {
        const auto got = evaluate<float>(table, {{s, {2, 0, 1, 2}}}, p);
        REQUIRE(got.dimensions() == wanted);
        REQUIRE(got.first() == expected);
    }
    embedding_nd plain = table;
    plain.has_bias = false;
    REQUIRE(evaluate<float>(plain, {{{2, 1}, {1, 0}}}, {p[0], {}}).first() == std::vector<float>{1, 4, 0, 3});
}

TEST_CASE("embedding: an index that is none names the nearest row, NaN the first") {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x{-1, -0.75F, 0.4F, 0.6F, 1.4F, 1.6F, 2.4F, 3, 1e30F, infinity, -infinity, nan, -nan};
    const std::vector<float> rows{0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 0, 0, 0};
    const std::vector<std::vector<float>> p{{0, 1, 2, 3, 4, 5}, {0, 0}};
    const auto n = static_cast<extent>(x.size());
    REQUIRE(evaluate<float>(table, {{{n, 1}, x}}, p).first() == evaluate<float>(table, {{{n, 1}, rows}}, p).first());
    REQUIRE(evaluate<float>(old, {{{n, 1, 1, 1}, x}}, p).first() ==
            evaluate<float>(old, {{{n, 1, 1, 1}, rows}}, p).first());
    // where a float holds whole numbers only: 0.5 more would be the next one
    REQUIRE(detail::table_row(8388609.0F, 10000000) == 8388609);
    REQUIRE(detail::table_row(16777216.0F, 16777217) == 16777216);
    REQUIRE(detail::table_row(3.0, 1) == 0);
}

TEST_CASE("embedding: a large table with threads") {
    const extent rows = 700, columns = 50, count = 400;
    const auto weights = numbers<float>(rows * columns, 1), bias = numbers<float>(columns, 2);
    const auto x = indices(2 * count, rows);
    std::vector<float> expected;
    for (float i : x)
        for (std::size_t c = 0; c < 50; ++c)
            expected.push_back(weights[c * 700 + static_cast<std::size_t>(i)] + bias[c]);
    const embedding_nd large{.vocab_size = rows, .embedding_size = columns, .has_bias = true};
    REQUIRE(evaluate<float>(large, {{{count, 1}, x}}, {weights, bias}).first() == expected);
    const embedding other{.input_dim = rows, .output_channels = columns, .has_bias = true};
    REQUIRE(evaluate<float>(other, {{{count, 1, 1, 1}, x}}, {weights, bias}).first() == expected);
}

TEST_CASE("embedding: no index") {
    REQUIRE(evaluate<float>(table, {{{0, 1}, {}}}, {{0, 1, 2, 3, 4, 5}, {0, 0}}).dimensions() == shape{0, 2});
    REQUIRE(evaluate<float>(old, {{{0, 1, 1, 1}, {}}}, {{0, 1, 2, 3, 4, 5}, {0, 0}}).dimensions() ==
            shape{0, 2, 1, 1});
}

TEST_CASE("embedding: gradients") {
    require_lookup_gradients(embedding{.input_dim = 4, .output_channels = 3, .has_bias = true}, {5, 1, 1, 1}, 4);
    require_lookup_gradients(embedding{.input_dim = 4, .output_channels = 3}, {2, 2, 1, 1, 1}, 4);
    require_lookup_gradients(embedding_nd{.vocab_size = 4, .embedding_size = 19, .has_bias = true}, {3, 2, 1}, 4);
    require_lookup_gradients(embedding_nd{.vocab_size = 1, .embedding_size = 2}, {1}, 3);  // outside: the last row
}

TEST_CASE("embedding: gradients are the same bits for any number of threads") {
    const extent rows = 9, columns = 70, count = 300;
    const embedding_nd layer{.vocab_size = rows, .embedding_size = columns, .has_bias = true};
    const auto x = indices(2 * count, rows), dy = numbers<float>(2 * count * columns, 3);
    const auto run = [&](std::size_t threads_wanted) {
        thread_pool threads(threads_wanted);
        std::vector<float> weights(static_cast<std::size_t>(rows * columns), 0.5f),
            bias(static_cast<std::size_t>(columns));
        using in = dynamic_view<const float>;
        using out = dynamic_view<float>;
        workspace<float> w{nullptr, nullptr, &threads};
        const in xs{x.data(), {count, 1}, 2, count}, dys{dy.data(), {count, columns}, 2, count * columns};
        const embedding_nd::parameters<out> dp{{weights.data(), {columns, rows}, 1, 0}, {bias.data(), {columns}, 1, 0}};
        layer.backward(xs, dys, dys, out{}, embedding_nd::parameters<in>{}, dp, w);
        weights.insert(weights.end(), bias.begin(), bias.end());
        return weights;
    };
    const auto alone = run(1);
    std::vector<float> expected(static_cast<std::size_t>(rows * columns), 0.5f);
    for (std::size_t i = 0; i < x.size(); ++i)
        for (std::size_t c = 0; c < 70; ++c) expected[c * 9 + static_cast<std::size_t>(x[i])] += dy[i * 70 + c];
    REQUIRE(same_bits({alone.begin(), alone.begin() + rows * columns}, expected));
    REQUIRE(same_bits(alone, run(2)));
    REQUIRE(same_bits(alone, run(5)));
}

TEST_CASE("embedding: faults") {
    static_assert(old.output_shape(shape{5, 1, 1, 1}).shapes()[0] == shape{5, 2, 1, 1});
    const std::string place = "layers/0 \"layer\" (embedding): ";
    for (const shape& s : {shape{}, shape{1, 1}, shape{3, 1, 1}, shape{3, 1, 2, 1}, shape{3, 1, 1, 2},
                           shape{1, 1, 1, 1, 1, 1}})
        REQUIRE(fault_of(old, {s}) ==
                place + "an input [n, 1, 1, 1] or [m, n, 1, 1, 1] of indices wanted, its shape is " +
                    std::string(sentence(s).view()));
    REQUIRE(fault_of(embedding{.output_channels = 2}, {{1, 1, 1}}) == place + "inputDim from 1 up wanted, -1 given");
    REQUIRE(fault_of(embedding{.input_dim = 2, .output_channels = 0}, {{1, 1, 1}}) ==
            place + "outputChannels from 1 up wanted, 0 given");
    REQUIRE(fault_of(embedding{.input_dim = extent{1} << 40, .output_channels = extent{1} << 30}, {{1, 1, 1}}) ==
            place + "its weights would have the shape [1073741824, 1099511627776]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(embedding{a, b});
}

TEST_CASE("embedding_nd: faults") {
    static_assert(table.output_shape(shape{5, 1}).shapes()[0] == shape{5, 2});
    const std::string place = "layers/0 \"layer\" (embeddingND): ";
    for (const shape& s : {shape{}, shape{2}, shape{1, 2}})
        REQUIRE(fault_of(table, {s}) ==
                place + "an input [.., 1] of indices wanted, its shape is " + std::string(sentence(s).view()));
    REQUIRE(fault_of(embedding_nd{.embedding_size = 2}, {{1}}) == place + "vocabSize from 1 up wanted, -1 given");
    REQUIRE(fault_of(embedding_nd{.vocab_size = 2}, {{1}}) == place + "embeddingSize from 1 up wanted, -1 given");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(embedding_nd{a, b});
}

namespace {
inline constexpr auto words =
    compose(input{"x", {4, 1}}, embedding_nd{.vocab_size = 6, .embedding_size = 3} | updatable);
inline constexpr auto letters =
    compose(input{"x", {4, 1, 1, 1}}, embedding{.input_dim = 6, .output_channels = 3, .has_bias = true});
}  // namespace

TEST_CASE("embedding: the same bits composed and at run time") {
    const std::vector<float> x{5, 0, 2, 5};
    network<words> net;
    const auto y = net(x);
    REQUIRE(y.shape(1) == 3);
    REQUIRE(y(1, 2) == net.core().parameter(0)[2 * 6]);
    REQUIRE(same_bits_unrolled(net, x));
    network<letters> other;
    REQUIRE(other(x).shape(1) == 3);
    REQUIRE(same_bits_unrolled(other, x));
}

TEST_CASE("embedding: vectors are fetched when they are first named, and again when the weights have changed") {
    network<words> net;
    const auto weights = net.core().parameter(0);
    const auto check = [&](const std::vector<float>& x) {
        const auto y = net(x);
        for (std::size_t i = 0; i < x.size(); ++i)
            for (std::size_t c = 0; c < 3; ++c) REQUIRE(y(i, c) == weights[c * 6 + static_cast<std::size_t>(x[i])]);
    };
    check({0, 1, 1, 0});
    check({1, 2, 3, 0});
    check({2, 3, 2, 3});
    const float before = weights[0];
    for (int i = 0; i < 18; ++i) weights[i] += 1;
    REQUIRE(net(std::vector<float>{0, 1, 2, 3})(0, 0) == before);  // nobody has been told
    net.prepare();
    check({0, 1, 2, 3});
    check({4, 5, 0, 1});
}
