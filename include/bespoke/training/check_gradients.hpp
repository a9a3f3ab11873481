#pragma once

#include "../graph/planner.hpp"
#include "../network/engine.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace bespoke {

struct gradient_options {
    extent examples = 2;
    std::uint64_t seed = 0;
    /// Inputs are drawn from [low, high), unless a generator is given.
    double low = -1, high = 1;
    /// Largest |expected - came| / max(1, |expected|).
    double tolerance = 1e-6;
    /// Where the layer has no derivative: inputs and parameters keep 0.01 away from these values.
    std::vector<double> kinks{};
    /// Which input each argument of the layer reads; {0, 0} gives it the same blob twice. Empty: one each.
    std::vector<std::size_t> arguments{};
    /// The values of inputs that decide a shape; empty for the others. They are the same in all examples.
    std::vector<std::vector<double>> known{};
};

struct [[nodiscard]] gradient_report {
    bool ok = true;
    /// What is wrong: which element, which number was expected and which came. Empty where ok.
    std::string what{};
    explicit operator bool() const { return ok; }
};

namespace detail {

/// Stands for a blob that does not depend on the inputs of its network. Never runs: the values are given.
struct stored_once {
    shape dimensions;

    static constexpr auto key = "storedOnce";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const { return dimensions; }
    void forward(auto, auto, const auto&, auto&) const noexcept {}
    void backward(auto, auto, auto, auto, const auto&, const auto&, auto&) const noexcept {}
    friend bool operator==(const stored_once&, const stored_once&) = default;
};

/// The layer alone in a network, as "layer". Its inputs are "x0", "x1", ..., stored once for all examples where `once`
/// says so; where it has several outputs, they are "y0", "y1", ... `arguments` and `known` are those of
/// `gradient_options`.
template <class = void>  // only files that call it compile it
planner plan_alone(const erased_layer& layer, const std::vector<shape>& inputs, const std::vector<bool>& once,
                   std::vector<std::size_t> arguments = {}, const std::vector<std::vector<double>>& known = {}) {
    planner p;
    std::vector<sentence> names, outputs;
    std::vector<std::string_view> from, to;
    const bool one_each = arguments.empty();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        names.push_back(sentence("x", i));
        if (one_each) arguments.push_back(i);
        if (i < once.size() && once[i])
            p.add(stored_once{inputs[i]}, names[i].view(), {}, {}, false);
        else
            p.input(names[i].view(), inputs[i]);
        if (i < known.size() && !known[i].empty()) p.know(p.previous(), known[i]);
    }
    for (std::size_t argument : arguments) from.push_back(names[argument].view());
    const std::size_t step = p.begin(*layer.facts, "layer", from, {});
    if (step != planner::npos) {
        const std::vector<known_values> values = p.known_inputs(step);
        layer_answers answers = layer.ask(p.input_shapes(step), values);
        open_unset(answers, *layer.facts, from.size(), values);
        const std::size_t count = answers.outputs ? answers.outputs.shapes().size() : 0;
        for (std::size_t i = 0; count != 1 && i < count; ++i) outputs.push_back(sentence("y", i));
        for (const sentence& name : outputs) to.push_back(name.view());
        p.end(step, *layer.facts, answers, to, true);
        for (std::string_view name : to) p.output(name);
    }
    p.finish();
    return p;
}

/// A layer with what it does in T.
template <class T>
struct checked_layer : erased_layer {
    const layer_functions<T>* functions;
    const layer_gradients<T>* gradients;

    template <erasable_layer L>
    checked_layer(const L& from)
        : erased_layer(from), functions(&functions_of<T, L>::value), gradients(&gradients_of<T, L>::value) {}
};

/// Draws one element of an input; `draw` is null where the options say it all.
struct element_source {
    double (*draw)(const void* context, std::size_t input, philox& random) = nullptr;
    const void* context = nullptr;
};

/// One layer in a network of its own, with all its arrays at hand.
template <class T>
class gradient_check {
    using arrays = std::vector<std::vector<T>>;

public:
    static constexpr std::size_t none = blob_facts::npos;

    /// `once`: the input that is stored once for all examples; none: each is stored example after example.
    gradient_check(const checked_layer<T>& layer, const std::vector<shape>& inputs, const gradient_options& options,
                   std::size_t once)
        : layer_(layer), options_(options), input_count_(inputs.size()), planner_(make_plan(inputs, once)),
          engine_(planner_.result().view()), step_(planner_.result().steps.size() - 1) {
        if (once != none) manner_ = sentence(" (input ", once, " stored once for all examples)").view();
    }

