#pragma once

#include "description_codec.hpp"
#include "model_class.hpp"
#include "model_predict.hpp"
#include "safetensors.hpp"

#include <filesystem>
#include <span>
#include <string_view>

/// Models and documents: `load(path)`, `parse(text)`, `m.save(path)`. What a model is stands in model_class.hpp.
namespace bespoke {

/// How a loaded model computes: `load(path, {.threads = 4})`. `use_threads` and `use` of a model change it later.
struct load_options {
    std::size_t threads = 1;  ///< how many kernels use, the caller included
    arithmetic how{};         ///< where there is a choice
    /// What all blobs of one example may take, in all, and a layer work with: a small file can ask for all memory.
    extent most_elements = run_shapes<float>::largest;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options);
model parse(std::string_view json, const safetensors* weights, std::span<const layer_codec> codecs,
            const load_options& options);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// Reads a model: JSON, and the safetensors file beside it where "weightsFile" names one; or, where the name ends
/// in ".mlmodel", the protobuf of the specification (convert/mlmodel.hpp). Throws `error` with the file and the
/// place in it; nothing is half loaded.
///
/// Of 1 MB of parameters and more, those that are float32 in a safetensors file are read where they lie, until they are
/// written in memory: the file is mapped as long as the model or a copy of it lives, see `mapped_file`. To `save` over
/// it is safe.
///
/// For a model with layers of one's own, see custom_layer.hpp: `load<core_layers, my_layer>(path)`.
template <class... Layers>
model load(const std::filesystem::path& path, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load(path, codecs_for<Layers...>(), options);
}

/// The same from memory; `weights` stands for the file that "weightsFile" names.
template <class... Layers>
model parse(std::string_view json, const safetensors* weights = nullptr, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(json, weights, codecs_for<Layers...>(),
                                                                        options);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

namespace bespoke {
namespace detail {

/// The document that a `.mlmodel` file spells. Defined below this room, in convert/mlmodel.hpp.
json_document document_of_mlmodel(std::span<const std::byte> mlmodel);

inline bool is_mlmodel(const std::filesystem::path& path) { return path.extension() == ".mlmodel"; }

/// The document in a file. Throws `error` with the path.
inline json_document read_document(const std::filesystem::path& path) {
    if (path.extension() == ".mlpackage")
        throw error(errc::unsupported, path.string() + ": a .mlpackage is not supported, a .mlmodel wanted");
    const auto bytes = bespoke::read_file(path);
    if (!is_mlmodel(path))
        return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
    try {
        return document_of_mlmodel(bytes);
    } catch (const error& problem) {
        throw error(problem.code(), path.string() + ": " + problem.what());
    }
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
            using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_target;
            std::optional<weights_target> target;
            if (core != nullptr)
                target.emplace(weights_target{core->parameters(), number,
                                              plan.parameters_size >= network_parameters<float>::least_lent,
                                              core->threads()});
            try {
                define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_weights(
                    pending.value, place, plan.parameters[number].dimensions, pending.role,
                    self.networks.tensors, source, target ? &*target : nullptr);
            } catch (const error& problem) {
                if (pending.layer.empty()) throw;
                throw error(problem.code(), problem.what() + (" (layer " + in_quotes(pending.layer) + ")"));
            }
        }
    }
};

/// Reads the members of a NeuralNetwork, NeuralNetworkClassifier or NeuralNetworkRegressor.
inline layer_list read_network(object_reader& in, model_settings& settings, network_reader& networks) {
    settings.array_input_shape_mapping = static_cast<array_shape_mapping>(
        in.enumerator("arrayInputShapeMapping", enumerators(array_shape_mapping{})));
    networks.rank_5 = settings.takes_arrays_of_rank_5();
    settings.image_input_shape_mapping = static_cast<image_shape_mapping>(
        in.enumerator("imageInputShapeMapping", enumerators(image_shape_mapping{})));
    settings.preprocessing = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_preprocessing(in);
    object_reader update = in.object("updateParams");
    if (in.has("updateParams"))
        settings.update_parameters =
            define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_update_parameters(update);
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

/// Reads a whole document.
inline model read_model(const json& root, std::span<const layer_codec> codecs, const load_options& options,
                        weights_place& place) {
    object_reader top(&root, "");
    model::parts content;
    model_settings& settings = content.settings;
    const std::int64_t version = top.integer("specificationVersion");
    check_version(version);
    settings.specification_version = static_cast<std::int32_t>(version);
    object_reader description = top.object("description");
    settings.description = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_description(description);
    settings.is_updatable = top.boolean("isUpdatable");
    const std::string weights_file = top.text("weightsFile"), weights_id = top.text(detail::weights_id);

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
        if (top.has(key)) top.fail(errc::unsupported, key, "models of this type are not read, neural networks are");
    const std::string_view type = top.one_of(types);
    top.finish();
    if (type.empty()) top.fail(errc::bad_value, "", "a model type wanted (\"neuralNetwork\"), none came");
    settings.type = static_cast<model_type>(std::ranges::find(types, type) - std::begin(types));

    const safetensors* tensors = weights_file.empty() ? nullptr : place.find(weights_file, weights_id, top);
    network_reader networks(codecs, tensors);
    object_reader network = top.object(type);
    content.layers = read_network(network, settings, networks);
    content.codecs = codecs;
    content.notes = std::move(networks.notes);
    content.implied = std::make_shared<const implied_fields>(std::move(networks.implied));
    if (tensors != nullptr) content.weights_metadata = tensors->metadata();
    content.threads = options.threads;
    content.how = options.how;
    content.most_elements = options.most_elements;
    weights_to_read weights{networks, content.notes};
    content.fill = &weights_to_read::fill;
    content.context = &weights;
    return model(std::move(content));
}

/// Up to so many numbers in all, weights are written into the document.
inline constexpr extent few_weights = 64;

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
            const auto same_name = std::ranges::find(tensors, name, &tensor_entry::name);
            if (same_name == tensors.end()) break;
            const auto& there = same_name->bytes;
            if (same_name->dimensions == dimensions &&
                std::equal(there.begin(), there.end(), bytes.begin(), bytes.end()))
                return name;
            name = wanted + "_" + std::to_string(copy);
        }
        tensors.push_back({name, "F32", dimensions, bytes});
        return name;
    }

