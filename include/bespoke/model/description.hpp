#pragma once

#include "feature_type.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What a model says about itself. Core ML specification, Model.proto.
namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// A named input or output.
struct feature_description {
    std::string name = {};
    std::string short_description = {};
    feature_type type = {};

    friend bool operator==(const feature_description&, const feature_description&);
};

/// What people may know of a model: kept and written back, not interpreted.
struct metadata {
    std::string short_description = {};
    std::string version_string = {};
    std::string author = {};
    std::string license = {};
    std::map<std::string, std::string> user_defined = {};

    friend bool operator==(const metadata&, const metadata&);
};

struct model_description {
    std::vector<feature_description> input = {};
    std::vector<feature_description> output = {};
    std::vector<feature_description> training_input = {};
    /// Of classifiers and regressors: the output that answers.
    std::string predicted_feature_name = {};
    /// Of classifiers: the output with a probability for each label.
    std::string predicted_probabilities_name = {};
    struct metadata metadata = {};

    friend bool operator==(const model_description&, const model_description&);
};

/// Null where no description has the name.
const feature_description* find_feature(std::span<const feature_description> descriptions, std::string_view name);

/// What is wrong with the description itself, or nothing: a name that is empty or comes twice, a type that
/// contradicts itself, a predicted feature that is no output.
std::optional<fault> fault_of(const model_description& description);

/// Throws unless `values` has a fitting value for each description that is not optional, and nothing else.
/// `role` is what they are to the model: "input". errc::unknown_name, errc::shape_mismatch or
/// errc::bad_value, with the name, what was wanted and what came. `also_fits`, where given, says what may come besides.
void check_features(std::string_view role, std::span<const feature_description> descriptions, const features& values,
                    bool (*also_fits)(const feature_type& type, const feature_value& value) = nullptr);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::check_features;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::fault_of;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::feature_description;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::find_feature;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::metadata;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model_description;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <set>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const feature_description&, const feature_description&) = default;
bool operator==(const metadata&, const metadata&) = default;
bool operator==(const model_description&, const model_description&) = default;

const feature_description* find_feature(std::span<const feature_description> descriptions,
                                        std::string_view name) {
    for (const feature_description& d : descriptions)
        if (d.name == name) return &d;
    return nullptr;
}

std::optional<fault> fault_of(const model_description& description) {
    const auto check_list = [](std::string_view role,
                               const std::vector<feature_description>& list) -> std::optional<fault> {
        std::set<std::string_view> names;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (list[i].name.empty()) return value_fault(role, " ", i, ": the name is empty");
            if (!names.insert(list[i].name).second)
                return fault{errc::duplicate_name,
                             sentence(role, " \"", list[i].name, "\": the name comes twice")};
            if (const auto problem = fault_of(list[i].type))
                return fault{problem->code, sentence(role, " \"", list[i].name, "\": ", problem->what)};
        }
        return std::nullopt;
    };
    const auto check_output = [&](std::string_view role, const std::string& name) -> std::optional<fault> {
        if (name.empty() || find_feature(description.output, name)) return std::nullopt;
        return fault{errc::unknown_name,
                     sentence(role, ": the name of an output wanted, but it is \"", name, "\"")};
    };
    if (auto problem = check_list("input", description.input)) return problem;
    if (auto problem = check_list("output", description.output)) return problem;
    if (auto problem = check_list("training input", description.training_input)) return problem;
    if (auto problem = check_output("predicted feature", description.predicted_feature_name)) return problem;
    if (auto problem = check_output("predicted probabilities", description.predicted_probabilities_name))
        return problem;
    const std::string& answer = description.predicted_feature_name;
    if (!answer.empty() && answer == description.predicted_probabilities_name)
        return value_fault("predicted probabilities: another output than the predicted feature wanted, but it is \"",
                           answer, "\" too");
    return std::nullopt;
}

void check_features(std::string_view role, std::span<const feature_description> descriptions, const features& values,
                    bool (*also_fits)(const feature_type& type, const feature_value& value)) {
    const auto place = [&](std::string_view name) {
        return std::string(role) + " \"" + std::string(name) + "\": ";
    };
    const auto undeclared = [&] {
        std::string names;
        for (const auto& [name, value] : values)
            if (!find_feature(descriptions, name)) names += (names.empty() ? "\"" : ", \"") + name + "\"";
        return names.empty() ? names : " (given, but not declared: " + names + ")";
    };
    for (const feature_description& d : descriptions) {
        const feature_value* value = values.find(d.name);
        if (!value) {
            if (d.type.is_optional) continue;
            throw error(errc::unknown_name,
                        place(d.name) + to_text(d.type) + " wanted, but none is given" + undeclared());
        }
        if (accepts(d.type, *value) || (also_fits != nullptr && also_fits(d.type, *value))) continue;
        const array_feature_type* array = d.type.multi_array_type();
        const image_feature_type* picture = d.type.image_type();
        const bool only_shape = (array && std::holds_alternative<multi_array>(*value) &&
                                 array->accepts(std::get<multi_array>(*value).data_type())) ||
                                (picture && std::holds_alternative<image>(*value) &&
                                 accepts(picture->color_space, std::get<image>(*value).layout()));
        throw error(only_shape ? errc::shape_mismatch : errc::bad_value,
                    place(d.name) + to_text(d.type) + " wanted, but " + to_text(*value) + " came");
    }
    for (const auto& [name, value] : values)
        if (!find_feature(descriptions, name))
            throw error(errc::unknown_name, place(name) + "the model declares none of this name");
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