    gradient_report run(const element_source& source) {
        if (planner_.failed()) return wrong(std::string(planner_.problem().what.view()));
        if (planner_.result().open)
            return wrong("a shape that is decided in the run: gradient_options::known names the values that decide it");
        if (!layer_.facts->differentiable) return wrong("no gradient passes this layer: differentiable = false");
        fill(source);
        const result all = backward(none, true, true);
        for (std::size_t i = 0; i < input_count(); ++i)
            for (std::size_t e = 0; e < all.inputs[i].size(); ++e)
                if (gradient_report r =
                        compare(input_name(i, e), all.inputs[i][e], values_[blob_of_input(i)][e]);
                    !r)
                    return r;
        for (std::size_t i = 0; i < all.parameters.size(); ++i) {
            const parameter_facts& facts = plan().parameters[i];
            if (!facts.learned) continue;
            for (std::size_t e = 0; e < all.parameters[i].size(); ++e)
                if (gradient_report r =
                        compare(parameter_name(i, e), all.parameters[i][e], engine_.parameter(i)[e]);
                    !r)
                    return r;
        }
        // what is not wanted must change nothing of the rest
        if (gradient_report r = same(all, backward(none, false, true), "no input gradient"); !r) return r;
        if (gradient_report r = same(all, backward(none, true, false), "no parameter gradient"); !r) return r;
        for (std::size_t i = 0; input_count() > 1 && i < input_count(); ++i)
            if (gradient_report r = same(all, backward(i, true, true), "the gradients of some inputs only"); !r)
                return r;
        if (!layer_.gradients->begins) return {};
        births_.resize(plan().steps.size());
        births_[step_] = {blob_of_input(0)};
        return same(all, backward(none, true, true), "the input gradient in place of a sum");
    }

private:
    struct result {
        arrays inputs, parameters;  ///< empty where not wanted
    };

    plan_view plan() const { return engine_.plan(); }

    planner make_plan(const std::vector<shape>& inputs, std::size_t once) const {
        std::vector<bool> stored(inputs.size());
        if (once != none) stored[once] = true;
        return plan_alone(layer_, inputs, stored, options_.arguments, options_.known);
    }

    std::size_t input_count() const { return input_count_; }
    std::size_t blob_of_input(std::size_t i) const { return plan().find_blob(sentence("x", i).view()); }

