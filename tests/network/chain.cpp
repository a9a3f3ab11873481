#include <bespoke/network/chain.hpp>

#include "../control/control_test.hpp"
#include "../sanitized.hpp"
#include "network_test.hpp"

#include <algorithm>

using namespace control_test;
using namespace network_test;

// Planes that one layer alone takes are nowhere whole. The networks "apart" have the same layers and show what lies
// between, so that it has to be there.

namespace {

/// Small results, of several examples at once: by Winograd, directly, by rows of pixels.
constexpr auto small(auto... outputs) {
    return compose(input{"x", {16, 14, 14}}, input{"z", {20, 12, 12}},
                   convolution{.output_channels = 20} | from("x") | named("c1"), batchnorm{} | named("b1"),
                   add{} | from("b1", "z") | named("s1"), relu{} | named("r1"),
                   pooling{.kernel_size = {2, 2}, .stride = {2, 2}} | named("p1"),
                   convolution{.output_channels = 40, .kernel_size = {2, 2}, .padding = same} | named("c2"),
                   bespoke::tanh{} | named("t2"), batchnorm{} | named("b2"),
                   convolution{.output_channels = 40, .n_groups = 40, .padding = same} | named("d2"),
                   batchnorm{} | named("b3"), bespoke::tanh{} | named("t3"),
                   convolution{.output_channels = 24, .kernel_size = {1, 1}} | named("c4"),
                   pooling{.type = pooling_type::average, .global_pooling = true} | named("p4"), outputs...);
}
inline constexpr auto small_together = small();
inline constexpr auto small_apart = small(output{"p4"}, output{"c1"}, output{"b1"}, output{"s1"}, output{"r1"},
                                          output{"c2"}, output{"t2"}, output{"b2"}, output{"c4"});

/// Results of one example that are cut into channels: 40 * 61 * 70 is more than `near_elements`.
constexpr auto large(auto... outputs) {
    return compose(input{"x", {3, 61, 70}}, input{"z", {40, 61, 70}}, input{"w", {40, 31, 35}},
                   convolution{.output_channels = 40, .kernel_size = {1, 1}} | from("x") | named("c1"),
                   batchnorm{} | named("b1"), add{} | from("b1", "z") | named("s1"), clip{-0.5f, 1} | named("k1"),
                   convolution{.output_channels = 40, .n_groups = 40, .stride = {2, 2}, .padding = same} | named("d1"),
                   batchnorm{} | named("b2"), add{} | from("b2", "w") | named("s2"), clip{-1, 0.5f} | named("k2"),
                   convolution{.output_channels = 150, .kernel_size = {1, 1}} | named("c2"),
                   bespoke::tanh{} | named("t2"), batchnorm{} | named("b3"), relu{} | named("r3"),
                   pooling{.stride = {2, 2}} | named("p2"), outputs...);
}
inline constexpr auto large_together = large();
inline constexpr auto large_apart = large(output{"p2"}, output{"c1"}, output{"b1"}, output{"s1"}, output{"k1"},
                                          output{"c2"}, output{"t2"}, output{"b3"}, output{"r3"});

/// The names of the steps that take planes as they come.
template <const auto& D>
std::vector<std::string_view> takers() {
    std::vector<std::string_view> names;
    constexpr plan_view p = network<D>::plan();
    for (const auto& step : p.steps)
        if (step.takes_from != blob_facts::npos) names.push_back(p[step.name]);
    return names;
}

template <const auto& Together, const auto& Apart, std::size_t... Input>
void compare(const std::vector<std::size_t>& sizes, std::index_sequence<Input...>) {
    REQUIRE(takers<Apart>().empty());
    const std::size_t threads = GENERATE(1u, 2u, 5u), examples = GENERATE(1u, 3u, 9u);
    const bool winograd = GENERATE(true, false);
    if (sanitized && threads != (examples == 3 ? 1 : 5)) return;
    network<Together> together(0, threads);
    network<Apart> one_by_one(0, threads);
    program loaded = program_of(Together);
    together.core().use(arithmetic{.winograd = winograd});
    one_by_one.core().use(arithmetic{.winograd = winograd});
    loaded.use(arithmetic{.winograd = winograd});
    fill(together);
    fill(one_by_one);
    copy_parameters(together, loaded);
    std::vector<std::vector<float>> x;
    for (const std::size_t size : sizes) x.push_back(network_test::numbers(examples * size, 7 + x.size()));
    const auto y = to_vector(together.predict_batch(x[Input]...));
    CHECK(same_bits(y, to_vector(std::get<0>(one_by_one.predict_batch(x[Input]...)))));
    CHECK(same_bits(y, run(loaded, {x[Input]...})[0]));
    if (examples == 1) CHECK(same_bits(y, to_vector(together(x[Input]...))));
    const auto [least, most] = std::minmax_element(y.begin(), y.end());
    CHECK(*least < *most);
    // Where all blobs are wanted, they are there, and the same.
    auto& e = together.core();
    e.reserve(static_cast<extent>(examples), true);
    for (std::size_t i = 0; i < x.size(); ++i) std::ranges::copy(x[i], e.value(together.plan().inputs[i]));
    together.forward();
    const std::size_t out = together.plan().outputs[0];
    CHECK(same_bits(y, std::vector<float>(e.value(out), e.value(out) + e.elements(out))));
    CHECK(e.value(together.plan().find_blob("c1")) != nullptr);
}

}  // namespace

TEST_CASE("small planes of several examples have the bits of the layers one after the other") {
    REQUIRE(takers<small_together>() == std::vector<std::string_view>{"p1", "d2", "p4"});
    compare<small_together, small_apart>({16 * 14 * 14, 20 * 12 * 12}, std::make_index_sequence<2>{});
}

TEST_CASE("planes of a large result, some channels at a time, have the bits of the layers one after the other") {
    REQUIRE(takers<large_together>() == std::vector<std::string_view>{"d1", "p2"});
    compare<large_together, large_apart>({3 * 61 * 70, 40 * 61 * 70, 40 * 31 * 35}, std::make_index_sequence<3>{});
}
