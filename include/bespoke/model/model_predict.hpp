#pragma once

#include "model_class.hpp"

/// Features through the network of a model and back: `model::predict`.

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <limits>

namespace bespoke {
namespace detail {

/// The number of a feature that is no array.
inline float scalar_of(const feature_value& value) {
    return std::holds_alternative<std::int64_t>(value) ? static_cast<float>(std::get<std::int64_t>(value))
                                                       : static_cast<float>(std::get<double>(value));
}

inline float number_of(const std::variant<std::monostate, std::int32_t, float, double>& value) {
    if (const auto* whole = std::get_if<std::int32_t>(&value)) return static_cast<float>(*whole);
    if (const auto* real = std::get_if<float>(&value)) return *real;
    if (const auto* number = std::get_if<double>(&value)) return static_cast<float>(*number);
    return 0;
}

/// Whether the value is the blob [sequence, batch, C, H, W] of an array that is declared as [C] or [C, H, W], or
/// [sequence, batch, C] of one that is declared as [C], as RANK5_ARRAY_MAPPING allows.
inline bool is_blob_of(const feature_type& type, const feature_value& value) {
    const array_feature_type* declared = type.multi_array_type();
    const auto* given = std::get_if<multi_array>(&value);
    if (declared == nullptr || given == nullptr || !declared->accepts(given->data_type())) return false;
    const shape s = given->shape();
    if (s.rank() == 3) return declared->accepts(shape{s[2]});
    if (s.rank() != 5) return false;
    return declared->accepts(shape{s[2], s[3], s[4]}) || (s[3] == 1 && s[4] == 1 && declared->accepts(shape{s[2]}));
}

/// The shape of the blob for an array that was given for the feature.
inline shape blob_shape(const feature_description& feature, const shape& s, array_shape_mapping mapping) {
    const array_feature_type* declared = feature.type.multi_array_type();
    if (mapping == array_shape_mapping::rank5_array_mapping && s.rank() == 3 && declared != nullptr &&
        !declared->accepts(s))
        return {s[0], s[1], s[2], 1, 1};
    return blob_shape(s, mapping, "input \"" + feature.name + "\"");
}

template <class T>
multi_array array_from(const float* values, const shape& s) {
    tensor<T> result = zeros<T>(s);
    std::transform(values, values + s.size(), result.begin(), [](float v) {
        if constexpr (std::is_integral_v<T>) {
            if (!(v > -2147483648.0f)) return v == v ? std::numeric_limits<T>::min() : T(0);
            return v < 2147483648.0f ? static_cast<T>(v) : std::numeric_limits<T>::max();
        } else {
            return static_cast<T>(v);
        }
    });
    return result;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<program::named_shape> model::shapes_of(const features& inputs) const {
    std::vector<program::named_shape> shapes;
    for (const auto& feature : settings_.description.input) {
        const feature_value* value = inputs.find(feature.name);
        const auto* array = value == nullptr ? nullptr : std::get_if<multi_array>(value);
        const auto* picture = value == nullptr ? nullptr : std::get_if<image>(value);
        shapes.push_back(
            {feature.name,
             array != nullptr     ? detail::blob_shape(feature, array->shape(), settings_.array_input_shape_mapping)
             : picture != nullptr ? detail::blob_shape(picture->size(), feature.type.image_type()->color_space,
                                                       settings_.image_input_shape_mapping)
                                  : detail::declared_shape(feature, settings_)});
    }
    return shapes;
}

void model::reshape(const features& inputs) { program_->reshape(shapes_of(inputs)); }
bool model::is_planned_for(const features& inputs) const { return program_->is_planned_for(shapes_of(inputs)); }

features model::predict(const features& inputs) { return std::move(predict_batch(std::span(&inputs, 1)).front()); }

std::vector<features> model::predict_batch(std::span<const features> inputs) {
    static_cast<void>(*program_);  // else the first error would be one of what is left of the description
    const bool rank_5 = settings_.array_input_shape_mapping == array_shape_mapping::rank5_array_mapping;
    for (const features& given : inputs)
        check_features("input", settings_.description.input, given, rank_5 ? &detail::is_blob_of : nullptr);
    std::vector<features> results;
    results.reserve(inputs.size());
    for (std::size_t begin = 0; begin < inputs.size();) {
        const auto shapes = shapes_of(inputs[begin]);
        std::size_t end = begin + 1;
        while (end < inputs.size() && shapes_of(inputs[end]) == shapes) ++end;
        program_->reshape(shapes);
        run(inputs.subspan(begin, end - begin), results);
        begin = end;
    }
    return results;
}

void model::run(std::span<const features> inputs, std::vector<features>& results) {
    auto& core = program_->core();
    if (program_->plan().open && inputs.size() > 1) {  // each has shapes of its own
        for (std::size_t e = 0; e < inputs.size(); ++e) run(inputs.subspan(e, 1), results);
        return;
    }
    core.reserve(static_cast<extent>(inputs.size()));
    const plan_view& plan = program_->plan();
    for (std::size_t e = 0; e < inputs.size(); ++e)
        for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
            const extent size = plan.blobs[plan.inputs[i]].dimensions.size();
            read_input(i, inputs[e], core.value(plan.inputs[i]) + static_cast<extent>(e) * size);
        }
    program_->forward();
    for (std::size_t e = 0; e < inputs.size(); ++e) {
        features& result = results.emplace_back();
        for (std::size_t i = 0; i < outputs_.size(); ++i)
            if (outputs_[i] != detail::no_output) {
                const feature_description& feature = settings_.description.output[i];
                result.set(feature.name, output_value(feature, outputs_[i], static_cast<extent>(e)));
            }
        if (probabilities_ != detail::no_output) answer(result, static_cast<extent>(e));
    }
}

void model::read_input(std::size_t number, const features& inputs, float* to) const {
    const plan_view& plan = program_->plan();
    const feature_description& feature = settings_.description.input[number];
    const feature_value* value = inputs.find(feature.name);
    if (value == nullptr) {
        const auto* array = feature.type.multi_array_type();
        std::fill_n(to, plan.blobs[plan.inputs[number]].dimensions.size(),
                    array == nullptr ? 0.0f : detail::number_of(array->default_optional_value));
    } else if (const auto* array = std::get_if<multi_array>(value)) {
        std::visit([&](const auto& values) { copy_elements(values, to); }, array->values());
    } else if (const auto* picture = std::get_if<image>(value)) {
        const image_color_space space = feature.type.image_type()->color_space;
        read_pixels(*picture, space, to);
        preprocess(settings_.preprocessing, feature.name, picture->size(), space, to);
    } else {
        *to = detail::scalar_of(*value);
    }
}

feature_value model::output_value(const feature_description& feature, std::size_t output, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[output]];
    const float* values = program_->core().value(plan.outputs[output]) +
                          (blob.per_example ? example * blob.dimensions.size() : 0);
    if (const image_feature_type* picture = feature.type.image_type()) {
        if (blob.open.any) check_decided(feature.name, output, {});
        return make_image(values, detail::image_of_output(feature, blob.dimensions), picture->color_space);
    }
    const array_feature_type* array = feature.type.multi_array_type();
    const shape declared = array == nullptr ? shape{1} : array->default_shape();
    const auto fitting = array == nullptr || declared.rank() == 0 ? std::nullopt : array->shape_of(blob.dimensions);
    if (blob.open.any || array == nullptr) check_decided(feature.name, output, fitting.value_or(declared));
    if (array == nullptr) {
        if (std::holds_alternative<double_feature_type>(feature.type.type)) return static_cast<double>(*values);
        const double rounded = std::isnan(*values) ? 0.0 : std::round(static_cast<double>(*values));
        return static_cast<std::int64_t>(std::clamp(rounded, -0x1p62, 0x1p62));
    }
    const shape s = fitting                       ? *fitting
                    : blob.dimensions.rank() == 0 ? shape{1}  // as Core ML gives a scalar
                                                  : blob.dimensions;
    if (array->data_type == array_data_type::float64) return detail::array_from<double>(values, s);
    if (array->data_type == array_data_type::int32) return detail::array_from<std::int32_t>(values, s);
    return detail::array_from<float>(values, s);
}

void model::check_decided(std::string_view name, std::size_t output, const shape& declared) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[output]];
    if (blob.open.any && !program_->core().run()->is_decided(plan.outputs[output]))
        throw error(shape_fault("output \"", name, "\" has no shape: the loop that makes it has not run"));
    if (declared.rank() > 0 && checked_size(declared, planner::largest) != blob.dimensions.size())
        throw error(shape_fault("output \"", name, "\": the shape ", declared, " declared, the network gives ",
                                blob.dimensions));
}

void model::answer(features& result, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[probabilities_]];
    const extent labels = std::visit([](const auto& list) -> extent {
        if constexpr (requires { list.size(); }) return static_cast<extent>(list.size());
        else return 0;
    }, settings_.class_labels);
    check_decided(plan[blob.name], probabilities_, shape{labels});
    const extent size = blob.dimensions.size();
    const float* values =
        program_->core().value(plan.outputs[probabilities_]) + (blob.per_example ? example * size : 0);
    const auto best = static_cast<std::size_t>(std::max_element(values, values + size) - values);
    const auto fill = [&](const auto& labels, auto dictionary) {
        for (std::size_t i = 0; i < labels.size(); ++i) dictionary[labels[i]] = static_cast<double>(values[i]);
        result.set(settings_.description.predicted_feature_name, labels[best]);
        if (!settings_.description.predicted_probabilities_name.empty())
            result.set(settings_.description.predicted_probabilities_name, std::move(dictionary));
    };
    if (const auto* names = std::get_if<string_sequence>(&settings_.class_labels))
        fill(*names, string_dictionary{});
    else
        fill(std::get<int64_sequence>(settings_.class_labels), int64_dictionary{});
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
