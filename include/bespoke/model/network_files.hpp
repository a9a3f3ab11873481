#pragma once

#include "../network/network.hpp"
#include "model.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

/// Composed networks and files: `to_model(net)`, `net.load(path)`, `net.save(path)`.
namespace bespoke {
namespace detail {

/// A layer of a composed network as a node of its own. Control layers hold nodes in two lists, the first
/// for the `first_steps` steps behind their own.
struct exported_layer {
    std::shared_ptr<any_node> node;
    layer_list* first = nullptr;
    layer_list* second = nullptr;
    std::size_t first_steps = 0;
};

template <class L>
inline constexpr bool is_branch = false;
template <class If, class Else>
inline constexpr bool is_branch<branch<If, Else>> = true;
template <class L>
inline constexpr bool is_loop = false;
template <class Body, class Condition>
inline constexpr bool is_loop<loop<Body, Condition>> = true;

template <class If, class Else>
exported_layer exported(const branch<If, Else>&, const plan_view&, std::size_t) {
    const auto node = std::make_shared<node_of<branch_node>>(branch_node{});
    return {node, &node->layer.if_branch, &node->layer.else_branch, steps_of<If>};
}
template <class Body, class Condition>
exported_layer exported(const loop<Body, Condition>& layer, const plan_view& plan, std::size_t step) {
    const auto node = std::make_shared<node_of<loop_node>>(loop_node{});
    node->layer.max_loop_iterations = layer.max_loop_iterations;
    const std::size_t watched = plan.steps[step].watched;
    if (watched != blob_facts::npos) node->layer.condition_variable = plan[plan.blobs[watched].name];
    return {node, &node->layer.condition_network, &node->layer.body_network, steps_of<Condition>};
}
template <class L>
exported_layer exported(const L& layer, const plan_view&, std::size_t) {
    return {std::make_shared<any_node>(operations_of<L>, &layer)};
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
/// Gives the layers of a plan their names and wires and puts the nested ones into their control layers.
layer_list assemble(const plan_view& plan, std::vector<detail::exported_layer>& layers);
/// Adds what `settings` and `notes` leave open. `fill` as in `model::parts`.
model compose_model(model_settings settings, layer_list layers, const plan_view& plan,
                    std::span<const layer_codec> codecs, void (*fill)(void*, const plan_view&, engine<float>*),
                    void* context);
/// The model at `path`, which must be the network with these layers and this plan, parameters aside.
model load_same(const std::filesystem::path& path, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs);
/// Throws where the model, "the file", is not that network; plans it for the shapes of this one.
void check_same(model& from, std::string_view called, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

namespace detail {

/// The layers of a composed network as they stand in a document.
template <const auto& Description>
layer_list layers_of() {
    const plan_view plan = composed_plan<Description>::view();
    std::vector<exported_layer> layers(plan.steps.size());
    Description.each(0, [&](const auto& layer, std::size_t step) { layers[step] = exported(layer, plan, step); });
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::assemble(plan, layers);
}

/// The table of the layer types in a composed network.
template <const auto& Description>
std::span<const layer_codec> codecs_of_network() {
    static const auto table = [] {
        const auto control = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::control_codecs();
        std::vector<layer_codec> codecs(control.begin(), control.end());
        Description.each(0, [&]<class L>(const L&, std::size_t) {
            if constexpr (!is_branch<L> && !is_loop<L>) {
                constexpr layer_codec codec = codec_of<L>();
                const auto same = [&](const layer_codec& other) { return other.type == codec.type; };
                if (std::ranges::none_of(codecs, same)) codecs.push_back(codec);
            }
        });
        return codecs;
    }();
    return table;
}

}  // namespace detail

/// A composed network as a model, with a copy of its parameters, in float. Where `settings` describes no interface, it
/// is the network's: multi-arrays of FLOAT32.
template <const auto& Description, class Element>
model to_model(const network<Description, Element>& net, model_settings settings = {}) {
    const auto fill = [](void* context, const plan_view& plan, engine<float>* core) {
        const auto& from = *static_cast<const network<Description, Element>*>(context);
        if (core == nullptr) return;
        if constexpr (std::is_same_v<Element, float>)  // the same layers in the same order lie alike
            core->parameters().copy(from.core().parameters());
        else
            for (std::size_t i = 0; i < plan.parameters.size(); ++i)
                std::transform(from.core().parameter(i),
                               from.core().parameter(i) + plan.parameters[i].dimensions.size(),
                               core->parameters().fill(i), [](Element v) { return static_cast<float>(v); });
    };
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::compose_model(
        std::move(settings), detail::layers_of<Description>(), net.plan(), detail::codecs_of_network<Description>(),
        fill, const_cast<network<Description, Element>*>(&net));
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::read(const std::filesystem::path& path) {
    take(define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load_same(
        path, detail::layers_of<Description>(), plan(), detail::codecs_of_network<Description>()));
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::load(model from) {
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::check_same(from, "the model",
                                                                      detail::layers_of<Description>(), plan(),
                                                                      detail::codecs_of_network<Description>());
    take(std::move(from));
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::take(model&& from) {
    auto& core = from.network().core();
    engine_.measure();  // from here on nothing fails
    if constexpr (std::is_same_v<Element, float>)
        engine_.parameters().take(std::move(core.parameters()));
    else
        for (std::size_t i = 0; i < plan().parameters.size(); ++i)
            std::copy_n(core.parameters().read(i), plan().parameters[i].dimensions.size(),
                        engine_.parameters().fill(i));
    engine_.change();
    engine_.prepare_needed();
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::save(const std::filesystem::path& path) const {
    to_model(*this).save(path);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

inline layer_list gathered(const plan_view& plan, const std::vector<exported_layer>& layers, std::size_t first,
                           std::size_t last) {
    layer_list list;
    for (std::size_t s = first; s < last; s = plan.steps[s].end) list.add(layers[s].node);
    return list;
}

/// Compares a composed network with a loaded one, step by step, and throws at the first difference.
class network_comparison {
public:
    network_comparison(const layer_list& mine, const plan_view& my_plan, std::span<const layer_codec> my_codecs,
                       const layer_list& theirs, const plan_view& their_plan,
                       std::span<const layer_codec> their_codecs, std::string_view called)
        : mine_(mine.flatten()), theirs_(theirs.flatten()), my_plan_(my_plan), their_plan_(their_plan),
          my_codecs_(my_codecs), their_codecs_(their_codecs), called_(called),
          counterpart_(my_plan.blobs.size(), blob_facts::npos) {}

    void run() {
        for (std::size_t i = 0; i < my_plan_.inputs.size(); ++i) pair(my_plan_.inputs[i], their_plan_.inputs[i]);
        for (std::size_t s = 0; s < my_plan_.steps.size() && s < their_plan_.steps.size(); ++s) compare(s);
        if (my_plan_.steps.size() != their_plan_.steps.size())
            throw error(errc::bad_value, called_ + " has " + std::to_string(their_plan_.steps.size()) +
                                             " layers, this network " + std::to_string(my_plan_.steps.size()));
        for (std::size_t blob : my_plan_.outputs)
            if (std::count(their_plan_.outputs.begin(), their_plan_.outputs.end(), counterpart_[blob]) == 0)
                throw error(errc::bad_value, "the output " + in_quotes(my_plan_[my_plan_.blobs[blob].name]) +
                                                 " of this network is no output in " + called_);
    }

private:
    [[noreturn]] void differ(std::size_t step, const std::string& what) const {
        throw error(errc::bad_value, std::string(their_plan_[their_plan_.steps[step].place]) + ": " + what);
    }
    bool pair(std::size_t my_blob, std::size_t their_blob) {
        if (counterpart_[my_blob] == blob_facts::npos) counterpart_[my_blob] = their_blob;
        return counterpart_[my_blob] == their_blob;
    }

    void compare(std::size_t s) {
        const step_facts& my = my_plan_.steps[s];
        const step_facts& their = their_plan_.steps[s];
        const layer_codec& my_codec = *find_codec(my_codecs_, *mine_[s]);
        const layer_codec& their_codec = *find_codec(their_codecs_, *theirs_[s]);
        const auto key = [](const layer_codec& c) {
            return std::string(c.key) + (c.nested_key.empty() ? "" : ".") + std::string(c.nested_key);
        };
        if (my_codec.type != their_codec.type) differ(s, "this network has a layer " + key(my_codec) + " here");
        // a layer that nobody named is called after its key and its number
        const std::string_view my_name = my_plan_[my.name];
        if (!my_name.ends_with(key(my_codec) + "_" + std::to_string(s)) && my_name != their_plan_[their.name])
            differ(s, "this network calls the layer " + in_quotes(my_name));
        if (my.end != their.end || my.parent != their.parent) differ(s, "it ends elsewhere in this network");

        const auto my_in = my_plan_.inputs_of(s), their_in = their_plan_.inputs_of(s);
        const auto my_out = my_plan_.outputs_of(s), their_out = their_plan_.outputs_of(s);
        if (my_in.size() != their_in.size() || my_out.size() != their_out.size())
            differ(s, "the numbers of inputs and outputs are others in this network");
        for (std::size_t i = 0; i < my_in.size(); ++i)
            if (counterpart_[my_in[i]] != their_in[i])
                differ(s, "its input " + in_quotes(their_plan_[their_plan_.blobs[their_in[i]].name]) +
                              " is another blob in this network: " +
                              in_quotes(my_plan_[my_plan_.blobs[my_in[i]].name]));
        for (std::size_t i = 0; i < my_out.size(); ++i)
            if (!pair(my_out[i], their_out[i]))
                differ(s, "its output " + in_quotes(their_plan_[their_plan_.blobs[their_out[i]].name]) +
                              " is another blob in this network: " +
                              in_quotes(my_plan_[my_plan_.blobs[my_out[i]].name]));

        if (const auto* mine = mine_[s]->as<branch_node>()) {
            if (mine->if_branch.step_count() != theirs_[s]->as<branch_node>()->if_branch.step_count())
                differ(s, "its ifBranch has another number of layers in this network");
        } else if (const auto* my_loop = mine_[s]->as<loop_node>()) {
            const auto* their_loop = theirs_[s]->as<loop_node>();
            if (my_loop->condition_network.step_count() != their_loop->condition_network.step_count())
                differ(s, "its conditionNetwork has another number of layers in this network");
            if (my_loop->max_loop_iterations != their_loop->max_loop_iterations)
                differ(s, "maxLoopIterations is " + std::to_string(their_loop->max_loop_iterations) + " in " + called_ +
                              ", " + std::to_string(my_loop->max_loop_iterations) + " in this network");
            watched_.push_back(s);
        } else {
            const std::string difference = written(their_codec, *theirs_[s], their_plan_, s)
                                               .difference(written(my_codec, *mine_[s], my_plan_, s), called_);
            if (!difference.empty()) differ(s, difference + " in this network");
            for (std::size_t i = 0; i < my.parameter_count; ++i) {
                const auto& my_parameter = my_plan_.parameters[my.first_parameter + i];
                const auto& their_parameter = their_plan_.parameters[their.first_parameter + i];
                if (!(my_parameter.dimensions == their_parameter.dimensions))
                    differ(s, "its " + std::string(my_parameter.name) + " have the shape " +
                                  bespoke::to_text(their_parameter.dimensions) + " in " + called_ + ", " +
                                  bespoke::to_text(my_parameter.dimensions) + " in this network");
            }
        }
        // conditions are known when their loop has ended
        while (!watched_.empty() && my_plan_.steps[watched_.back()].end == s + 1) {
            const std::size_t loop = watched_.back();
            watched_.pop_back();
            const std::size_t my_condition = my_plan_.steps[loop].watched;
            if ((my_condition == blob_facts::npos ? my_condition : counterpart_[my_condition]) !=
                their_plan_.steps[loop].watched)
                differ(loop, "its conditionVar is another blob in this network");
        }
    }

    object_writer written(const layer_codec& codec, const any_node& node, const plan_view& plan, std::size_t step) {
        std::vector<shape> shapes;
        for (std::size_t blob : plan.inputs_of(step)) shapes.push_back(plan.blobs[blob].dimensions);
        object_writer fields;
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place place;
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_hyper_parameters(codec, node, shapes, fields,
                                                                                      place);
        return fields;
    }

    std::vector<const any_node*> mine_, theirs_;
    plan_view my_plan_, their_plan_;
    std::span<const layer_codec> my_codecs_, their_codecs_;
    std::string called_;
    std::vector<std::size_t> counterpart_;  ///< my blob -> theirs
    std::vector<std::size_t> watched_;      ///< loops around the current step
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

layer_list assemble(const plan_view& plan, std::vector<detail::exported_layer>& layers) {
    for (std::size_t s = layers.size(); s-- > 0;) {
        any_node& node = *layers[s].node;
        node.name = plan[plan.steps[s].name];
        node.updatable = plan.steps[s].updatable;
        for (std::size_t blob : plan.inputs_of(s)) node.inputs.emplace_back(plan[plan.blobs[blob].name]);
        for (std::size_t blob : plan.outputs_of(s)) node.outputs.emplace_back(plan[plan.blobs[blob].name]);
        if (layers[s].first == nullptr) continue;
        const std::size_t middle = s + 1 + layers[s].first_steps;
        *layers[s].first = detail::gathered(plan, layers, s + 1, middle);
        *layers[s].second = detail::gathered(plan, layers, middle, plan.steps[s].end);
    }
    return detail::gathered(plan, layers, 0, layers.size());
}

model compose_model(model_settings settings, layer_list layers, const plan_view& plan,
                    std::span<const layer_codec> codecs, void (*fill)(void*, const plan_view&, engine<float>*),
                    void* context) {
    const auto describe = [&](std::vector<feature_description>& list, std::span<const std::size_t> blobs) {
        if (!list.empty()) return;
        for (std::size_t blob : blobs) {
            array_feature_type type;
            if (!plan.blobs[blob].open.any) type.shape = plan.blobs[blob].dimensions;
            type.data_type = array_data_type::float32;
            list.push_back({std::string(plan[plan.blobs[blob].name]), "", {type}});
        }
    };
    describe(settings.description.input, plan.inputs);
    describe(settings.description.output, plan.outputs);
    model::parts content;
    content.settings = std::move(settings);
    content.layers = std::move(layers);
    content.codecs = codecs;
    content.notes.resize(plan.steps.size());
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
        content.notes[s].weights.resize(plan.steps[s].parameter_count);
        for (auto& source : content.notes[s].weights) source.updatable = plan.steps[s].updatable;
    }
    content.fill = fill;
    content.context = context;
    return model(std::move(content));
}

model load_same(const std::filesystem::path& path, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs) {
    model result = load(path, codecs, {.most_elements = std::numeric_limits<extent>::max()});
    try {
        check_same(result, "the file", layers, plan, codecs);
    } catch (const error& problem) {
        throw error(problem.code(), path.string() + ": " + problem.what());
    }
    return result;
}

void check_same(model& from, std::string_view called, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs) {
    program& theirs = from.network();
    const auto& description = from.description();
    std::vector<program::named_shape> inputs;
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
        const blob_facts& blob = plan.blobs[plan.inputs[i]];
        inputs.push_back({std::string(plan[blob.name]), blob.dimensions});
        if (i >= description.input.size() || description.input[i].name != inputs.back().name)
            throw error(errc::unknown_name, "/description/input/" + std::to_string(i) +
                                                ": this network has an input " + in_quotes(inputs.back().name) +
                                                " here");
        const shape declared = detail::declared_shape(description.input[i], from.settings());
        const auto* array = description.input[i].type.multi_array_type();
        const auto* picture = description.input[i].type.image_type();
        const auto size = picture == nullptr ? std::nullopt : detail::image_in(blob.dimensions, picture->color_space);
        if (!(declared == blob.dimensions) && !(array != nullptr && array->accepts(blob.dimensions)) &&
            !(size && picture->accepts(*size) && declared.rank() == blob.dimensions.rank()))
            throw error(shape_fault("/description/input/", i, " \"", inputs.back().name, "\": the shape ",
                                    blob.dimensions, " wanted for this network, ", called, " has ", declared));
    }
    if (description.input.size() != plan.inputs.size())
        throw error(errc::bad_value, "/description/input: this network has " + std::to_string(plan.inputs.size()) +
                                         " inputs, " + std::string(called) + " " +
                                         std::to_string(description.input.size()));
    theirs.reshape(inputs);
    detail::network_comparison(layers, plan, codecs, theirs.layers(), theirs.plan(), from.codecs(), called).run();
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
