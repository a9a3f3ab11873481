#include <bespoke/network/layer_runner.hpp>

#include "../control/control_test.hpp"
#include "network_test.hpp"

#include <algorithm>

using namespace control_test;
using namespace network_test;

TEST_CASE("gradients that nobody wants are not written, the others are the same") {
    const auto d =
        compose(input{"x", {3}}, inner_product{.output_channels = 3} | named("fc"), bespoke::tanh{} | named("t"));
    const planner p = planned(d);
    const plan_view plan = p.result().view();
    engine<double> e(plan);
    e.initialize(1);
    std::vector<values> v(plan.blobs.size(), values(3, 0.5)), g(plan.blobs.size(), values(3));
    g.back() = {1, 2, 3};
    std::vector<double*> at, to;
    for (auto& one : v) at.push_back(one.data());
    for (auto& one : g) to.push_back(one.data());
    const std::vector<char> trained(2, 1);
    const auto gradients = [&](bool of_input, bool of_weights) {
        values dw(9), db(3);
        std::fill(g[0].begin(), g[0].end(), 0);
        std::fill(g[1].begin(), g[1].end(), 0);
        to[0] = of_input ? g[0].data() : nullptr;
        e.parameter_gradients() = {of_weights ? dw.data() : nullptr, db.data()};
        e.place(1, at, to);
        e.attach(d);
        e.prepare();
        e.select(pass::trainable, trained);
        d.forward(e, std::size_t{0});
        d.backward(e, 0);
        return std::tuple{g[0], dw, db};
    };
    const auto [dx, dw, db] = gradients(true, true);
    CHECK(dx != values(3));
    CHECK(dw != values(9));
    CHECK(gradients(false, true) == std::tuple{values(3), dw, db});
    CHECK(gradients(true, false) == std::tuple{dx, values(9), db});
}

TEST_CASE("a layer of many inputs") {
    constexpr std::size_t n = 12;
    planner p;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < n; ++i) names.push_back("x" + std::to_string(i));
    for (const auto& name : names) p.input(name, {2});
    const std::vector<std::string_view> all(names.begin(), names.end());
    p.add(add{}, "y", all, {}, false);
    p.finish();
    REQUIRE_FALSE(p.failed());
    engine<double> e(p.result().view());
    e.reserve(2);
    for (std::size_t i = 0; i < n; ++i) std::fill_n(e.value(i), 4, static_cast<double>(i));
    const add layer;
    forward_layer(e, functions_of<double, add>::value, &layer, 0);
    CHECK(values(e.value(n), e.value(n) + 4) == values(4, 66));
}

// --- epilogues --------------------------------------------------------------------------------------------

