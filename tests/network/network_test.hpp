#pragma once

#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/network/program.hpp>

#include <catch2/catch.hpp>

#include <cstring>
#include <string>
#include <vector>

/// Networks that several tests use, and a composed description as what a loader makes of the same layers.
namespace network_test {

using namespace bespoke;

inline constexpr auto mlp = compose(input{"x", {32}}, inner_product{.output_channels = 64} | named("a"),
                                    bespoke::tanh{}, inner_product{.output_channels = 64} | named("b"), bespoke::tanh{},
                                    inner_product{.output_channels = 8} | named("c"));

inline constexpr auto lenet = compose(
    input{"image", {1, 20, 20}},
    convolution{.output_channels = 6, .kernel_size = {5, 5}, .padding = same} | named("conv1"), relu{},
    pooling{.kernel_size = {2, 2}, .stride = {2, 2}},
    convolution{.output_channels = 16, .kernel_size = {3, 3}} | named("conv2"), relu{},
    pooling{.kernel_size = {2, 2}, .stride = {2, 2}}, flatten{}, inner_product{.output_channels = 40} | named("fc1"),
    bespoke::tanh{}, inner_product{.output_channels = 10} | named("fc2"), softmax{} | named("probabilities"));

/// Several inputs and outputs.
inline constexpr auto joined =
    compose(input{"x", {3}}, input{"z", {2, 2}}, reshape_static{.target_shape = {4}} | from("z") | named("flat"),
            inner_product{.output_channels = 4} | from("x") | named("fc"), add{} | from("fc", "flat") | named("sum"),
            output{"sum"}, output{"fc"});

/// x chooses what happens to it: a branch in a loop that its input counts, with a way out and a short cut.
inline constexpr auto winding = compose(
    input{"n", {1}}, input{"c", {1}}, input{"x", {6}}, linear{} | from("x") | named("y"),
    linear{0, 0} | from("n") | named("i"),
    loop{compose(inner_product{.output_channels = 6} | from("y") | named("w"),
                 branch{compose(bespoke::tanh{} | from("w") | to("v")),
                        compose(inner_product{.output_channels = 6} | from("w") | named("other") | to("u"),
                                sigmoid{} | from("u") | to("v"))} |
                     from("c"),
                 copy{} | from("v") | to("y"), linear{1, 1} | from("i") | named("i_next"),
                 copy{} | from("i_next") | to("i"), linear{1, -4} | from("i") | named("four"),
                 branch{compose(), compose(loop_break{})} | from("four"), linear{1, -2} | from("i") | named("two"),
                 branch{compose(), compose(loop_continue{})} | from("two"),
                 linear{0.5f, 0.25f} | from("y") | named("half"), copy{} | from("half") | to("y"))} |
        from("n"),
    linear{3, 0} | from("c") | named("left"),
    loop{compose(bespoke::tanh{} | from("y") | named("t"), copy{} | from("t") | to("y"),
                 linear{1, -1} | from("left") | named("less"), copy{} | from("less") | to("left")),
         0, compose(relu{} | from("left") | named("go")), "go"},
    inner_product{.output_channels = 3} | from("y") | named("last"), output{"last"}, output{"i"});

/// Between -1 and 1.
inline std::vector<float> numbers(std::size_t n, std::uint64_t seed = 1) {
    philox random(seed);
    std::vector<float> v(n);
    for (float& e : v) e = static_cast<float>(2 * random.uniform() - 1);
    return v;
}
template <class X>
std::vector<float> to_vector(const X& x) {
    return {x.begin(), x.end()};
}
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// --- the same layers, chosen at run time ------------------------------------------------------------------

template <class... Parts>
layer_list list_of(const sequence<Parts...>& s);

template <class L>
const L& loaded(const L& layer) {
    return layer;
}
template <class If, class Else>
branch<layer_list, layer_list> loaded(const branch<If, Else>& b) {
    return {list_of(b.if_branch), list_of(b.else_branch)};
}
template <class Body, class Condition>
loop<layer_list, layer_list> loaded(const loop<Body, Condition>& l) {
    return {list_of(l.body_network), l.max_loop_iterations, list_of(l.condition_network), l.condition_variable};
}

template <class Part>
void append(layer_list&, const Part&) {}  // inputs and outputs are told apart
template <class L>
void append(layer_list& list, const node<L>& n) {
    auto made = std::make_shared<node_of<std::remove_cvref_t<decltype(loaded(n.layer))>>>(loaded(n.layer));
    made->name = n.name;
    made->inputs.assign(n.inputs.names.begin(), n.inputs.names.begin() + static_cast<std::ptrdiff_t>(n.inputs.count));
    made->outputs.assign(n.outputs.names.begin(),
                         n.outputs.names.begin() + static_cast<std::ptrdiff_t>(n.outputs.count));
    made->updatable = n.updatable;
    list.add(made);
}
template <class... Parts>
layer_list list_of(const sequence<Parts...>& s) {
    layer_list list;
    s.each_part([&](const auto& part) { append(list, part); });
    return list;
}

template <class... Parts>
program program_of(const sequence<Parts...>& s) {
    std::vector<program::named_shape> inputs;
    std::vector<std::string> outputs;
    const auto look = [&]<class Part>(const Part& part) {
        if constexpr (std::is_same_v<Part, input>) inputs.push_back({std::string(part.name), part.dimensions});
        if constexpr (std::is_same_v<Part, output>) outputs.emplace_back(part.name);
    };
    s.each_part(look);
    return program(list_of(s), inputs, outputs);
}

/// Runs a program: all its outputs, one after the other.
inline std::vector<std::vector<float>> run(program& p, const std::vector<std::vector<float>>& inputs) {
    const extent size = p.plan().blobs[p.plan().inputs[0]].dimensions.size();
    p.core().reserve(static_cast<extent>(inputs[0].size()) / size);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        std::copy(inputs[i].begin(), inputs[i].end(), p.core().value(p.plan().inputs[i]));
    p.forward();
    std::vector<std::vector<float>> outputs;
    for (std::size_t b : p.plan().outputs)
        outputs.emplace_back(p.core().value(b), p.core().value(b) + p.core().elements(b));
    return outputs;
}

template <class Network>
void copy_parameters(const Network& from, program& to) {
    const auto& block = from.core().parameters().block();
    std::copy_n(block.data(), block.size(), to.core().parameters().block().data());
    to.prepare();
}

/// Numbers for every parameter; variances are positive.
template <class Net>
void fill(Net& net) {
    const plan_view p = net.plan();
    for (std::size_t i = 0; i < p.parameters.size(); ++i) {
        const auto& facts = p.parameters[i];
        const auto values = numbers(static_cast<std::size_t>(facts.dimensions.size()), i + 1);
        for (std::size_t k = 0; k < values.size(); ++k)
            net.core().parameter(i)[k] = facts.name == "variance" ? 1.5f + values[k] : values[k] / 4;
    }
    net.prepare();
}

}  // namespace network_test
