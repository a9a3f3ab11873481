#pragma once

#include "../network/program.hpp"
#include "description_codec.hpp"
#include "layer_codec.hpp"
#include "update_parameters.hpp"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bespoke {

/// What a network answers with. Core ML specification, the `Type` of Model.
enum class model_type { neural_network, neural_network_classifier, neural_network_regressor };

/// How the shape of a multi-array becomes the shape of a blob.
/// Core ML specification, NeuralNetworkMultiArrayShapeMapping.
enum class array_shape_mapping {
    rank5_array_mapping,  ///< [C] -> [1, 1, C, 1, 1], [C, H, W] -> [1, 1, C, H, W]
    exact_array_mapping,  ///< as it is
};
constexpr std::array<std::string_view, 2> enumerators(array_shape_mapping) {
    return {"RANK5_ARRAY_MAPPING", "EXACT_ARRAY_MAPPING"};
}
enum class image_shape_mapping { rank5_image_mapping, rank4_image_mapping };
constexpr std::array<std::string_view, 2> enumerators(image_shape_mapping) {
    return {"RANK5_IMAGE_MAPPING", "RANK4_IMAGE_MAPPING"};
}

/// All that a model says beside its layers. The names are the specification's.
struct model_settings {
    std::int32_t specification_version = 4;
    model_description description{};
    bool is_updatable = false;
    model_type type = model_type::neural_network;
    array_shape_mapping array_input_shape_mapping = array_shape_mapping::exact_array_mapping;
    image_shape_mapping image_input_shape_mapping = image_shape_mapping::rank5_image_mapping;
    /// Of a classifier: a name or a number for each element of the blob `label_probability_layer_name` (empty:
    /// what the last layer writes).
    std::variant<std::monostate, string_sequence, int64_sequence> class_labels{};
    std::string label_probability_layer_name{};
    std::optional<network_update_parameters> update_parameters{};

    friend bool operator==(const model_settings&, const model_settings&) = default;
};

struct load_options {
    std::size_t threads = 1;  ///< how many kernels use, the caller included
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// A network with its parameters, its interface and its update rules: what a file holds.
///
/// Made by `load`, `parse` or `to_model`. A copy is independent. One thread at a time may use a model.
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
    /// layers.
    void set_settings(model_settings settings);

    /// Runs one example: a value for each input that is not optional. Throws `error` where a value is missing,
    /// does not fit or is not wanted.
    features predict(const features& inputs);
    /// Runs many, as many at once as have the same shapes.
    std::vector<features> predict(std::span<const features> inputs);

    /// Writes the document to `path`, and the weights to the file of the same name that ends in .safetensors
    /// unless they stand in the document: few (64 numbers in all) or read from there. Files are whole
    /// afterwards or unchanged; see write_files_atomically.
    void save(const std::filesystem::path& path) const;

    /// The document, and the bytes of the safetensors file that it calls `weights_file`; none where no weight
    /// is there.
    struct document {
        std::string json;
        std::vector<std::byte> weights;
    };
    document write(std::string_view weights_file) const;

    /// The layers with the memory that they run in. After writing parameters, call its `prepare`.
    program& network() { return *program_; }
    const program& network() const { return *program_; }
    /// The parameter array `field` ("weights") of the layer `layer`. Throws `error` where there is none.
    std::span<float> parameter(std::string_view layer, std::string_view field);
    /// Plans the network for the shapes of these inputs.
    void reshape(const features& inputs) { program_->reshape(shapes_of(inputs)); }
    bool is_planned_for(const features& inputs) const { return program_->is_planned_for(shapes_of(inputs)); }
    /// Writes the value of input `number` to a blob of the shape that it is planned for.
    void read_input(std::size_t number, const features& inputs, float* to) const;

    std::span<const layer_codec> codecs() const { return codecs_; }
    /// Whether the document marks parameter `number` of the plan as updatable ("isUpdatable" of its weights).
    bool marked_updatable(std::size_t number) const;

private:
    struct input_site {
        const feature_description* feature;
        std::size_t blob;
    };

