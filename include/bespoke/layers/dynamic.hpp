#pragma once

#include "concat.hpp"
#include "number_input.hpp"
#include "random.hpp"
#include "reshape.hpp"

/// Layers whose output has a shape that the values of an input decide. Where these come from get_shape, fill_static,
/// fill_like, range_static and the like, perhaps through slice_static, concat_nd, stack, sums and products, and layers
/// that only change the shape, they are known before the network runs; else the shape is decided in the run.
namespace bespoke {
namespace detail {

/// The shape that an input holds as a vector of numbers, or what is wrong with it. A scalar counts as a vector of one.
/// Extents that are not known are `unset`.
constexpr outcome shape_in(const shape& x, const known_values& values) {
    if (x.rank() > 1 || (x.rank() == 1 && x[0] > static_cast<extent>(max_rank)))
        return shape_fault("a shape as a vector of up to ", max_rank, " numbers wanted, its own shape is ", x);
    if (const auto wrong = check_whole("a shape", values)) return *wrong;
    if (values) return as_shape(numbers_of(*values));
    shape open;
    for (extent i = 0; i < x.size(); ++i) open.push_back(unset);
    return open;
}
/// The same for an output: its extents are from 0 up.
constexpr outcome output_shape_in(const shape& x, const known_values& values) {
    const outcome given = shape_in(x, values);
    if (!given || !values) return given;
    return given_shape("a shape", given.shapes()[0]);
}
/// The shape of numbers that are drawn as `drawing` says, in the shape that the first input holds.
template <class Drawing>
constexpr outcome planned_draw(const Drawing& drawing, std::span<const shape> xs, std::span<const known_values> known) {
    const outcome given = output_shape_in(xs[0], known_input(known, 0));
    if (!given) return given;
    if (const outcome drawn = drawing.checked(shape{}); !drawn || !known_input(known, 0)) return drawn ? given : drawn;
    return drawing.checked(given.shapes()[0]);
}

}  // namespace detail

/// The elements of the first input in their order, in the shape that the second one holds: see `reshape_static`.
/// Core ML specification, ReshapeDynamicLayerParams.
struct reshape_dynamic {
    static constexpr auto key = "reshapeDynamic";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr std::size_t values_from = 1;

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const outcome given = detail::shape_in(xs[1], known_input(known, 1));
        if (!given || !known_input(known, 1)) return given;
        return reshape_static{given.shapes()[0]}.output_shape(xs[0]);
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr std::vector<double> known_output(std::span<const shape>, std::span<const known_values> known) const {
        return detail::joined_values(1, known);
    }
    constexpr reshape_like equivalent(const shape&) const { return {}; }
    friend bool operator==(const reshape_dynamic&, const reshape_dynamic&) = default;
};

/// The first input, repeated to the shape that the second one holds: see `broadcast_to_static`.
/// Core ML specification, BroadcastToDynamicLayerParams.
struct broadcast_to_dynamic {
    static constexpr auto key = "broadcastToDynamic";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr std::size_t values_from = 1;

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const outcome given = detail::output_shape_in(xs[1], known_input(known, 1));
        if (!given || !known_input(known, 1)) return given;
        return detail::broadcast_to(xs[0], given.shapes()[0]);
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr broadcast_to_like equivalent(const shape&) const { return {}; }
    friend bool operator==(const broadcast_to_dynamic&, const broadcast_to_dynamic&) = default;
};

/// y of the shape that x holds, all elements `value`. No gradient passes to x.
/// Core ML specification, FillDynamicLayerParams.
struct fill_dynamic {
    float value = 0;

    static constexpr auto key = "fillDynamic";
    constexpr void fields(auto& field) { field("value", value, field_floats::any); }
    static constexpr input_count inputs{1, 1};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::output_shape_in(xs[0], known_input(known, 0));
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        if (!known_input(known, 0)) return {};
        return detail::few(planned_shape(xs, known).shapes()[0], static_cast<double>(value));
    }
    constexpr detail::filling equivalent(const shape&) const { return {value}; }
    friend bool operator==(const fill_dynamic&, const fill_dynamic&) = default;
};