namespace {

/// Everything that can finish something, behind everything that can begin.
constexpr auto chained(auto... outputs) {
    return compose(
        input{"x", {4, 12, 12}}, input{"row", {1, 1, 12}},
        convolution{.output_channels = 8, .padding = same} | from("x") | named("c1"), batchnorm{} | named("b1"),
        relu{} | named("r1"), convolution{.output_channels = 8, .n_groups = 8, .padding = same} | named("c2"),
        batchnorm{} | named("b2"), add{} | from("r1", "b2") | named("s"), bespoke::tanh{} | named("t"),
        sigmoid{} | named("g"), multiply{.alpha = 1.5f} | named("m"), linear{2, 1} | named("l"),
        batched_matmul{.transpose_b = true} | from("l", "c1") | named("product"),
        multiply{.alpha = 0.25f} | named("scaled"), add{} | from("scaled", "row") | named("masked"),
        batchnorm{} | named("b3"),
        convolution{.output_channels = 8, .is_deconvolution = true, .has_bias = false} | named("d"),
        batchnorm{} | named("b4"), add{2} | named("up"), flatten{} | named("f"),
        inner_product{.output_channels = 600} | named("fc"), relu{} | named("last"), output{"last"}, outputs...);
}
inline constexpr auto fused = chained();
inline constexpr auto chain_apart =
    chained(output{"b1"}, output{"r1"}, output{"c1"}, output{"c2"}, output{"b2"}, output{"s"}, output{"t"}, output{"g"},
            output{"m"}, output{"product"}, output{"scaled"}, output{"masked"}, output{"d"}, output{"b4"},
            output{"fc"});

/// Chains that begin with a map of channels, of every length, and one that does not go into one.
constexpr auto mapped(auto... outputs) {
    return compose(input{"x", {4, 12, 12}}, convolution{.output_channels = 36} | named("c1"),
                   batchnorm{} | named("b1"), clip{-0.25f, 0.5f} | named("k1"),
                   convolution{.output_channels = 36, .n_groups = 36, .padding = same} | named("c2"),
                   batchnorm{} | named("b2"), relu{} | named("r2"), batchnorm{} | named("b22"),
                   convolution{.output_channels = 8, .kernel_size = {1, 1}} | named("c3"), batchnorm{} | named("b3"),
                   convolution{.output_channels = 40, .kernel_size = {1, 1}} | named("c4"), relu{} | named("r4"),
                   clip{0, 1} | named("k4"), convolution{.output_channels = 20} | named("c5"),
                   bespoke::tanh{} | named("t5"),
                   convolution{.output_channels = 20, .kernel_size = {1, 1}} | named("c6"),
                   batchnorm{} | named("b6"), add{} | from("b6", "t5") | named("s6"), relu{} | named("r6"),
                   convolution{.output_channels = 20, .padding = same} | named("c7"),
                   add_broadcastable{} | from("r6", "c7") | named("s7"), outputs...);
}
inline constexpr auto mapped_together = mapped();
inline constexpr auto mapped_apart =
    mapped(output{"c1"}, output{"b1"}, output{"k1"}, output{"c2"}, output{"b2"}, output{"r2"}, output{"b22"},
           output{"c3"}, output{"b3"}, output{"c4"}, output{"r4"}, output{"k4"}, output{"c5"}, output{"t5"},
           output{"c6"}, output{"b6"}, output{"s6"}, output{"r6"}, output{"c7"}, output{"s7"});

template <const auto& D>
std::vector<std::string_view> heads_of_chains() {
    std::vector<std::string_view> heads;
    constexpr plan_view p = network<D>::plan();
    for (const auto& step : p.steps)
        if (step.head == blob_facts::npos && step.next != blob_facts::npos) heads.push_back(p[step.name]);
    return heads;
}

}  // namespace

TEST_CASE("a chain that runs as an epilogue gives the bits of its layers one after the other") {
    REQUIRE(heads_of_chains<chain_apart>().empty());
    REQUIRE(heads_of_chains<fused>() == std::vector<std::string_view>{"c2", "product", "d", "fc"});
    const std::size_t threads = GENERATE(1u, 2u);
    const std::size_t examples = GENERATE(1u, 5u);
    network<fused> together(0, threads);
    network<chain_apart> one_by_one(0, threads);
    program loaded = program_of(fused);
    fill(together);
    fill(one_by_one);
    copy_parameters(together, loaded);
    const auto x = network_test::numbers(examples * 4 * 12 * 12, 7), row = network_test::numbers(examples * 12, 8);
    const auto y = to_vector(together.predict_batch(x, row));
    const auto layers = one_by_one.predict_batch(x, row);
    CHECK(same_bits(y, to_vector(std::get<0>(layers))));
    CHECK(same_bits(y, run(loaded, {x, row})[0]));
    if (examples == 1) CHECK(same_bits(y, to_vector(together(x, row))));
    const auto [least, most] = std::minmax_element(y.begin(), y.end());
    CHECK(*least == 0);
    CHECK(*most > 0);
}

namespace {

/// An input that is written over between the layer that an epilogue could begin with and the one that reads both.
constexpr auto written_over(auto... outputs) {
    return compose(input{"x", {600}}, input{"z", {600}}, input{"u", {600}},
                   inner_product{.output_channels = 600} | from("x") | named("p"), copy{} | from("u") | to("z"),
                   add{} | from("z", "p") | named("s"), output{"s"}, outputs...);
}
inline constexpr auto input_written_over = written_over();
inline constexpr auto input_written_apart = written_over(output{"p"});

}  // namespace

TEST_CASE("an input that is written over is read behind that") {
    network<input_written_over> net;
    network<input_written_apart> apart;
    program loaded = program_of(input_written_over);
    fill(net);
    fill(apart);
    copy_parameters(net, loaded);
    const auto x = network_test::numbers(600, 1), z = network_test::numbers(600, 2), u = network_test::numbers(600, 3);
    auto wanted = to_vector(std::get<1>(apart(x, z, u)));
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] += u[i];
    CHECK(same_bits(to_vector(net(x, z, u)), wanted));
    CHECK(same_bits(run(loaded, {x, z, u})[0], wanted));
}