    std::vector<program::named_shape> shapes_of(const features& inputs) const;
    void run(std::span<const features> inputs, std::vector<features>& results);
    feature_value output_value(const feature_description& feature, std::size_t output, extent example) const;
    void answer(features& result, extent example) const;

    model_settings settings_;
    std::span<const layer_codec> codecs_;
    std::vector<layer_notes> notes_;
    std::shared_ptr<const std::set<std::string>> implied_;  ///< null: composed in code
    std::map<std::string, std::string> weights_metadata_;
    std::vector<std::size_t> outputs_;  ///< for each described output its place among the plan's; npos: an answer
    std::size_t probabilities_ = 0;     ///< place among the plan's outputs
    std::unique_ptr<program> program_;
    bool prepared_ = false;
};

struct model::parts {
    model_settings settings;
    layer_list layers;
    std::span<const layer_codec> codecs;
    std::vector<layer_notes> notes;
    std::shared_ptr<const std::set<std::string>> implied;
    std::map<std::string, std::string> weights_metadata;
    std::size_t threads = 1;
    /// Called with the plan before the memory for parameters is taken, and with it afterwards.
    void (*fill)(void* context, const plan_view& plan, engine<float>* core) = nullptr;
    void* context = nullptr;
};

model load(const std::filesystem::path& path, const load_options& options);
model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options);
model parse(std::string_view json, const safetensors* weights, const load_options& options);
model parse(std::string_view json, const safetensors* weights, std::span<const layer_codec> codecs,
            const load_options& options);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model;

/// Reads a model: JSON, and the safetensors file beside it where "weightsFile" names one. Throws `error` with
/// the file and the place in it; nothing is half loaded.
inline model load(const std::filesystem::path& path, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load(path, options);
}
/// The same for a model of other layers: `load<core_layers, my_layer>(path)`.
template <class... Layers>
    requires(sizeof...(Layers) > 0)
model load(const std::filesystem::path& path, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load(path, codecs_in<Layers...>, options);
}

/// Reads a model from memory; `weights` stands for the file that "weightsFile" names.
inline model parse(std::string_view json, const safetensors* weights = nullptr, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(json, weights, options);
}
template <class... Layers>
    requires(sizeof...(Layers) > 0)
