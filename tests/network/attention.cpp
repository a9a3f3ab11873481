#include <bespoke/training/update_task.hpp>

#include "../sanitized.hpp"
#include "network_test.hpp"

#include <limits>

using namespace network_test;

// A product, what is done to its rows, and a product with them: in a prediction the scores are nowhere whole. The
// networks "apart" have the same layers and show what lies between, so that it has to be there.

namespace {

struct sizes {
    shape q, k, v, mask;
    bool transposed = true;
};

/// The scores have more than `unrolled_elements`.
const std::vector<sizes> all_sizes{
    {{40, 8}, {33, 8}, {33, 7}, {1, 33}},
    {{2, 300}, {300, 257}, {257, 1}, {2, 257}, false},
    {{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {1, 1, 26}},
    {{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {1, 25, 26}},
    {{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {3, 25, 26}},
    {{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {3, 1, 26}},
    {{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {3, 25, 1}},
    {{3, 25, 16}, {1, 26, 16}, {26, 19}, {1, 1, 1}},
    {{2, 3, 130, 5}, {2, 3, 131, 5}, {2, 3, 131, 33}, {2, 1, 1, 131}},
    {{2, 3, 13, 5}, {1, 3, 21, 5}, {2, 1, 21, 4}, {1, 1, 13, 21}},
    {{2, 3, 13, 5}, {3, 5, 21}, {21, 4}, {1, 3, 1, 21}, false},
};

/// `shown`: the last so many of what lies between are outputs.
program attention(const sizes& s, bool scaled, bool masked, std::size_t shown) {
    layer_list list;
    append(list, batched_matmul{.transpose_b = s.transposed} | from("q", "k") | named("scores"));
    if (scaled) append(list, multiply{.alpha = 0.3f} | named("scaled"));
    if (masked) append(list, add{} | from(scaled ? "scaled" : "scores", "mask") | named("masked"));
    append(list, softmax_nd{} | named("shares"));
    append(list, batched_matmul{} | from("shares", "v") | named("y"));
    std::vector<std::string> outputs{"y"};
    for (std::size_t i = list.nodes().size() - 1; i > 0 && shown > 0; --shown)
        outputs.push_back(list.nodes()[--i]->name);
    return program(list, {{"q", s.q}, {"k", s.k}, {"v", s.v}, {"mask", s.mask}}, outputs);
}
std::size_t streamed(const plan_view& p) {
    std::size_t count = 0;
    for (const auto& blob : p.blobs) count += blob.streamed;
    return count;
}

}  // namespace

TEST_CASE("an attention has the bits of its layers: all shapes, any number of examples and threads") {
    const bool scaled = GENERATE(false, true), masked = GENERATE(false, true);
    for (const sizes& s : all_sizes) {
        program together = attention(s, scaled, masked, 0), one_by_one = attention(s, scaled, masked, 4);
        program epilogues = attention(s, scaled, masked, 1);
        CAPTURE(s.q[0], s.q[1], s.mask[0], scaled, masked);
        REQUIRE(streamed(together.plan()) == std::size_t{2} + scaled + masked);
        REQUIRE(streamed(one_by_one.plan()) == 0);
        REQUIRE(streamed(epilogues.plan()) == 0);
        REQUIRE(together.plan().arena_size < one_by_one.plan().arena_size);
        for (std::size_t examples : {1u, 3u}) {
            const auto of = [&](const shape& x, std::uint64_t seed) {
                return numbers(examples * static_cast<std::size_t>(x.size()), seed);
            };
            std::vector<std::vector<float>> inputs{of(s.q, 1), of(s.k, 2), of(s.v, 3), of(s.mask, 4)};
            const auto compare = [&] {
                const auto wanted = run(one_by_one, inputs)[0];
                for (std::size_t threads : {1u, 2u, 5u}) {
                    if (sanitized && (threads == 2) != (examples == 3)) continue;
                    together.use_threads(threads);
                    REQUIRE(same_bits(run(together, inputs)[0], wanted));
                }
                REQUIRE(same_bits(run(epilogues, inputs)[0], wanted));
                return wanted;
            };
            compare();
            // What must not be seen, and rows of nothing else.
            constexpr float infinity = std::numeric_limits<float>::infinity();
            for (std::size_t i = 0; i < inputs[3].size(); i += 2) inputs[3][i] = -infinity;
            const auto hidden = compare();
            for (float& v : inputs[3]) v = -infinity;
            const auto nothing = compare();
            if (masked) CHECK(std::isnan(nothing[0]));
            inputs[3] = of(s.mask, 4);
            inputs[3].back() = std::numeric_limits<float>::quiet_NaN();
            const auto some = compare();
            if (masked) CHECK(std::isnan(some.back()));
            inputs[0][0] = infinity;
            inputs[2].back() = -infinity;
            compare();
        }
    }
}

TEST_CASE("an attention has the values of the formula") {
    const sizes s{{3, 25, 16}, {3, 26, 16}, {3, 26, 19}, {1, 25, 26}};
    program net = attention(s, true, true, 0);
    const auto q = numbers(3 * 25 * 16, 1), k = numbers(3 * 26 * 16, 2);
    const auto v = numbers(3 * 26 * 19, 3), mask = numbers(25 * 26, 4);
    const auto y = run(net, {q, k, v, mask})[0];
    double worst = 0;
    for (std::size_t h = 0; h < 3; ++h)
        for (std::size_t i = 0; i < 25; ++i) {
            std::vector<double> share(26);
            double sum = 0;
            for (std::size_t j = 0; j < 26; ++j) {
                for (std::size_t d = 0; d < 16; ++d)
                    share[j] += static_cast<double>(q[(h * 25 + i) * 16 + d]) *
                                static_cast<double>(k[(h * 26 + j) * 16 + d]);
                sum += share[j] = std::exp(0.3 * share[j] + static_cast<double>(mask[i * 26 + j]));
            }
            for (std::size_t c = 0; c < 19; ++c) {
                double wanted = 0;
                for (std::size_t j = 0; j < 26; ++j)
                    wanted += share[j] / sum * static_cast<double>(v[(h * 26 + j) * 19 + c]);
                worst = std::max(worst, std::abs(wanted - static_cast<double>(y[(h * 25 + i) * 19 + c])));
            }
        }
    CHECK(worst < 1e-6);
}

TEST_CASE("no attention where the rows are not whole, one alone, small, or somebody else's") {
    const auto count = [](const sizes& s, const auto& tell) {
        layer_list list;
        tell(list);
        return streamed(program(list, {{"q", s.q}, {"k", s.k}, {"v", s.v}, {"mask", s.mask}}, {}).plan());
    };
    const auto layers = [](extent axis, bool transpose_a) {
        return [=](layer_list& list) {
            append(list, batched_matmul{.transpose_b = true} | from("q", "k"));
            append(list, softmax_nd{.axis = axis} | named("shares"));
            append(list, batched_matmul{.transpose_a = transpose_a} | from("shares", "v"));
        };
    };
    const sizes s{{30, 8}, {30, 8}, {30, 7}, {1, 30}};
    CHECK(count(s, layers(-1, false)) == 2);
    CHECK(count(s, layers(1, false)) == 2);
    CHECK(count(s, layers(0, false)) == 0);
    CHECK(count(s, layers(-1, true)) == 0);
    CHECK(count({{1, 8}, {600, 8}, {600, 7}, {1}}, layers(-1, false)) == 0);
    CHECK(count({{16, 8}, {32, 8}, {32, 7}, {1}}, layers(-1, false)) == 0);
    CHECK(count({{2, 30, 8}, {2, 30, 8}, {2, 30, 7}, {1}}, layers(-1, false)) == 2);
    CHECK(count({{30, 8}, {30, 8}, {2, 30, 7}, {1}}, layers(-1, false)) == 0);  // each row for several products
    CHECK(count(s, [](layer_list& list) {  // the rows of the right-hand side
              append(list, batched_matmul{.transpose_b = true} | from("q", "k"));
              append(list, softmax_nd{} | named("shares"));
              append(list, batched_matmul{.transpose_a = true} | from("q", "shares") | named("y"));
          }) == 0);
    CHECK(count(s, [](layer_list& list) {  // v is not there yet
              append(list, batched_matmul{.transpose_b = true} | from("q", "k"));
              append(list, softmax_nd{} | named("shares"));
              append(list, bespoke::tanh{} | from("v") | named("late"));
              append(list, batched_matmul{} | from("shares", "late"));
          }) == 0);
    CHECK(count(s, [](layer_list& list) {  // nothing for whole rows
              append(list, batched_matmul{.transpose_b = true} | from("q", "k"));
              append(list, bespoke::tanh{} | named("shares"));
              append(list, batched_matmul{} | from("shares", "v"));
          }) == 0);
    CHECK(count(s, [](layer_list& list) {  // behind the softmax as well; what comes then is no part of it
              append(list, batched_matmul{.transpose_b = true} | from("q", "k"));
              append(list, softmax_nd{} | named("all"));
              append(list, multiply{} | from("all", "mask") | named("shares"));
              append(list, batched_matmul{} | from("shares", "v"));
              append(list, bespoke::tanh{} | named("end"));
          }) == 3);
}

// --- training -------------------------------------------------------------------------------------------------

namespace {

/// What learns is chosen: the whole, the values alone, or only what comes behind.
enum class learner { all, value, last };

constexpr auto classifier(learner which, auto... outputs) {
    const auto dense = [&](std::string_view to_blob, bool learns) {
        auto part = inner_product{.output_channels = 8} | from("x") | named(to_blob);
        part.updatable = learns;
        return part;
    };
    return compose(input{"x", {30, 8}}, dense("q", which == learner::all), dense("k", which == learner::all),
                   dense("v", which != learner::last),
                   batched_matmul{.transpose_b = true} | from("q", "k") | named("scores"),
                   multiply{.alpha = 0.3f} | named("scaled"), softmax_nd{} | named("shares"),
                   batched_matmul{} | from("shares", "v") | named("mixed"),
                   inner_product{.output_channels = 2} | named("y") | updatable, output{"y"}, outputs...);
}
constexpr auto apart(learner which) {
    return classifier(which, output{"scores"}, output{"scaled"}, output{"shares"});
}
inline constexpr auto all_together = classifier(learner::all), value_together = classifier(learner::value),
                      last_together = classifier(learner::last);
inline constexpr auto all_apart = apart(learner::all), value_apart = apart(learner::value),
                      last_apart = apart(learner::last);

template <const auto& D>
std::vector<float> learned() {
    network<D> net(3);
    const auto x = numbers(5 * 30 * 8, 1), y = numbers(5 * 30 * 2, 2);
    const training_setup<float> setup{.examples = 5,
                                      .inputs = {x},
                                      .losses = {mean_squared_error{.input = "y"}},
                                      .targets = {y},
                                      .with = adam{.learning_rate = 0.05}};
    net = update(net, setup, {.epochs = 3, .mini_batch_size = 2});
    const auto& parameters = net.core().parameters().block();
    return {parameters.data(), parameters.data() + parameters.size()};
}

}  // namespace

TEST_CASE("a network with an attention learns as one whose layers are apart") {
    REQUIRE(streamed(network<all_together>::plan()) == 3);
    REQUIRE(streamed(network<all_apart>::plan()) == 0);
    CHECK(same_bits(learned<all_together>(), learned<all_apart>()));
    CHECK(same_bits(learned<value_together>(), learned<value_apart>()));
    CHECK(same_bits(learned<last_together>(), learned<last_apart>()));
    CHECK_FALSE(same_bits(learned<value_together>(), learned<last_together>()));
}

TEST_CASE("a composed network with an attention has the bits of a loaded one") {
    network<all_together> net(3);
    program loaded = program_of(all_together);
    copy_parameters(net, loaded);
    const auto x = numbers(7 * 30 * 8, 1);
    CHECK(same_bits(to_vector(net.predict_batch(x)), run(loaded, {x})[0]));
}
