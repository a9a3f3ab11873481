#pragma once

#include "../network/program.hpp"
#include "layer_codec.hpp"
#include "network_codec.hpp"
#include "model_settings.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {

struct layer_notes;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// A network with its parameters, its interface and its update rules: what a file holds. Made by `load`, `parse` or
/// `to_model`. A copy is independent. One thread at a time may use a model.
class model {
public:
    struct parts;  ///< layers and what a document says of them

    explicit model(parts&& content);
    model(const model&);
    model& operator=(const model& other) { return *this = model(other); }
    model(model&&) noexcept;
    model& operator=(model&&) noexcept;
    ~model();

    const model_settings& settings() const { return settings_; }
    const model_description& description() const { return settings_.description; }
    /// Replaces what the model says of itself. Throws `error`, and changes nothing, where it does not fit the
    /// layers, or would not be read again from a file.
    void set_settings(model_settings settings);

    /// Runs one example: a value for each input that is not optional. Throws `error` where a value is missing,
    /// does not fit or is not wanted.
    features predict(const features& inputs);
    /// Runs many, as many at once as have the same shapes.
    std::vector<features> predict_batch(std::span<const features> inputs);

    /// Writes the document to `path`, and the weights to the file of the same name that ends in .safetensors
    /// unless they stand in the document: few (64 numbers in all) or read from there. Files are whole
    /// afterwards or unchanged; see write_files_atomically. `load` refuses two that are no pair ("weightsId" in both).
    void save(const std::filesystem::path& path) const;

    /// The document, and the bytes of the safetensors file that it calls `weights_file`; none where no weight
    /// is there.
    struct document {
        std::string json;
        std::vector<std::byte> weights;
    };
    document write(std::string_view weights_file) const;

    /// The layers with the memory that they run in.
    program& network() { return *program_; }
    const program& network() const { return *program_; }
    /// The plan for the shapes that came last, to `inspect`.
    const plan_view& plan() const { return program_->plan(); }
    // As of a composed network.
    const std::span<float> parameter(std::string_view layer, std::string_view field) {
        return program_->core().parameter(layer, field);
    }
    std::span<const float> parameter(std::string_view layer, std::string_view field) const {
        return program_->core().parameter(layer, field);
    }
    void prepare() { program_->prepare(); }
    std::size_t memory_bytes() const { return program_->core().memory_bytes(); }
    void use_threads(std::size_t count) { program_->use_threads(count); }
    std::size_t thread_count() const { return program_->thread_count(); }
    void use(const arithmetic& how) { program_->use(how); }
    low_precision use_low_precision(low_precision wanted) { return program_->use_low_precision(wanted); }
    low_precision precision_in_force() { return program_->precision_in_force(); }
    std::string precision_note() { return program_->precision_note(); }
    /// Plans the network for the shapes of these inputs.
    void reshape(const features& inputs);
    bool is_planned_for(const features& inputs) const;
    /// Writes the value of input `number` to a blob of the shape that it is planned for.
    void read_input(std::size_t number, const features& inputs, float* to) const;

    std::span<const layer_codec> codecs() const { return codecs_; }
    /// Whether the document marks parameter `number` of the plan as updatable ("isUpdatable" of its weights).
    bool marked_updatable(std::size_t number) const;

private:
    std::vector<program::named_shape> shapes_of(const features& inputs) const;
    void run(std::span<const features> inputs, std::vector<features>& results);
    feature_value output_value(const feature_description& feature, std::size_t output, extent example) const;
    void answer(features& result, extent example) const;
    void check_decided(std::string_view name, std::size_t output, const shape& declared) const;