model parse(std::string_view json, const safetensors* weights = nullptr, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(json, weights, codecs_in<Layers...>, options);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

inline constexpr std::size_t no_output = static_cast<std::size_t>(-1);
/// Up to so many numbers in all, weights are written into the document.
inline constexpr extent few_weights = 64;

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

/// The number of a feature that is no array.
inline float scalar_of(const feature_value& value) {
    return std::holds_alternative<std::int64_t>(value) ? static_cast<float>(std::get<std::int64_t>(value))
                                                       : static_cast<float>(std::get<double>(value));
}

/// Throws where a network cannot take a feature of this type.
inline void check_input(const feature_description& feature) {
    if (feature.type.multi_array_type() == nullptr && !std::holds_alternative<int64_feature_type>(feature.type.type) &&
        !std::holds_alternative<double_feature_type>(feature.type.type))
        throw error(errc::unsupported, "input " + in_quotes(feature.name) +
                                           ": a neural network takes multi-arrays and numbers, not " +
                                           bespoke::to_text(feature.type));
}

inline shape declared_shape(const feature_description& feature, array_shape_mapping mapping) {
    const array_feature_type* array = feature.type.multi_array_type();
    if (array == nullptr) return {1};
    return blob_shape(array->default_shape(), mapping, "input \"" + feature.name + "\"");
}

/// The layers' parameters from what `network_reader` found, in two steps: first every size is compared with
/// the plan, then, when there is memory, the values are read.
struct weights_to_read {
    network_reader& networks;
    std::vector<layer_notes>& notes;

    static void fill(void* context, const plan_view& plan, engine<float>* core) {
        auto& self = *static_cast<weights_to_read*>(context);
        for (auto& pending : self.networks.weights) {
            const std::size_t number = plan.steps[pending.step].first_parameter + pending.number;
            const std::string place = pending.value.place();
            auto& source = self.notes[pending.step].weights[pending.number];
            read_weights(pending.value, place, plan.parameters[number].dimensions, self.networks.tensors, source,
                         core == nullptr ? nullptr : core->parameter(number));
        }
    }
};

inline float number_of(const std::variant<std::monostate, std::int32_t, float, double>& value) {
    if (const auto* whole = std::get_if<std::int32_t>(&value)) return static_cast<float>(*whole);
    if (const auto* real = std::get_if<float>(&value)) return *real;
    if (const auto* number = std::get_if<double>(&value)) return static_cast<float>(*number);
    return 0;
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

/// Reads the members of a NeuralNetwork, NeuralNetworkClassifier or NeuralNetworkRegressor.
inline layer_list read_network(object_reader& in, model_settings& settings, network_reader& networks) {
    settings.array_input_shape_mapping = static_cast<array_shape_mapping>(
        in.enumerator("arrayInputShapeMapping", enumerators(array_shape_mapping{})));
    settings.image_input_shape_mapping = static_cast<image_shape_mapping>(
        in.enumerator("imageInputShapeMapping", enumerators(image_shape_mapping{})));
    if (in.length("preprocessing") > 0)
        in.fail(errc::unsupported, "preprocessing", "images are not supported");
    in.objects("preprocessing");
    object_reader update = in.object("updateParams");
    if (in.has("updateParams"))
        settings.update_parameters = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_update_parameters(update);
    if (settings.type == model_type::neural_network_classifier) {
        static constexpr std::string_view kinds[] = {"stringClassLabels", "int64ClassLabels"};
        const std::string_view kind = in.one_of(kinds);
        if (kind.empty()) in.fail(errc::bad_value, "", "class labels wanted, none came");
        object_reader labels = in.object(kind);
        if (kind == kinds[0])
            settings.class_labels = labels.texts("vector");
        else
            settings.class_labels = labels.integers("vector");
        labels.finish();
        settings.label_probability_layer_name = in.text("labelProbabilityLayerName");
    }
    layer_list layers = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_layers(networks, in);
    in.finish();
    return layers;
}

/// Reads a whole document. `tensors_in(name, reader)` gives the safetensors file called so, or null.
template <class TensorsIn>
model read_model(const json& root, std::span<const layer_codec> codecs, const load_options& options,
                 const TensorsIn& tensors_in) {
    object_reader top(&root, "");
    model::parts content;
    model_settings& settings = content.settings;
    const std::int64_t version = top.integer("specificationVersion");
    if (version < 1 || version > std::numeric_limits<std::int32_t>::max())
        top.fail(errc::bad_value, "specificationVersion", "1 or more wanted, " + std::to_string(version) + " came");
    settings.specification_version = static_cast<std::int32_t>(version);
    object_reader description = top.object("description");
    settings.description = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_description(description);
    settings.is_updatable = top.boolean("isUpdatable");
    const std::string weights_file = top.text("weightsFile");

    static constexpr std::string_view types[] = {"neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"};
    static constexpr std::string_view unsupported[] = {
        "pipelineClassifier", "pipelineRegressor", "pipeline", "glmRegressor", "supportVectorRegressor",
        "treeEnsembleRegressor", "bayesianProbitRegressor", "glmClassifier", "supportVectorClassifier",
        "treeEnsembleClassifier", "kNearestNeighborsClassifier", "itemSimilarityRecommender", "mlProgram",
        "customModel", "linkedModel", "classConfidenceThresholding", "oneHotEncoder", "imputer", "featureVectorizer",
        "dictVectorizer", "scaler", "categoricalMapping", "normalizer", "arrayFeatureExtractor",
        "nonMaximumSuppression", "identity", "textClassifier", "wordTagger", "visionFeaturePrint",
        "soundAnalysisPreprocessing", "gazetteer", "wordEmbedding", "audioFeaturePrint", "serializedModel"};
    for (std::string_view key : unsupported)
        if (top.has(key)) top.fail(errc::unsupported, key, "models of this type are not supported");
    const std::string_view type = top.one_of(types);
    top.finish();
    if (type.empty()) top.fail(errc::bad_value, "", "a model type wanted (\"neuralNetwork\"), none came");
    settings.type = static_cast<model_type>(std::find(std::begin(types), std::end(types), type) - std::begin(types));

    const safetensors* tensors = weights_file.empty() ? nullptr : tensors_in(weights_file, top);
    network_reader networks(codecs, tensors);
    object_reader network = top.object(type);
    content.layers = read_network(network, settings, networks);
    content.codecs = codecs;
    content.notes = std::move(networks.notes);
    content.implied = std::make_shared<const std::set<std::string>>(std::move(networks.implied));
    if (tensors != nullptr) content.weights_metadata = tensors->metadata();
    content.threads = options.threads;
    weights_to_read weights{networks, content.notes};
    content.fill = &weights_to_read::fill;
    content.context = &weights;
    return model(std::move(content));
}

/// Weights on their way into files.
struct weights_to_write {
    const program& network;
    const std::vector<layer_notes>& notes;
    std::vector<tensor_entry> tensors;
    bool few;

    static std::string base64_of(std::span<const float> values, std::size_t size) {
        std::vector<std::byte> bytes;
        bytes.reserve(values.size() * size);
        for (float v : values) {
            const std::uint32_t bits = size == 2 ? float_to_float16(v) : std::bit_cast<std::uint32_t>(v);
            for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(bits >> (8 * i) & 0xff));
        }
        return encode_base64(bytes);
    }

    /// The name under which the array is found in the file.
    std::string add_tensor(std::string name, const shape& dimensions, std::span<const float> values) {
        static_assert(std::endian::native == std::endian::little, "floats are written as they lie in memory");
        const auto bytes = std::as_bytes(values);
        const std::string wanted = name;
        for (std::size_t copy = 2;; ++copy) {
            const auto same_name = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
            if (same_name == tensors.end()) break;
            if (same_name->dimensions == dimensions && std::ranges::equal(same_name->bytes, bytes)) return name;
            name = wanted + "_" + std::to_string(copy);
        }
        tensors.push_back({name, "F32", dimensions, bytes});
        return name;
    }

    void write(std::size_t step, const layer_codec& codec, object_writer& fields) {
        const plan_view& plan = network.plan();
        for (std::size_t i = 0; i < codec.parameters.size(); ++i) {
            const std::size_t number = plan.steps[step].first_parameter + i;
            const parameter_facts& facts = plan.parameters[number];
            const weight_source source = step < notes.size() && i < notes[step].weights.size() ? notes[step].weights[i]
                                                                                               : weight_source{};
            if (facts.dimensions.size() == 0) continue;
            const std::span<const float> values(network.core().parameter(number),
                                                static_cast<std::size_t>(facts.dimensions.size()));
            for (std::size_t k = 0; k < values.size(); ++k)
                if (!std::isfinite(values[k]))
                    throw error(errc::bad_value, std::string(plan[plan.steps[step].place]) + ": its " +
                                                     std::string(facts.name) + " cannot be written: number " +
                                                     std::to_string(k) + " is not finite");
            auto kind = source.kind;
            if (kind == weight_source::float16_value &&
                !std::ranges::all_of(values, [](float v) { return float16_to_float(float_to_float16(v)) == v; }))
                kind = weight_source::automatic;
            if (kind == weight_source::automatic) kind = few ? weight_source::float_value : weight_source::tensor;
            object_writer out;
            if (kind == weight_source::float_value) {
                out.reals("floatValue", values);
            } else if (kind == weight_source::float16_value) {
                out.text("float16Value", base64_of(values, 2));
            } else if (kind == weight_source::float32_value) {
                object_writer inner;
                inner.text("float32Value", base64_of(values, 4));
                out.object("bespoke", inner);
            } else {
                out.text("tensor", add_tensor(source.name.empty() ? std::string(plan[plan.steps[step].name]) + "." +
                                                                        std::string(facts.name)
                                                                  : source.name,
                                              facts.dimensions, values));
            }
            out.boolean("isUpdatable", source.updatable);
            fields.object(facts.name, out);
        }
    }
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

model::model(const model& other)
    : settings_(other.settings_), codecs_(other.codecs_), notes_(other.notes_), implied_(other.implied_),
      weights_metadata_(other.weights_metadata_), outputs_(other.outputs_), probabilities_(other.probabilities_),
      program_(std::make_unique<program>(*other.program_)), prepared_(true) {}
model::model(model&&) noexcept = default;
model& model::operator=(model&&) noexcept = default;
model::~model() = default;

model::model(parts&& content)
    : codecs_(content.codecs), implied_(std::move(content.implied)),
      weights_metadata_(std::move(content.weights_metadata)) {
    const model_settings& settings = content.settings;
    const std::string root = "/" + std::string(detail::key_of_type(settings.type)) + "/";
    std::vector<program::named_shape> inputs;
    for (const auto& feature : settings.description.input) {
        detail::check_input(feature);
        inputs.push_back({feature.name, detail::declared_shape(feature, settings.array_input_shape_mapping)});
    }
    std::vector<std::string> outputs;
    const bool classifies = settings.type == model_type::neural_network_classifier;
    for (const auto& feature : settings.description.output)
        if (!classifies || (feature.name != settings.description.predicted_feature_name &&
                            feature.name != settings.description.predicted_probabilities_name))
            outputs.push_back(feature.name);

    // planned without memory first: a size that the file does not hold must not be allocated
    planner p(root);
    for (const auto& in : inputs) p.input(in.name, in.dimensions);
    content.layers.plan(p);
    std::string last;
    if (!p.failed() && p.previous() != planner::npos) {
        const plan_view so_far = p.result().view();
        last = so_far[so_far.blobs[p.previous()].name];
    }
    for (const auto& name : outputs) p.output(name);
    if (classifies) {
        outputs.push_back(settings.label_probability_layer_name.empty() ? last : settings.label_probability_layer_name);
        p.output(outputs.back());
    }
    p.finish();
    if (p.failed()) throw error(p.problem());
    if (content.fill != nullptr) content.fill(content.context, p.result().view(), nullptr);

    program_ = std::make_unique<program>(std::move(content.layers), std::move(inputs), std::move(outputs), root);
    if (content.fill != nullptr) content.fill(content.context, program_->plan(), &program_->core());
    notes_ = std::move(content.notes);
    program_->use_threads(content.threads);
    set_settings(std::move(content.settings));
}

void model::set_settings(model_settings settings) {
    const model_description& description = settings.description;
    if (const auto problem = fault_of(description)) throw error(*problem);
    const plan_view& plan = program_->plan();  // that of the engine, whichever it is
    const std::string root = "/" + std::string(detail::key_of_type(settings.type));

    if (description.input.size() != plan.inputs.size())
        throw error(errc::bad_value, "/description/input: " + std::to_string(plan.inputs.size()) + " inputs wanted, " +
                                         std::to_string(description.input.size()) + " came");
    for (const auto& feature : description.input) detail::check_input(feature);
    for (std::size_t i = 0; i < plan.inputs.size(); ++i)
        if (plan[plan.blobs[plan.inputs[i]].name] != description.input[i].name)
            throw error(errc::unknown_name, "/description/input/" + std::to_string(i) + ": " +
                                                in_quotes(plan[plan.blobs[plan.inputs[i]].name]) + " wanted, " +
                                                in_quotes(description.input[i].name) + " came");

    // what is declared is compared with the plan for the shapes that are declared
    std::vector<program::named_shape> inputs;
    for (const auto& feature : description.input)
        inputs.push_back({feature.name, detail::declared_shape(feature, settings.array_input_shape_mapping)});
    program_->reshape(inputs);

    const auto output_number = [&](std::string_view name) {
        for (std::size_t i = 0; i < plan.outputs.size(); ++i)
            if (plan[plan.blobs[plan.outputs[i]].name] == name) return i;
        throw error(errc::unknown_name, "output " + in_quotes(name) + ": the network has no such output");
    };
    std::vector<std::size_t> outputs;
    std::size_t probabilities = detail::no_output;
    const bool classifies = settings.type == model_type::neural_network_classifier;
    const bool by_name = std::holds_alternative<string_sequence>(settings.class_labels);
    if (classifies) {
        if (std::holds_alternative<std::monostate>(settings.class_labels))
            throw error(errc::bad_value, root + ": class labels wanted, none came");
        probabilities = settings.label_probability_layer_name.empty() ? plan.outputs.size() - 1
                                                                      : output_number(settings.label_probability_layer_name);
        const blob_facts& blob = plan.blobs[plan.outputs[probabilities]];
        const auto count_labels = [](const auto& labels) {
            if constexpr (requires { labels.size(); }) {
                if (std::set(labels.begin(), labels.end()).size() != labels.size())
                    throw error(errc::duplicate_name, "a class label comes twice");
                return static_cast<extent>(labels.size());
            } else {
                return extent{0};
            }
        };
        const extent labels = std::visit(count_labels, settings.class_labels);
        if (blob.dimensions.size() != labels)
            throw error(shape_fault(root, ": ", labels, " class labels for the probabilities \"", plan[blob.name],
                                    "\" of the shape ", blob.dimensions));
    }
    for (const auto& feature : description.output) {
        const auto wants = [&](bool fits, std::string_view wanted) {
            if (!fits)
                throw error(errc::bad_value, "output " + in_quotes(feature.name) + ": " + std::string(wanted) +
                                                 " wanted, " + bespoke::to_text(feature.type) + " declared");
        };
        if (classifies && feature.name == description.predicted_feature_name) {
            wants(by_name ? std::holds_alternative<string_feature_type>(feature.type.type)
                          : std::holds_alternative<int64_feature_type>(feature.type.type),
                  by_name ? "a string" : "an int64");
            outputs.push_back(detail::no_output);
        } else if (classifies && feature.name == description.predicted_probabilities_name) {
            const auto* dictionary = std::get_if<dictionary_feature_type>(&feature.type.type);
            wants(dictionary != nullptr && (dictionary->key_type == dictionary_feature_type::key::string_key_type) == by_name,
                  by_name ? "a dictionary of strings" : "a dictionary of int64");
            outputs.push_back(detail::no_output);
        } else {
            outputs.push_back(output_number(feature.name));
            const shape& made = plan.blobs[plan.outputs[outputs.back()]].dimensions;
            const array_feature_type* array = feature.type.multi_array_type();
            if (array == nullptr) {
                wants(std::holds_alternative<double_feature_type>(feature.type.type) ||
                          std::holds_alternative<int64_feature_type>(feature.type.type),
                      "a multi-array or a number");
                wants(made.size() == 1, "a multi-array " + bespoke::to_text(made));
            } else if (array->default_shape().rank() > 0 &&
                       checked_size(array->default_shape(), planner::largest) != made.size()) {
                throw error(shape_fault("output \"", feature.name, "\": the shape ", array->default_shape(),
                                        " declared, the network gives ", made));
            }
        }
    }
    if (settings.type == model_type::neural_network_regressor && description.predicted_feature_name.empty())
        throw error(errc::bad_value, "/description/predictedFeatureName: the name of an output wanted, none came");
    settings_ = std::move(settings);
    outputs_ = std::move(outputs);
    probabilities_ = probabilities;
}

bool model::marked_updatable(std::size_t number) const {
    const plan_view& plan = program_->plan();
    const std::size_t step = plan.parameters[number].step;
    return step < notes_.size() && notes_[step].weights[number - plan.steps[step].first_parameter].updatable;
}

std::span<float> model::parameter(std::string_view layer, std::string_view field) {
    const plan_view& plan = program_->plan();
    const std::size_t step = plan.find_step(layer);
    if (step != blob_facts::npos)
        for (std::size_t i = 0; i < plan.steps[step].parameter_count; ++i) {
            const std::size_t number = plan.steps[step].first_parameter + i;
            if (plan.parameters[number].name == field)
                return {program_->core().parameter(number),
                        static_cast<std::size_t>(plan.parameters[number].dimensions.size())};
        }
    throw error(errc::unknown_name, "no layer " + in_quotes(layer) + " with a parameter " + in_quotes(field));
}

// --- predicting -------------------------------------------------------------------------------------

std::vector<program::named_shape> model::shapes_of(const features& inputs) const {
    std::vector<program::named_shape> shapes;
    for (const auto& feature : settings_.description.input) {
        const feature_value* value = inputs.find(feature.name);
        const auto* array = value == nullptr ? nullptr : std::get_if<multi_array>(value);
        shapes.push_back({feature.name, array == nullptr
                                            ? detail::declared_shape(feature, settings_.array_input_shape_mapping)
                                            : detail::blob_shape(array->shape(), settings_.array_input_shape_mapping,
                                                                 "input \"" + feature.name + "\"")});
    }
    return shapes;
}

features model::predict(const features& inputs) { return std::move(predict(std::span(&inputs, 1)).front()); }

std::vector<features> model::predict(std::span<const features> inputs) {
    for (std::size_t i = 0; i < inputs.size(); ++i) check_features("input", settings_.description.input, inputs[i]);
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
    core.select(pass::all, {});
    core.reserve(static_cast<extent>(inputs.size()));
    if (!prepared_) program_->prepare();
    prepared_ = true;
    program_->measure();
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
    } else {
        *to = detail::scalar_of(*value);
    }
}

feature_value model::output_value(const feature_description& feature, std::size_t output, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[output]];
    const float* values = program_->core().value(plan.outputs[output]) +
                          (blob.per_example ? example * blob.dimensions.size() : 0);
    const array_feature_type* array = feature.type.multi_array_type();
    if (array == nullptr) {
        if (std::holds_alternative<double_feature_type>(feature.type.type)) return static_cast<double>(*values);
        const double rounded = std::isnan(*values) ? 0.0 : std::round(static_cast<double>(*values));
        return static_cast<std::int64_t>(std::clamp(rounded, -0x1p62, 0x1p62));
    }
    const shape declared = array->default_shape();
    const shape s = declared.rank() > 0 && checked_size(declared, planner::largest) == blob.dimensions.size()
                        ? declared
                        : blob.dimensions;
    if (array->data_type == array_data_type::float64) return detail::array_from<double>(values, s);
    if (array->data_type == array_data_type::int32) return detail::array_from<std::int32_t>(values, s);
    return detail::array_from<float>(values, s);
}