    void write(std::size_t step, const layer_codec& codec, object_writer& fields) {
        const plan_view& plan = network.plan();
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_writer writer(fields, codec.is_custom());
        for (std::size_t i = 0; i < codec.parameters().size(); ++i) {
            const std::size_t number = plan.steps[step].first_parameter + i;
            const parameter_facts& facts = plan.parameters[number];
            const weight_source source = step < notes.size() && i < notes[step].weights.size() ? notes[step].weights[i]
                                                                                               : weight_source{};
            if (facts.dimensions.size() == 0) {
                writer.skip(facts.name);
                continue;
            }
            const std::span<const float> values(network.core().parameter(number),
                                                static_cast<std::size_t>(facts.dimensions.size()));
            for (std::size_t k = 0; k < values.size(); ++k)
                if (!std::isfinite(values[k]) && !(codec.type->facts->may_be_infinite && std::isinf(values[k])))
                    throw error(errc::bad_value, std::string(plan[plan.steps[step].place]) + ": its " +
                                                     std::string(facts.name) + " cannot be written: number " +
                                                     std::to_string(k) + " is not finite");
            auto kind = source.kind;
            object_writer out;
            const auto fits = [&] {
                if (kind == weight_source::float16_value)
                    return std::ranges::all_of(
                        values, [](float v) { return float16_to_float(float_to_float16(v)) == v; });
                return kind != weight_source::raw_value ||
                       define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_quantized(
                           out, source.numbers, facts.dimensions, values);
            };
            if (!fits()) kind = weight_source::automatic;
            if (kind == weight_source::automatic) kind = few ? weight_source::float_value : weight_source::tensor;
            if (kind == weight_source::float_value) {
                out.reals("floatValue", values);
            } else if (kind == weight_source::float16_value) {
                out.text("float16Value", base64_of(values, 2));
            } else if (kind == weight_source::float32_value) {
                object_writer inner;
                inner.text("float32Value", base64_of(values, 4));
                out.object("bespoke", inner);
            } else if (kind == weight_source::tensor) {
                out.text("tensor", add_tensor(source.name.empty() ? std::string(plan[plan.steps[step].name]) + "." +
                                                                        std::string(facts.name)
                                                                  : source.name,
                                              facts.dimensions, values));
            }
            out.boolean("isUpdatable", source.updatable);
            writer.write(facts.name, out);
        }
        writer.finish();
        if (codec.is_custom() && step < notes.size()) fields.text("description", notes[step].description);
    }
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

// --- writing ----------------------------------------------------------------------------------------

model::document model::write(std::string_view weights_file) const {
    extent numbers = 0;
    for (const parameter_facts& facts : program_->plan().parameters) numbers += facts.dimensions.size();
    detail::weights_to_write weights{*program_, notes_, {}, numbers <= detail::few_weights};
    network_writer networks;
    networks.codecs = codecs_;
    networks.plan = program_->plan();
    networks.place.implied = implied_.get();
    networks.place.text = "/" + std::string(detail::key_of_type(settings_.type));
    networks.context = &weights;
    networks.write_weights = [](void* c, std::size_t step, const layer_codec& codec, object_writer& fields) {
        static_cast<detail::weights_to_write*>(c)->write(step, codec, fields);
    };
    networks.write_notes = [](void* c, std::size_t step, object_writer& layer) {
        const auto& notes = static_cast<detail::weights_to_write*>(c)->notes;
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
    write_preprocessing(network, settings_.preprocessing);
    if (settings_.update_parameters)
        network.object("updateParams", write_update_parameters(*settings_.update_parameters));
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
    document result;
    if (!weights.tensors.empty()) {
        auto metadata = weights_metadata_;
        metadata[detail::weights_id] = detail::id_of(weights.tensors);
        top.text("weightsFile", weights_file);
        top.text(detail::weights_id, metadata[detail::weights_id]);
        result.weights = bespoke::to_safetensors(weights.tensors, metadata);
    }
    top.object(detail::key_of_type(settings_.type), network);
    result.json = top.dump() + "\n";
    return result;
}

void model::save(const std::filesystem::path& path) const {
    if (detail::is_mlmodel(path))
        throw error(errc::bad_argument, path.string() + ": models are written as JSON, not as protobuf");
    const auto weights_path = std::filesystem::path(path).replace_extension(".safetensors");
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
    detail::weights_place place{weights};
    return detail::read_model(*root, codecs, options, place);
}

model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options) {
    const auto root = detail::read_document(path);
    const std::filesystem::path folder = path.parent_path();
    detail::weights_place place{nullptr, &folder};
    try {
        return detail::read_model(*root, codecs, options, place);
    } catch (const error& problem) {
        const std::string what = problem.what();
        throw error(problem.code(), place.loading ? what + ", where " + path.string() + " has its weights"
                                                  : path.string() + ": " + what);
    }
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