/// `range_static` whose end_value is the first input; start_value and step_size_value are the second and the third one,
/// where there are such. Each holds one number. No gradient passes to them.
/// Core ML specification, RangeDynamicLayerParams.
struct range_dynamic {
    float start_value = 0, step_size_value = 1;

    static constexpr auto key = "rangeDynamic";
    constexpr void fields(auto& field) {
        field("startValue", start_value);
        field("stepSizeValue", step_size_value);
    }
    static constexpr input_count inputs{1, 3};
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        bool all = true;
        for (std::size_t i = 0; i < xs.size(); ++i) {
            if (xs[i].rank() > 1 || xs[i].size() != 1)
                return shape_fault("inputs of one number wanted, input ", i, " has the shape ", xs[i]);
            all &= known_input(known, i).has_value();
        }
        if (!all) return shape{unset};
        return range(known).output_shape({});
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        for (std::size_t i = 0; i < xs.size(); ++i)
            if (!known_input(known, i)) return {};
        return range(known).known_output({}, {});
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P& p, W& w) const noexcept {
        range_static numbers{0, start_value, step_size_value};
        for (std::size_t i = 0; i < xs.size(); ++i) number(numbers, i) = static_cast<float>(xs[i].data[0]);
        numbers.forward(xs, ys, p, w);
    }
    friend bool operator==(const range_dynamic&, const range_dynamic&) = default;

private:
    /// What input `i` says.
    static constexpr float& number(range_static& range, std::size_t i) {
        return i == 0 ? range.end_value : i == 1 ? range.start_value : range.step_size_value;
    }
    constexpr range_static range(std::span<const known_values> known) const {
        range_static numbers{0, start_value, step_size_value};
        for (std::size_t i = 0; i < known.size(); ++i) number(numbers, i) = static_cast<float>((*known[i])[0]);
        return numbers;
    }
};

/// `random_normal_static` of the shape that x holds.
/// Core ML specification, RandomNormalDynamicLayerParams.
struct random_normal_dynamic {
    extent seed = -1;
    float mean = 0, std_dev = 1;

    static constexpr auto key = "randomNormalDynamic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("mean", mean);
        field("stdDev", std_dev);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::planned_draw(equivalent({}), xs, known);
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr detail::drawing<detail::normal_distribution> equivalent(const shape&) const {
        return {seed, {mean, std_dev}};
    }
    friend bool operator==(const random_normal_dynamic&, const random_normal_dynamic&) = default;
};

/// `random_uniform_static` of the shape that x holds.
/// Core ML specification, RandomUniformDynamicLayerParams.
struct random_uniform_dynamic {
    extent seed = -1;
    float min_val = 0, max_val = 1;

    static constexpr auto key = "randomUniformDynamic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("minVal", min_val);
        field("maxVal", max_val);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::planned_draw(equivalent({}), xs, known);
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr detail::drawing<detail::uniform_distribution> equivalent(const shape&) const {
        return {seed, {min_val, max_val}};
    }
    friend bool operator==(const random_uniform_dynamic&, const random_uniform_dynamic&) = default;
};

/// `random_bernoulli_static` of the shape that x holds.
/// Core ML specification, RandomBernoulliDynamicLayerParams.
struct random_bernoulli_dynamic {
    extent seed = -1;
    float prob = 0.5F;

    static constexpr auto key = "randomBernoulliDynamic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("prob", prob);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        return detail::planned_draw(equivalent({}), xs, known);
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    constexpr detail::drawing<detail::bernoulli_distribution> equivalent(const shape&) const {
        return {seed, {prob}};
    }
    friend bool operator==(const random_bernoulli_dynamic&, const random_bernoulli_dynamic&) = default;
};

}  // namespace bespoke