void model::answer(features& result, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[probabilities_]];
    const extent size = blob.dimensions.size();
    const float* values = program_->core().value(plan.outputs[probabilities_]) + (blob.per_example ? example * size : 0);
    const auto best = static_cast<std::size_t>(std::max_element(values, values + size) - values);
    const auto fill = [&](const auto& labels, auto dictionary) {
        for (std::size_t i = 0; i < labels.size(); ++i) dictionary[labels[i]] = static_cast<double>(values[i]);
        if (!settings_.description.predicted_feature_name.empty())
            result.set(settings_.description.predicted_feature_name, labels[best]);
        if (!settings_.description.predicted_probabilities_name.empty())
            result.set(settings_.description.predicted_probabilities_name, std::move(dictionary));
    };
    if (const auto* names = std::get_if<string_sequence>(&settings_.class_labels))
        fill(*names, string_dictionary{});
    else
        fill(std::get<int64_sequence>(settings_.class_labels), int64_dictionary{});
}

// --- writing ----------------------------------------------------------------------------------------

model::document model::write(std::string_view weights_file) const {
    extent numbers = 0;
    for (const parameter_facts& facts : program_->plan().parameters) numbers += facts.dimensions.size();
    detail::weights_to_write weights{*program_, notes_, {}, numbers <= detail::few_weights};
    struct both {
        detail::weights_to_write& weights;
        const std::vector<layer_notes>& notes;
    } context{weights, notes_};

    network_writer networks;
    networks.codecs = codecs_;
    networks.plan = program_->plan();
    networks.implied = implied_.get();
    networks.place = "/" + std::string(detail::key_of_type(settings_.type));
    networks.context = &context;
    networks.write_weights = [](void* c, std::size_t step, const layer_codec& codec, object_writer& fields) {
        static_cast<both*>(c)->weights.write(step, codec, fields);
    };
    networks.write_notes = [](void* c, std::size_t step, object_writer& layer) {
        const auto& notes = static_cast<both*>(c)->notes;
        if (step >= notes.size()) return;
        detail::write_tensor_notes(layer, "inputTensor", notes[step].inputs);
        detail::write_tensor_notes(layer, "outputTensor", notes[step].outputs);
    };

    object_writer network;
    network.objects("layers", write_layers(networks, program_->layers()));
    network.enumerator("arrayInputShapeMapping", enumerators(array_shape_mapping{}),
                       static_cast<std::size_t>(settings_.array_input_shape_mapping));
    network.enumerator("imageInputShapeMapping", enumerators(image_shape_mapping{}),
                       static_cast<std::size_t>(settings_.image_input_shape_mapping));
    if (settings_.update_parameters) network.object("updateParams", write_update_parameters(*settings_.update_parameters));
    object_writer labels;
    if (const auto* names = std::get_if<string_sequence>(&settings_.class_labels)) {
        labels.texts("vector", *names);
        network.object("stringClassLabels", labels);
    } else if (const auto* numbers = std::get_if<int64_sequence>(&settings_.class_labels)) {
        labels.integers("vector", *numbers);
        network.object("int64ClassLabels", labels);
    }
    network.text("labelProbabilityLayerName", settings_.label_probability_layer_name);

    object_writer top;
    top.small_integer("specificationVersion", settings_.specification_version);
    top.object("description", write_description(settings_.description));
    top.boolean("isUpdatable", settings_.is_updatable);
    if (!weights.tensors.empty()) top.text("weightsFile", weights_file);
    top.object(detail::key_of_type(settings_.type), network);
    document result{top.dump() + "\n", {}};
    if (!weights.tensors.empty()) result.weights = bespoke::to_safetensors(weights.tensors, weights_metadata_);
    return result;
}

