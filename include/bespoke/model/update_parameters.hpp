#pragma once

#include "../training/losses.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// How a model wants to be trained. Core ML specification, NetworkUpdateParameters, in snake_case.
namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct double_range {
    double min_value = 0, max_value = 0;
    friend bool operator==(const double_range&, const double_range&) = default;
};
struct int64_range {
    std::int64_t min_value = 0, max_value = 0;
    friend bool operator==(const int64_range&, const int64_range&) = default;
};
struct int64_set {
    std::vector<std::int64_t> values;
    friend bool operator==(const int64_set&, const int64_set&);
};

/// A number with the values that a caller may choose.
struct double_parameter {
    double default_value = 0;
    std::optional<double_range> range{};

    bool allows(double value) const { return !range || (value >= range->min_value && value <= range->max_value); }
    /// What it allows, for an error: "a number from 0 to 1".
    std::string allowed() const;
    friend bool operator==(const double_parameter&, const double_parameter&);
};
struct int64_parameter {
    std::int64_t default_value = 0;
    std::variant<std::monostate, int64_range, int64_set> allowed_values{};

    bool allows(std::int64_t value) const;
    std::string allowed() const;
    friend bool operator==(const int64_parameter&, const int64_parameter&);
};

/// A loss of the blob `input` and the training feature `target`. Of a cross entropy of a classifier's probabilities the
/// class may also be the label, in the training feature that `predicted_feature_name` names. The last two, which the
/// specification lacks, are {"bespoke": {key: {"input": ...}}}.
struct loss_layer {
    std::string name;
    std::variant<categorical_cross_entropy, mean_squared_error, binary_cross_entropy_with_logits, huber> type;
    friend bool operator==(const loss_layer&, const loss_layer&);
};

/// What the document leaves out is empty here: the trainer has its own default then.
struct sgd_optimizer {
    std::optional<double_parameter> learning_rate{};
    std::optional<int64_parameter> mini_batch_size{};
    std::optional<double_parameter> momentum{};
    static constexpr auto key = "sgdOptimizer";
    friend bool operator==(const sgd_optimizer&, const sgd_optimizer&);
};
struct adam_optimizer {
    std::optional<double_parameter> learning_rate{};
    std::optional<int64_parameter> mini_batch_size{};
    std::optional<double_parameter> beta1{}, beta2{}, eps{};
    static constexpr auto key = "adamOptimizer";
    friend bool operator==(const adam_optimizer&, const adam_optimizer&);
};

struct network_update_parameters {
    std::vector<loss_layer> loss_layers;
    std::variant<std::monostate, sgd_optimizer, adam_optimizer> optimizer;
    std::optional<int64_parameter> epochs{};
    std::optional<bool> shuffle;  ///< whether the examples are drawn in a new order each epoch
    std::optional<int64_parameter> seed{};
    friend bool operator==(const network_update_parameters&, const network_update_parameters&);
};

/// Reads a NetworkUpdateParameters object. Throws `error` with the place of what does not fit; a default
/// outside its own range is an error.
network_update_parameters read_update_parameters(object_reader& in);
object_writer write_update_parameters(const network_update_parameters& parameters);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::adam_optimizer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::double_parameter;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::double_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_parameter;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_set;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::loss_layer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_update_parameters;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::sgd_optimizer;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>

