#pragma once

#include <bespoke/convert/mlmodel.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

/// A case as its io.json tells it.
namespace conformance {

using nlohmann::json;

/// Why a case fails: a reason that other cases may share, and what came.
struct failure {
    std::string reason, details;
};

inline double number_in(const json& value) {
    if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
    if (!value.is_string()) return value.get<double>();
    const auto& text = value.get_ref<const std::string&>();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    return text == "-Infinity" ? -std::numeric_limits<double>::infinity()
                               : std::numeric_limits<double>::infinity();
}

/// An array of the file. What has rank 0 in numpy has one axis of one element in a model.
struct array {
    std::vector<std::int64_t> shape;
    std::vector<double> values;

    explicit array(const json& from) : shape(from.at("shape").get<std::vector<std::int64_t>>()) {
        for (const json& value : from.at("data")) values.push_back(number_in(value));
        if (shape.empty()) shape = {1};
    }
    explicit array(const bespoke::multi_array& from) {
        const auto dimensions = from.shape();
        shape.assign(dimensions.begin(), dimensions.end());
        const auto elements = from.cast<double>();
        values.assign(elements.begin(), elements.end());
    }
};

template <class T>
bespoke::multi_array multi_array_of(const array& from) {
    bespoke::tensor<T> result(std::vector<std::size_t>(from.shape.begin(), from.shape.end()));
    std::transform(from.values.begin(), from.values.end(), result.begin(),
                   [](double v) { return static_cast<T>(v); });
    return result;
}

/// What the bytes of an image are.
inline bespoke::pixel_layout layout_of(const json& picture) {
    const auto mode = picture.at("mode").get<std::string>();
    if (mode == "L") return bespoke::pixel_layout::gray;
    if (mode == "RGB") return bespoke::pixel_layout::rgb;
    if (mode == "RGBA") return bespoke::pixel_layout::rgba;
    throw failure{"images of the mode " + mode, ""};
}

/// The value for an input of this type; numbers become what the model declares.
inline bespoke::feature_value input_value(const json& from, const bespoke::feature_type& type) {
    if (from.contains("kind")) {
        const auto kind = from.at("kind").get<std::string>();
        if (kind == "double") return number_in(from.at("value"));
        if (kind == "int64") return from.at("value").get<std::int64_t>();
        if (kind == "string") return from.at("value").get<std::string>();
        if (kind == "image")
            return bespoke::image(from.at("width").get<bespoke::extent>(), from.at("height").get<bespoke::extent>(),
                                  layout_of(from), from.at("data").get<std::vector<std::uint8_t>>());
        throw failure{"inputs of the kind " + kind, ""};
    }
    const array values(from);
    const auto* declared = type.multi_array_type();
    if (declared == nullptr) return values.values.at(0);
    if (declared->data_type == bespoke::array_data_type::int32) return multi_array_of<std::int32_t>(values);
    if (declared->data_type == bespoke::array_data_type::float64) return multi_array_of<double>(values);
    return multi_array_of<float>(values);
}

inline bespoke::features inputs_of(const json& row, const bespoke::model& m) {
    bespoke::features inputs;
    for (const auto& [name, value] : row.at("inputs").items()) {
        const auto& declared = m.description().input;
        const auto feature = std::ranges::find(declared, name, &bespoke::feature_description::name);
        if (feature == declared.end()) throw failure{"an input that the model does not declare", name};
        inputs.set(name, input_value(value, feature->type));
    }
    return inputs;
}

/// What is inside "shape_check" for one output: a word, or a shape.
inline json shape_check_of(const json& io, const std::string& name) {
    const json check = io.value("shape_check", json());
    return check.is_object() ? check.value(name, json()) : check;
}

/// The comparison that the test made: for one output where each has its own.
inline json tolerance_of(const json& io, const std::string& name) {
    const json tolerance = io.value("tolerance", json());
    if (!tolerance.is_object() || !tolerance.contains("per_output")) return tolerance;
    json own = tolerance.at("per_output").value(name, json());
    if (!own.is_object()) own = {{"exact", true}};
    if (own.contains("rtol")) own["metric"] = "assert_allclose";
    if (own.contains("decimal")) own["metric"] = "decimal";
    if (own.contains("exact")) own["metric"] = "equal";
    return own;
}

inline json read_json(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return json::parse(in);
}

}  // namespace conformance
