#include <bespoke/training/trainer.hpp>

#include "../training_instances.hpp"
#include "network_test.hpp"

#include <cmath>

using namespace network_test;

// Of a network that looks at the first tokens of an encoder, the last layers run for these alone. Beside it the same
// layers, of which more are outputs, so that all tokens have to be there.

namespace {

constexpr extent tokens = 9, hidden = 24, inner = 300;

constexpr auto dense(extent channels, std::string_view name) {
    return inner_product{.output_channels = channels} | named(name) | updatable;
}
constexpr auto normalized(std::string_view name) {
    return layer_normalization{.normalized_shape = {hidden}} | named(name) | updatable;
}
/// So many tokens of the last layer are read.
constexpr auto classifier_of(extent read, const auto&... outputs) {
    return compose(
        input{"words", {tokens, hidden}}, input{"mask", {1, 1, tokens}}, dense(hidden, "embedded") | from("words"),
        reshape_static{{tokens, hidden}} | to("x"), dense(hidden, "key"), reshape_static{{tokens, 2, hidden / 2}},
        transpose{{1, 0, 2}} | to("keys"), dense(hidden, "query") | from("x"),
        reshape_static{{tokens, 2, hidden / 2}}, transpose{{1, 0, 2}} | to("queries"),
        batched_matmul{.transpose_b = true} | from("queries", "keys") | to("scores"), add{} | from("scores", "mask"),
        softmax_nd{} | to("shares"), batched_matmul{} | from("shares", "keys") | to("mixed"),
        transpose{{1, 0, 2}}, reshape_static{{tokens, hidden}}, dense(hidden, "context"), add{} | from("context", "x"),
        normalized("attended"), dense(inner, "wide"), gelu{}, dense(hidden, "thought"),
        add{} | from("thought", "attended"), normalized("encoded"),
        slice_static{.begin_ids = {0, 0}, .end_ids = {read, hidden}}, reshape_static{{read * hidden}},
        dense(5, "scored"), softmax_nd{} | named("classes"), outputs...);
}
inline constexpr auto one = classifier_of(1), two = classifier_of(2);
constexpr auto whole(extent read) {
    return classifier_of(read, output{"classes"}, output{"encoded"}, output{"thought"}, output{"attended"},
                         output{"context"}, output{"queries"});
}
inline constexpr auto whole_one = whole(1), whole_two = whole(2);

constexpr extent rows_of(const plan_view& p, std::string_view blob) { return p.blobs[p.find_blob(blob)].dimensions[0]; }

constexpr std::size_t words_size = tokens * hidden, examples = 5;

template <class T>
std::vector<T> in(const std::vector<float>& v) {
    return {v.begin(), v.end()};
}

/// A trainer of the network with examples.
template <class T, class Net>
trainer<T> learning(Net& net) {
    trainer<T> t(net, {categorical_cross_entropy{"classes"}}, sgd{.learning_rate = 0.1});
    const auto words = in<T>(numbers(examples * words_size, 1)), mask = in<T>(numbers(examples * tokens, 2));
    const std::vector<T> labels{1, 0, 4, 2, 1};
    t.load(examples, std::vector<example_data<T>>{words, mask}, std::vector<example_data<T>>{labels});
    return t;
}

template <const auto& Short, const auto& Whole>
void predict_both() {
    network<Short> net;
    network<Whole> reference;
    fill(net);
    fill(reference);
    program loaded = program_of(Short);
    copy_parameters(net, loaded);
    for (std::size_t count : {1u, 2u, 5u}) {
        const auto words = numbers(count * words_size, 3), mask = numbers(count * tokens, 4);
        const auto wanted = to_vector(std::get<0>(reference.predict_batch(words, mask)));
        const auto first = to_vector(net.predict_batch(words, mask));
        for (std::size_t i = 0; i < wanted.size(); ++i) REQUIRE(std::abs(first[i] - wanted[i]) < 1e-5f);
        if (count == 1) REQUIRE(same_bits(to_vector(net(words, mask)), first));
        for (std::size_t threads : {1u, 2u, 5u}) {
            net.core().use_threads(threads);
            loaded.use_threads(threads);
            REQUIRE(same_bits(to_vector(net.predict_batch(words, mask)), first));
            REQUIRE(same_bits(run(loaded, {words, mask})[0], first));
        }
    }
}

template <const auto& Short, const auto& Whole>
void differentiate_both() {
    network<Short, double> net;
    network<Whole, double> reference;
    fill(net);
    fill(reference);
    auto shortened = learning<double>(net), full = learning<double>(reference);
    const std::vector<std::size_t> batch{3, 0, 4};
    const double loss = shortened.gradient(batch);
    REQUIRE(std::abs(loss - full.gradient(batch)) < 1e-12);
    REQUIRE(shortened.learning_parameters().size() == 18);
    for (std::size_t k = 0; k < shortened.learning_parameters().size(); ++k) {
        const std::vector<double> slopes(shortened.gradient_of(k).begin(), shortened.gradient_of(k).end());
        double largest = 0;
        for (std::size_t i = 0; i < slopes.size(); ++i) {
            REQUIRE(std::abs(slopes[i] - full.gradient_of(k)[i]) < 1e-12);
            largest = std::max(largest, std::abs(slopes[i]));
        }
        CAPTURE(k);
        CHECK(largest > 1e-6);
        // against the difference of two losses
        const std::size_t i = slopes.size() / 3;
        double& weight = net.core().parameter(shortened.learning_parameters()[k])[i];
        const double before = weight, step = 1e-5;
        const auto loss_at = [&](double value) {
            weight = value;
            net.prepare();
            return shortened.evaluate(batch);
        };
        const double slope = (loss_at(before + step) - loss_at(before - step)) / (2 * step);
        loss_at(before);
        CHECK(std::abs(slope - slopes[i]) < 1e-8);
    }
}

}  // namespace