namespace bespoke {
namespace detail {

template <class Parameter>
void check_default(const object_reader& in, const Parameter& parameter) {
    if (!parameter.allows(parameter.default_value))
        in.fail(errc::bad_value, "defaultValue",
                parameter.allowed() + " wanted, " + json(parameter.default_value).dump() + " came");
}
inline void read_parameter(object_reader& outer, std::string_view key, std::optional<double_parameter>& to) {
    object_reader in = outer.object(key);
    if (!outer.has(key)) return;
    double_parameter& parameter = to.emplace();
    parameter.default_value = in.number("defaultValue");
    object_reader range = in.object("range");
    if (in.has("range")) {
        parameter.range = {range.number("minValue"), range.number("maxValue")};
        range.finish();
    }
    in.finish();
    if (!std::isfinite(parameter.default_value))
        in.fail(errc::bad_value, "defaultValue",
                "a finite number wanted, " + shown(parameter.default_value) + " came");
    check_default(in, parameter);
}
inline void read_parameter(object_reader& outer, std::string_view key, std::optional<int64_parameter>& to) {
    object_reader in = outer.object(key);
    if (!outer.has(key)) return;
    int64_parameter& parameter = to.emplace();
    parameter.default_value = in.integer("defaultValue");
    static constexpr std::string_view kinds[] = {"range", "set"};
    const std::string_view kind = in.one_of(kinds);
    if (!kind.empty()) {
        object_reader allowed = in.object(kind);
        if (kind == "range") {
            const std::int64_t least = allowed.integer("minValue");
            parameter.allowed_values = int64_range{least, allowed.integer("maxValue")};
        } else {
            parameter.allowed_values = int64_set{allowed.integers("values")};
        }
        allowed.finish();
    }
    in.finish();
    check_default(in, parameter);
}

inline void write_parameter(object_writer& outer, std::string_view key, const std::optional<double_parameter>& from) {
    if (!from) return;
    object_writer out;
    out.number("defaultValue", from->default_value);
    if (from->range) {
        object_writer range;
        range.number("minValue", from->range->min_value);
        range.number("maxValue", from->range->max_value);
        out.object("range", range);
    }
    outer.object(key, out);
}
inline void write_parameter(object_writer& outer, std::string_view key, const std::optional<int64_parameter>& from) {
    if (!from) return;
    object_writer out, allowed;
    out.integer("defaultValue", from->default_value);
    if (const auto* range = std::get_if<int64_range>(&from->allowed_values)) {
        allowed.integer("minValue", range->min_value);
        allowed.integer("maxValue", range->max_value);
        out.object("range", allowed);
    } else if (const auto* set = std::get_if<int64_set>(&from->allowed_values)) {
        allowed.integers("values", set->values);
        out.object("set", allowed);
    }
    outer.object(key, out);
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const int64_set&, const int64_set&) = default;
bool operator==(const double_parameter&, const double_parameter&) = default;
bool operator==(const int64_parameter&, const int64_parameter&) = default;
bool operator==(const loss_layer&, const loss_layer&) = default;
bool operator==(const sgd_optimizer&, const sgd_optimizer&) = default;
bool operator==(const adam_optimizer&, const adam_optimizer&) = default;
bool operator==(const network_update_parameters&, const network_update_parameters&) = default;

bool int64_parameter::allows(std::int64_t value) const {
    if (const auto* range = std::get_if<int64_range>(&allowed_values))
        return value >= range->min_value && value <= range->max_value;
    if (const auto* set = std::get_if<int64_set>(&allowed_values))
        return std::ranges::find(set->values, value) != set->values.end();
    return true;
}

std::string double_parameter::allowed() const {
    if (!range) return "a number";
    return "a number from " + detail::shown(range->min_value) + " to " + detail::shown(range->max_value);
}
std::string int64_parameter::allowed() const {
    if (const auto* range = std::get_if<int64_range>(&allowed_values))
        return "a number from " + std::to_string(range->min_value) + " to " + std::to_string(range->max_value);
    const auto* set = std::get_if<int64_set>(&allowed_values);
    if (set == nullptr || set->values.empty()) return set == nullptr ? "a number" : "no number";
    std::vector<std::string> values;
    for (std::int64_t value : set->values) values.push_back(std::to_string(value));
    return detail::alternatives(values);
}

network_update_parameters read_update_parameters(object_reader& in) {
    network_update_parameters result;
    for (object_reader& loss : in.objects("lossLayers")) {
        loss_layer& layer = result.loss_layers.emplace_back();
        layer.name = loss.text("name");
        static constexpr std::string_view kinds[] = {categorical_cross_entropy::key, mean_squared_error::key,
                                                     "bespoke"};
        static constexpr std::string_view own_kinds[] = {binary_cross_entropy_with_logits::key, huber::key};
        std::string_view kind = loss.one_of(kinds);
        object_reader owner = loss;
        if (kind == kinds[2]) {
            owner = loss.object(kind);
            kind = owner.one_of(own_kinds);
        }
        if (kind.empty()) owner.fail(errc::bad_value, "", "a loss wanted, none came");
        object_reader type = owner.object(kind);
        if (kind == kinds[1]) layer.type = mean_squared_error{};
        if (kind == own_kinds[0]) layer.type = binary_cross_entropy_with_logits{};
        if (kind == own_kinds[1]) layer.type = huber{};
        std::visit(
            [&](auto& fields) {
                fields.input = type.text("input");
                fields.target = type.text("target");
                if constexpr (requires { fields.delta; }) {
                    if (type.has("delta")) fields.delta = type.number("delta");
                    if (!(fields.delta > 0 && std::isfinite(fields.delta)))
                        type.fail(errc::bad_value, "delta",
                                  "a finite number above 0 wanted, " + detail::shown(fields.delta) + " came");
                }
            },
            layer.type);
        type.finish();
        owner.finish();
        loss.finish();
    }
    object_reader optimizer = in.object("optimizer");
    static constexpr std::string_view kinds[] = {sgd_optimizer::key, adam_optimizer::key};
    const std::string_view kind = optimizer.one_of(kinds);
    if (!kind.empty()) {
        object_reader type = optimizer.object(kind);
        if (kind == sgd_optimizer::key) {
            auto& sgd = result.optimizer.emplace<sgd_optimizer>();
            detail::read_parameter(type, "learningRate", sgd.learning_rate);
            detail::read_parameter(type, "miniBatchSize", sgd.mini_batch_size);
            detail::read_parameter(type, "momentum", sgd.momentum);
        } else {
            auto& adam = result.optimizer.emplace<adam_optimizer>();
            detail::read_parameter(type, "learningRate", adam.learning_rate);
            detail::read_parameter(type, "miniBatchSize", adam.mini_batch_size);
            detail::read_parameter(type, "beta1", adam.beta1);
            detail::read_parameter(type, "beta2", adam.beta2);
            detail::read_parameter(type, "eps", adam.eps);
        }
        type.finish();
    }
    optimizer.finish();
    detail::read_parameter(in, "epochs", result.epochs);
    object_reader shuffle = in.object("shuffle");
    if (in.has("shuffle")) result.shuffle = shuffle.boolean("defaultValue");
    shuffle.finish();
    detail::read_parameter(in, "seed", result.seed);
    in.finish();
    return result;
}

object_writer write_update_parameters(const network_update_parameters& parameters) {
    object_writer out;
    std::vector<object_writer> losses;
    for (const loss_layer& layer : parameters.loss_layers) {
        object_writer& loss = losses.emplace_back();
        loss.text("name", layer.name);
        std::visit(
            [&](const auto& fields) {
                object_writer type;
                type.text("input", fields.input);
                type.text("target", fields.target);
                if constexpr (requires { fields.delta; }) type.present("delta", fields.delta);
                object_writer own;
                if (layer.type.index() < 2) return loss.object(fields.key, type);
                own.object(fields.key, type);
                loss.object("bespoke", own);
            },
            layer.type);
    }
    out.objects("lossLayers", losses);
    object_writer optimizer, type;
    if (const auto* sgd = std::get_if<sgd_optimizer>(&parameters.optimizer)) {
        detail::write_parameter(type, "learningRate", sgd->learning_rate);
        detail::write_parameter(type, "miniBatchSize", sgd->mini_batch_size);
        detail::write_parameter(type, "momentum", sgd->momentum);
        optimizer.object(sgd->key, type);
    } else if (const auto* adam = std::get_if<adam_optimizer>(&parameters.optimizer)) {
        detail::write_parameter(type, "learningRate", adam->learning_rate);
        detail::write_parameter(type, "miniBatchSize", adam->mini_batch_size);
        detail::write_parameter(type, "beta1", adam->beta1);
        detail::write_parameter(type, "beta2", adam->beta2);
        detail::write_parameter(type, "eps", adam->eps);
        optimizer.object(adam->key, type);
    }
    if (!optimizer.empty()) out.object("optimizer", optimizer);
    detail::write_parameter(out, "epochs", parameters.epochs);
    if (parameters.shuffle) {
        object_writer shuffle;
        shuffle.boolean("defaultValue", *parameters.shuffle);
        out.object("shuffle", shuffle);
    }
    detail::write_parameter(out, "seed", parameters.seed);
    return out;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
