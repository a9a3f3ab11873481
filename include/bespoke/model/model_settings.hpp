#pragma once

#include "../graph/plan.hpp"
#include "description.hpp"
#include "preprocessing.hpp"
#include "update_parameters.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// What a model says beside its layers. Core ML specification, Model.proto and NeuralNetwork.proto.
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
/// How an image of C channels becomes a blob. Core ML specification, NeuralNetworkImageShapeMapping.
enum class image_shape_mapping {
    rank5_image_mapping,  ///< [1, 1, C, H, W]
    rank4_image_mapping,  ///< [1, C, H, W]
};
constexpr std::array<std::string_view, 2> enumerators(image_shape_mapping) {
    return {"RANK5_IMAGE_MAPPING", "RANK4_IMAGE_MAPPING"};
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// No std::monostate: a copy of a variant of that and vectors alone destroys, with libstdc++ 12, what it has not made
/// yet, where there is no memory for it.
struct no_class_labels {
    constexpr no_class_labels() = default;
    constexpr no_class_labels(const no_class_labels&) noexcept {}
    constexpr no_class_labels& operator=(const no_class_labels&) noexcept { return *this; }
    friend constexpr bool operator==(const no_class_labels&, const no_class_labels&) { return true; }
};

/// All that a model says beside its layers. The names are the specification's.
struct model_settings {
    std::int32_t specification_version = 4;
    model_description description{};
    bool is_updatable = false;
    model_type type = model_type::neural_network;
    array_shape_mapping array_input_shape_mapping = array_shape_mapping::exact_array_mapping;
    image_shape_mapping image_input_shape_mapping = image_shape_mapping::rank5_image_mapping;
    std::vector<image_preprocessing> preprocessing{};
    /// Of a classifier: a name or a number for each element of the blob `label_probability_layer_name` (empty:
    /// what the last layer writes).
    std::variant<no_class_labels, string_sequence, int64_sequence> class_labels{};
    std::string label_probability_layer_name{};
    std::optional<network_update_parameters> update_parameters{};

    /// Whether a multi-array comes in, and comes as RANK5_ARRAY_MAPPING has it.
    bool takes_arrays_of_rank_5() const;
    friend bool operator==(const model_settings&, const model_settings&);
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model_settings;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke::detail {

/// Throws where models of this version are not read.
inline void check_version(std::int64_t version) {
    if (version < 1 || version > 5)
        throw error(errc::bad_value, "/specificationVersion: 1 to 5 wanted, " +
                                         (version == 0 ? "none came: no document of Core ML's specification"
                                                       : std::to_string(version) + " came"));
}
/// Throws where a classifier or a regressor does not name what it predicts.
inline void check_predicted_feature(const model_settings& settings) {
    if (settings.type != model_type::neural_network && settings.description.predicted_feature_name.empty())
        throw error(errc::bad_value, "/description/predictedFeatureName: the name of an output wanted, none came");
}
/// The blob with the probabilities of a classifier; empty: its last layer writes nothing of its own.
inline std::string_view probabilities_blob(const model_settings& settings, const plan_view& plan) {
    if (!settings.label_probability_layer_name.empty()) return settings.label_probability_layer_name;
    std::string_view name;
    for (std::size_t s = 0; s < plan.steps.size(); s = plan.steps[s].end) {
        const auto written = plan.outputs_of(s);
        name = written.empty() ? "" : plan[plan.blobs[written.back()].name];
    }
    return name;
}
/// Throws where a file that holds the settings would not be read again, whatever the layers. `root` stands before the
/// places.
inline void check_alone(const model_settings& settings, const std::string& root) {
    using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
    check_version(settings.specification_version);
    check_predicted_feature(settings);
    const bool labels = settings.class_labels.index() != 0 || !settings.label_probability_layer_name.empty();
    if (settings.type != model_type::neural_network_classifier && labels)
        throw error(errc::bad_value, root + ": only a classifier has class labels and a labelProbabilityLayerName");
    if (!settings.update_parameters) return;
    const std::string place = root + "/updateParams";
    const json_document written = parse_json(write_update_parameters(*settings.update_parameters).dump(), place);
    object_reader read(&*written, place);
    static_cast<void>(read_update_parameters(read));
}

}  // namespace bespoke::detail

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const model_settings&, const model_settings&) = default;

bool model_settings::takes_arrays_of_rank_5() const {
    if (array_input_shape_mapping == array_shape_mapping::exact_array_mapping) return false;
    for (const feature_description& feature : description.input)
        if (feature.type.multi_array_type() != nullptr) return true;
    return false;
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