TEST_CASE("layers run for the tokens that are read") {
    const plan_view p = network<one>::plan(), q = network<two>::plan(), all = network<whole_one>::plan();
    for (const char* name : {"query", "context", "attended", "wide", "thought", "encoded"}) {
        CAPTURE(name);
        CHECK(rows_of(p, name) == 1);
        CHECK(rows_of(q, name) == 2);
        CHECK(rows_of(all, name) == tokens);
    }
    for (const char* name : {"embedded", "x", "key"}) CHECK(rows_of(p, name) == tokens);
    for (const char* name : {"queries", "scores", "shares", "mixed"}) {
        CAPTURE(name);
        CHECK(p.blobs[p.find_blob(name)].dimensions[1] == 1);
        CHECK(q.blobs[q.find_blob(name)].dimensions[1] == 2);
    }
    CHECK(p.blobs[p.find_blob("keys")].dimensions[1] == tokens);
    CHECK(p.arena_size < all.arena_size / 3);
}

TEST_CASE("what is predicted is as without it: both doors, any number of examples and threads") {
    predict_both<one, whole_one>();
    predict_both<two, whole_two>();
}

TEST_CASE("the gradients are those of the whole layers, and the differences of losses") {
    differentiate_both<one, whole_one>();
    differentiate_both<two, whole_two>();
}

TEST_CASE("what is learned: the same bits in both doors, for any number of threads") {
    const auto learned = [](auto& net, std::size_t threads) {
        fill(net);
        net.core().use_threads(threads);
        auto t = learning<float>(net);
        for (int i = 0; i < 3; ++i) t.step(std::vector<std::size_t>{0, 1, 2, 3, 4});
        const auto& block = net.core().parameters().block();
        return std::vector<float>(block.data(), block.data() + block.size());
    };
    network<two> first;
    const auto wanted = learned(first, 1);
    for (std::size_t threads : {1u, 2u, 5u}) {
        network<two> net;
        program loaded = program_of(two);
        CHECK(same_bits(learned(net, threads), wanted));
        CHECK(same_bits(learned(loaded, threads), wanted));
    }
}

TEST_CASE("of a fused attention the rows are computed that are read, with the bits that they have among all") {
    constexpr extent heads = 2, size = 8;
    const auto attention = [](extent all, extent read, bool is_whole) {
        layer_list list;
        append(list, batched_matmul{.weight_matrix_second_dimension = heads * size} | from("x") | named("query"));
        append(list, as_node(reshape_static{{all, heads, size}}));
        append(list, transpose{{1, 0, 2}} | named("queries"));
        append(list, batched_matmul{.transpose_b = true} | from("queries", "k") | named("scores"));
        append(list, multiply{.alpha = 0.3f} | named("scaled"));
        append(list, add{} | from("scaled", "mask"));
        append(list, softmax_nd{} | named("shares"));
        append(list, batched_matmul{} | from("shares", "v"));
        append(list, as_node(transpose{{1, 0, 2}}));
        append(list, reshape_static{{all, heads * size}} | named("context"));
        append(list, slice_static{.begin_ids = {0, 0}, .end_ids = {read, heads * size}} | named("y"));
        std::vector<std::string> outputs{"y"};
        if (is_whole) outputs.push_back("context");
        program p(list, {{"x", {all, 5}}, {"k", {heads, all, size}}, {"v", {heads, all, size}}, {"mask", {1, 1, all}}},
                  outputs);
        fill(p);
        return p;
    };
    for (const auto& [all, read] : std::vector<std::pair<extent, extent>>{{40, 7}, {40, 8}, {40, 39}, {300, 1}})
        for (std::size_t count : {1u, 3u}) {
            program some = attention(all, read, false), reference = attention(all, read, true);
            const plan_view p = some.plan();
            const blob_facts& scores = p.blobs[p.find_blob("scores")];
            REQUIRE(scores.dimensions == shape{heads, read, all});
            REQUIRE(scores.streamed == (read > 1));
            REQUIRE(rows_of(p, "query") == read);
            const std::size_t tokens_in = count * static_cast<std::size_t>(all), others = tokens_in * heads * size;
            const std::vector<std::vector<float>> inputs{numbers(tokens_in * 5, 1), numbers(others, 2),
                                                         numbers(others, 3), numbers(tokens_in, 4)};
            auto wanted = run(reference, inputs)[0];
            if (read == 1) {  // a single row is summed up in another way
                const auto alone = run(some, inputs)[0];
                for (std::size_t i = 0; i < wanted.size(); ++i) REQUIRE(std::abs(alone[i] - wanted[i]) < 1e-6f);
                wanted = alone;
            }
            for (std::size_t threads : {1u, 2u, 5u}) {
                some.use_threads(threads);
                REQUIRE(same_bits(run(some, inputs)[0], wanted));
            }
        }
}

TEST_CASE("a loss looks at all of a blob") {
    const auto reasons = [](const plan_view& p) {
        return trainer<float>::check_trainable(p, {mean_squared_error{"encoded"}}, train::updatable_layers);
    };
    CHECK(reasons(network<one>::plan()).front() ==
          "the loss looks at \"encoded\", of which the network computes only what it reads itself: make it an output");
    CHECK(reasons(network<one>::plan()).size() == 2);  // and that the head cannot learn from it
    CHECK(reasons(network<whole_one>::plan()).size() == 1);
}