    model_settings settings_;
    std::span<const layer_codec> codecs_;
    std::vector<layer_notes> notes_;
    std::shared_ptr<const implied_fields> implied_;  ///< null: composed in code
    std::map<std::string, std::string> weights_metadata_;
    std::vector<std::size_t> outputs_;  ///< for each described output its place among the plan's; npos: an answer
    std::size_t probabilities_ = 0;     ///< place among the plan's outputs
    owned_program program_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <type_traits>

namespace bespoke {
namespace detail {

inline constexpr std::size_t no_output = static_cast<std::size_t>(-1);
inline std::string_view key_of_type(model_type type) {
    constexpr std::string_view keys[] = {"neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"};
    return keys[static_cast<std::size_t>(type)];
}

/// The shape of the blob for a multi-array of shape `s`.
inline shape blob_shape(const shape& s, array_shape_mapping mapping, const std::string& place) {
    if (mapping == array_shape_mapping::exact_array_mapping || s.rank() == 5) return s;
    if (s.rank() == 1) return {1, 1, s[0], 1, 1};
    if (s.rank() == 3) return {1, 1, s[0], s[1], s[2]};
    throw error(shape_fault(place, ": a shape of rank 1, 3 or 5 wanted with RANK5_ARRAY_MAPPING, it is ", s));
}

/// Throws where a network cannot take a feature of this type.
inline void check_input(const feature_description& feature) {
    if (feature.type.multi_array_type() == nullptr && feature.type.image_type() == nullptr &&
        !std::holds_alternative<int64_feature_type>(feature.type.type) &&
        !std::holds_alternative<double_feature_type>(feature.type.type))
        throw error(errc::unsupported, "input " + in_quotes(feature.name) +
                                           ": a neural network takes multi-arrays, images and numbers, not " +
                                           bespoke::to_text(feature.type));
}

/// The shape of the blob for an image of this size.
inline shape blob_shape(image_size size, image_color_space space, image_shape_mapping mapping) {
    const extent channels = channels_of(space);
    if (mapping == image_shape_mapping::rank4_image_mapping) return {1, channels, size.height, size.width};
    return {1, 1, channels, size.height, size.width};
}

inline shape declared_shape(const feature_description& feature, const model_settings& settings) {
    if (const image_feature_type* picture = feature.type.image_type())
        return blob_shape(picture->default_size(), picture->color_space, settings.image_input_shape_mapping);
    const array_feature_type* array = feature.type.multi_array_type();
    if (array == nullptr) return {1};
    return blob_shape(array->default_shape(), settings.array_input_shape_mapping, "input \"" + feature.name + "\"");
}

/// The size of the image that an output of this shape makes, if it makes one.
inline std::optional<image_size> image_in(const shape& made, image_color_space space) {
    if (made.rank() < 3 || made.from_end(3) != channels_of(space) || made.product(0, made.rank() - 3) != 1) return {};
    return image_size{made.from_end(1), made.from_end(2)};
}

/// The same where the feature declares an image. Throws where it is none, or not one that the feature allows.
inline image_size image_of_output(const feature_description& feature, const shape& made) {
    const image_feature_type& picture = *feature.type.image_type();
    const auto size = image_in(made, picture.color_space);
    if (!size || !picture.accepts(*size))
        throw error(shape_fault("output \"", feature.name, "\": ", bespoke::to_text(feature.type),
                                " declared, the network gives ", made));
    return *size;
}

/// The shapes of the blobs for the inputs that are described. Throws where a network cannot take one.
inline std::vector<program::named_shape> declared_shapes(const model_settings& settings) {
    std::vector<program::named_shape> inputs;
    for (const auto& feature : settings.description.input) {
        check_input(feature);
        inputs.push_back({feature.name, declared_shape(feature, settings)});
    }
    return inputs;
}

/// Throws where others are described than the network has.
inline void check_inputs(const model_description& description, const plan_view& plan) {
    if (description.input.size() != plan.inputs.size())
        throw error(errc::bad_value, "/description/input: " + std::to_string(plan.inputs.size()) + " inputs wanted, " +
                                         std::to_string(description.input.size()) + " came");
    for (std::size_t i = 0; i < plan.inputs.size(); ++i)
        if (plan[plan.blobs[plan.inputs[i]].name] != description.input[i].name)
            throw error(errc::unknown_name, "/description/input/" + std::to_string(i) + ": " +
                                                in_quotes(plan[plan.blobs[plan.inputs[i]].name]) + " wanted, " +
                                                in_quotes(description.input[i].name) + " came");
}

/// Throws where a step of the preprocessing is for no image, or for one of another size.
inline void check_preprocessing(const model_settings& settings, const std::string& root) {
    for (std::size_t i = 0; i < settings.preprocessing.size(); ++i) {
        const image_preprocessing& step = settings.preprocessing[i];
        const std::string place = root + "/preprocessing/" + std::to_string(i);
        const feature_description* feature = find_feature(settings.description.input, step.feature_name);
        const image_feature_type* picture = feature == nullptr ? nullptr : feature->type.image_type();
        if (picture == nullptr)
            throw error(errc::unknown_name, place + "/featureName: the name of an input that is an image wanted, " +
                                                in_quotes(step.feature_name) + " came");
        const auto* mean = std::get_if<mean_image>(&step.preprocessor);
        const extent wanted = declared_shape(*feature, settings).size();
        if (mean != nullptr && static_cast<extent>(mean->values.size()) != wanted)
            throw error(errc::shape_mismatch, place + "/meanImage: " + std::to_string(wanted) + " numbers wanted for " +
                                                  bespoke::to_text(feature->type) + ", " +
                                                  std::to_string(mean->values.size()) + " came");
    }
}

/// The place of an output among those of the plan. Throws where there is none of the name.
inline std::size_t output_number(const plan_view& plan, std::string_view name) {
    for (std::size_t i = 0; i < plan.outputs.size(); ++i)
        if (plan[plan.blobs[plan.outputs[i]].name] == name) return i;
    throw error(errc::unknown_name, "output " + in_quotes(name) + ": the network has no such output");
}

/// How many class labels there are. Throws where there is none, or one comes twice.
inline extent count_labels(const model_settings& settings, const std::string& root) {
    const auto count = [&](const auto& labels, const std::string& place, const auto& shown) {
        if (labels.empty()) throw error(errc::bad_value, place + ": one class label or more wanted, none came");
        std::set<std::remove_cvref_t<decltype(labels[0])>> seen;
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (!seen.insert(labels[i]).second)
                throw error(errc::duplicate_name,
                            place + "/" + std::to_string(i) + ": the class label " + shown(labels[i]) + " comes twice");
        return static_cast<extent>(labels.size());
    };
    if (const auto* names = std::get_if<string_sequence>(&settings.class_labels))
        return count(*names, root + "/stringClassLabels/vector", [](const auto& name) { return in_quotes(name); });
    if (const auto* numbers = std::get_if<int64_sequence>(&settings.class_labels))
        return count(*numbers, root + "/int64ClassLabels/vector", [](auto number) { return std::to_string(number); });
    throw error(errc::bad_value, root + ": class labels wanted, none came");
}

/// The place among the plan's outputs of the one that has a probability for each class label. Throws where there is no
/// such output.
inline std::size_t probabilities_of(const model_settings& settings, const plan_view& plan, const std::string& root) {
    const extent labels = count_labels(settings, root);
    const std::size_t number = output_number(plan, probabilities_blob(settings, plan));
    const blob_facts& blob = plan.blobs[plan.outputs[number]];
    if (!blob.open.any && blob.dimensions.size() != labels)
        throw error(shape_fault(root, ": ", labels, " class labels for the probabilities \"", plan[blob.name],
                                "\" of the shape ", blob.dimensions));
    return number;
}

inline void check_type(bool fits, const feature_description& feature, const std::string& wanted) {
    if (!fits)
        throw error(errc::bad_value, "output " + in_quotes(feature.name) + ": " + wanted + " wanted, " +
                                         bespoke::to_text(feature.type) + " declared");
}

/// Whether an output of a classifier is the label or the probabilities. Throws where it is, and has another type.
inline bool check_answer(const model_settings& settings, const feature_description& feature) {
    const bool by_name = std::holds_alternative<string_sequence>(settings.class_labels);
    if (feature.name == settings.description.predicted_feature_name) {
        check_type(by_name ? std::holds_alternative<string_feature_type>(feature.type.type)
                           : std::holds_alternative<int64_feature_type>(feature.type.type),
                   feature, by_name ? "a string" : "an int64");
        return true;
    }
    if (feature.name != settings.description.predicted_probabilities_name) return false;
    const auto* dictionary = std::get_if<dictionary_feature_type>(&feature.type.type);
    check_type(dictionary != nullptr &&
                   (dictionary->key_type == dictionary_feature_type::key::string_key_type) == by_name,
               feature, by_name ? "a dictionary of strings" : "a dictionary of int64");
    return true;
}

/// Throws where an output is declared otherwise than the network gives it.
inline void check_output(const feature_description& feature, const blob_facts& blob) {
    const shape& made = blob.dimensions;
    const array_feature_type* array = feature.type.multi_array_type();
    if (feature.type.image_type() != nullptr) {
        if (!blob.open.any) image_of_output(feature, made);
    } else if (array == nullptr) {
        check_type(std::holds_alternative<double_feature_type>(feature.type.type) ||
                       std::holds_alternative<int64_feature_type>(feature.type.type),
                   feature, "a multi-array, an image or a number");
        check_type(blob.open.any || made.size() == 1, feature, "a multi-array " + bespoke::to_text(made));
    } else if (!blob.open.any && array->default_shape().rank() > 0 && !array->shape_of(made)) {
        throw error(shape_fault("output \"", feature.name, "\": the shape ", array->default_shape(),
                                " declared, the network gives ", made));
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct model::parts {
    model_settings settings;
    layer_list layers;
    std::span<const layer_codec> codecs;
    std::vector<layer_notes> notes;
    std::shared_ptr<const implied_fields> implied;
    std::map<std::string, std::string> weights_metadata;
    std::size_t threads = 1;
    arithmetic how{};
    extent most_elements = std::numeric_limits<extent>::max();  ///< of all blobs of one example
    /// Called with the plan before the memory for parameters is taken, and with it afterwards.
    void (*fill)(void* context, const plan_view& plan, engine<float>* core) = nullptr;
    void* context = nullptr;
};

model::model(const model& other)
    : settings_(other.settings_), codecs_(other.codecs_), notes_(other.notes_), implied_(other.implied_),
      weights_metadata_(other.weights_metadata_), outputs_(other.outputs_), probabilities_(other.probabilities_),
      program_(std::make_unique<program>(*other.program_)) {}
model::model(model&&) noexcept = default;
model& model::operator=(model&&) noexcept = default;
model::~model() = default;

model::model(parts&& content)
    : codecs_(content.codecs), implied_(std::move(content.implied)),
      weights_metadata_(std::move(content.weights_metadata)) {
    const model_settings& settings = content.settings;
    const std::string root = "/" + std::string(detail::key_of_type(settings.type)) + "/";
    std::vector<program::named_shape> inputs = detail::declared_shapes(settings);
    std::vector<std::string> outputs;
    detail::check_predicted_feature(settings);
    const bool classifies = settings.type == model_type::neural_network_classifier;
    for (const auto& feature : settings.description.output)
        if (!classifies || (feature.name != settings.description.predicted_feature_name &&
                            feature.name != settings.description.predicted_probabilities_name))
            outputs.push_back(feature.name);

    // planned without memory first: a size that the file does not hold must not be allocated
    std::string probabilities;
    const planner p = planned_by(root, [&](planner& told) {
        for (const auto& in : inputs) told.input(in.name, in.dimensions);
        content.layers.plan(told);
        if (classifies && !told.failed())
            probabilities = detail::probabilities_blob(settings, told.result().view());
        for (const auto& name : outputs) told.output(name);
        if (classifies) told.output(probabilities);
        told.finish();
    });
    if (classifies) outputs.push_back(probabilities);
    if (p.failed()) throw error(p.problem());
    if (content.fill != nullptr) content.fill(content.context, p.result().view(), nullptr);

    program_ = owned_program(std::make_unique<program>(std::move(content.layers), std::move(inputs),
                                                       std::move(outputs), root, content.most_elements));
    program_->use_threads(content.threads);
    if (content.fill != nullptr) content.fill(content.context, program_->plan(), &program_->core());
    notes_ = std::move(content.notes);
    program_->core().use(content.how);
    set_settings(std::move(content.settings));
}

void model::set_settings(model_settings settings) {
    const model_description& description = settings.description;
    if (const auto problem = fault_of(description)) throw error(*problem);
    const plan_view& plan = program_->plan();  // that of the engine, whichever it is
    const std::string root = "/" + std::string(detail::key_of_type(settings.type));
    detail::check_alone(settings, root);
    detail::check_inputs(description, plan);
    // what is declared is compared with the plan for the shapes that are declared
    program_->reshape(detail::declared_shapes(settings));
    detail::check_preprocessing(settings, root);
    if (settings.takes_arrays_of_rank_5()) {
        const auto layers = program_->layers().flatten();
        for (std::size_t s = 0; s < layers.size(); ++s)
            detail::check_rank_5(find_codec(codecs_, *layers[s])->key, std::string(plan[plan.steps[s].place]));
    }

    const bool classifies = settings.type == model_type::neural_network_classifier;
    const std::size_t probabilities = classifies ? detail::probabilities_of(settings, plan, root) : detail::no_output;
    std::vector<std::size_t> outputs;
    for (const auto& feature : description.output) {
        const bool answers = classifies && detail::check_answer(settings, feature);
        outputs.push_back(answers ? detail::no_output : detail::output_number(plan, feature.name));
        if (!answers) detail::check_output(feature, plan.blobs[plan.outputs[outputs.back()]]);
    }
    settings_ = std::move(settings);
    outputs_ = std::move(outputs);
    probabilities_ = probabilities;
}

bool model::marked_updatable(std::size_t number) const {
    const plan_view& plan = program_->plan();
    const std::size_t step = plan.parameters[number].step;
    return step < notes_.size() && notes_[step].weights[number - plan.steps[step].first_parameter].updatable;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