void model::save(const std::filesystem::path& path) const {
    std::filesystem::path weights_path = path;
    weights_path.replace_extension(".safetensors");
    if (weights_path == path)
        throw error(errc::bad_argument, path.string() + ": this is the name of the file with the weights");
    const document content = write(weights_path.filename().string());
    const file_content json{path, std::as_bytes(std::span(content.json))};
    if (content.weights.empty())
        bespoke::write_files_atomically({json});
    else
        bespoke::write_files_atomically({{weights_path, content.weights}, json});
}

// --- reading ----------------------------------------------------------------------------------------

model parse(std::string_view json, const safetensors* weights, std::span<const layer_codec> codecs,
            const load_options& options) {
    const auto root = detail::parse_json(json, "model");
    return detail::read_model(root, codecs, options, [&](const auto&, const auto&) { return weights; });
}
model parse(std::string_view json, const safetensors* weights, const load_options& options) {
    return parse(json, weights, codecs_in<core_layers>, options);
}

model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options) {
    const auto bytes = bespoke::read_file(path);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto root = detail::parse_json(text, path.string());
    std::optional<safetensors> tensors;
    bool in_weights = false;
    const auto tensors_in = [&](const std::string& name, const object_reader& top) {
        const std::filesystem::path relative(name);
        bool inside = relative.is_relative() && relative.has_filename();
        for (const auto& step : relative) inside = inside && step != "..";
        if (!inside)
            top.fail(errc::bad_value, "weightsFile", "a file in the folder of the model wanted, " + in_quotes(name) + " came");
        in_weights = true;  // whose errors begin with its own path
        tensors = safetensors::load(path.parent_path() / relative);
        in_weights = false;
        return &*tensors;
    };
    try {
        return detail::read_model(root, codecs, options, tensors_in);
    } catch (const error& problem) {
        if (in_weights) throw;
        throw error(problem.code(), path.string() + ": " + problem.what());
    }
}
model load(const std::filesystem::path& path, const load_options& options) {
    return load(path, codecs_in<core_layers>, options);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
