#pragma once

#include <bespoke/model/update.hpp>

#include "check.hpp"

#include <cmath>
#include <limits>

/// What fuzz programs do with a model that was read: it predicts and learns, if it is small, whatever it says.
namespace fuzz {

/// What a run may take: nothing that a small file asks for is then large.
inline const bespoke::load_options bounded{.most_elements = 100'000};

/// Whether a prediction ends soon and takes little memory.
inline bool is_small(const bespoke::model& m) {
    const bespoke::plan_view& plan = m.network().plan();
    if (plan.arena_size + plan.shared_size > 20'000 || plan.steps.size() > 50) return false;
    int loops = 0;
    for (const bespoke::any_node* node : m.network().layers().flatten()) {
        if (const auto* loop = node->as<bespoke::loop_node>())
            if (!loop->condition_variable.empty() || !node->inputs.empty() || loop->max_loop_iterations > 8 ||
                ++loops > 2)
                return false;
        if (const auto* pool = node->as<bespoke::pooling>())
            if (pool->kernel_size[0] > 64 || pool->kernel_size[1] > 64) return false;
    }
    return true;
}

/// Number `i` of a row with everything that a kernel may stumble over.
inline double odd_number(std::size_t i) {
    constexpr double numbers[] = {0.5, -1, 2, 1e30, -0.0, 7, 1e-40, -3, std::numeric_limits<double>::quiet_NaN(), 1,
                                  -1e30, 3e9, std::numeric_limits<double>::infinity(), -2.5, 1e10, 255};
    return numbers[i % std::size(numbers)];
}
template <class T>
bespoke::tensor<T> array(const bespoke::shape& s, bool odd) {
    bespoke::tensor<T> result = bespoke::zeros<T>(s);
    if (!odd) return result;
    std::size_t i = 0;
    for (T& e : result) {
        const double x = odd_number(i++);
        if constexpr (std::is_integral_v<T>) e = std::abs(x) < 1e9 ? static_cast<T>(x) : std::numeric_limits<T>::min();
        else e = static_cast<T>(x);
    }
    return result;
}

/// A value of the type; of a label one that the model has.
inline bespoke::feature_value value_for(const bespoke::model& m, const bespoke::feature_description& feature,
                                        bool odd) {
    using namespace bespoke;
    if (const auto* array = feature.type.multi_array_type()) {
        const shape s = array->default_shape();
        if (array->data_type == array_data_type::int32) return fuzz::array<std::int32_t>(s, odd);
        if (array->data_type == array_data_type::float64) return fuzz::array<double>(s, odd);
        return fuzz::array<float>(s, odd);
    }
    if (const auto* picture = feature.type.image_type()) {
        const image_size size = picture->default_size();
        const auto layout = picture->color_space == image_color_space::grayscale ? pixel_layout::gray
                            : odd                                                ? pixel_layout::rgb
                                                                                 : pixel_layout::bgra;
        const extent bytes = size.width * size.height * bytes_of(layout);
        return image(size.width, size.height, layout,
                     std::vector<std::uint8_t>(static_cast<std::size_t>(bytes), odd ? 255 : 200));
    }
    if (std::holds_alternative<double_feature_type>(feature.type.type)) return odd ? 1e30 : 0.0;
    if (const auto* names = std::get_if<string_sequence>(&m.settings().class_labels))
        if (std::holds_alternative<string_feature_type>(feature.type.type) && !names->empty()) return names->back();
    if (const auto* numbers = std::get_if<int64_sequence>(&m.settings().class_labels))
        if (feature.name == m.description().predicted_feature_name && !numbers->empty()) return numbers->back();
    return odd ? std::numeric_limits<std::int64_t>::min() : std::int64_t{0};
}

/// Runs `work`; what it throws is an error that says something.
template <class Work>
void may_fail(const Work& work) {
    try {
        work();
    } catch (const bespoke::error& problem) {
        check(problem.what()[0] != '\0');
    }
}

inline void predict(bespoke::model& m, bool odd) {
    using namespace bespoke;
    features inputs;
    for (const auto& feature : m.description().input) inputs.set(feature.name, value_for(m, feature, odd));
    try {
        const features outputs = m.predict(inputs);
        check(outputs.size() <= m.description().output.size());
    } catch (const error& problem) {
        check(problem.code() == errc::shape_mismatch || problem.code() == errc::bad_value);
        check(problem.what()[0] != '\0');
    }
}

/// A few mini-batches.
inline void learn(const bespoke::model& m, bool odd) {
    using namespace bespoke;
    std::vector<features> examples(2);
    for (features& example : examples)
        for (const auto& feature : m.description().training_input)
            example.set(feature.name, value_for(m, feature, odd));
    int events = 0;
    const update_handlers<model> handlers{.progress = [&events](auto& context) {
        if (++events > 3) context.cancel();
    }};
    may_fail([&] {
        update_task<model> task(m, examples, {}, handlers);
        model learned = task.result();
        predict(learned, false);
    });
}

/// `m` was read with `bounded`.
inline void exercise(bespoke::model& m) {
    using namespace bespoke;
    if (!is_small(m)) return;
    predict(m, false);
    predict(m, true);
    if (!m.settings().is_updatable) return;
    const auto reasons = check_updatable(m);
    for (const auto& reason : reasons) check(!reason.empty());
    learn(m, false);
    if (reasons.empty()) learn(m, true);
}

}  // namespace fuzz