TEST_CASE("what a chain begins with goes into the kernel and changes no bit") {
    REQUIRE(heads_of_chains<mapped_apart>().empty());
    REQUIRE(heads_of_chains<mapped_together>() ==
            std::vector<std::string_view>{"c1", "c2", "c3", "c4", "c5", "c6", "c7"});
    const std::size_t threads = GENERATE(1u, 2u);
    const std::size_t examples = GENERATE(1u, 5u);
    network<mapped_together> together(0, threads);
    network<mapped_apart> one_by_one(0, threads);
    program loaded = program_of(mapped_together);
    fill(together);
    fill(one_by_one);
    copy_parameters(together, loaded);
    const auto x = network_test::numbers(examples * 4 * 12 * 12, 7);
    const auto y = to_vector(together.predict_batch(x));
    CHECK(same_bits(y, to_vector(std::get<19>(one_by_one.predict_batch(x)))));
    CHECK(same_bits(y, run(loaded, {x})[0]));
    const auto [least, most] = std::minmax_element(y.begin(), y.end());
    CHECK(*least < 0);
    CHECK(*most > 0);
}

// --- layers in terms of others, which the shape of the first input chooses ----------------------------------------

namespace {

/// y [rows, n] = x2 + factor x1 [n].
struct scaled_sum {
    float factor = 0;

    static constexpr auto key = "scaledSum";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[1]; }
    constexpr bool finishes(std::span<const shape>) const { return true; }
    void forward(auto xs, auto ys, const auto&, auto&) const noexcept {
        for (extent i = 0; i < ys[0].size(); ++i)
            ys[0].data[i] = xs[1].data[i] + factor * xs[0].data[i % xs[0].size()];
    }
    void finish(const auto& block, const auto& with) const noexcept {
        for (extent i = 0; i < block.rows; ++i)
            for (extent j = 0, k = i * block.stride; j < block.columns; ++j, ++k)
                block.data[k] += factor * with.other[(with.offset + k) % with.other_dimensions->size()];
    }
    void backward(auto...) const noexcept {}
    bool operator==(const scaled_sum&) const = default;
};
struct sum_by_rank {
    static constexpr auto key = "sumByRank";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[1]; }
    constexpr scaled_sum equivalent(const shape& x) const { return {x.rank() == 1 ? 2.0f : 3.0f}; }
    bool operator==(const sum_by_rank&) const = default;
};

/// y = x + number.
struct shifted_rows {
    float number = 0;

    static constexpr auto key = "shiftedRows";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr std::size_t entries_from(std::span<const shape>, std::size_t back) const { return back; }
    void forward(auto x, auto y, const auto&, auto&) const noexcept {
        for (extent i = 0; i < y.size(); ++i) y.data[i] = x.data[i] + number;
    }
    void backward(auto...) const noexcept {}
    bool operator==(const shifted_rows&) const = default;
};
/// So many rows as it is given: what no layer should make of it, but it shows what it is asked.
struct shifted_by_rows {
    static constexpr auto key = "shiftedByRows";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr shifted_rows equivalent(const shape& x) const { return {static_cast<float>(x[0])}; }
    bool operator==(const shifted_by_rows&) const = default;
};

constexpr auto by_rank(auto... outputs) {
    return compose(input{"x", {50, 6}}, input{"row", {12}},
                   inner_product{.output_channels = 12} | from("x") | named("p"),
                   sum_by_rank{} | from("row", "p") | named("s"), output{"s"}, outputs...);
}
inline constexpr auto by_rank_fused = by_rank();
inline constexpr auto by_rank_apart = by_rank(output{"p"});
inline constexpr auto two_rows =
    compose(input{"x", {9, 4}}, shifted_by_rows{} | named("shifted"),
            slice_static{.begin_ids = {0, 0}, .end_ids = {2, 4}} | named("y"));

}  // namespace

TEST_CASE("a layer in terms of another is asked with the shape of its first input, as it reads that") {
    REQUIRE(heads_of_chains<by_rank_fused>() == std::vector<std::string_view>{"p"});
    network<by_rank_fused> fused;
    network<by_rank_apart> apart;
    fill(fused);
    fill(apart);
    const auto x = network_test::numbers(50 * 6, 1), row = network_test::numbers(12, 2);
    const auto [sum, product] = apart(x, row);
    for (std::size_t i = 0; i < 600; ++i) REQUIRE(sum.data()[i] == product.data()[i] + 2 * row[i % 12]);
    CHECK(same_bits(to_vector(fused(x, row)), to_vector(sum)));

    network<two_rows> two;
    const auto z = network_test::numbers(36, 3);
    const auto y = to_vector(two(z));
    for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == z[i] + 2);
}
