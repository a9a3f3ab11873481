#include "control/control_test.hpp"

namespace control_test {

runner::runner(const void* description, const functions& runs, planner plan, std::uint64_t seed)
    : description_(description), runs_(runs), planner_(std::move(plan)), engine_(planner_.result().view()) {
    philox random(seed);
    const plan_view p = engine_.plan();
    for (std::size_t i = 0; i < p.parameters.size(); ++i)
        for (extent e = 0; e < p.parameters[i].dimensions.size(); ++e)
            engine_.parameter(i)[e] = 2 * random.uniform() - 1;
}

named_values runner::predict(const named_values& inputs) {
    engine_.select(pass::all, {});
    engine_.reserve(examples_in(inputs));
    engine_.prepare();
    for (const auto& [name, v] : inputs) std::copy(v.begin(), v.end(), engine_.value(blob(name)));
    runs_.forward(description_, engine_);
    return outputs();
}

named_values runner::predict_alike(const named_values& inputs) {
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

void runner::require_gradients(const named_values& inputs, const std::vector<std::string>& decisions) {
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

std::size_t runner::blob(std::string_view name) const {
    const std::size_t number = plan().find_blob(name);
    if (number == blob_facts::npos) FAIL("no blob " << name);
    return number;
}

extent runner::examples_in(const named_values& inputs) const {
    if (inputs.empty()) return 1;
    const auto& [name, v] = *inputs.begin();
    return static_cast<extent>(v.size()) / plan().blobs[blob(name)].dimensions.size();
}

values runner::example(const values& v, extent i, extent examples) {
    const extent size = static_cast<extent>(v.size()) / examples;
    return {v.begin() + i * size, v.begin() + (i + 1) * size};
}

named_values runner::outputs() {
    named_values result;
    for (std::size_t b : plan().outputs)
        result[std::string(plan()[plan().blobs[b].name])] = {engine_.value(b), engine_.value(b) + engine_.elements(b)};
    return result;
}

double runner::record(const named_values& x) {
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
    runs_.forward(description_, engine_);
    double loss = 0;
    for (std::size_t o = 0; o < dy_.size(); ++o)
        for (std::size_t i = 0; i < dy_[o].size(); ++i) loss += dy_[o][i] * values_[p.outputs[o]][i];
    return loss;
}

void runner::backward() {
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
    runs_.backward(description_, engine_);
    engine_.set_births({});
}

void runner::compare(double came, double& element, const named_values& x) {
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

}  // namespace control_test