    /// Random numbers wherever the layer reads.
    void fill(const element_source& source) {
        const plan_view p = plan();
        values_.resize(p.blobs.size());
        gradients_.resize(p.blobs.size());
        std::vector<T*> places(p.blobs.size());
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            values_[b].resize(static_cast<std::size_t>(p.blobs[b].dimensions.size() *
                                                       (p.blobs[b].per_example ? options_.examples : 1)));
            gradients_[b].resize(values_[b].size());
            places[b] = values_[b].data();
        }
        philox random(options_.seed);
        for (std::size_t i = 0; i < input_count(); ++i)
            for (T& v : values_[blob_of_input(i)]) v = beside_kinks(draw(source, i, random));
        for (std::size_t i = 0; i < options_.known.size(); ++i)
            for (std::size_t e = 0; e < values_[blob_of_input(i)].size() && !options_.known[i].empty(); ++e)
                values_[blob_of_input(i)][e] = static_cast<T>(options_.known[i][e % options_.known[i].size()]);
        for (std::size_t b : p.outputs_of(step_))
            for (T& v : gradients_[b]) v = 2 * random.uniform() - 1;
        // what begins at one is a scale or a variance: positive
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            for (extent e = 0; e < p.parameters[i].dimensions.size(); ++e)
                engine_.parameter(i)[e] =
                    beside_kinks(p.parameters[i].start == initial::one ? random.uniform() + 0.5
                                                                       : 2 * random.uniform() - 1);
        const std::vector<T*> nowhere(p.blobs.size());
        engine_.place(options_.examples, places, nowhere);
        engine_.attach_layer(layer_.layer, *layer_.functions, step_);
        engine_.prepare();
        trained_.assign(p.steps.size(), 0);
        trained_[step_] = 1;
    }
    double draw(const element_source& source, std::size_t input, philox& random) const {
        if (source.draw != nullptr) return source.draw(source.context, input, random);
        return options_.low + (options_.high - options_.low) * random.uniform();
    }
    double beside_kinks(double v) const {
        constexpr double margin = 0.01;
        for (double kink : options_.kinks)
            if (std::abs(v - kink) < margin) v = v < kink ? kink - margin : kink + margin;
        return v;
    }

    void forward() {
        engine_.select(pass::trainable, trained_);
        engine_.prepare(step_);
        forward_layer<T>(engine_, *layer_.functions, layer_.layer, step_);
    }

    /// The gradients that the layer adds to arrays that hold noise; without that of input `unwanted`.
    result backward(std::size_t unwanted, bool inputs, bool parameters) {
        const plan_view p = plan();
        forward();
        engine_.set_births(births_);
        std::vector<T*> places(p.blobs.size()), to(p.blobs.size());
        arrays kept;
        result sums;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) places[b] = values_[b].data();
        for (std::size_t b : p.outputs_of(step_)) to[b] = gradients_[b].data();
        sums.inputs.resize(input_count());
        for (std::size_t i = 0; i < input_count(); ++i)
            if (inputs && i != unwanted) {
                const std::size_t b = blob_of_input(i);
                sums.inputs[i] = noise(gradients_[b].size(), i);
                to[b] = sums.inputs[i].data();
            }
        sums.parameters.resize(p.parameters.size());
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            if (parameters && p.parameters[i].learned)
                sums.parameters[i] =
                    noise(static_cast<std::size_t>(p.parameters[i].dimensions.size()), i + 100);
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            engine_.parameter_gradients()[i] =
                sums.parameters[i].empty() ? nullptr : sums.parameters[i].data();

        // what backward says it does not need is not there
        kept = values_;
        const T nan = std::numeric_limits<T>::quiet_NaN();
        for (std::size_t i = 0; i < input_count(); ++i)
            if (!layer_.facts->needs.input) values_[blob_of_input(i)].assign(values_[blob_of_input(i)].size(), nan);
        for (std::size_t b : p.outputs_of(step_))
            if (!layer_.facts->needs.output) values_[b].assign(values_[b].size(), nan);
        engine_.place(options_.examples, places, to);
        backward_layer<T>(engine_, *layer_.gradients, layer_.layer, step_);
        for (std::size_t b = 0; b < kept.size(); ++b)
            std::copy(kept[b].begin(), kept[b].end(), values_[b].begin());

        for (std::size_t i = 0; i < sums.inputs.size() && births_.empty(); ++i) subtract(sums.inputs[i], i);
        for (std::size_t i = 0; i < sums.parameters.size(); ++i) subtract(sums.parameters[i], i + 100);
        return sums;
    }
    static std::vector<T> noise(std::size_t size, std::uint64_t stream) {
        philox random(~std::uint64_t{0}, stream);
        std::vector<T> v(size);
        for (T& e : v) e = random.uniform() + 0.25;
        return v;
    }
    static void subtract(std::vector<T>& sum, std::uint64_t stream) {
        const std::vector<T> begin = noise(sum.size(), stream);
        for (std::size_t e = 0; e < sum.size(); ++e) sum[e] -= begin[e];
    }

    arrays outputs() {
        forward();
        arrays ys;
        for (std::size_t b : plan().outputs_of(step_)) ys.push_back(values_[b]);
        return ys;
    }
    /// d(sum of y dy) / d(element), with the step h.
    double central_difference(T& element, double h) {
        const double middle = element, right = middle + h, left = middle - h;
        element = right;
        const arrays after = outputs();
        element = left;
        const arrays before = outputs();
        element = middle;
        double sum = 0;
        std::size_t i = 0;
        for (std::size_t b : plan().outputs_of(step_)) {
            for (std::size_t e = 0; e < after[i].size(); ++e)
                sum += gradients_[b][e] * (after[i][e] - before[i][e]);
            ++i;
        }
        return sum / (right - left);
    }
    /// Any step that works is enough.
    gradient_report compare(const sentence& name, double came, T& element) {
        double nearest = 0, distance = std::numeric_limits<double>::infinity();
        for (double h : {1e-4, 1e-5, 1e-3, 1e-6}) {
            const double expected = central_difference(element, h);
            const double error = std::abs(expected - came) / std::max(1.0, std::abs(expected));
            if (error <= options_.tolerance) return {};
            if (error < distance || h == 1e-4) {
                nearest = expected;
                distance = error;
            }
        }
        return wrong("gradient of " + std::string(name.view()) + ": " + number(nearest) + " expected, " +
                     number(came) + " came");
    }
    gradient_report same(const result& all, const result& some, const char* when) const {
        for (std::size_t i = 0; i < some.inputs.size(); ++i)
            for (std::size_t e = 0; e < some.inputs[i].size(); ++e)
                if (!near(all.inputs[i][e], some.inputs[i][e]))
                    return wrong("gradient of " + std::string(input_name(i, e).view()) + ": " +
                                 number(all.inputs[i][e]) + " expected, " + number(some.inputs[i][e]) +
                                 " came where " + when + " is wanted");
        for (std::size_t i = 0; i < some.parameters.size(); ++i)
            for (std::size_t e = 0; e < some.parameters[i].size(); ++e)
                if (!near(all.parameters[i][e], some.parameters[i][e]))
                    return wrong("gradient of " + std::string(parameter_name(i, e).view()) + ": " +
                                 number(all.parameters[i][e]) + " expected, " +
                                 number(some.parameters[i][e]) + " came where " + when + " is wanted");
        return {};
    }
    bool near(double a, double b) const {
        return std::abs(a - b) <= options_.tolerance * std::max(1.0, std::abs(a));
    }

    sentence input_name(std::size_t i, std::size_t element) const {
        const std::size_t size = static_cast<std::size_t>(plan().blobs[blob_of_input(i)].dimensions.size());
        return sentence("input ", i, ", example ", element / size, ", element ", element % size);
    }
    sentence parameter_name(std::size_t i, std::size_t element) const {
        return sentence(plan().parameters[i].name, ", element ", element);
    }
    static std::string number(double v) {
        char text[32];
        std::snprintf(text, sizeof text, "%.9g", v);
        return text;
    }
    gradient_report wrong(const std::string& what) const { return {false, what + manner_}; }

    checked_layer<T> layer_;
    gradient_options options_;
    std::size_t input_count_;
    std::string manner_;
    planner planner_;
    engine<T> engine_;
    std::size_t step_ = 0;
    std::vector<char> trained_;
    std::vector<std::vector<std::size_t>> births_;  ///< where the layer writes its gradient: not to zeros or noise
    arrays values_, gradients_;
};

