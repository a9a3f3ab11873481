#pragma once

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
#include <bespoke/network/engine.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <map>
#include <string>
#include <vector>

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
    static constexpr auto fields = std::tuple{};
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
    static constexpr auto fields = std::tuple{};
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
    planner p;
    description.plan(p);
    p.finish();
    return p.failed() ? std::string(p.problem().what.view()) : std::string();
}
template <class D>
planner planned(const D& description) {
    planner p;
    description.plan(p);
    p.finish();
    if (p.failed()) FAIL(p.problem().what.view());
    return p;
}

/// A description with its plan and an engine.
template <class D>
class lab {
public:
    explicit lab(const D& description, std::uint64_t seed = 1)
        : description_(description), planner_(planned(description)), engine_(planner_.result().view()) {
        engine_.attach(description_);
        philox random(seed);
        for (std::size_t i = 0; i < plan().parameters.size(); ++i)
            for (extent e = 0; e < plan().parameters[i].dimensions.size(); ++e)
                engine_.parameter(i)[e] = 2 * random.uniform() - 1;
    }

    plan_view plan() const { return engine_.plan(); }
    engine<double>& core() { return engine_; }

    /// The outputs for inputs given by name; each holds all examples.
    named_values predict(const named_values& inputs) {
        engine_.select(pass::all, {});
        engine_.reserve(examples_in(inputs));
        engine_.prepare();
        for (const auto& [name, v] : inputs) std::copy(v.begin(), v.end(), engine_.value(blob(name)));
        description_.forward(engine_, std::size_t{0});
        return outputs();
    }

    /// REQUIREs that one by one the examples give the bits that they give together.
    named_values predict_alike(const named_values& inputs) {
        const extent examples = examples_in(inputs);
        const named_values together = predict(inputs);
        for (extent i = 0; i < examples; ++i) {
            named_values one;
            for (const auto& [name, v] : inputs) one[name] = example(v, i, examples);
            const named_values alone = predict(one);
            for (const auto& [name, v] : together) {
                if (!plan().blobs[blob(name)].per_example) continue;
                INFO("output " << name << ", example " << i);
                REQUIRE(alone.at(name) == example(v, i, examples));
            }
        }
        return together;
    }

    /// REQUIREs the gradients of sum(outputs * dy), with dy random, for all parameters and all inputs but those in
    /// `decisions` (conditions and counts: no gradient passes them). Every blob has an array of its own; gradients
    /// start as NaN and are born where the last step that reads them stands.
    void require_gradients(const named_values& inputs, const std::vector<std::string>& decisions = {}) {
        examples_ = examples_in(inputs);
        const plan_view p = plan();
        values_.resize(p.blobs.size());
        gradients_.resize(p.blobs.size());
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            const auto size =
                static_cast<std::size_t>(p.blobs[b].dimensions.size() * (p.blobs[b].per_example ? examples_ : 1));
            values_[b].assign(size, std::numeric_limits<double>::quiet_NaN());
            gradients_[b].assign(size, std::numeric_limits<double>::quiet_NaN());
        }
        named_values x = inputs;
        philox random(99);
        dy_.clear();
        for (std::size_t b : p.outputs) {
            dy_.emplace_back(values_[b].size());
            for (double& v : dy_.back()) v = 2 * random.uniform() - 1;
        }

        record(x);
        const std::vector<values> before = values_;
        backward();
        for (const auto& [name, v] : inputs) {
            INFO("input " << name << " after the backward pass");
            REQUIRE(values_[blob(name)] == v);  // what was overwritten is back
        }
        const std::vector<values> dx = gradients_, dp = parameter_gradients_;
        for (auto& [name, v] : x) {
            if (std::find(decisions.begin(), decisions.end(), name) != decisions.end()) continue;
            for (std::size_t i = 0; i < v.size(); ++i) {
                INFO("gradient of input " << name << ", element " << i);
                compare(dx[blob(name)][i], v[i], x);
            }
        }
        for (std::size_t k = 0; k < dp.size(); ++k)
            for (std::size_t i = 0; i < dp[k].size(); ++i) {
                INFO("gradient of " << p[p.steps[p.parameters[k].step].name] << " " << p.parameters[k].name << ", element "
                                    << i);
                compare(dp[k][i], engine_.parameter(k)[i], x);
            }
    }

