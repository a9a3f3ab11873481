#pragma once

#include <bespoke/graph/planner.hpp>
#include <bespoke/network/engine.hpp>
#include <bespoke/training/check_gradients.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

/// What tests of layers share.
namespace layer_test {

using bespoke::extent;
using bespoke::shape;

/// An input of a layer: the shape of one example and the values of one or more of them, one after the
/// other. `once`: stored once for all examples, as a constant of a network is.
template <class T>
struct blob {
    shape dimensions;
    std::vector<T> values;
    bool once = false;
};

/// What a layer gave: for each output the shape of one example and the values of all.
template <class T>
struct result {
    std::vector<shape> shapes;
    std::vector<std::vector<T>> values;

    const shape& dimensions() const { return shapes.at(0); }
    const std::vector<T>& first() const { return values.at(0); }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <class T>
bool same_bits(const result<T>& a, const result<T>& b) {
    if (!(a.shapes == b.shapes) || a.values.size() != b.values.size()) return false;
    for (std::size_t i = 0; i < a.values.size(); ++i)
        if (!same_bits(a.values[i], b.values[i])) return false;
    return true;
}

/// A network of one layer.
template <class L>
struct only {
    const L& layer;
    std::size_t step;
    template <class Visit>
    void each(std::size_t, const Visit& visit) const {
        visit(layer, step);
    }
};

template <class L>
bespoke::planner plan_of(const L& layer, const std::vector<shape>& inputs,
                         const std::vector<bool>& once = {}) {
    bespoke::planner p;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < inputs.size(); ++i) names.push_back("x" + std::to_string(i));
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (i < once.size() && once[i])
            p.add(bespoke::detail::stored_once{inputs[i]}, names[i], {}, {}, false);
        else
            p.input(names[i], inputs[i]);
    const std::vector<std::string_view> from(names.begin(), names.end());
    std::vector<std::string> outputs;
    if (inputs.size() >= bespoke::inputs_of<L>.least && inputs.size() <= bespoke::inputs_of<L>.most)
        if (const auto o = bespoke::output_shapes(layer, std::span<const shape>(inputs));
            o && o.shapes().size() != 1)
            for (std::size_t i = 0; i < o.shapes().size(); ++i) outputs.push_back("y" + std::to_string(i));
    const std::vector<std::string_view> to(outputs.begin(), outputs.end());
    p.add(layer, "layer", from, to, false);
    for (const auto& name : outputs) p.output(name);
    p.finish();
    return p;
}

/// The fault that a layer finds in these shapes, as the planner words it: "layers/0 "layer" (key): ...".
/// Empty: none.
template <class L>
std::string fault_of(const L& layer, const std::vector<shape>& inputs) {
    const bespoke::planner p = plan_of(layer, inputs);
    return p.failed() ? std::string(p.problem().what.view()) : std::string();
}

/// Runs a layer through a run-time engine, with `parameters` in the order of its `parameter_fields`; those
/// it does without may be left out at the end.
/// The number of examples is that of the values given. `threads`: null for none.
template <class T, class L>
result<T> evaluate_with(bespoke::thread_pool* threads, const L& layer, const std::vector<blob<T>>& inputs,
                        const std::vector<std::vector<T>>& parameters = {}) {
    std::vector<shape> shapes;
    std::vector<bool> once;
    extent examples = 1;
    for (const auto& in : inputs) {
        shapes.push_back(in.dimensions);
        once.push_back(in.once);
        if (!in.once && in.dimensions.size() > 0)
            examples = static_cast<extent>(in.values.size()) / in.dimensions.size();
    }
    const bespoke::planner planner = plan_of(layer, shapes, once);
    if (planner.failed()) FAIL(planner.problem().what.view());
    const bespoke::plan_view plan = planner.result().view();
    const std::size_t step = plan.steps.size() - 1;
    bespoke::engine<T> engine(plan);
    engine.use(threads);
    engine.reserve(examples);
    REQUIRE(plan.parameters.size() >= parameters.size());
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const extent given = i < parameters.size() ? static_cast<extent>(parameters[i].size()) : 0;
        REQUIRE(given == plan.parameters[i].dimensions.size());
        if (given > 0) std::copy(parameters[i].begin(), parameters[i].end(), engine.parameter(i));
    }
    engine.attach(only<L>{layer, step});
    engine.prepare();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::size_t b = plan.find_blob("x" + std::to_string(i));
        REQUIRE(static_cast<extent>(inputs[i].values.size()) == engine.elements(b));
        std::copy(inputs[i].values.begin(), inputs[i].values.end(), engine.value(b));
    }
    engine.forward(layer, step);
    result<T> r;
    for (std::size_t b : plan.outputs) {
        r.shapes.push_back(plan.blobs[b].dimensions);
        r.values.emplace_back(engine.value(b), engine.value(b) + engine.elements(b));
    }
    return r;
}

