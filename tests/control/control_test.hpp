#pragma once

#include "../instances.hpp"

#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/graph/planner.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/add.hpp>
#include <bespoke/layers/copy.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/multiply.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <map>
#include <string>
#include <vector>

DOUBLE_IN_INSTANCES(add)
DOUBLE_IN_INSTANCES(copy)
DOUBLE_IN_INSTANCES(inner_product)
DOUBLE_IN_INSTANCES(linear)
DOUBLE_IN_INSTANCES(multiply)
DOUBLE_IN_INSTANCES(relu)
DOUBLE_IN_INSTANCES(tanh)

/// Whole descriptions, planned at run time and run in double.
namespace control_test {

using namespace bespoke;

using values = std::vector<double>;
using named_values = std::map<std::string, values>;

/// A constant: stored once, unless something overwrites it.
struct filled {
    float value = 0;
    shape of{1};

    static constexpr auto key = "filled";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 0};
    static constexpr bool batched = true;
    constexpr outcome output_shape(std::span<const shape>) const { return of; }
    void forward(auto, auto ys, const auto&, auto&) const noexcept {
        for (extent i = 0; i < ys[0].total(); ++i) ys[0].data[i] = value;
    }
    void backward(auto, auto, auto, auto, const auto&, const auto&, auto&) const noexcept {}
    friend bool operator==(const filled&, const filled&) = default;
};

/// y = a - b, a + b: two outputs.
struct difference_and_sum {
    static constexpr auto key = "differenceAndSum";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    constexpr outcome output_shape(std::span<const shape> xs) const { return std::vector<shape>{xs[0], xs[0]}; }
    void forward(auto xs, auto ys, const auto&, auto&) const noexcept {
        for (extent i = 0; i < ys[0].size(); ++i) {
            const auto a = xs[0].data[i], b = xs[1].data[i];
            ys[0].data[i] = a - b;
            ys[1].data[i] = a + b;
        }
    }
    void backward(auto, auto, auto dys, auto dxs, const auto&, const auto&, auto&) const noexcept {
        for (extent i = 0; i < dys[0].size(); ++i) {
            const auto d0 = dys[0].data ? dys[0].data[i] : 0, d1 = dys[1].data ? dys[1].data[i] : 0;
            if (dxs[0]) dxs[0].data[i] += d0 + d1;
            if (dxs[1]) dxs[1].data[i] += d1 - d0;
        }
    }
    friend bool operator==(const difference_and_sum&, const difference_and_sum&) = default;
};

/// What the planner has to say of a description; "": nothing.
template <class D>
std::string problem(const D& description) {
    const planner p = planned_by("", [&](planner& told) {
        description.plan(told);
        told.finish();
    });
    return p.failed() ? std::string(p.problem().what.view()) : std::string();
}
template <class D>
planner planned(const D& description) {
    planner p = planned_by("", [&](planner& told) {
        description.plan(told);
        told.finish();
    });
    if (p.failed()) FAIL(p.problem().what.view());
    return p;
}

/// What a `lab` does with a description of any type; compiled once, in control_harness.cpp.
class runner {
public:
    plan_view plan() const { return engine_.plan(); }
    engine<double>& core() { return engine_; }

    /// The outputs for inputs given by name; each holds all examples.
    named_values predict(const named_values& inputs);

    /// REQUIREs that one by one the examples give the bits that they give together.
    named_values predict_alike(const named_values& inputs);

    /// REQUIREs the gradients of sum(outputs * dy), with dy random, for all parameters and all inputs but those in
    /// `decisions` (conditions and counts: no gradient passes them). Every blob has an array of its own; gradients
    /// start as NaN and are born where the last step that reads them stands.
    void require_gradients(const named_values& inputs, const std::vector<std::string>& decisions = {});

protected:
    struct functions {
        void (*forward)(const void* description, engine<double>& e);
        void (*backward)(const void* description, engine<double>& e);
    };
    runner(const void* description, const functions& runs, planner plan, std::uint64_t seed);

private:
    std::size_t blob(std::string_view name) const;
    extent examples_in(const named_values& inputs) const;
    static values example(const values& v, extent i, extent examples);
    named_values outputs();

    /// A forward pass that can be gone back; returns the loss.
    double record(const named_values& x);
    void backward();
    void compare(double came, double& element, const named_values& x);

    const void* description_;
    functions runs_;
    planner planner_;
    engine<double> engine_;
    extent examples_ = 1;
    std::vector<values> values_, gradients_, parameter_gradients_, dy_;
    std::vector<char> trained_;
};

/// A description with its plan and an engine.
template <class D>
class lab : public runner {
public:
    explicit lab(const D& description, std::uint64_t seed = 1)
        : runner(&description,
                 {[](const void* d, engine<double>& e) { static_cast<const D*>(d)->forward(e, std::size_t{0}); },
                  [](const void* d, engine<double>& e) { static_cast<const D*>(d)->backward(e, 0); }},
                 planned(description), seed) {
        core().attach(description);
    }
};

/// Between -1 and 1, away from 0.
inline values drawn(std::size_t n, std::uint64_t seed = 7) {
    philox random(seed);
    values v(n);
    for (double& e : v) e = (random.below(2) ? 1 : -1) * (0.1 + 0.9 * random.uniform());
    return v;
}

}  // namespace control_test
