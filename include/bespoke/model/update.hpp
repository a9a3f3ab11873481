#pragma once

#include "../training/update_task.hpp"
#include "model.hpp"

/// How a loaded model learns: `update_task task{m, examples, {.epochs = 10}, handlers}` or
/// `update(m, examples, {.epochs = 10})`, where each example is the `features` that the model's
/// `trainingInput` describes.
namespace bespoke {

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// What `update_task` and `update` need. Losses, optimizer and numbers are the model's own; `options` may
/// choose other numbers within the ranges that it allows. Throws `error`: errc::not_updatable with every
/// reason of `check_updatable`, or what does not fit in which example.
learner<float> make_learner(model& m, const std::vector<features>& examples, const update_options& options);

/// Every reason why the model cannot be updated, each with its layer and what would help; none: it can.
std::vector<std::string> check_updatable(const model& m);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::check_updatable;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {

namespace detail {

/// Whether a value of the one type can stand for one of the other in a network.
inline bool is_alike(const feature_type& a, const feature_type& b) {
    const auto is_number = [](const feature_type& t) {
        return std::holds_alternative<int64_feature_type>(t.type) ||
               std::holds_alternative<double_feature_type>(t.type);
    };
    if (a.image_type() != nullptr && b.image_type() != nullptr)
        return a.image_type()->color_space == b.image_type()->color_space;
    return a.type.index() == b.type.index() || (is_number(a) && is_number(b));
}

/// The training input that is the target of a cross entropy: the one that it names. Where none is called so, and it
/// looks at the probabilities of a classifier, it is the label, which coremltools describes in that place.
inline const std::string& target_of(const categorical_cross_entropy& loss, const model_settings& settings,
                                    const plan_view& plan) {
    const model_description& about = settings.description;
    if (settings.type != model_type::neural_network_classifier || find_feature(about.training_input, loss.target) ||
        !find_feature(about.training_input, about.predicted_feature_name))
        return loss.target;
    return loss.input == probabilities_blob(settings, plan) ? about.predicted_feature_name : loss.target;
}

/// The losses of a model, and the names of their targets.
struct model_losses {
    std::vector<any_loss<float>> losses;
    std::vector<std::string> targets;
};
inline model_losses losses_of(const model_settings& settings, const plan_view& plan) {
    model_losses result;
    for (const loss_layer& layer : settings.update_parameters->loss_layers)
        std::visit(
            [&](auto loss) {
                if constexpr (std::is_same_v<decltype(loss), categorical_cross_entropy>)
                    loss.target = target_of(loss, settings, plan);
                result.targets.push_back(loss.target);
                result.losses.emplace_back(std::move(loss));
            },
            layer.type);
    return result;
}

/// Whether a loss depends on each blob, as far as the names of the layers' inputs and outputs tell.
inline std::vector<bool> needed_blobs(const plan_view& plan, const std::vector<any_loss<float>>& losses) {
    std::vector<bool> needed(plan.blobs.size());
    for (const auto& loss : losses)
        if (const std::size_t blob = plan.find_blob(loss.input()); blob < needed.size()) needed[blob] = true;
    for (std::size_t s = plan.steps.size(); s-- > 0;) {
        // what runs in a branch or a loop may be read by what stands before it
        bool runs = plan.steps[s].control || plan.steps[s].parent != blob_facts::npos;
        for (std::size_t blob : plan.outputs_of(s)) runs = runs || needed[blob];
        for (std::size_t blob : plan.inputs_of(s)) needed[blob] = needed[blob] || runs;
    }
    return needed;
}

/// The model's own value, if it has one. Throws where it does not allow the one that the caller chose.
template <class Parameter, class Value>
void take(const char* name, const std::optional<Parameter>& parameter, const std::optional<Value>& chosen, Value& to) {
    if (!parameter) return;
    to = static_cast<Value>(parameter->default_value);
    if (!chosen) return;
    const auto value = static_cast<decltype(parameter->default_value)>(*chosen);
    if (parameter->allows(value)) return;
    std::string came;
    if constexpr (std::is_floating_point_v<Value>)
        came = shown(*chosen);
    else
        came = std::to_string(*chosen);
    throw error(errc::bad_argument,
                std::string("update: ") + name + ": " + parameter->allowed() + " wanted, " + came + " came");
}

/// The optimizer and the settings that the model wants, or the caller where the model allows it.
inline any_optimizer<float> optimizer_of(const network_update_parameters& update, const update_options& options,
                                         update_settings& settings) {
    any_optimizer<float> result = adam{};
    take("number of epochs", update.epochs, options.epochs, settings.epochs);
    take("seed", update.seed, options.seed, settings.seed);
    settings.shuffle = update.shuffle.value_or(true);
    if (const auto* o = std::get_if<sgd_optimizer>(&update.optimizer)) {
        sgd chosen;
        take("learning rate", o->learning_rate, options.learning_rate, chosen.learning_rate);
        take("momentum", o->momentum, options.momentum, chosen.momentum);
        take("mini-batch size", o->mini_batch_size, options.mini_batch_size, settings.mini_batch_size);
        result = chosen;
    } else if (const auto* a = std::get_if<adam_optimizer>(&update.optimizer)) {
        adam chosen;
        take("learning rate", a->learning_rate, options.learning_rate, chosen.learning_rate);
        take("beta1", a->beta1, options.beta1, chosen.beta1);
        take("beta2", a->beta2, options.beta2, chosen.beta2);
        take("eps", a->eps, options.eps, chosen.eps);
        take("mini-batch size", a->mini_batch_size, options.mini_batch_size, settings.mini_batch_size);
        result = chosen;
    }
    apply_options(options, settings, result.parameters());
    return result;
}

/// The numbers of one example for a target of `size` elements.
inline void read_target(const model_settings& settings, const std::string& name, const feature_value& value,
                        std::size_t size, const std::string& place, std::vector<float>& to) {
    const bool is_label = settings.type == model_type::neural_network_classifier &&
                          name == settings.description.predicted_feature_name;
    const auto* names = std::get_if<string_sequence>(&settings.class_labels);
    const auto* numbers = std::get_if<int64_sequence>(&settings.class_labels);
    const auto class_of = [&](const auto* labels, const auto& is_it, const std::string& text) {
        if (labels != nullptr) {
            const auto found = std::ranges::find_if(*labels, is_it);
            if (found != labels->end()) return to.push_back(static_cast<float>(found - labels->begin()));
        }
        throw error(errc::bad_value, place + ": a class label of the model wanted, " + text + " came");
    };
    if (const auto* text = std::get_if<std::string>(&value)) {
        if (!is_label) throw error(errc::bad_value, place + ": a number wanted, " + in_quotes(*text) + " came");
        return class_of(names, [&](const std::string& label) { return label == *text; }, in_quotes(*text));
    }
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        if (!is_label) return to.push_back(static_cast<float>(*number));
        return class_of(numbers, [&](std::int64_t label) { return label == *number; }, std::to_string(*number));
    }
    if (const auto* number = std::get_if<double>(&value)) {
        if (!is_label) return to.push_back(static_cast<float>(*number));
        return class_of(numbers, [&](std::int64_t label) { return static_cast<double>(label) == *number; },
                        shown(*number));
    }
    const auto* array = std::get_if<multi_array>(&value);
    if (array == nullptr || static_cast<std::size_t>(array->shape().size()) != size)
        throw error(errc::bad_value, place + ": " + std::to_string(size) + (size == 1 ? " number" : " numbers") +
                                         " wanted, " + bespoke::to_text(value) + " came");
    to.resize(to.size() + size);
    std::visit([&](const auto& values) { copy_elements(values, to.data() + (to.size() - size)); }, array->values());
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<std::string> check_updatable(const model& m) {
    const model_settings& settings = m.settings();
    std::vector<std::string> reasons;
    if (!settings.is_updatable) reasons.push_back("the model is not marked updatable (\"isUpdatable\")");
    if (!settings.update_parameters) {
        reasons.push_back("the model does not say how (\"updateParams\")");
        return reasons;
    }
    const plan_view& plan = m.network().plan();
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const parameter_facts& p = plan.parameters[i];
        if (plan.steps[p.step].updatable && p.learned && p.dimensions.size() > 0 && !m.marked_updatable(i))
            reasons.push_back(std::string(plan[plan.steps[p.step].place]) + ": it is updatable, but its " +
                              std::string(p.name) + " are not marked so (\"isUpdatable\")");
    }
    if (std::holds_alternative<std::monostate>(settings.update_parameters->optimizer))
        reasons.push_back("no optimizer: name one in \"updateParams\"");
    const auto [losses, targets] = detail::losses_of(settings, plan);
    const std::vector<bool> needed = detail::needed_blobs(plan, losses);
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
        const feature_description& feature = settings.description.input[i];
        const auto* training = find_feature(settings.description.training_input, feature.name);
        if (training != nullptr && !detail::is_alike(training->type, feature.type))
            reasons.push_back("\"trainingInput\" describes " + in_quotes(feature.name) + " as " +
                              to_text(training->type) + ", \"input\" as " + to_text(feature.type));
        if (training == nullptr && !feature.type.is_optional && needed[plan.inputs[i]])
            reasons.push_back("the loss depends on the input " + in_quotes(feature.name) +
                              ", which \"trainingInput\" does not describe");
    }
    for (const std::string& target : targets) {
        bool found = false;
        for (const auto& feature : settings.description.training_input) found |= feature.name == target;
        if (!found)
            reasons.push_back("the loss wants the target " + in_quotes(target) +
                              ", which \"trainingInput\" does not describe");
    }
    for (const auto& more : trainer<float>::check_trainable(plan, losses, train::updatable_layers))
        reasons.push_back(more);
    return reasons;
}

learner<float> make_learner(model& m, const std::vector<features>& examples, const update_options& options) {
    const model_settings& settings = m.settings();
    throw_reasons("this model cannot be updated", check_updatable(m));
    if (examples.empty()) throw error(errc::bad_argument, "update: at least one example wanted, none came");
    const network_update_parameters& update = *settings.update_parameters;
    learner<float> result;
    any_optimizer<float> optimizer = detail::optimizer_of(update, options, result.settings);
    const auto [losses, target_names] = detail::losses_of(settings, m.network().plan());

    check_features("example 0: training input", settings.description.training_input, examples.front());
    m.reshape(examples.front());
    result.training = std::make_unique<trainer<float>>(m.network(), losses, std::move(optimizer));
    const plan_view& plan = m.network().plan();
    std::vector<std::vector<float>> inputs(plan.inputs.size()), targets(losses.size());
    for (std::size_t e = 0; e < examples.size(); ++e) {
        const std::string place = "example " + std::to_string(e);
        check_features(place + ": training input", settings.description.training_input, examples[e]);
        if (!m.is_planned_for(examples[e]))
            throw error(errc::shape_mismatch, place + ": it has other shapes than example 0");
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const auto size = static_cast<std::size_t>(plan.blobs[plan.inputs[i]].dimensions.size());
            inputs[i].resize((e + 1) * size);
            m.read_input(i, examples[e], inputs[i].data() + e * size);
        }
        for (std::size_t l = 0; l < losses.size(); ++l) {
            const std::string& name = target_names[l];
            const shape& x = plan.blobs[plan.find_blob(losses[l].input())].dimensions;
            const auto size = static_cast<std::size_t>(losses[l].target_size(x));
            const std::string target_place = place + ": target " + in_quotes(name);
            const feature_value* target = examples[e].find(name);
            if (target == nullptr) throw error(errc::bad_value, target_place + ": a value wanted, but none is given");
            detail::read_target(settings, name, *target, size, target_place, targets[l]);
            if (targets[l].size() != (e + 1) * size)
                throw error(errc::bad_value, target_place + ": " + std::to_string(size) + " numbers wanted, 1 came");
        }
    }
    const std::vector<example_data<float>> in(inputs.begin(), inputs.end()), wanted(targets.begin(), targets.end());
    result.resume(options.checkpoint, examples.size(), in, wanted);
    result.take(examples.size(), in, wanted);
    return result;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif  // BESPOKE_IMPLEMENTATION