/// All there is to the check. A program that makes many declares this one function `extern template`.
template <class T>
gradient_report check_erased(const checked_layer<T>& layer, const std::vector<shape>& inputs,
                             const gradient_options& options, const element_source& source) {
    using check = gradient_check<T>;
    gradient_report r = check(layer, inputs, options, check::none).run(source);
    if (inputs.size() > 1)
        for (std::size_t once = 0; r && once < inputs.size(); ++once)
            r = check(layer, inputs, options, once).run(source);
    return r;
}

}  // namespace detail

/// Whether `backward` of a layer is the derivative of its `forward`; for whoever writes a layer:
///
///     REQUIRE(check_gradients(my_layer{.alpha = 2}, {{3, 4, 4}}));
///
/// `inputs` are the shapes of one example. With random inputs, parameters and dy, in double, the gradients
/// of sum(y dy) are compared with central differences, for every element of every input and every learned
/// parameter. The gradients start from noise, so that `=` in the place of `+=` shows; what the layer says
/// that backward does not need is NaN while it runs; gradients that nobody wants (null) are left out in turn;
/// a layer with several inputs is also given each of them stored once for all examples, one that begins its gradient
/// must write all of it.
///
/// `generate(input, random)` draws one element of an input from a `philox`.
template <layer L, class Generate>
    requires std::invocable<const Generate&, std::size_t, philox&>
gradient_report check_gradients(const L& layer, const std::vector<shape>& inputs, const gradient_options& options,
                                const Generate& generate) {
    static_assert(!control_layer<L>, "control layers have no values of their own: check the layers inside them");
    const auto draw = [](const void* context, std::size_t input, philox& random) {
        return static_cast<double>((*static_cast<const Generate*>(context))(input, random));
    };
    return detail::check_erased<double>(layer, inputs, options, {draw, &generate});
}

template <layer L>
gradient_report check_gradients(const L& layer, const std::vector<shape>& inputs,
                                const gradient_options& options = {}) {
    static_assert(!control_layer<L>, "control layers have no values of their own: check the layers inside them");
    return detail::check_erased<double>(layer, inputs, options, {});
}

}  // namespace bespoke
