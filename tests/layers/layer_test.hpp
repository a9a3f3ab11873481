#pragma once

#include "../instances.hpp"

#include <bespoke/training/check_gradients.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

/// What tests of layers share. What does not depend on the type of the layer is compiled once, in layer_harness.cpp.
namespace layer_test {

using bespoke::extent;
using bespoke::shape;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

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

/// A layer with what it does in T.
template <class T>
struct tested_layer : bespoke::erased_layer {
    const bespoke::layer_functions<T>* functions;

    template <bespoke::erasable_layer L>
    tested_layer(const L& from) : erased_layer(from), functions(&bespoke::functions_of<T, L>::value) {}
};

/// The plan of the layer alone, see `bespoke::detail::plan_alone`. For sanitizers, what counts is that there is one, or
/// a fault.
bespoke::planner plan_of(const bespoke::erased_layer& layer, const std::vector<shape>& inputs,
                         const std::vector<bool>& once = {});

/// The fault that a layer finds in these shapes, as the planner words it: "layers/0 "layer" (key): ...".
/// Empty: none.
std::string fault_of(const bespoke::erased_layer& layer, const std::vector<shape>& inputs);

/// What a run says that goes wrong; empty: nothing.
template <class Run>
std::string failure(const Run& run) {
    try {
        run();
    } catch (const bespoke::error& problem) {
        return problem.what();
    }
    return {};
}

/// Runs a layer through a run-time engine, with `parameters` in the order of its `parameter_fields`; those
/// it does without may be left out at the end.
/// The number of examples is that of the values given. `threads`: null for none.
template <class T>
result<T> evaluate_with(bespoke::thread_pool* threads, const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                        const std::vector<std::vector<T>>& parameters = {});

/// Where the layer says so of `inputs`, of which it made `whole`: that of the first entries alone it makes the first of
/// y, or all of it, but for rounding. See core/entries.hpp.
template <class T>
void require_entries(const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                     const std::vector<std::vector<T>>& parameters, const result<T>& whole);

/// The same with 1, 2 and 5 threads, which must give the same bits; and `require_entries`.
template <class T>
result<T> evaluate(const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                   const std::vector<std::vector<T>>& parameters = {});

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
std::vector<shape> hostile_shapes();

/// Numbers that a hostile file could hold in an integer field.
inline std::vector<extent> hostile_extents() {
    using limits = std::numeric_limits<extent>;
    return {limits::min(),   limits::min() + 1, -5,           -1, 0, 1, 2, 3, 7, 1 << 20,
            extent{1} << 40, limits::max() - 1, limits::max()};
}

/// Asks the shape rule for every hostile shape, and every pair of them where the layer takes two inputs.
/// For sanitizers: what counts is that the answer is a plan or a fault.
void ask_everything(const bespoke::erased_layer& layer);

/// REQUIREs the gradients, with the reason where they are wrong.
void require_gradients(const bespoke::detail::checked_layer<double>& layer, const std::vector<shape>& inputs,
                       const bespoke::gradient_options& options = {});

}  // namespace layer_test

extern template bespoke::gradient_report bespoke::detail::check_erased(const checked_layer<double>&,
                                                                       const std::vector<shape>&,
                                                                       const gradient_options&, const element_source&);