private:
    std::size_t blob(std::string_view name) const {
        const std::size_t number = plan().find_blob(name);
        if (number == blob_facts::npos) FAIL("no blob " << name);
        return number;
    }
    extent examples_in(const named_values& inputs) const {
        if (inputs.empty()) return 1;
        const auto& [name, v] = *inputs.begin();
        return static_cast<extent>(v.size()) / plan().blobs[blob(name)].dimensions.size();
    }
    static values example(const values& v, extent i, extent examples) {
        const extent size = static_cast<extent>(v.size()) / examples;
        return {v.begin() + i * size, v.begin() + (i + 1) * size};
    }
    named_values outputs() {
        named_values result;
        for (std::size_t b : plan().outputs)
            result[std::string(plan()[plan().blobs[b].name])] = {engine_.value(b), engine_.value(b) + engine_.elements(b)};
        return result;
    }

    /// A forward pass that can be gone back; returns the loss.
    double record(const named_values& x) {
        const plan_view p = plan();
        std::vector<double*> at, to;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            at.push_back(values_[b].data());
            to.push_back(gradients_[b].data());
        }
        for (const auto& [name, v] : x) values_[blob(name)] = v;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) at[b] = values_[b].data();
        engine_.place(examples_, at, to);
        engine_.prepare();
        const std::vector<char> trained(p.steps.size(), 1);
        trained_ = trained;
        engine_.select(pass::trainable, trained_);
        description_.forward(engine_, std::size_t{0});
        double loss = 0;
        for (std::size_t o = 0; o < dy_.size(); ++o)
            for (std::size_t i = 0; i < dy_[o].size(); ++i) loss += dy_[o][i] * values_[p.outputs[o]][i];
        return loss;
    }
    void backward() {
        const plan_view p = plan();
        std::vector<std::vector<std::size_t>> births(p.steps.size());
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            if (std::find(p.outputs.begin(), p.outputs.end(), b) != p.outputs.end()) continue;
            std::size_t last = blob_facts::npos;
            for (std::size_t s = 0; s < p.steps.size(); ++s) {
                for (std::size_t in : p.inputs_of(s))
                    if (in == b) last = s;
                for (std::size_t out : p.outputs_of(s))
                    if (out == b && last == blob_facts::npos) last = s;
            }
            if (last == blob_facts::npos) continue;
            while (p.steps[last].parent != blob_facts::npos) last = p.steps[last].parent;
            // what a later step writes over is born there, as nothing
            for (std::size_t s = last + 1; s < p.steps.size(); ++s)
                for (std::size_t out : p.outputs_of(s))
                    if (out == b) {
                        last = s;
                        while (p.steps[last].parent != blob_facts::npos) last = p.steps[last].parent;
                    }
            births[last].push_back(b);
        }
        for (std::size_t o = 0; o < dy_.size(); ++o) gradients_[p.outputs[o]] = dy_[o];
        std::vector<double*> at, to;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            at.push_back(values_[b].data());
            to.push_back(gradients_[b].data());
        }
        parameter_gradients_.clear();
        for (std::size_t k = 0; k < p.parameters.size(); ++k)
            parameter_gradients_.emplace_back(static_cast<std::size_t>(p.parameters[k].dimensions.size()));
        for (std::size_t k = 0; k < p.parameters.size(); ++k)
            engine_.parameter_gradients()[k] = parameter_gradients_[k].data();
        engine_.place(examples_, at, to);
        engine_.set_births(births);
        description_.backward(engine_, 0);
        engine_.set_births({});
    }
    void compare(double came, double& element, const named_values& x) {
        const double middle = element, h = 1e-5;
        element = middle + h;
        const double right = record(x);
        element = middle - h;
        const double left = record(x);
        element = middle;
        const double expected = (right - left) / (2 * h);
        INFO(expected << " expected, " << came << " came");
        REQUIRE(std::abs(expected - came) <= 1e-6 * std::max(1.0, std::abs(expected)));
    }

    const D& description_;
    planner planner_;
    engine<double> engine_;
    extent examples_ = 1;
    std::vector<values> values_, gradients_, parameter_gradients_, dy_;
    std::vector<char> trained_;
};

/// Between -1 and 1, away from 0.
inline values numbers(std::size_t n, std::uint64_t seed = 7) {
    philox random(seed);
    values v(n);
    for (double& e : v) e = (random.below(2) ? 1 : -1) * (0.1 + 0.9 * random.uniform());
    return v;
}

}  // namespace control_test
