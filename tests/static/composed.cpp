// What the compiler knows of a composed network.
#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/all.hpp>
#include <bespoke/network/network.hpp>

using namespace bespoke;

namespace {

constexpr auto digits = compose(
    input{"image", {1, 8, 8}},
    convolution{.output_channels = 16, .kernel_size = {3, 3}, .padding = same} | named("conv1"), relu{}, flatten{},
    inner_product{.output_channels = 10} | named("fc") | updatable, softmax{} | named("probabilities"));
constexpr plan_view plan = network<digits>::plan();

// shapes
static_assert(plan.steps.size() == 5 && plan.inputs.size() == 1 && plan.outputs.size() == 1);
static_assert(plan.blobs[plan.find_blob("conv1")].dimensions == shape{16, 8, 8});
static_assert(plan.blobs[plan.find_blob("fc")].dimensions == shape{10, 1, 1});
static_assert(plan.outputs[0] == plan.find_blob("probabilities"));

// parameters
static_assert(plan.parameters.size() == 4);
static_assert(plan.parameters[0].dimensions == shape{16, 1, 3, 3} && plan.parameters[0].name == "weights");
static_assert(plan.parameters[2].dimensions == shape{10, 1024});
static_assert(plan.steps[plan.find_step("fc")].updatable && !plan.steps[plan.find_step("conv1")].updatable);

// memory: relu in place, and the image beside what the convolution writes
static_assert(plan.arena_size == 64 + 1024 || plan.arena_size == 2 * 1024);

// names of composites
constexpr auto tower =
    compose(input{"x", {8}}, repeat<12>(residual(inner_product{.output_channels = 8} | named("fc"), gelu{}), "block"));
static_assert(network<tower>::plan().steps.size() == 36);
static_assert(network<tower>::plan().find_step("block.11.fc") == 33);

// control flow is planned as well
constexpr auto wound = compose(
    input{"n", {1}}, input{"x", {4}}, linear{} | named("y"),
    loop{compose(sigmoid{} | from("y") | named("t"), copy{} | from("t") | to("y")), 5} | from("n"),
    branch{compose(relu{} | from("y") | to("z")), compose(linear{} | from("y") | to("z"))} | from("n"), output{"z"});
static_assert(network<wound>::plan().steps[1].end == 4);
static_assert(network<wound>::plan().steps[4].end == 7);

// a description is a value, and what a network is depends on nothing else
static_assert(digits == digits);
static_assert(composed_plan<digits>::fits);
constexpr auto wrong = compose(input{"x", {8}}, inner_product{.input_channels = 7, .output_channels = 8});
static_assert(!composed_plan<wrong>::fits);
static_assert(composed_plan<wrong>::run().problem().code == errc::shape_mismatch);

}  // namespace