/// The same with 1, 2 and 5 threads, which must give the same bits.
template <class T, class L>
result<T> evaluate(const L& layer, const std::vector<blob<T>>& inputs,
                   const std::vector<std::vector<T>>& parameters = {}) {
    const result<T> alone = evaluate_with<T>(nullptr, layer, inputs, parameters);
    for (std::size_t n : {std::size_t{2}, std::size_t{5}}) {
        bespoke::thread_pool threads(n);
        INFO(n << " threads");
        REQUIRE(same_bits(alone, evaluate_with<T>(&threads, layer, inputs, parameters)));
    }
    return alone;
}

/// Whether a composed network gives one example the same bits with the extents in the type and without.
template <class Network, class... Inputs>
bool same_bits_unrolled(Network& net, const Inputs&... inputs) {
    using T = typename Network::value_type;
    const auto unrolled = net(inputs...);
    const std::vector<T> a(unrolled.begin(), unrolled.end());
    const auto batch = net.predict_batch(inputs...);
    const std::vector<T> b(batch.begin(), batch.end());
    return same_bits(a, b);
}

/// 0, 1, 2, ...
inline std::vector<float> counted(extent n) {
    std::vector<float> v;
    for (extent i = 0; i < n; ++i) v.push_back(static_cast<float>(i));
    return v;
}

/// Between -1 and 1, the same for the same seed.
template <class T>
std::vector<T> numbers(extent n, std::uint64_t seed = 1) {
    bespoke::philox random(seed);
    std::vector<T> v(static_cast<std::size_t>(n));
    for (T& e : v) e = static_cast<T>(2 * random.uniform() - 1);
    return v;
}

/// Largest |a - b| / max(1, |b|); infinite where the sizes differ or only one is NaN.
template <class T>
double distance(const std::vector<T>& got, const std::vector<double>& expected) {
    double worst = 0;
    if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double a = static_cast<double>(got[i]), b = expected[i];
        if (a == b || (std::isnan(a) && std::isnan(b))) continue;
        const double d = std::abs(a - b) / std::max(1.0, std::abs(b));
        worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
    }
    return worst;
}

/// Largest |a - b| / |b|, in units of T's epsilon; infinite where only one is NaN.
template <class T>
double relative_distance(const std::vector<T>& got, const std::vector<double>& expected) {
    double worst = 0;
    if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double a = static_cast<double>(got[i]), b = expected[i];
        if (a == b || (std::isnan(a) && std::isnan(b))) continue;
        const double smallest = static_cast<double>(std::numeric_limits<T>::min());
        const double d =
            std::abs(a - b) / std::max(std::abs(b), smallest) / std::numeric_limits<T>::epsilon();
        worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
    }
    return worst;
}

/// Shapes that a hostile file could ask for.
inline std::vector<shape> hostile_shapes() {
    constexpr extent huge = extent{1} << 40;
    return {{},
            {0},
            {1},
            {3},
            {huge},
            {0, huge},
            {huge, 0},
            {3, 0},
            {0, 3},
            {2, 3},
            {1 << 20, 1 << 20},
            {2, 3, 4},
            {0, 1, 1},
            {1, 0, 1},
            {3, 1, 1},
            {huge, 1, 1},
            {1, 1, huge},
            {1, 2, 3, 4},
            {2, 0, 3, 1},
            {2, 1, 3, 4},
            {1, 2, 3, 4, 5},
            {0, 0, 0, 0, 0},
            {1, 1, 1, 1, 1, 1, 1, 1},
            {2, 2, 2, 2, 2, 2, 2, 2}};
}

/// Numbers that a hostile file could hold in an integer field.
inline std::vector<extent> hostile_extents() {
    using limits = std::numeric_limits<extent>;
    return {limits::min(),   limits::min() + 1, -5,           -1, 0, 1, 2, 3, 7, 1 << 20,
            extent{1} << 40, limits::max() - 1, limits::max()};
}

/// Asks the shape rule for every hostile shape, and every pair of them where the layer takes two inputs.
/// For sanitizers: what counts is that the answer is a plan or a fault.
template <class L>
void ask_everything(const L& layer) {
    const std::vector<shape> shapes = hostile_shapes();
    for (const shape& a : shapes) {
        if (bespoke::inputs_of<L>.least <= 1) plan_of(layer, {a});
        if (bespoke::inputs_of<L>.most >= 2)
            for (const shape& b : shapes) plan_of(layer, {a, b});
    }
}

/// REQUIREs the gradients, with the reason where they are wrong.
template <class L>
void require_gradients(const L& layer, const std::vector<shape>& inputs,
                       const bespoke::gradient_options& options = {}) {
    const bespoke::gradient_report report = bespoke::check_gradients(layer, inputs, options);
    INFO(report.what);
    REQUIRE(report.ok);
}

}  // namespace layer_test
